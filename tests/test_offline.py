"""Start-up and an answer with the network closed: nothing is needed from outside, and nothing tries to get there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import closed_network
import pytest
from web_server import PASSING, write_knowledge

from bot.settings import read_settings

COMMAND = str(Path(sys.executable).parent / "img-advisor")

SERVE_AND_ASK = """
import json, subprocess, sys, urllib.request
server = subprocess.Popen([sys.argv[1], "serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
try:
    url = server.stdout.readline().split()[-1]
    body = json.dumps({"question": sys.argv[2]}).encode()
    for path, data in (("healthz", None), ("readyz", None), ("demo", None), ("guides/", None), ("api/v1/ask", body)):
        request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            got = response.read()
    print(got.decode())
finally:
    server.terminate()
    assert server.wait(30) == 0
"""


@dataclass(frozen=True, slots=True)
class Closed:
    """A folder to run commands in, with the network closed."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """What the command printed, and what of it tried to get out."""
        done = subprocess.run(
            [sys.executable, closed_network.__file__, self.folder, "--", *command],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return done, json.loads((self.folder / "attempts.json").read_text())


@pytest.fixture
def closed(tmp_path: Path, embedder: object) -> Closed:
    """Settings as they come: nothing is told to stay offline. The embedder's files are there (a first start fetches them).

    The home folder is an empty one. Libraries that report their use gather the reports in its cache and send them later.
    """
    unset = ("IMG_ADVISOR_", "PORT", "XDG_", "HF_", "ORT_")
    (tmp_path / "home").mkdir()
    own = {
        "HOME": str(tmp_path / "home"),
        "IMG_ADVISOR_KNOWLEDGE": str(write_knowledge(tmp_path / "knowledge")),
        "IMG_ADVISOR_WEIGHTS": str(read_settings().weights_folder.resolve()),
    }
    return Closed(tmp_path, {**{name: value for name, value in os.environ.items() if not name.startswith(unset)}, **own})


def nothing_left(closed: Closed, attempts: dict[str, Any]) -> None:
    assert not list((closed.folder / "home").rglob("*")), "something was gathered in the home folder"
    assert attempts["calls"] == []
    if os.geteuid() == 0:
        assert attempts["packets"] == 0
    else:
        assert attempts["packets"] in (0, None)  # None: this system does not let users make networks


ATTEMPTS = {
    "a connection": "import socket; socket.create_connection(('192.0.2.1', 443), 5)",
    "a name": "import socket; socket.getaddrinfo('advisor.example', 443)",
    "a datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
}


@pytest.mark.parametrize("code", ATTEMPTS.values(), ids=ATTEMPTS)
def test_attempts_of_python_code_are_seen(closed: Closed, code: str) -> None:
    done, attempts = closed.run(sys.executable, "-c", code)
    assert done.returncode != 0 and "unreachable" in done.stderr
    assert len(attempts["calls"]) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be sure to make a network of its own")
def test_attempts_of_native_code_are_seen(closed: Closed) -> None:
    done, attempts = closed.run("bash", "-c", "exec 3<>/dev/tcp/192.0.2.1/443")
    assert done.returncode != 0
    assert attempts["packets"] > 0 and not attempts["calls"]
    done, attempts = closed.run("getent", "ahosts", "advisor.example")
    assert done.returncode != 0
    assert attempts["packets"] > 0 and not attempts["calls"]


def test_the_terminal_answers_with_the_network_closed(closed: Closed) -> None:
    done, attempts = closed.run(COMMAND, "ask", PASSING, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "answered"
    nothing_left(closed, attempts)


def test_the_server_starts_and_answers_with_the_network_closed(closed: Closed) -> None:
    done, attempts = closed.run(sys.executable, "-c", SERVE_AND_ASK, COMMAND, PASSING)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == "answered" and "218" in answer["text"]
    nothing_left(closed, attempts)
