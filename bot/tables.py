"""Every table, in one place. Alembic's migrations (`bot/migrations/`) bring a database to this shape.

The index lives in the database, the vectors that are searched first in Chroma; the two cannot be committed together, so
the database is the truth: a run writes a new Chroma collection (a snapshot, never changed afterwards), then switches the
database to it in one transaction, then removes older snapshots. A run that was killed leaves the old snapshot serving.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

collections = Table(
    "index_collections",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("knowledge_version", String(64), nullable=False),  # hash over all chunk ids and their metadata
    Column("embedder", String(200), nullable=False),  # name@hash of the weights
    Column("chunker", String(40), nullable=False),
    Column("snapshot", String(100), nullable=False),  # Chroma collection that holds the chunks' vectors of this version
    Column("built_at", String(40), nullable=False),
    Column("keywords", LargeBinary, nullable=False),  # bot.keywords.Keywords.to_bytes
    Column("meta", JSON, nullable=False),  # conflicts, counts
)

documents = Table(
    "index_documents",
    metadata,
    Column("collection", String(64), primary_key=True),
    Column("document_id", String(300), primary_key=True),
    Column("root", String(1000), nullable=False),  # the source it came from: what vanishes from there is removed
    Column("content_hash", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("meta", JSON, nullable=False),
    ForeignKeyConstraint(["collection"], ["index_collections.name"], ondelete="CASCADE"),
)

chunks = Table(
    "index_chunks",
    metadata,
    Column("collection", String(64), primary_key=True),
    Column("chunk_id", String(64), primary_key=True),
    Column("document_id", String(300), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("meta", JSON, nullable=False),  # bot.passage.Chunk without its text
    Column("vectors", LargeBinary, nullable=False),  # float32: the chunk, its sentences, its questions
    ForeignKeyConstraint(["collection", "document_id"], ["index_documents.collection", "index_documents.document_id"], ondelete="CASCADE"),
    Index("ix_index_chunks_document", "collection", "document_id"),
)

# Conversations. Times are UTC, ISO-8601 with microseconds, so that they sort as text. Whatever belongs to a conversation hangs
# on its row by ON DELETE CASCADE: forgetting one is one statement, and a table that is added later cannot be left out by mistake.

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("token_hash", String(64), nullable=False),  # HMAC-SHA256; the token itself is never stored
    Column("site", String(300), nullable=False),
    Column("profile", JSON(none_as_null=True)),  # bot.answer.Profile, only the fields that were given
    Column("created_at", String(40), nullable=False),
)

messages = Table(
    "messages",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),  # the order of a conversation
    Column("id", String(64), nullable=False, unique=True),
    Column("conversation_id", String(40), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("role", String(10), nullable=False),  # user, assistant
    Column("text", Text, nullable=False),
    Column("language", String(35)),
    Column("created_at", String(40), nullable=False),
    Index("ix_messages_conversation", "conversation_id", "seq"),
)

answers = Table(
    "answers",
    metadata,
    Column("id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("question_id", String(64), ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("status", String(20), nullable=False),
    Column("body", LargeBinary, nullable=False),  # the JSON of bot.answer.Answer, byte for byte as it was first sent
)

feedback = Table(
    "feedback",
    metadata,
    Column("answer_id", String(64), ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True),
    Column("value", Integer, nullable=False),  # 1 or -1
    Column("reason", Text),
    Column("comment", Text),
    Column("updated_at", String(40), nullable=False),
)

handoffs = Table(
    "handoffs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("conversation_id", String(40), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(20), nullable=False),  # requested, assigned, closed
    Column("created_at", String(40), nullable=False),
    Column("updated_at", String(40), nullable=False),
    # At most one open hand-off a conversation, whoever asks at the same moment.
    Index(
        "uq_handoffs_open",
        "conversation_id",
        unique=True,
        sqlite_where=text("state <> 'closed'"),
        postgresql_where=text("state <> 'closed'"),
    ),
    Index("ix_handoffs_conversation", "conversation_id", "created_at"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),  # random bytes, made once
    Column("created_at", String(40), nullable=False),
)
