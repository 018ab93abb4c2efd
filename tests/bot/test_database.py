import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.database import is_away, open_engine
from bot.errors import SettingsError
from bot.settings import ROOT, read_settings


async def pragma(connection: AsyncConnection, name: str) -> object:
    return (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()


async def test_both_databases_open_and_answer(database_url: str) -> None:
    for url in (database_url, read_settings(database_url=database_url).database):
        engine = await open_engine(url)
        async with engine.connect() as connection:
            assert (await connection.execute(sa.text("SELECT 6 * 7"))).scalar_one() == 42
        await engine.dispose()


async def test_sqlite_keeps_its_promises_on_every_connection(sqlite_url: str) -> None:
    engine = await open_engine(sqlite_url)
    async with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            assert await pragma(connection, "journal_mode") == "wal"
            assert await pragma(connection, "foreign_keys") == 1
            assert await pragma(connection, "secure_delete") == 1
            assert int(str(await pragma(connection, "busy_timeout"))) >= 10_000
    await engine.dispose()


async def test_a_new_sqlite_file_is_its_owners_alone(sqlite_url: str, tmp_path: Path) -> None:
    engine = await open_engine(sqlite_url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
    for file in (tmp_path / "database").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file.name
    await engine.dispose()


async def test_a_transaction_is_undone_as_a_whole_tables_included(database_url: str) -> None:
    engine = await open_engine(database_url)
    with pytest.raises(ZeroDivisionError):
        async with engine.begin() as connection:
            await connection.execute(sa.text("CREATE TABLE t (x INTEGER)"))
            await connection.execute(sa.text("INSERT INTO t VALUES (1)"))
            raise ZeroDivisionError
    async with engine.connect() as connection:
        assert await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()) == []
    await engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "", "no url", "mysql://user:pa55word@localhost/db", "postgresql+psycopg2://user:pa55word@localhost/db", "sqlite://", "sqlite:///:memory:",
        "postgresql://user:pa55word@localhost:port/db",
    ],
)  # fmt: skip
async def test_a_wrong_url_is_said_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="IMG_ADVISOR_DATABASE_URL") as caught:
        await open_engine(url)
    assert "pa55word" not in str(caught.value)


async def test_an_unreachable_server_is_said(postgres: str, free_port: int) -> None:
    with pytest.raises(SettingsError, match="does not answer") as caught:
        await open_engine(f"postgresql://user:pa55word@127.0.0.1:{free_port}/db")
    assert "pa55word" not in str(caught.value)
    with pytest.raises(SettingsError, match="does not answer"):
        await open_engine("postgresql://user@no-such-host.invalid/db")
    with pytest.raises(SettingsError, match='database "absent" does not exist'):
        await open_engine(f"{postgres}/absent")
    with pytest.raises(SettingsError, match="absent") as caught:
        await open_engine(postgres.replace("postgres@", "absent:pa55word@") + "/postgres")
    assert "pa55word" not in str(caught.value)


async def test_urls_as_hosting_services_hand_them_out(postgres_url: str) -> None:
    engine = await open_engine(postgres_url.replace("postgresql:", "postgres:") + "?sslmode=disable&channel_binding=prefer")
    await engine.dispose()
    with pytest.raises(SettingsError):  # the test's server has no TLS: the demand for it must not be dropped
        await open_engine(postgres_url + "?sslmode=require")
    with pytest.raises(SettingsError):
        await open_engine(postgres_url + "?no_such_option=1")


async def test_a_sqlite_file_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("these are not the bytes of a database, and there are enough of them to see that " * 10)
    (tmp_path / "folder").mkdir()
    for url in (f"sqlite:///{tmp_path}/text", f"sqlite:///{tmp_path}/folder", f"sqlite:///{tmp_path}/text/below/a/file"):
        with pytest.raises(SettingsError) as caught:
            await open_engine(url)
        assert str(tmp_path) not in str(caught.value)
    assert (tmp_path / "text").read_text().startswith("these are not")


async def test_processes_that_open_a_new_sqlite_file_together(sqlite_url: str) -> None:
    code = (
        "import asyncio, sys\nfrom bot.database import open_engine\nfrom bot.migrations import upgrade\nfrom bot.store import Store\n"
        "async def main():\n    engine = await open_engine(sys.argv[1])\n    await upgrade(engine)\n    store = Store(engine)\n"
        "    conversation, token = await store.start()\n    for n in range(30):\n        await store.add_question(conversation, str(n))\n"
        "    print(len(await store.history(conversation, 99)), (await store.secret('one')).hex())\n    await engine.dispose()\n"
        "asyncio.run(main())\n"
    )
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, sqlite_url, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}
        )
        for _ in range(3)
    ]
    said = [await process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert len({out for out, _ in said}) == 1 and said[0][0].startswith(b"30 ")


async def test_connections_that_the_server_cut_are_opened_again(postgres_url: str) -> None:
    engine, other = await open_engine(postgres_url), await open_engine(postgres_url)
    async with other.connect() as connection:
        cut = await connection.execute(
            sa.text(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        assert cut.scalar_one() == 1
    async with engine.connect() as connection:
        assert (await connection.execute(sa.text("SELECT 1"))).scalar_one() == 1
    await engine.dispose()
    await other.dispose()


async def test_a_database_that_is_opened_once_more_keeps_what_guards_it_from_other_processes(sqlite_url: str) -> None:
    """POSIX drops all locks of a process on a file when it closes any handle of it: the next process to leave would take the log away."""
    first = await open_engine(sqlite_url)
    async with first.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
    second = await open_engine(sqlite_url)
    file = sa.make_url(sqlite_url).database
    other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT count(*) FROM t').fetchone()); c.close()"
    subprocess.run([sys.executable, "-c", other, str(file)], check=True, capture_output=True)
    for engine in (first, second):
        async with engine.begin() as connection:
            await connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    assert Path(f"{file}-wal").exists()
    await second.dispose()
    await first.dispose()


@pytest.mark.parametrize("state", ["57P01", "57P02", "57P03", "53300"])
async def test_a_server_that_starts_stops_or_is_full_may_be_back_in_a_moment(postgres_url: str, state: str) -> None:
    engine = await open_engine(postgres_url)
    with pytest.raises(DBAPIError) as found:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")
    assert is_away(found.value)
    with pytest.raises(DBAPIError) as found:
        async with engine.connect() as connection:
            await connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '22012'; END $$")
    assert not is_away(found.value), "a mistake stays one"
    await engine.dispose()
