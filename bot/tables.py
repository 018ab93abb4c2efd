"""Every table, in one place. Alembic's migrations (`bot/migrations/`) bring a database to this shape.

The index lives in the database, the vectors that are searched first in Chroma; the two cannot be committed together, so
the database is the truth: a run writes a new Chroma collection (a snapshot, never changed afterwards), then switches the
database to it in one transaction, then removes older snapshots. A run that was killed leaves the old snapshot serving.
"""

from sqlalchemy import JSON, Column, ForeignKeyConstraint, Index, Integer, LargeBinary, MetaData, String, Table, Text

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
