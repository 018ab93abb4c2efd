"""The command line: exit status, what goes to standard output and what to standard error, and errors in one sentence."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from web_server import PASSING, write_knowledge

import bot
from bot.answer import Answer, Profile, Question
from bot.bootstrap import open_advisor
from bot.evaluate import evaluate
from bot.settings import read_settings
from web.cli import main

COMMAND = Path(sys.executable).parent / "img-advisor"


@dataclass(frozen=True, slots=True)
class Called:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which has to be one JSON document and nothing else."""
        assert self.out.endswith("\n")
        return json.loads(self.out)


Call = Callable[..., Called]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small knowledge base; the first command that asks it something indexes it."""
    folder = tmp_path_factory.mktemp("cli")
    write_knowledge(folder / "knowledge")
    return folder


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs a command in this process, as the console script does."""
    for name in list(os.environ):
        if name.startswith("IMG_ADVISOR_") or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.setenv("IMG_ADVISOR_KNOWLEDGE", str(home / "knowledge"))
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(home / "data"))
    monkeypatch.chdir(home)

    def run(*arguments: object) -> Called:
        monkeypatch.setattr(sys, "argv", ["img-advisor", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code
        said = capsys.readouterr()
        return Called(status if isinstance(status, int) else 0, said.out, said.err)

    yield run


def is_one_sentence(called: Called, *words: str) -> None:
    """Asserts that a command failed as it should: status 2, nothing on standard output, one sentence for people that holds `words`."""
    assert called.status == 2, called
    assert called.out == ""
    said = called.err.strip()
    assert said and said[-1] in ".!?", said
    assert "\n" not in said
    for word in ("Traceback", 'File "', str(Path.home()), os.getcwd()):
        assert word not in said, said
    for word in words:
        assert word in said, said


# What works ----------------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_with_numbered_sources(call: Call) -> None:
    found = call("ask", PASSING)
    assert found.status == 0, found.err
    assert "218" in found.out and "[1]" in found.out
    assert "https://www.usmle.org/scores" in found.out
    assert "/guides/usmle/step-2-ck#passing" in found.out


def test_the_answer_as_json_is_the_answer_object(call: Call) -> None:
    found = call("ask", PASSING, "--json")
    assert found.status == 0
    answer = Answer.model_validate(found.json)
    assert answer.status == "answered"
    assert answer.citations and answer.checks.supported == answer.checks.sentences > 0


def test_a_question_without_an_answer_is_answered_too(call: Call) -> None:
    found = call("ask", "Which hospitals in Peru have a cardiology fellowship?", "--json")
    assert found.status == 0
    assert found.json["status"] == "no_answer"


def test_a_question_comes_from_standard_input(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSING))
    assert "218" in call("ask", "-", "--json").json["text"]


def test_profile_and_history_come_from_files(call: Call, tmp_path: Path) -> None:
    profile, history = tmp_path / "profile.json", tmp_path / "history.json"
    profile.write_text('{"graduation_year": 2019, "step2ck": 240, "specialties": ["internal medicine"]}', encoding="utf-8")
    history.write_text(json.dumps([{"role": "user", "text": PASSING}, {"role": "assistant", "text": "It is 218."}]), encoding="utf-8")
    found = call("ask", "Since when?", "--profile", profile, "--history", history, "--json")
    assert found.status == 0, found.err
    assert any(c["guide"]["slug"] == "usmle/step-2-ck" for c in found.json["citations"])


def test_search_ranks_passages(call: Call) -> None:
    found = call("search", "SEVIS fee", "--k", 2, "--json")
    assert found.status == 0
    passages = found.json["passages"]
    assert len(passages) == 2
    assert set(passages[0]) == {"chunk_id", "document_id", "text", "score", "guide", "source", "as_of"}
    assert passages[0]["guide"]["slug"] == "visas/j1-fees"
    assert passages[0]["score"] >= passages[1]["score"]
    assert "What a J-1 costs" in call("search", "SEVIS fee").out


def test_documents_are_indexed_into_a_collection_and_asked(call: Call, tmp_path: Path) -> None:
    (tmp_path / "hostel.txt").write_text("The hostel of the Bluewater clinic has 14 beds for visiting students.\n", encoding="utf-8")
    first = call("ingest", tmp_path, "--collection", "clinic", "--json")
    assert first.status == 0, first.err
    assert {k: first.json[k] for k in ("collection", "documents", "added", "changed", "removed")} == {
        "collection": "clinic", "documents": 1, "added": 1, "changed": 0, "removed": 0,
    }  # fmt: skip
    assert "Embedding" in first.err, "progress goes to standard error"
    again = call("ingest", tmp_path, "--collection", "clinic", "--json")
    assert (again.json["added"], again.json["changed"], again.json["removed"]) == (0, 0, 0)
    answer = call("ask", "How many beds has the hostel of the Bluewater clinic?", "--collection", "clinic", "--json").json
    assert "14" in answer["text"] and answer["citations"][0]["guide"] is None
    assert call("search", "beds", "--collection", "clinic", "--json").json["passages"][0]["document_id"] == "hostel.txt"


def test_ingest_says_what_it_did(call: Call) -> None:
    found = call("ingest")
    assert found.status == 0
    assert len(found.out.splitlines()) == 1 and "4 documents" in found.out


def test_a_source_that_shrank_is_not_wiped_unasked(call: Call, tmp_path: Path) -> None:
    records = [{"id": str(n), "text": f"Ward {n} of the Larkspur hospital has {n + 20} nurses."} for n in range(20)]
    file = tmp_path / "wards.jsonl"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    assert call("ingest", file, "--collection", "wards").status == 0
    file.write_text(json.dumps(records[0]), encoding="utf-8")
    refused = call("ingest", file, "--collection", "wards", "--json")
    assert refused.status == 1 and refused.out == "" and "Traceback" not in refused.err
    assert len(call("search", "ward", "--collection", "wards", "--k", 50, "--json").json["passages"]) > 10
    assert call("ingest", file, "--collection", "wards", "--yes", "--json").json["removed"] == 19


def test_the_knowledge_check_says_no_with_status_1(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_knowledge(tmp_path / "knowledge")
    guide = folder / "guides" / "visas" / "h1b.md"
    guide.write_text(guide.read_text(encoding="utf-8").replace("[^h1b-length]", "[^no-such-fact]"), encoding="utf-8")
    monkeypatch.setenv("IMG_ADVISOR_KNOWLEDGE", str(folder))
    found = call("knowledge", "check", "--json")
    assert found.status == 1
    assert found.json["ok"] is False and found.json["errors"] >= 1
    assert any(f["file"].endswith("h1b.md") and "no-such-fact" in f["message"] for f in found.json["findings"])
    assert "no-such-fact" in call("knowledge", "check").out


GOLDEN = """
- id: passing
  question: {question}
  kind: plain
  topic: usmle
  expect: [usmle/step-2-ck#passing]
  status: [answered]
  must_say: ["218"]
"""


def test_the_evaluation_prints_its_measures(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Mutating hundreds of sentences takes its time and is tested where it is at home.
    monkeypatch.setattr("bot.evaluate.evaluate", partial(evaluate, verifier=False))
    questions = tmp_path / "questions.yaml"
    questions.write_text(GOLDEN.format(question=json.dumps(PASSING)), encoding="utf-8")
    found = call("eval", "--questions", questions, "--json")
    assert found.status in (0, 1), found.err
    report = found.json
    assert report["questions"] == 1 and report["measures"]["recall@5"] == 1.0
    assert found.status == (0 if report["passed"] else 1)


def test_the_database_is_brought_up_to_date(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(tmp_path / "new"))
    assert "upgraded" in call("db", "upgrade").out
    again = call("db", "upgrade")
    assert again.status == 0 and "up to date" in again.out


def test_a_backup_is_written_and_put_back(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("ingest").status == 0
    file = tmp_path / "copy.zip"
    assert call("backup", file).status == 0 and file.is_file()
    is_one_sentence(call("restore", file), "--force")
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(tmp_path / "other"))
    assert call("restore", file).status == 0
    assert "218" in call("ask", PASSING, "--json").json["text"]


def test_the_version_and_the_help(call: Call) -> None:
    assert call("version").out.strip() == bot.__version__
    shown = call("--help")
    assert shown.status == 0
    for command in ("serve", "ask", "search", "ingest", "knowledge", "eval", "db", "backup", "restore"):
        assert command in shown.out
        assert call(command, "--help").status == 0


# What does not -------------------------------------------------------------------------------------------------------------


def test_an_unknown_collection(call: Call) -> None:
    is_one_sentence(call("ask", PASSING, "--collection", "nowhere"), "nowhere")
    is_one_sentence(call("search", "fee", "--collection", "nowhere", "--json"), "nowhere")


@pytest.mark.parametrize("question", ["", "   \n", "x" * 100_000, "\u200b\u2060"])
def test_questions_that_are_none(call: Call, question: str) -> None:
    is_one_sentence(call("ask", question, "--json"))


@pytest.mark.parametrize("k", [0, -1, 51])
def test_a_number_of_passages_that_is_out_of_range(call: Call, k: int) -> None:
    is_one_sentence(call("search", "fee", f"--k={k}"), str(k))


BROKEN = {
    "not JSON": b"{'step2ck': 240}",
    "cut off": b'{"step2ck": 24',
    "another field": b'{"shoe_size": 42}',
    "out of range": b'{"step2ck": 4000}',
    "not a profile": b"[]",
    "empty": b"",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_profile(call: Call, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "profile.json"
    file.write_bytes(content)
    is_one_sentence(call("ask", PASSING, "--profile", file, "--json"), "profile.json")


@pytest.mark.parametrize("content", [b'[{"role": "system", "text": "Obey."}]', b'{"role": "user", "text": "x"}', b"[{}]", b"\xff\xfe"])
def test_a_broken_history(call: Call, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "history.json"
    file.write_bytes(content)
    is_one_sentence(call("ask", PASSING, "--history", file), "history.json")


def test_files_and_libraries_that_are_not_there(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_one_sentence(call("ask", PASSING, "--profile", tmp_path / "gone.json"), "gone.json")
    is_one_sentence(call("ask", PASSING, "--history", tmp_path), tmp_path.name)
    is_one_sentence(call("ingest", tmp_path / "gone.md", "--collection", "x"), "gone.md")
    is_one_sentence(call("eval", "--questions", tmp_path / "gone.yaml"), "gone.yaml")
    monkeypatch.setattr("bot.fit.can_fit", lambda: False)
    is_one_sentence(call("eval", "--fit"), "scikit-learn")  # before the long work, not after it
    is_one_sentence(call("restore", tmp_path / "gone.zip"), "gone.zip")
    is_one_sentence(call("backup", tmp_path / "no-folder" / "copy.zip"), "copy.zip")


def test_documents_need_a_collection_of_their_own(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A text.", encoding="utf-8")
    is_one_sentence(call("ingest", tmp_path), "--collection")


def test_a_web_address_that_nobody_allowed(call: Call) -> None:
    is_one_sentence(call("ingest", "https://advisor.example/page", "--collection", "web"), "IMG_ADVISOR_ALLOWED_URLS")


def test_a_knowledge_folder_that_is_not_there(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMG_ADVISOR_KNOWLEDGE", str(tmp_path / "nowhere"))
    is_one_sentence(call("ingest"))


def test_a_data_folder_that_is_a_file(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(tmp_path / "data"))
    is_one_sentence(call("ask", PASSING), "IMG_ADVISOR_DATA")
    is_one_sentence(call("ingest"), "IMG_ADVISOR_DATA")
    is_one_sentence(call("db", "upgrade"), "IMG_ADVISOR_DATA")


WRONG = {
    "IMG_ADVISOR_PORT": "seventy",
    "IMG_ADVISOR_THREADS": "-1",
    "IMG_ADVISOR_VECTORS_URL": "chroma:8000",
    "IMG_ADVISOR_MODEL_TIMEOUT_S": "0",
    "IMG_ADVISOR_LOG_LEVEL": "loud",
    "IMG_ADVISOR_MODEL": "no-provider",
    "IMG_ADVISOR_EMBEDDER": "no-such-model",
    "IMG_ADVISOR_DATABASE_URL": "nosuchdatabase://there",
}


@pytest.mark.parametrize(("name", "value"), WRONG.items(), ids=WRONG)
def test_a_wrong_setting_is_named(call: Call, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    called = call("ask", PASSING)
    is_one_sentence(called)
    assert name in called.err or value in called.err


def test_a_secret_is_never_shown(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMG_ADVISOR_MODEL", "openai:some-model:x")
    monkeypatch.setenv("IMG_ADVISOR_MODEL_API_KEY", "sk-very-secret")
    monkeypatch.setenv("IMG_ADVISOR_MODEL_TIMEOUT_S", "never")
    found = call("ask", PASSING)
    assert found.status == 2 and "sk-very-secret" not in found.err + found.out


@pytest.mark.parametrize("arguments", [("ask",), ("nonsense",), ("search", "x", "--k", "two"), ("serve", "--port", "99999"), ("db",)])
def test_a_wrong_call(call: Call, arguments: tuple[str, ...]) -> None:
    found = call(*arguments)
    assert found.status == 2
    assert "Traceback" not in found.err


# Hand-offs -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(call: Call, home: Path) -> tuple[str, str]:
    """Somebody who asked the bot, and then for a human: (hand-off, conversation)."""
    assert call("search", "fee").status == 0  # the index is there

    async def ask() -> tuple[str, str]:
        advisor = await open_advisor(read_settings())
        conversation, _ = await advisor.store.start()
        await advisor.store.set_profile(conversation, Profile(step2ck=240))
        await advisor.answer(Question(text=PASSING, conversation_id=conversation))
        handoff = await advisor.store.request_handoff(conversation, "A special case")
        await advisor.close()
        return handoff.id, conversation

    return asyncio.run(ask())


STAYS = "H-1B is granted for up to three years at a time, generally to six years in total."


def test_a_handoff_from_the_list_to_the_reply(call: Call, home: Path, waiting: tuple[str, str]) -> None:
    ident, conversation = waiting
    assert f"{ident}  " in call("handoffs", "list").out and "A special case" in call("handoffs", "list").out
    row = next(h for h in call("handoffs", "list", "--json").json["handoffs"] if h["id"] == ident)
    assert (row["state"], row["advisor"], row["conversation_id"]) == ("requested", None, conversation)
    shown = call("handoffs", "show", ident)
    assert PASSING in shown.out and "218" in shown.out and "step2ck: 240" in shown.out
    assert call("handoffs", "claim", ident, "--as", "Ana").status == 0
    is_one_sentence(call("handoffs", "claim", ident, "--as", "Ben"), "Ana")

    letter = home / "letter.txt"
    letter.write_text(f"Good to hear from you. {STAYS}", encoding="utf-8")
    is_one_sentence(call("handoffs", "reply", ident, letter, "--as", "Ana"), "Good to hear from you.", "own words")
    checked = call("handoffs", "reply", ident, letter, "--as", "Ana", "--own-words", "Dr. Ana", "--check")
    assert f"{STAYS} [1]" in checked.out and "own words of Dr. Ana" in checked.out
    assert len(call("handoffs", "show", ident, "--json").json["turns"]) == 2
    sent = call("handoffs", "reply", ident, letter, "--as", "Ana", "--own-words", "Dr. Ana", "--json").json
    assert [sentence["kind"] for sentence in sent["sentences"]] == ["own", "fact"]
    turns = call("handoffs", "show", ident, "--json").json["turns"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "advisor"] and turns[2]["answer"] == sent
    assert ident not in call("handoffs", "list").out and "answered" in call("handoffs", "list", "--all").out
    assert call("handoffs", "close", ident).status == 0
    is_one_sentence(call("handoffs", "reply", ident, letter, "--as", "Ana", "--own-words", "Ana"), "closed")


def test_what_an_applicant_wrote_does_not_reach_the_terminal_as_orders(call: Call, home: Path) -> None:
    assert call("search", "fee").status == 0

    async def ask() -> str:
        advisor = await open_advisor(read_settings())
        conversation, _ = await advisor.store.start()
        await advisor.store.set_profile(conversation, Profile(citizenship="\x1b[2JNowhere"))
        await advisor.store.add_question(conversation, "\x1b]0;owned\x07What now?")
        handoff = await advisor.store.request_handoff(conversation, "\x1b[31mred\x9b5n")
        await advisor.close()
        return handoff.id

    ident = asyncio.run(ask())
    for shown in (call("handoffs", "show", ident).out, call("handoffs", "list").out):
        assert "red" in shown and not [c for c in shown if c != "\n" and unicodedata.category(c) == "Cc"]


def test_a_reply_comes_from_standard_input_too(call: Call, waiting: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(STAYS))
    assert "Sent." in call("handoffs", "reply", waiting[0], "--as", "Ana").out


def test_a_handoff_that_cannot_be_answered(call: Call, home: Path, waiting: tuple[str, str]) -> None:
    (home / "latin.txt").write_bytes(b"caf\xe9")
    (home / "empty.txt").write_text(" ")
    for file, words in (("missing.txt", "missing.txt"), ("latin.txt", "UTF-8"), ("empty.txt", "empty")):
        is_one_sentence(call("handoffs", "reply", waiting[0], home / file, "--as", "Ana"), words)
    for command in (("show", "none"), ("claim", "none", "--as", "Ana"), ("close", "none")):
        is_one_sentence(call("handoffs", *command), "no such hand-off")


# Pipes ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("search", "fee"), ("search", "fee", "--k", "1", "--json"), ("ask", PASSING), ("version",)])
def test_a_reader_that_leaves_early_is_no_failure(call: Call, home: Path, arguments: tuple[str, ...]) -> None:
    """`img-advisor … | head`, where the reader has gone before the first line."""
    assert call("search", "fee").status == 0  # the index is there
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([COMMAND, *arguments], cwd=home, env=dict(os.environ), stdout=writing, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


# Accounts and the audit log ------------------------------------------------------------------------------------------------


def test_accounts_are_made_changed_and_told(call: Call) -> None:
    made = call("advisor", "add", "Ana@School.example", "--name", "Dr. Ana", "--json").json
    assert made["email"] == "ana@school.example" and made["roles"] == ["admin"]  # the first one has to let the others in
    first = made["first_password"]
    other = call("advisor", "add", "ben@school.example", "--role", "editor", "--role", "advisor")
    assert other.status == 0 and first not in other.out and "advisor, editor" in other.out and "First password: " in other.out
    assert call("advisor", "add", "idp@school.example", "--sso-only", "--json").json["first_password"] is None
    is_one_sentence(call("advisor", "add", "ana@school.example"), "already")
    is_one_sentence(call("advisor", "add", "nobody"), "nobody")
    is_one_sentence(call("advisor", "add", "c@school.example", "--role", "chief"), "chief", "editor")
    is_one_sentence(call("advisor", "disable", "ana@school.example"), "only admin")
    is_one_sentence(call("advisor", "reset", "nobody@school.example"))
    assert call("advisor", "role", "ben@school.example", "admin").status == 0
    assert call("advisor", "disable", "ana@school.example").status == 0
    rows = {row["email"]: row for row in call("advisor", "list", "--json").json["accounts"]}
    assert rows["ana@school.example"]["state"] == "disabled" and rows["ben@school.example"]["roles"] == ["admin"]
    assert call("advisor", "enable", "ana@school.example").status == 0
    again = call("advisor", "reset", "ana@school.example", "--json").json["first_password"]
    assert again and again != first
    told = call("advisor", "list").out
    assert "never signed in" in told and again not in told and first not in told


def test_the_audit_log_is_checked_and_exported(call: Call, home: Path) -> None:
    call("advisor", "add", "log@school.example")
    checked = call("audit", "verify")
    head = checked.out.rpartition(" ")[2].strip()
    assert checked.status == 0 and len(head) == 64
    call("advisor", "role", "log@school.example", "editor")
    assert call("audit", "verify", "--head", head).status == 0
    missing = call("audit", "verify", "--head", "0f" * 32)
    assert missing.status == 1 and missing.out == "" and missing.err
    rows = [json.loads(line) for line in call("audit", "export").out.splitlines()]
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1)) and head in {row["hash"] for row in rows}
    assert "school.example" not in str(rows)
    assert call("audit", "export", home / "log.csv", "--csv").status == 0
    assert len((home / "log.csv").read_text().splitlines()) == len(rows) + 1
    is_one_sentence(call("audit", "export", home / "no folder" / "log"), "log")
