"""A queue of work, and workspaces of Slack."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("owner", sa.String(80), nullable=False),
        sa.Column("lane", sa.String(200), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True)),
        sa.Column("note", sa.JSON(none_as_null=True)),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("worker", sa.String(64)),
        sa.Column("ended_at", sa.Float),
    )
    op.create_index("uq_jobs_key", "jobs", ["kind", "key"], unique=True)
    op.create_index("ix_jobs_due", "jobs", ["state", "due_at"])
    op.create_index("ix_jobs_lane", "jobs", ["lane", "seq"])
    op.create_index("ix_jobs_owner", "jobs", ["owner"])
    op.create_table(
        "workspaces",
        sa.Column("team", sa.String(40), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("bot_user", sa.String(40), nullable=False),
        sa.Column("bot_id", sa.String(40), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("tokens", sa.LargeBinary),
        sa.Column("expires_at", sa.Float),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("installed_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
    )
    op.create_table(
        "workspace_states",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_table(
        "workspace_channels",
        sa.Column("team", sa.String(40), sa.ForeignKey("workspaces.team", ondelete="CASCADE"), primary_key=True),
        sa.Column("channel", sa.String(40), primary_key=True),
        sa.Column("mode", sa.String(20), nullable=False),
        sa.Column("set_by", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
    )
    op.create_table(
        "workspace_threads",
        sa.Column("team", sa.String(40), sa.ForeignKey("workspaces.team", ondelete="CASCADE"), primary_key=True),
        sa.Column("channel", sa.String(40), primary_key=True),
        sa.Column("thread", sa.String(80), primary_key=True),
        sa.Column("conversation_id", sa.String(40), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, unique=True),
        sa.Column("user", sa.String(40), nullable=False),
        sa.Column("private", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_index("ix_workspace_threads_user", "workspace_threads", ["team", "user"])
    op.create_table(
        "workspace_messages",
        sa.Column("team", sa.String(40), primary_key=True),
        sa.Column("channel", sa.String(40), primary_key=True),
        sa.Column("ts", sa.String(80), primary_key=True),
        sa.Column("conversation_id", sa.String(40), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=False),
        sa.Column("answer_id", sa.String(64)),
        sa.Column("answer_ts", sa.String(80)),
    )
    op.create_index("ix_workspace_messages_conversation", "workspace_messages", ["conversation_id"])
