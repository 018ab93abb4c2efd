"""Drafts of advisors' replies with their versions, notes and macros."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drafts",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("handoff_id", sa.String(40), sa.ForeignKey("handoffs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("tone", sa.String(20), nullable=False),
        sa.Column("length", sa.String(20), nullable=False),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
        sa.Column("approved_version", sa.Integer),
        sa.Column("approved_by", sa.String(200)),
        sa.Column("approved_at", sa.String(40)),
        sa.Column("reply_id", sa.String(64), sa.ForeignKey("replies.id", ondelete="CASCADE")),
        sa.Column("sent_at", sa.String(40)),
    )
    still_open = sa.text("state IN ('proposed', 'edited', 'approved')")
    op.create_index("uq_drafts_open", "drafts", ["handoff_id"], unique=True, sqlite_where=still_open, postgresql_where=still_open)
    op.create_index("ix_drafts_handoff", "drafts", ["handoff_id", "created_at"])
    op.create_table(
        "draft_versions",
        sa.Column("draft_id", sa.String(40), sa.ForeignKey("drafts.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("base", sa.Integer),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_table(
        "notes",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("handoff_id", sa.String(40), sa.ForeignKey("handoffs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_index("ix_notes_handoff_id", "notes", ["handoff_id"])
    op.create_table(
        "macros",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("review_by", sa.String(10), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
    )


def downgrade() -> None:
    for name in ("macros", "notes", "draft_versions", "drafts"):
        op.drop_table(name)
