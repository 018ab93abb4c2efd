"""A small knowledge base, a real server over it, and how tests talk to it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from fastapi import FastAPI

from bot.settings import Settings
from web.app import create_app, server_config
from web.state import State

Value = TypeVar("Value")

SOURCES = """
usmle-minimum:
  title: USMLE minimum passing scores
  publisher: USMLE
  tier: primary
  url: https://www.usmle.org/scores
  published: 2025-07
fees-page:
  title: EVSP fees
  publisher: ECFMG (Intealth)
  tier: primary
  url: https://www.ecfmg.org/evsp/fees.html
law-firm:
  title: 'H-1B basics <b>for</b> "physicians" & others'
  publisher: A law firm
  tier: secondary
  url: https://lawfirm.example/h1b
"""
FACTS = """
passing-score: {source: usmle-minimum, as_of: 2025-07, volatile: true}
score-scale: {source: usmle-minimum, as_of: 2025-07}
sevis-fee: {source: fees-page, as_of: unknown, volatile: true}
h1b-length: {source: law-firm, as_of: 2014-03, confidence: medium}
"""
STEP_2 = """---
title: "Step 2 CK: passing score"
summary: What a pass is.
topics: [usmle]
as_of: 2025-07
review_by: 2020-01-31
questions:
  passing: ["What Step 2 CK score do I need to pass?"]
---
## What is the passing score for Step 2 CK? {#passing}

The Step 2 CK minimum passing score is **218** for exams taken on or after 1 July 2025.[^passing-score] Step 2 CK is reported on a
three-digit scale from 1 to 300.[^score-scale]

### What counts {#counts}

- A [score report](https://www.usmle.org/report) shows the three-digit score of Step 2 CK.[^score-scale]
- **A pass cannot be repeated** to raise a Step 2 CK score.[^passing-score][^score-scale]
"""
FEES = """---
title: What a J-1 costs
summary: Fees of a J-1.
topics: [visas]
as_of: 2023-02
review_by: 2099-01-31
---
The J-1 has several fees.[^sevis-fee]

## How much is the SEVIS fee? {#sevis}

The government SEVIS (I-901) fee shown by ECFMG for J-1 applicants is 220 US dollars.[^sevis-fee]

| Fee | Amount (US dollars) | Dated |
|---|---|---|
| SEVIS (I-901) fee for the J-1 | 220 | undated page[^sevis-fee] |
| Consular application fee for the J-1 visa | 185 | undated page[^sevis-fee] |
"""
H1B = """---
title: H-1B for residency
topics: [visas]
as_of: 2014-03
review_by: 2099-01-31
---
## How long can I stay on an H-1B? {#six-years}

H-1B is granted for up to three years at a time, generally to six years in total.[^h1b-length]
"""
HOSTILE = """---
title: '<script>document.title="owned"</script> Zanzibar rotations'
summary: '<img src=x onerror="document.title=1">'
topics: [visas]
source: {title: '<img src=x onerror=alert(1)>', url: 'https://evil.example/"onmouseover="alert(1)'}
---
## Zanzibar <script>alert(1)</script> {#zanzibar}

A Zanzibar rotation lasts 9 weeks and <img src=x onerror=alert(1)> is no picture. [A link](javascript:alert(1)) leads nowhere.
"""
PASSING = "What is the passing score for Step 2 CK?"


def write_knowledge(folder: Path) -> Path:
    for name, text in (
        ("sources.yaml", SOURCES), ("facts.yaml", FACTS), ("guides/usmle/step-2-ck.md", STEP_2), ("guides/visas/j1-fees.md", FEES),
        ("guides/visas/h1b.md", H1B), ("guides/visas/hostile.md", HOSTILE),
    ):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@dataclass(slots=True)
class Server:
    url: str
    app: FastAPI
    settings: Settings
    loop: asyncio.AbstractEventLoop

    @property
    def state(self) -> State:
        state: State = self.app.state.doors
        return state

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Does something on the server's own event loop, where its database connections live."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)


@contextmanager
def serve(settings: Settings, host: str = "127.0.0.1") -> Iterator[Server]:
    """The server in a thread, as the command starts it. It listens on loopback whatever `settings.host` says."""
    app = create_app(settings)
    server = uvicorn.Server(server_config(app, settings.model_copy(update={"host": host, "port": 0})))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Server(f"http://{host}:{port}", app, settings, server.servers[0].get_loop())
    finally:
        server.should_exit = True
        thread.join(30)


@dataclass(slots=True)
class Talk:
    """A conversation, with its token."""

    id: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return f"/api/v1/conversations/{self.id}"

    @property
    def messages(self) -> str:
        return f"{self.path}/messages"


def begin(client: httpx.Client) -> Talk:
    started = client.post("/api/v1/conversations").raise_for_status().json()
    return Talk(started["id"], {"Authorization": f"Bearer {started['token']}"})


@dataclass(frozen=True, slots=True)
class Got:
    id: str
    name: str
    data: Any


def read_events(response: httpx.Response, at_most: int = 1000) -> list[Got]:
    """The events of a stream until it ends, or until `at_most` have come."""
    found: list[Got] = []
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "data" in fields:
                found.append(Got(fields["id"], fields["event"], json.loads(fields["data"])))
            fields = {}
            if len(found) >= at_most:
                break
    return found


def is_problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Asserts that the response is a problem document of a kind, and returns it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status and found["type"] == f"/problems/{kind}", found
    assert found["title"] and " " in found["detail"], found
    return found
