import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import migrations, tables
from bot.database import open_engine
from bot.errors import SettingsError
from bot.settings import ROOT


def test_revisions_form_one_line() -> None:
    scripts = ScriptDirectory.from_config(migrations.config())
    assert scripts.get_heads() == [migrations.head()]
    assert [s.revision for s in scripts.walk_revisions()][::-1] == migrations.known()
    assert scripts.get_bases() == ["0001"]


async def test_a_migrated_database_has_the_shape_of_the_tables(engine: AsyncEngine) -> None:
    """Fails when bot.tables changed and no migration was written: python -m bot.migrations "what changes"."""

    def difference(connection: sa.Connection) -> list[object]:
        options = {"compare_type": True, "include_object": migrations.compared}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata))

    def foreign_keys(connection: sa.Connection) -> set[tuple[str, str, str]]:
        inspector = sa.inspect(connection)
        return {
            (name, key["referred_table"], str(key["options"].get("ondelete")))
            for name in tables.metadata.tables
            for key in inspector.get_foreign_keys(name)
        }

    async with engine.connect() as connection:
        assert await connection.run_sync(difference) == []
        found = await connection.run_sync(foreign_keys)
    assert found == {
        (table.name, key.referred_table.name, str(key.ondelete))
        for table in tables.metadata.tables.values()
        for key in table.foreign_key_constraints
    }


async def test_upgrading_twice_changes_nothing(database_url: str) -> None:
    engine = await open_engine(database_url)
    assert await migrations.current(engine) is None
    assert await migrations.upgrade(engine) is True
    assert await migrations.current(engine) == migrations.head()
    assert await migrations.upgrade(engine) is False
    await engine.dispose()


async def test_replicas_that_start_together_do_not_collide(database_url: str) -> None:
    engines = [await open_engine(database_url) for _ in range(4)]
    await asyncio.gather(*(migrations.upgrade(engine) for engine in engines))
    for engine in engines:
        assert await migrations.current(engine) == migrations.head()
        await engine.dispose()


async def test_an_index_that_is_older_than_the_migrations_is_kept(database_url: str) -> None:
    engine = await open_engine(database_url)
    row = {
        "name": "default",
        "knowledge_version": "v",
        "embedder": "e",
        "chunker": "c",
        "snapshot": "s",
        "built_at": "b",
        "keywords": b"k",
        "meta": {},
    }
    async with engine.begin() as connection:
        await connection.run_sync(
            tables.metadata.create_all, tables=[tables.collections, tables.documents, tables.chunks]
        )  # fmt: skip
        await connection.execute(sa.insert(tables.collections).values(row))
    await migrations.upgrade(engine)
    async with engine.connect() as connection:
        assert dict((await connection.execute(sa.select(tables.collections))).mappings().one()) == row
    await engine.dispose()


async def test_a_migration_that_fails_leaves_nothing_behind(database_url: str) -> None:
    engine = await open_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE feedback (other INTEGER)"))  # the initial migration will stumble over it
    with pytest.raises(sa.exc.DBAPIError):
        await migrations.upgrade(engine)
    async with engine.connect() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    assert names == ["feedback"]
    await engine.dispose()


async def test_a_database_of_a_newer_version_is_left_alone(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="newer version"):
        await migrations.upgrade(engine)


def test_a_draft_of_the_next_revision_names_what_changed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bot", tmp_path / "bot", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "bot" / "tables.py").open("a") as out:
        out.write('\nTable("pets", metadata, Column("name", String(10), primary_key=True))\n')
    done = subprocess.run([sys.executable, "-m", "bot.migrations", "pets too"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    following = f"{int(migrations.head()) + 1:04d}"
    draft = (tmp_path / "bot" / "migrations" / "versions" / f"{following}_pets_too.py").read_text()
    compile(draft, "draft", "exec")
    assert f"revision = '{following}'" in draft and f"down_revision = '{migrations.head()}'" in draft
    assert draft.count("op.create_table") == 1 and "'pets'" in draft
