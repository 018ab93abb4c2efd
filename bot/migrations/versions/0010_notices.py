"""Messages in workspaces that tell of hand-offs."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "handoff_notices",
        sa.Column("team", sa.String(40), sa.ForeignKey("workspaces.team", ondelete="CASCADE"), primary_key=True),
        sa.Column("handoff_id", sa.String(40), primary_key=True),
        sa.Column("channel", sa.String(40), nullable=False),
        sa.Column("ts", sa.String(40), nullable=False),
        sa.Column("shown", sa.String(240), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("handoff_notices")
