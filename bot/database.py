"""Opens the database that a URL names: SQLite in a file, or PostgreSQL."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.errors import SettingsError

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
BUSY_TIMEOUT_S = 30
"""How long a writer waits for another one (SQLite), or a request for a free connection (PostgreSQL)."""
CONNECT_TIMEOUT_S = 10


async def open_engine(url: str) -> AsyncEngine:
    """An engine that has answered once. The caller disposes of it.

    On SQLite a transaction starts with BEGIN, so that reads in it see one state and a migration is all or nothing; a transaction that
    reads before it writes must ask for the write lock first: `engine.execution_options(sqlite_begin="IMMEDIATE")`.

    Raises:
        SettingsError: the URL is wrong, or nothing that can be used answers there. Never names the password.
    """
    parsed = _parse(url)
    engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
    except (OSError, SQLAlchemyError, ValueError, TypeError) as error:
        await engine.dispose()
        raise SettingsError(_reason(parsed, error)) from None
    except BaseException as error:
        await engine.dispose()
        if _is_postgres_error(error):
            raise SettingsError(_reason(parsed, error)) from None
        raise
    return engine


def reading(engine: AsyncEngine) -> AsyncEngine:
    """The same database; but all that one connection reads is of one moment. (SQLite is like that anyway, see open_engine.)"""
    return engine.execution_options(isolation_level="REPEATABLE READ") if engine.dialect.name == "postgresql" else engine


def insert(connection: AsyncConnection | AsyncEngine, table: sa.Table) -> Any:
    """INSERT with ON CONFLICT, which both databases have but SQLAlchemy spells twice. PostgreSQL's is imported only where it is used."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def writing(engine: AsyncEngine) -> AsyncEngine:
    """For a transaction that reads before it writes: SQLite wants the write lock first."""
    return engine.execution_options(sqlite_begin="IMMEDIATE")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "IMG_ADVISOR_DATABASE_URL is not a database URL. Use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from None
    parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
    if parsed.drivername not in _DRIVERS.values():
        raise SettingsError(f"IMG_ADVISOR_DATABASE_URL starts with '{parsed.drivername}:'. Use sqlite:///FILE or postgresql://… instead.")
    return parsed


def _sqlite(url: URL) -> AsyncEngine:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise SettingsError("IMG_ADVISOR_DATABASE_URL names no file. Use sqlite:///FILE, or leave it empty.")
    file = Path(url.database)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Conversations are nobody else's business; SQLite gives its -wal and -shm files the same mode. A file that is there is not touched:
        # closing a handle of it drops this process's locks on it, and another process that ends would take the -wal away from under us.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise SettingsError(
            f"The database file cannot be opened ({error.strerror}). Check the data folder (IMG_ADVISOR_DATA) or IMG_ADVISOR_DATABASE_URL."
        ) from None
    engine = create_async_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=10, max_overflow=20)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver shall not begin transactions by itself: _begin does
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
        cursor.execute("PRAGMA journal_mode")
        if cursor.fetchone()[0] != "wal":  # it is a property of the file: set by whoever comes first
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        if mode != "NONE":
            connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _postgresql(url: URL) -> AsyncEngine:
    query = dict(url.query)
    # libpq's spellings, as hosting services hand them out, that asyncpg knows by another name or not at all.
    if mode := query.pop("sslmode", None):
        query.setdefault("ssl", mode)
    query.pop("channel_binding", None)
    return create_async_engine(
        url.set(query=query),
        pool_size=10,
        max_overflow=20,
        pool_timeout=BUSY_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_TIMEOUT_S, "server_settings": {"application_name": "img-advisor"}},
    )


def is_away(error: BaseException) -> bool:
    """Whether the database may be back in a moment: the connection was cut, or none could be had. SQLite is a file, which stays."""
    if isinstance(error, DBAPIError):
        cut = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
        # While a server starts or stops, SQLAlchemy hands its words on as an error of no class; the driver's own is the cause.
        refuses = error.orig is not None and error.orig.__cause__ is not None and _refuses(error.orig.__cause__)
        return (cut or refuses) and "sqlite" not in type(error.orig).__module__
    # The driver's own errors come as they are where no connection could be opened.
    return isinstance(error, ConnectionError | TimeoutError) or _refuses(error)


def _refuses(error: BaseException) -> bool:
    return type(error).__module__.startswith("asyncpg") and type(error).__name__ in (
        "CannotConnectNowError", "ConnectionDoesNotExistError", "ConnectionFailureError", "InterfaceError", "TooManyConnectionsError",
        "AdminShutdownError", "CrashShutdownError",
    )  # fmt: skip


def _is_postgres_error(error: BaseException) -> bool:
    import asyncpg

    return isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError)


def _reason(url: URL, error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = (str(cause).splitlines() or [""])[0].rpartition(">: ")[2][:200]
    if url.get_backend_name() == "sqlite":
        why = said or type(cause).__name__
        return f"The database file cannot be used ({why}). Check IMG_ADVISOR_DATABASE_URL or the data folder (IMG_ADVISOR_DATA)."
    where = f"{url.host or 'localhost'}:{url.port or 5432}"
    if isinstance(cause, OSError | TimeoutError) or isinstance(error, OSError | TimeoutError):
        return f"The PostgreSQL server at {where} does not answer. Check IMG_ADVISOR_DATABASE_URL, and that the server is running."
    if url.password and str(url.password) in said:
        said = type(cause).__name__
    return f"The PostgreSQL server at {where} refuses ({said or type(cause).__name__}). Check IMG_ADVISOR_DATABASE_URL."
