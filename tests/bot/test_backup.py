import asyncio
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import migrations, tables
from bot.accounts import Accounts
from bot.answer import Answer, Profile, Reply, SourceRef
from bot.audit import Audit
from bot.backup import backup, restore
from bot.database import open_engine
from bot.drafts import Drafts
from bot.errors import InputError, SettingsError
from bot.inbox import Inbox
from bot.index import load_index
from bot.jobs import Jobs
from bot.keywords import build_keywords
from bot.macros import Macros
from bot.memory import Memory
from bot.migrations import upgrade
from bot.notes import Notes
from bot.notices import Notice, Notices
from bot.passage import Chunk
from bot.settings import Settings, read_settings
from bot.signins import SignIn, SignIns
from bot.store import Store
from bot.threads import Threads
from bot.vectors import Vectors
from bot.workspaces import Keys, Tokens, Workspaces

CHUNK = Chunk(
    "c1", "d1", 0, "Fees — 五 \u2028 rise.", ("Title",), "", None, SourceRef(title="t"), "2025-07", False, "unknown", (), (),
    questions=("What rises?",), facts={},
)  # fmt: skip
VECTORS = np.eye(2, 4, dtype=np.float32)


def settings_of(url: str, folder: Path) -> Settings:
    return read_settings(database_url=url, data=folder)


@pytest.fixture
async def filled(engine: AsyncEngine) -> tuple[str, str]:
    """Something in every table; (conversation, token)."""
    store = Store(engine)
    conversation, token = await store.start("https://school.example")
    await store.set_profile(conversation, Profile(step2ck=250))
    await store.remember(conversation, Memory("What is SOAP?", ("Who won?",)))
    answer = Answer(id="a1", created_at="2026-01-02T03:04:05Z", status="answered", text="“Sí” 🩺 [1]")  # type: ignore[arg-type]
    await store.add_answer(conversation, await store.add_question(conversation, "¿Qué?\n\u2028", "es"), answer)
    await store.set_feedback("a1", 1)
    answered = await store.request_handoff(conversation, "visa")
    reply = Reply(**{**dict(answer), "id": "r1", "text": "Own words."}, advisor="Ana")
    await store.add_reply(answered.id, reply)
    inbox = Inbox(engine, store, Audit(engine))
    await inbox.see((await inbox.paste("Ana", "Visa", "Which visa?")).id, "Ben")
    asked = await store.request_handoff(conversation, "fees")
    draft = await Drafts(engine, Audit(engine)).propose(
        asked.id, "Dear colleague,", author="ana", tone="warm", length="short", language="es", seen=1
    )
    await Drafts(engine, Audit(engine)).save(draft.id, "Dear Ben,", "ben", 1)
    await Notes(engine).add(asked.id, "ana", "Ask Ben.")
    await Macros(engine).add("H-1B", "Six years.", "2027-01-01", "ana")
    await store.start()  # one without a profile
    accounts = Accounts(engine)
    account, _ = await accounts.add("ana@school.example", "Ana", by="cli")
    await accounts.sessions.open(account.id)
    await accounts.attempts.count(account="bob@school.example")
    await SignIns(engine).begin("state", SignIn("n", "v", "/console", ""))
    workspaces, threads = Workspaces(engine, Keys(Fernet.generate_key().decode())), Threads(engine, store)
    await workspaces.save("T1", name="School", bot_user="U0", bot_id="B0", scopes=(), tokens=Tokens("xoxb"), installed_by="U1")
    await workspaces.set_mode("T1", "C1", "all", "U1")
    await workspaces.begin()
    await threads.ask(await threads.open("T1", "C1", "1.2", "U1", private=False), "1.2", "What?")
    await Jobs(engine).put("kind", "key", {"n": None}, owner="T1")
    await Notices(engine).save(Notice("T1", asked.id, "C1", "1.3", "requested:"))
    async with engine.begin() as connection:
        await connection.execute(
            sa.insert(tables.collections).values(
                name="default", knowledge_version="v1", embedder="e@1", chunker="k1", snapshot="default.v1.aaaaaa", built_at="2026",
                keywords=build_keywords([["fees", "rise"]]).to_bytes(), meta={"conflicts": {}, "n": 0.1},
            )
        )  # fmt: skip
        await connection.execute(
            sa.insert(tables.documents).values(
                collection="default", document_id="d1", root="guides", content_hash="h", title="T", body="B\r\n", meta={"z": 1, "a": None}
            )
        )
        await connection.execute(
            sa.insert(tables.chunks).values(
                collection="default", chunk_id="c1", document_id="d1", position=0, text=CHUNK.text, meta=CHUNK.meta(),
                vectors=VECTORS.tobytes(),
            )
        )  # fmt: skip
        for table, row in LEARNED.items():
            await connection.execute(sa.insert(tables.metadata.tables[table]).values(row))
    return conversation, token


