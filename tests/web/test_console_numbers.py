"""Numbers and coverage: what is counted is what happened, also as a picture, a table and a file."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable

import httpx
import pytest
from console_pages import signed_in
from lxml import etree
from web_server import Server, begin


def until(found: Callable[[], bool], seconds: float = 20) -> None:
    """Learning runs beside the answering."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def asked(server: Server) -> int:
    """A conversation with an answer that was liked, and a question that no guide answers."""
    with server.client() as client:
        talk = begin(client)
        answer = client.post(talk.messages, headers=talk.headers, json={"text": "What Step 2 CK score do I need to pass?"}).json()
        assert answer["status"] == "answered"
        liked = client.post(f"/api/v1/answers/{answer['id']}/feedback", headers=talk.headers, json={"value": 1})
        assert liked.status_code < 300, liked.text
        talk = begin(client)
        other = client.post(talk.messages, headers=talk.headers, json={"text": "Do hospitals pay for parking?"}).json()
        assert other["status"] == "no_answer"
    return 2


def last_week(client: httpx.Client) -> dict[str, str]:
    rows = list(csv.DictReader(io.StringIO(client.get("/console/numbers/export.csv").text.removeprefix("\ufeff"))))
    assert len(rows) == 52
    return rows[-1]


def test_what_was_asked_is_counted_on_the_page_and_in_the_file(server: Server, asked: int) -> None:
    with signed_in(server, "advisor") as (client, _):
        until(lambda: client.get("/console/numbers").is_success and int(last_week(client)["Questions"]) >= asked)
        week = last_week(client)
        assert int(week["Answered"]) >= 1 and int(week["Not in our guides"]) >= 1 and int(week["Helpful"]) >= 1
        page = client.get("/console/numbers?weeks=4").text
        assert page.count('<th scope="row" class="nowrap">') == 4
        assert "USMLE: USMLE minimum passing scores" in page
        covered = client.get("/console/coverage").text
        assert "Do hospitals pay for parking?" in covered and ">USMLE<" in covered


def test_each_chart_is_a_picture_with_its_title_that_loads_nothing(server: Server, asked: int) -> None:
    with signed_in(server, "editor") as (client, _):
        until(lambda: client.get("/console/coverage/topics.svg").status_code == 200)
        for path in ("numbers/answers", "numbers/feedback", "numbers/sources", "coverage/topics", "coverage/answered"):
            response = client.get(f"/console/{path}.svg?weeks=12")
            assert response.status_code == 200 and response.headers["content-type"] == "image/svg+xml", path
            assert "default-src 'none'" in response.headers["content-security-policy"]
            drawing = etree.fromstring(response.content)
            assert drawing.findtext("{*}title") and drawing.findtext("{*}desc")
        assert client.get("/console/numbers/nothing.svg").status_code == 404
        assert client.get("/console/numbers/nothing.svg").status_code == 404
        assert client.get("/console/numbers?weeks=1000").status_code == 422
