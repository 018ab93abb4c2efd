"""Index and conversations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # if_not_exists: an index that was built before there were migrations is kept.
    op.create_table(
        "index_collections",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("knowledge_version", sa.String(64), nullable=False),
        sa.Column("embedder", sa.String(200), nullable=False),
        sa.Column("chunker", sa.String(40), nullable=False),
        sa.Column("snapshot", sa.String(100), nullable=False),
        sa.Column("built_at", sa.String(40), nullable=False),
        sa.Column("keywords", sa.LargeBinary, nullable=False),
        sa.Column("meta", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "index_documents",
        sa.Column("collection", sa.String(64), primary_key=True),
        sa.Column("document_id", sa.String(300), primary_key=True),
        sa.Column("root", sa.String(1000), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("meta", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["collection"], ["index_collections.name"], ondelete="CASCADE"),
        if_not_exists=True,
    )
    op.create_table(
        "index_chunks",
        sa.Column("collection", sa.String(64), primary_key=True),
        sa.Column("chunk_id", sa.String(64), primary_key=True),
        sa.Column("document_id", sa.String(300), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("meta", sa.JSON, nullable=False),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(
            ["collection", "document_id"], ["index_documents.collection", "index_documents.document_id"], ondelete="CASCADE"
        ),
        if_not_exists=True,
    )
    op.create_index("ix_index_chunks_document", "index_chunks", ["collection", "document_id"], if_not_exists=True)

    op.create_table(
        "conversations",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("site", sa.String(300), nullable=False),
        sa.Column("profile", sa.JSON),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_table(
        "messages",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("conversation_id", sa.String(40), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("language", sa.String(35)),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_index("ix_messages_conversation", "messages", ["conversation_id", "seq"])
    op.create_table(
        "answers",
        sa.Column("id", sa.String(64), sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("question_id", sa.String(64), sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, unique=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "feedback",
        sa.Column("answer_id", sa.String(64), sa.ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("comment", sa.Text),
        sa.Column("updated_at", sa.String(40), nullable=False),
    )
    op.create_table(
        "handoffs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("conversation_id", sa.String(40), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("updated_at", sa.String(40), nullable=False),
    )
    still_open = sa.text("state <> 'closed'")
    op.create_index("uq_handoffs_open", "handoffs", ["conversation_id"], unique=True, sqlite_where=still_open, postgresql_where=still_open)
    op.create_index("ix_handoffs_conversation", "handoffs", ["conversation_id", "created_at"])
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