LEARNED: dict[str, dict[str, Any]] = {
    "answer_notes": {"answer_id": "a1", "week": "2026-01-05", "status": "no_answer", "shelf": "visas", "guide": "visas/j1", "gap": 2},
    "answer_facts": {"answer_id": "a1", "n": 1, "fact": "j1-seven"},
    "source_counts": {"week": "2026-01-05", "source": "ECFMG: J-1", "count": 2},
    "known_facts": {"fact": "j1-seven", "state": {"said": ["Seven years."]}},
    "fact_changes": {"id": "f1", "fact": "j1-seven", "kind": "gone", "state": "open", "before": {}, "after": None, "created_at": "2026"},
    "corrections": {"change_id": "f1", "answer_id": "a1", "state": "dismissed", "account": "ana", "created_at": "2026"},
    "knowledge_tasks": {
        "id": "t1", "kind": "gap", "state": "open", "place": "visas/j1#length", "suggestion": {}, "created_at": "2026",
        "updated_at": "2026",
    },
    "task_questions": {"answer_id": "a1", "task_id": "t1", "vector": b"\x00\x01", "asked_at": "2026"},
    "reply_edits": {"reply_id": "r1", "week": "2026-01-05", "kind": "fact", "changes": [], "task_id": "t1"},
    "learned": {"name": "answers", "value": "2"},
    "golden_entries": {"message_id": "r1", "entry": "console-1", "account": "ana", "created_at": "2026"},
    "knowledge_runs": {
        "id": "k1", "state": "done", "account": "ana", "what": "Reading", "done": 3, "total": 3, "outcome": "1 changed",
        "created_at": "2026", "updated_at": "2026",
    },
}  # fmt: skip


async def rows_of(url: str) -> dict[str, list[tuple[Any, ...]]]:
    engine = await open_engine(url)
    async with engine.connect() as connection:
        found = {
            name: [tuple(row) for row in await connection.execute(sa.select(table).order_by(*table.primary_key))]
            for name, table in tables.metadata.tables.items()
        }
    await engine.dispose()
    return found


@pytest.fixture
def other_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> str:
    """An empty database of the other kind."""
    if database_url.startswith("sqlite"):
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/other/advisor.sqlite3"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "advisor.backup"


async def test_these_tests_know_every_table(engine: AsyncEngine, filled: tuple[str, str]) -> None:
    async with engine.connect() as connection:
        empty = [t.name for t in tables.metadata.tables.values() if (await connection.execute(sa.select(t).limit(1))).first() is None]
    assert not empty, f"put a row into {empty} in the fixture 'filled'"


async def test_a_backup_restores_into_the_other_kind_of_database(
    database_url: str, other_url: str, filled: tuple[str, str], file: Path, tmp_path: Path, chroma_url: str
) -> None:
    before = await rows_of(database_url)
    made = await backup(settings_of(database_url, tmp_path), file)
    assert made.tables == {name: len(rows) for name, rows in before.items()}
    assert await restore(settings_of(other_url, tmp_path), file) == made
    assert await rows_of(other_url) == before

    engine = await open_engine(other_url)
    assert await migrations.current(engine) == migrations.head()
    store = Store(engine)
    await store.open(*filled, "https://school.example")  # tokens work on: their key came along
    found = await store.handoff(filled[0])
    assert found is not None and (found.reason, found.state, found.advisor) == ("fees", "requested", None)
    await store.add_question(filled[0], "one more")  # numbers go on after the last one
    assert [turn.text for turn in await store.history(filled[0])] == ["¿Qué?\n\u2028", "“Sí” 🩺 [1]", "Own words.", "one more"]
    for vectors in (Vectors("", tmp_path / "vectors"), Vectors(chroma_url, tmp_path)):
        index = await load_index(engine, vectors, "default", "e@1")
        assert index.snapshot.query(VECTORS, 1) == [["c1"], ["c1#0"]]
        assert index.chunks == [CHUNK]
        vectors.remove("default.v1.aaaaaa")
    await engine.dispose()


async def test_a_null_comes_back_as_a_null(database_url: str, other_url: str, filled: tuple[str, str], file: Path, tmp_path: Path) -> None:
    await backup(settings_of(database_url, tmp_path), file)
    await restore(settings_of(other_url, tmp_path), file)
    counts = []
    for url in (database_url, other_url):
        engine = await open_engine(url)
        async with engine.connect() as connection:
            count = await connection.execute(sa.text("SELECT count(*) FROM conversations WHERE profile IS NULL"))
            counts.append(count.scalar_one())
        await engine.dispose()
    assert counts[0] == counts[1] > 0


async def test_a_database_that_holds_data_is_replaced_only_by_force(
    database_url: str, engine: AsyncEngine, filled: tuple[str, str], file: Path, tmp_path: Path
) -> None:
    settings = settings_of(database_url, tmp_path)
    await backup(settings, file)
    then = await rows_of(database_url)
    late, _ = await Store(engine).start()
    await Store(engine).forget(filled[0])
    now = await rows_of(database_url)
    with pytest.raises(InputError, match="--force"):
        await restore(settings, file)
    assert await rows_of(database_url) == now != then
    await restore(settings, file, force=True)
    assert await rows_of(database_url) == then


