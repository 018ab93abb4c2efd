"""Brings a database to the shape that `bot.tables` has now.

A change of the tables is a new file in `versions/`, numbered on from the last; never an edit of one that was released.
`python -m bot.migrations "what changes"` writes a first draft of it.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.errors import SettingsError

_LOCK = 0x1A6AD  # any number, the same in every replica


def config() -> Config:
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return found


def head() -> str:
    """The revision that this version of the program needs."""
    found = ScriptDirectory.from_config(config()).get_current_head()
    assert found is not None
    return found


def known() -> list[str]:
    """All revisions there are, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


async def current(engine: AsyncEngine) -> str | None:
    """The revision that the database has; None when it is new."""
    async with engine.connect() as connection:
        return await connection.run_sync(revision_of)


def revision_of(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def upgrade(engine: AsyncEngine) -> bool:
    """Brings the database to `head`, all or nothing. Replicas that start together wait for one another. True when something changed.

    Raises:
        SettingsError: the database was written by a newer version of the program.
    """
    if await current(engine) == head():
        return False
    async with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(move, "head")
    return True


def move(connection: sa.Connection, revision: str) -> None:
    """Upgrades within the caller's transaction.

    Raises:
        SettingsError: see upgrade.
    """
    here = config()
    here.attributes["connection"] = connection
    try:
        command.upgrade(here, revision)
    except CommandError:
        raise SettingsError(
            "The database was written by a newer version of IMG Advisor. Install that version, or restore a backup into an empty database."
        ) from None
