"""Brings a database to the shape that `bot.tables` has now.

A change of the tables is a new file in `versions/`, numbered on from the last; never an edit of one that was released.
`python -m bot.migrations "what changes"` writes a first draft of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.errors import SettingsError

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported when a database has to be changed: at most starts there is nothing to do.
_LOCK = 0x1A6AD  # any number, the same in every replica
_VERSIONS = Path(__file__).parent / "versions"


def config() -> Config:
    from alembic.config import Config

    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return found


def head() -> str:
    """The revision that this version of the program needs."""
    return known()[-1]


def known() -> list[str]:
    """All revisions there are, oldest first. Their files are named by them, in order."""
    return sorted(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


def compared(_: object, name: str | None, kind: str, reflected: bool, __: object) -> bool:
    """Whether Alembic compares a part of the database with `bot.tables`: search has parts that each kind of database has of its own."""
    return not (reflected and kind in ("table", "index") and name is not None and name.startswith("message_words"))


async def current(engine: AsyncEngine) -> str | None:
    """The revision that the database has; None when it is new."""
    async with engine.connect() as connection:
        return await connection.run_sync(revision_of)


def revision_of(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return revision


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
    from alembic import command
    from alembic.util import CommandError

    here = config()
    here.attributes["connection"] = connection
    try:
        command.upgrade(here, revision)
    except CommandError:
        raise SettingsError(
            "The database was written by a newer version of IMG Advisor. Install that version, or restore a backup into an empty database."
        ) from None
