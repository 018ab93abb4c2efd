"""One file with everything that must last, and the way back.

Everything that must last is in the database: conversations, secrets, and the index with its vectors (Chroma's snapshots are written
again from there when they are missing). The file is a ZIP that belongs to no kind of database: a backup of SQLite restores into PostgreSQL
and the other way round. It holds

    manifest.json         format, schema revision, time, and for each table its columns, kinds, number of rows and SHA-256
    tables/<name>.jsonl   a row a line, as a JSON list in the order of the columns; bytes in base64

It holds what visitors wrote and the keys of their tokens: whoever has it can read all of it.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import __version__, tables
from bot.database import BUSY_TIMEOUT_S, open_engine, reading
from bot.errors import InputError, SettingsError
from bot.migrations import known, move, revision_of
from bot.settings import Settings

FORMAT = "img-advisor-backup"
FORMAT_VERSION = 1
_ROWS = 200
_NOT_ONE = "This file is not a backup of IMG Advisor"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds. `tables` are numbers of rows."""

    created_at: str
    revision: str
    tables: dict[str, int]


async def backup(settings: Settings, file: Path) -> Contents:
    """Writes all tables as of one moment, in the shape they have now; the server may run on. `file` becomes whole or stays as it was.

    Raises:
        InputError: there is nothing to back up, or the file is there and is not a backup, or cannot be written.
        SettingsError: the database cannot be opened, or was written by a newer version of the program.
    """
    if file.exists() and not _is_backup(file):
        raise InputError(f"'{file.name}' is there already and is not a backup. Give another name.")
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    engine = await open_engine(settings.database)
    try:
        with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                contents = await _write(engine, archive)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, file)
    except OSError as error:
        raise InputError(f"'{file.name}' cannot be written ({error.strerror}). Choose another place, or free some space.") from None
    finally:
        part.unlink(missing_ok=True)
        await engine.dispose()
    return contents


async def restore(settings: Settings, file: Path, *, force: bool = False) -> Contents:
    """Makes the database what it was, all or nothing. The file is checked to its last byte before anything is touched.

    Args:
        force: replace what the database holds now.
    Raises:
        InputError: the file is no backup, is damaged, or was made by a newer version; or the database is not empty.
        SettingsError: the database cannot be opened.
    """
    manifest = await asyncio.to_thread(_check, file)
    engine = await open_engine(settings.database)
    try:
        async with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            if connection.dialect.name == "postgresql":
                await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_TIMEOUT_S}s'")
            if not force and await connection.run_sync(_holds_rows):
                raise InputError("The database already holds data. Restore into an empty one, or run again with --force to replace it.")
            await connection.run_sync(_drop_all)
            await connection.run_sync(move, manifest["revision"])
            with zipfile.ZipFile(file) as archive:
                for table in await connection.run_sync(_tables_now):
                    if table.name in manifest["tables"]:
                        await _read_table(connection, archive, table, manifest["tables"][table.name])
            await connection.run_sync(move, "head")
    except DBAPIError as error:
        why = type(error.orig).__name__
        raise InputError(
            f"The backup could not be restored ({why}); nothing was changed. Stop the server if it runs, and try again."
        ) from None
    finally:
        await engine.dispose()
    return _contents(manifest)


def _contents(manifest: dict[str, Any]) -> Contents:
    return Contents(manifest["created_at"], manifest["revision"], {name: entry["rows"] for name, entry in manifest["tables"].items()})


# Writing


async def _write(engine: AsyncEngine, archive: zipfile.ZipFile) -> Contents:
    async with reading(engine).connect() as connection:
        revision = await connection.run_sync(revision_of)
        if revision is None:
            raise InputError("There is nothing to back up: the database is new. Check IMG_ADVISOR_DATABASE_URL or IMG_ADVISOR_DATA.")
        if revision not in known():
            raise SettingsError("The database was written by a newer version of IMG Advisor. Use that version to back it up.")
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "program": __version__,
            "revision": revision,
            "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "tables": {},
        }
        for table in await connection.run_sync(_tables_now):
            with archive.open(_part(table.name), "w", force_zip64=True) as out:
                manifest["tables"][table.name] = await _write_table(connection, table, out)
    archive.writestr("manifest.json", json.dumps(manifest, indent=1))
    return _contents(manifest)


