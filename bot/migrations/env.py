"""Run by Alembic; the connection comes from `bot.migrations`."""

from alembic import context

from bot.migrations import compared
from bot.tables import metadata

connection = context.config.attributes["connection"]
# batch: SQLite cannot alter most of a table; Alembic copies it instead.
context.configure(
    connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite", compare_type=True,
    include_object=compared,
)  # fmt: skip
with context.begin_transaction():
    context.run_migrations()
