"""Replies of advisors."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("handoffs", sa.Column("advisor", sa.String(200)))
    # An answered hand-off is over: who asks again opens another one.
    still_open = sa.text("state IN ('requested', 'assigned')")
    op.drop_index("uq_handoffs_open", table_name="handoffs")
    op.create_index("uq_handoffs_open", "handoffs", ["conversation_id"], unique=True, sqlite_where=still_open, postgresql_where=still_open)
    op.create_table(
        "replies",
        sa.Column("id", sa.String(64), sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("handoff_id", sa.String(40), sa.ForeignKey("handoffs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("advisor", sa.String(200), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_replies_handoff_id", "replies", ["handoff_id"])
