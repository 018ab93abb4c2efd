"""An editor's afternoon: `ingest --watch` and `serve` as processes of their own over a small folder made from the template."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from running import running

from bot.settings import ROOT
from ingest.check import check

WAIT_S = 60
"""Longest wait on a busy machine; what is waited for takes a second or two."""
COMMAND = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); from web.cli import main; main()"]
SOURCES = """
permit-office:
  title: Example permits
  publisher: Example Permit Office
  tier: primary
  url: https://permits.example.gov/rules
  published: 2026-03
"""
FACTS = """
example-permit-length: {source: permit-office, as_of: 2026-03, volatile: true}
example-permit-status: {source: permit-office, as_of: 2026-03, volatile: true}
example-permit-renewal-fee: {source: permit-office, as_of: 2026-03, volatile: true}
example-permit-fee: {source: permit-office, as_of: unknown, confidence: low}
"""
STATES = (
    "state,usps,img_training_years,us_graduate_training_years,usmle_limit_years,usmle_attempt_limit,compact_member,pathway,pathway_law,"
    "pathway_effective,note,source,as_of\n"
    "Ohio,OH,2,1,unknown,unknown,yes,none found,none,none,none,permit-office,2026-03\n"
)
QUESTION = "How long does the example permit last?"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Guides, sources, facts and one table; no word lists, no scope, no premises."""
    knowledge = tmp_path / "knowledge"
    guide = knowledge / "guides" / "permits" / "example.md"
    guide.parent.mkdir(parents=True)
    shutil.copy(ROOT / "knowledge" / "guide-template.md.txt", guide)
    (knowledge / "data").mkdir()
    for name, text in (("sources.yaml", SOURCES), ("facts.yaml", FACTS), ("data/states.csv", STATES)):
        (knowledge / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMG_ADVISOR_") and name != "PORT"}
    return kept | {"IMG_ADVISOR_KNOWLEDGE": str(home / "knowledge"), "IMG_ADVISOR_DATA": str(home / "data"), "IMG_ADVISOR_THREADS": "1"}


class Watch:
    """The watching process and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        for stream in (process.stdout, process.stderr):
            threading.Thread(target=lambda lines=stream: self.said.extend(lines or ()), daemon=True).start()

    def wait(self, *words: str, since: int = 0) -> None:
        until(lambda: any(all(word in line for word in words) for line in self.said[since:]), lambda: "".join(self.said))


def until(done: Callable[[], bool], tell: Callable[[], str] = str) -> None:
    end = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < end, tell()
        time.sleep(0.05)


@contextmanager
def watching(home: Path, env: dict[str, str]) -> Iterator[Watch]:
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, "ingest", "--watch"], cwd=home, env=env, text=True, **pipes) as process:
        try:
            yield Watch(process)
        finally:
            if process.poll() is None:
                process.kill()


def answer(url: str, question: str = QUESTION) -> dict[str, object]:
    return dict(httpx.post(f"{url}/api/v1/ask", json={"question": question}, timeout=30).raise_for_status().json())


def test_the_template_makes_a_knowledge_folder_of_its_own(home: Path) -> None:
    report = check(home / "knowledge")
    assert report.ok, report.as_text()


def test_what_is_saved_is_answered_by_a_running_server(home: Path, env: dict[str, str]) -> None:
    guide = home / "knowledge" / "guides" / "permits" / "example.md"
    first = guide.read_text(encoding="utf-8")

    def save(text: str) -> int:
        seen = len(watch.said)
        fresh = guide.with_name(".example.md.new")  # as editors do: a new file takes the place of the old one
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(guide)
        return seen

    with watching(home, env) as watch:
        watch.wait("2 new")  # a guide and a table
        with running([*COMMAND, "serve", "--port", "0"], cwd=home, env=env) as server:
            assert "two years" in str(answer(server.url)["text"])

            seen = save(first.replace("lasts two years", "lasts seven years"))
            watch.wait("1 changed", since=seen)
            until(lambda: "seven years" in str(answer(server.url)["text"]))

            seen = save(first.replace("as_of: 2026-03", "as_of: in spring"))
            watch.wait("permits/example.md", "line", "field 'as_of'", since=seen)
            assert "seven years" in str(answer(server.url)["text"]), "the old index goes on answering"

            table = home / "knowledge" / "data" / "states.csv"
            seen = save(first)
            watch.wait("1 changed", since=seen)
            seen = len(watch.said)
            table.write_text(STATES.replace(",OH,2,", ",OH,two,"), encoding="utf-8")
            watch.wait("data/states.csv", "line 2", "img_training_years", since=seen)
            table.write_text(STATES, encoding="utf-8")

            # A word that only the folder's own list knows reaches the server without a restart.
            assert answer(server.url, "zorbit immigration")["status"] == "no_answer"
            seen = len(watch.said)
            shipped = (ROOT / "knowledge" / "data" / "terms.yaml").read_text(encoding="utf-8")
            words = shipped.replace("\nwords:\n", "\nwords:\n  zorbit: example permit\n", 1)
            assert words != shipped
            (home / "knowledge" / "data" / "terms.yaml").write_text(words, encoding="utf-8")
            watch.wait("passages", since=seen)
            until(lambda: answer(server.url, "zorbit immigration")["status"] == "answered")

            seen = len(watch.said)
            renamed = SOURCES.replace("Example Permit Office", "Office of Permits")
            (home / "knowledge" / "sources.yaml").write_text(renamed, encoding="utf-8")
            watch.wait("2 changed", since=seen)
            until(lambda: "Office of Permits" in str(answer(server.url)["citations"]))
        watch.process.send_signal(signal.SIGINT)
        assert watch.process.wait(WAIT_S) == 0
        until(lambda: "Stopped watching" in "".join(watch.said))
        assert "Traceback" not in "".join(watch.said)


@pytest.mark.parametrize("arguments", [["--json"], ["--rebuild"], ["one.txt", "--collection", "mine"]])
def test_what_cannot_be_watched_is_said(home: Path, env: dict[str, str], arguments: list[str]) -> None:
    (home / "one.txt").write_text("A file.", encoding="utf-8")
    done = subprocess.run([*COMMAND, "ingest", "--watch", *arguments], cwd=home, env=env, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 2 and not done.stdout
    assert "--watch" in done.stderr and "Traceback" not in done.stderr