async def _write_table(connection: AsyncConnection, table: sa.Table, out: IO[bytes]) -> dict[str, Any]:
    columns = list(table.columns)
    binary = [isinstance(column.type, sa.LargeBinary) for column in columns]
    digest, rows = hashlib.sha256(), 0
    async with connection.stream(sa.select(*columns).order_by(*table.primary_key)) as result:
        async for part in result.partitions(_ROWS):
            for row in part:
                line = json.dumps([_to_json(value, raw) for value, raw in zip(row, binary, strict=True)]).encode() + b"\n"
                digest.update(line)
                out.write(line)
            rows += len(part)
    kinds = {column.name: "binary" if raw else "plain" for column, raw in zip(columns, binary, strict=True)}
    return {"columns": kinds, "rows": rows, "sha256": digest.hexdigest()}


def _part(table: str) -> str:
    return f"tables/{table}.jsonl"


def _to_json(value: Any, binary: bool) -> Any:
    return base64.b64encode(value).decode() if binary and value is not None else value


# Reading


def _is_backup(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read("manifest.json"))["format"] == FORMAT
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, zlib.error):
        return False


def _check(file: Path) -> dict[str, Any]:
    """The manifest, after every part was found as it says."""
    if not file.is_file():
        raise InputError(f"There is no file '{file.name}'.")
    if not _is_backup(file):
        raise InputError(f"{_NOT_ONE}, or it is damaged. Give a file that img-advisor backup has written.")
    damaged = InputError("The backup is damaged: its parts do not match its manifest. Nothing was changed; use another backup.")
    try:
        with zipfile.ZipFile(file) as archive:
            manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
            if manifest["version"] > FORMAT_VERSION or manifest["revision"] not in known():
                raise InputError("The backup was made by a newer version of IMG Advisor. Install that version to restore it.")
            for name, entry in manifest["tables"].items():
                digest, rows = hashlib.sha256(), 0
                with archive.open(_part(name)) as lines:
                    for line in lines:
                        digest.update(line)
                        rows += 1
                if (digest.hexdigest(), rows) != (entry["sha256"], entry["rows"]):
                    raise damaged
            return manifest
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, EOFError, zlib.error) as error:
        raise damaged from error


def _ours(connection: sa.Connection) -> list[str]:
    return [name for name in sa.inspect(connection).get_table_names() if name in tables.metadata.tables]


def _holds_rows(connection: sa.Connection) -> bool:
    return any(connection.execute(sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1)).first() for name in _ours(connection))


def _drop_all(connection: sa.Connection) -> None:
    tables.metadata.drop_all(connection, checkfirst=True)
    connection.execute(sa.DDL("DROP TABLE IF EXISTS alembic_version"))


def _tables_now(connection: sa.Connection) -> list[sa.Table]:
    """As the database has them, which may be an older shape than bot.tables; those that others refer to first."""
    found = sa.MetaData()
    found.reflect(connection, only=_ours(connection))
    for table in found.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, sa.JSON):
                column.type.none_as_null = True  # a NULL comes back as one
    return found.sorted_tables


async def _read_table(connection: AsyncConnection, archive: zipfile.ZipFile, table: sa.Table, entry: dict[str, Any]) -> None:
    insert = sa.insert(table)
    with archive.open(_part(table.name)) as lines:
        for rows in _batches(lines, entry["columns"]):
            await connection.execute(insert, rows)
    await connection.run_sync(_set_sequence, table)


def _batches(lines: IO[bytes], columns: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for line in lines:
        values = json.loads(line)
        rows.append(
            {
                name: base64.b64decode(value) if kind == "binary" and value is not None else value
                for (name, kind), value in zip(columns.items(), values, strict=True)
            }
        )
        if len(rows) == _ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _set_sequence(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL counts on from where the backup ended; SQLite does so by itself."""
    column = table.autoincrement_column
    if connection.dialect.name != "postgresql" or column is None:
        return
    last = connection.execute(sa.select(sa.func.max(column))).scalar_one()
    if last is not None:
        connection.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(table.name, column.name), last)))
