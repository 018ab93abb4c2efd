"""`img-advisor serve` as operators run it: a real process on a free port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from running import Running, running
from web_server import PASSING, write_knowledge

COMMAND = Path(sys.executable).parent / "img-advisor"
PATIENCE_S = 60
"""Longest wait for a change to arrive on a busy machine; it takes about a second."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small knowledge base that was never indexed."""
    folder = tmp_path_factory.mktemp("serve")
    write_knowledge(folder / "knowledge")
    return folder


@pytest.fixture(scope="module")
def environment(here: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMG_ADVISOR_", "PORT"))}
    return {**kept, "IMG_ADVISOR_KNOWLEDGE": str(here / "knowledge"), "IMG_ADVISOR_DATA": str(here / "data")}


@pytest.fixture(scope="module")
def served(here: Path, environment: dict[str, str]) -> Iterator[Running]:
    with running([COMMAND, "serve", "--port", "0"], cwd=here, env=environment) as found:
        yield found


def ask(served: Running, question: str) -> dict[str, object]:
    found: dict[str, object] = httpx.post(f"{served.url}/api/v1/ask", json={"question": question}, timeout=60).raise_for_status().json()
    return found


def test_it_prints_its_address_builds_the_index_and_answers(served: Running, here: Path) -> None:
    assert served.url.startswith("http://127.0.0.1:")
    assert httpx.get(f"{served.url}/healthz").status_code == 200
    assert httpx.get(f"{served.url}/readyz").raise_for_status().json()["documents"] == 4
    answer = ask(served, PASSING)
    assert answer["status"] == "answered" and "218" in str(answer["text"])
    assert (here / "data" / "advisor.sqlite3").is_file()
    assert any("Embedding" in line for line in served.errors), "progress goes to standard error"


def test_it_notices_that_another_process_indexed_a_changed_guide(served: Running, here: Path, environment: dict[str, str]) -> None:
    question = "How long is an H-1B granted for?"
    before = ask(served, question)
    assert "up to three years" in str(before["text"])
    guide = here / "knowledge" / "guides" / "visas" / "h1b.md"
    guide.write_text(guide.read_text(encoding="utf-8").replace("up to three years", "up to two years"), encoding="utf-8")
    ingested = subprocess.run([COMMAND, "ingest"], cwd=here, env=environment, capture_output=True, text=True)
    assert ingested.returncode == 0, ingested.stderr
    until = time.monotonic() + PATIENCE_S
    while "up to two years" not in str((after := ask(served, question))["text"]):
        assert time.monotonic() < until, after["text"]
        time.sleep(0.2)
    assert "three years" not in str(after["text"])
    assert after["trace"]["knowledge_version"] != before["trace"]["knowledge_version"]  # type: ignore[index]


def test_a_server_that_built_its_index_takes_no_more_memory_than_one_that_found_it(environment: dict[str, str], tmp_path: Path) -> None:
    def anonymous_kb() -> int:
        """Of a server that has answered; pages of files are shared with others, and come and go."""
        with running([COMMAND, "serve", "--port", "0"], cwd=tmp_path, env={**environment, "IMG_ADVISOR_DATA": str(tmp_path)}) as found:
            assert ask(found, PASSING)["status"] == "answered"
            status = Path(f"/proc/{found.process.pid}/status").read_text()
            return int(dict(line.split(":", 1) for line in status.splitlines())["RssAnon"].split()[0])

    built, found = anonymous_kb(), anonymous_kb()
    assert built < 1.1 * found


def test_a_taken_port_is_told_before_anything_else(served: Running, tmp_path: Path, environment: dict[str, str]) -> None:
    port = served.url.rpartition(":")[2]
    done = subprocess.run(
        [COMMAND, "serve", "--port", port], cwd=tmp_path, env={**environment, "IMG_ADVISOR_DATA": str(tmp_path / "data")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert port in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_good_order_when_asked_to(here: Path, environment: dict[str, str], free_port: int, how: signal.Signals) -> None:
    """Started once with the port from the environment, once with the option, which wins."""
    asked_to_stop = how is signal.SIGTERM
    port, options = (str(free_port), []) if asked_to_stop else ("1", ["--port", str(free_port)])
    with running([COMMAND, "serve", *options], cwd=here, env={**environment, "PORT": port}) as found:
        assert found.url == f"http://127.0.0.1:{free_port}"
        assert httpx.get(f"{found.url}/healthz").status_code == 200
        status = found.stop(how)
        said = "".join(found.errors)
        assert status == (0 if asked_to_stop else 130), said
        assert "shutdown complete" in said
        assert "Traceback" not in said
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{found.url}/healthz")