async def test_a_backup_is_of_one_moment(
    database_url: str, engine: AsyncEngine, filled: tuple[str, str], file: Path, tmp_path: Path
) -> None:
    """Conversations go on while it is made: no row may refer to one that is not in it."""
    store, running = Store(engine), True

    async def chat(n: int) -> None:
        turn = 0
        while running:
            conversation, _ = await store.start()
            question = await store.add_question(conversation, "q")
            ident = f"{n}-{turn}"
            await store.add_answer(conversation, question, Answer(id=ident, created_at="2026-01-02T03:04:05Z", status="refused", text="t"))  # type: ignore[arg-type]
            await store.set_feedback(ident, 1)
            turn += 1

    chats = [asyncio.create_task(chat(n)) for n in range(2)]
    await asyncio.sleep(0.1)
    await backup(settings_of(database_url, tmp_path), file)
    running = False
    await asyncio.gather(*chats)
    rows: dict[str, list[list[Any]]] = {}
    with zipfile.ZipFile(file) as archive:
        for name in ("conversations", "messages", "answers", "feedback"):
            rows[name] = [json.loads(line) for line in archive.read(f"tables/{name}.jsonl").splitlines()]
    assert len(rows["conversations"]) > 2
    assert {row[2] for row in rows["messages"]} <= {row[0] for row in rows["conversations"]}
    assert {row[0] for row in rows["feedback"]} <= {row[0] for row in rows["answers"]} <= {row[1] for row in rows["messages"]}


async def test_the_file_is_its_owners_alone_and_replaces_an_older_one_whole(
    database_url: str, filled: tuple[str, str], file: Path, tmp_path: Path
) -> None:
    settings = settings_of(database_url, tmp_path)
    await backup(settings, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await backup(settings, file)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [file.name]


async def test_a_file_that_is_something_else_is_not_overwritten(database_url: str, filled: tuple[str, str], tmp_path: Path) -> None:
    settings = settings_of(database_url, tmp_path)
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    for file in (thesis, tmp_path, tmp_path / "no folder" / "file"):
        with pytest.raises(InputError):
            await backup(settings, file)
    assert thesis.read_text() == "years of work"
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


async def test_a_new_database_has_nothing_to_back_up(database_url: str, file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to back up"):
        await backup(settings_of(database_url, tmp_path), file)
    assert not file.exists()


def rewrite(file: Path, change: str) -> None:
    """Damages a backup in one way."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts["manifest.json"])
    match change:
        case "a row less":
            parts["tables/messages.jsonl"] = parts["tables/messages.jsonl"].split(b"\n", 1)[1]
        case "a part less":
            del parts["tables/messages.jsonl"]
        case "other words":
            parts["tables/messages.jsonl"] = parts["tables/messages.jsonl"].replace(b"user", b"USER")
        case "a newer format":
            manifest["version"] = 99
        case "a newer schema":
            manifest["revision"] = "9999"
        case "another program's":
            manifest["format"] = "something-else"
        case "a strange manifest":
            manifest = {"format": manifest["format"]}
    parts["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


CHANGES = ["a row less", "a part less", "other words", "a newer format", "a newer schema", "another program's", "a strange manifest"]


async def test_a_damaged_or_foreign_file_is_refused_and_changes_nothing(sqlite_url: str, tmp_path: Path) -> None:
    engine = await open_engine(sqlite_url)
    await upgrade(engine)
    conversation, _ = await Store(engine).start()
    await Store(engine).add_question(conversation, "q " * 5000)
    settings, good = settings_of(sqlite_url, tmp_path), tmp_path / "good"
    await backup(settings, good)
    before, whole = await rows_of(sqlite_url), good.read_bytes()
    bad = tmp_path / "bad"
    for change in CHANGES:
        bad.write_bytes(whole)
        rewrite(bad, change)
        with pytest.raises(InputError):
            await restore(settings, bad, force=True)
    for content in (b"", b"not a zip", whole[: len(whole) // 2], whole[:200] + bytes(40) + whole[240:]):
        bad.write_bytes(content)
        with pytest.raises(InputError):
            await restore(settings, bad, force=True)
    with pytest.raises(InputError):
        await restore(settings, tmp_path / "nothing", force=True)
    assert await rows_of(sqlite_url) == before
    await engine.dispose()


async def test_rows_that_do_not_fit_change_nothing(database_url: str, filled: tuple[str, str], file: Path, tmp_path: Path) -> None:
    """A file that is whole but speaks of a conversation that is not in it."""
    settings = settings_of(database_url, tmp_path)
    await backup(settings, file)
    before = await rows_of(database_url)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts["manifest.json"])
    manifest["tables"].pop("conversations")
    parts["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match="nothing was changed"):
        await restore(settings, file, force=True)
    assert await rows_of(database_url) == before


async def test_a_database_of_a_newer_version_is_not_backed_up_wrongly(
    database_url: str, engine: AsyncEngine, file: Path, tmp_path: Path
) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="newer version"):
        await backup(settings_of(database_url, tmp_path), file)
    assert not file.exists()
