"""Tools over the API and the command line, results to take along, and the tables as pages, over the real knowledge base."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from data_copy import copy_data
from icalendar import Calendar
from jsonschema import Draft202012Validator
from web_server import Server, begin, is_problem, serve

from bot.answer import Answer
from bot.settings import read_settings
from bot.tools import TOOLS, ToolRun
from web.cli import main


@pytest.fixture(scope="module")
def data(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the library, since conversations are written here."""
    return copy_data(library, tmp_path_factory.mktemp("tools") / "data")


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Server]:
    with serve(read_settings(data=data, log_level="error", visitor_requests_per_minute=100_000)) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


def tool(client: httpx.Client, name: str, **arguments: object) -> httpx.Response:
    return client.post(f"/api/v1/tools/{name}", json=arguments)


# API ------------------------------------------------------------------------------------------------------------------------


def test_each_tool_tells_what_it_takes(client: httpx.Client) -> None:
    found = client.get("/api/v1/tools").json()["tools"]
    assert [each["name"] for each in found] == list(TOOLS)
    for each in found:
        Draft202012Validator.check_schema(each["arguments"])


def test_a_look_up_is_cited_and_its_citations_open(client: httpx.Client) -> None:
    response = tool(client, "licensure_lookup", states=["Texas", "NY"])
    assert response.status_code == 200
    found = ToolRun.model_validate_json(response.content)
    assert [row.cells["state"] for row in found.result.rows] == ["Texas", "New York"]
    for citation in found.citations:
        assert citation.guide is not None
        path, _, anchor = citation.guide.url.partition("#")
        page = client.get(path, params={"quote": citation.quote})
        assert page.status_code == 200 and f'<tr id="{anchor}" class="quoted">' in page.text


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("licensure_lookup", {"states": ["Texs"]}, "Texas"),
        ("specialty_outcomes", {"specialties": ["IM"], "step2ck": 400}, "300"),
        ("visa_routes", {"visa_needed": True, "us_work_authorization": True}, "both"),
        ("program_finder", {}, "nothing is asked"),
    ],
)
def test_a_wrong_argument_is_told_in_one_sentence(client: httpx.Client, name: str, arguments: dict[str, object], told: str) -> None:
    response = tool(client, name, **arguments)
    is_problem(response, 422, "invalid-input")
    assert told in response.json()["detail"]


def test_an_unknown_tool_is_not_found(client: httpx.Client) -> None:
    response = tool(client, "odds_of_matching")
    is_problem(response, 404, "not-found")
    assert "specialty_outcomes" in response.json()["detail"]


# Results of a conversation ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checklist(client: httpx.Client) -> tuple[Answer, httpx.Headers]:
    talk = begin(client)
    asked = {"text": "Make me a checklist for the Match"}
    response = client.post(f"/api/v1/conversations/{talk.id}/messages", json=asked, headers=talk.headers)
    return Answer.model_validate_json(response.content), httpx.Headers(talk.headers)


def test_a_checklist_is_taken_along_in_each_form(client: httpx.Client, checklist: tuple[Answer, httpx.Headers]) -> None:
    answer, headers = checklist
    result = answer.results[0]
    assert result.kind == "checklist" and result.exports == ["md", "ics", "html"]

    def taken(form: str) -> httpx.Response:
        response = client.get(f"/api/v1/answers/{answer.id}/results/{result.ref}.{form}", headers=headers)
        assert response.status_code == 200, response.text
        return response

    text = taken("md").text
    assert text.count("- [ ] ") == len(result.rows)
    marks = {int(n) for n in re.findall(r"(?<!\\)\[(\d+)\]", text.partition("## Sources")[0])}
    assert marks == {n for row in result.rows for n in row.citations}
    assert all(f"- [{n}] " in text for n in marks)
    page = taken("html").text
    assert all(f'id="{row.key}"' in page for row in result.rows) and "http" in page
    response = taken("ics")
    assert response.headers["content-type"].startswith("text/calendar")
    assert taken("ics").content == response.content, "a second import changes nothing"
    events = Calendar.from_ical(response.content).walk("VEVENT")
    dated = {row.cells["task"]: row.date for row in result.rows if row.date}
    assert {str(event["SUMMARY"]): event.decoded("DTSTART").isoformat() for event in events} == dated
    for event in events:
        assert event.decoded("DTEND") - event.decoded("DTSTART") == dt.timedelta(days=1)
        assert "Source: " in event["DESCRIPTION"]
    assert len({str(event["UID"]) for event in events}) == len(events)


def test_a_result_opens_only_with_the_token_of_its_conversation(client: httpx.Client, checklist: tuple[Answer, httpx.Headers]) -> None:
    answer, headers = checklist
    path = f"/api/v1/answers/{answer.id}/results/{answer.results[0].ref}"
    is_problem(client.get(path + ".md"), 401, "unauthorized")
    is_problem(client.get(path + ".md", headers=begin(client).headers), 403, "forbidden")
    is_problem(client.get(path + ".pdf", headers=headers), 422, "invalid-input")
    is_problem(client.get(f"/api/v1/answers/{answer.id}/results/r9.md", headers=headers), 404, "not-found")
    is_problem(client.get("/api/v1/answers/none/results/r1.md", headers=headers), 404, "not-found")


# Pages ------------------------------------------------------------------------------------------------------------------------


def test_every_table_has_a_page_with_an_anchor_for_each_row(client: httpx.Client) -> None:
    listed = client.get("/guides/tables").text
    for name in ("states", "specialties", "programs", "fees", "calendar", "visas", "rules", "tasks"):
        assert f'href="/guides/tables/{name}"' in listed
        page = client.get(f"/guides/tables/{name}")
        assert page.status_code == 200
        anchors = re.findall(r'<tr id="([^"]+)"', page.text)
        assert anchors and len(set(anchors)) == len(anchors)
    assert ' class="unknown">unknown</td>' in client.get("/guides/tables/states").text
    is_problem(client.get("/guides/tables/nothing"), 404, "not-found")


def test_a_quote_that_is_gone_is_said_to_be(client: httpx.Client) -> None:
    page = client.get("/guides/tables/states", params={"quote": "Texas: <b>nine</b> years."}).text
    assert "no longer in this table" in page and "<b>nine" not in page


# Command line -----------------------------------------------------------------------------------------------------------------


def call(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["img-advisor", *words])
        main()
    return int(ended.value.code or 0)


def test_the_command_line_takes_arguments_either_way(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(data))
    assert call("tool", "--list") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in TOOLS)
    words = ("--must.visa", "H-1B", "--must.specialties", "neurology", "--must.graduation-year=2017")
    assert call("tool", "program_finder", *words, "--json") == 0
    one = json.loads(capsys.readouterr().out)
    nested = {"must": {"visa": "H-1B", "specialties": ["neurology"], "graduation_year": 2017}}
    assert call("tool", "program_finder", "--arguments", json.dumps(nested), "--json") == 0
    assert json.loads(capsys.readouterr().out) == one
    assert ToolRun.model_validate(one).result.rows
    assert call("tool", "specialty_outcomes", "--specialties", "IM", "--step2ck", "245") == 0
    printed = capsys.readouterr().out
    assert "245: between" in printed and "[1]" in printed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tool", "odds"), "There is no tool 'odds'"),
        (("tool", "licensure_lookup", "--states"), "needs a value"),
        (("tool", "licensure_lookup", "Texas"), "no argument"),
        (("tool", "licensure_lookup", "--arguments", "{"), "not valid JSON"),
        (("tool", "licensure_lookup", "--states", "Texs"), "Nearest: Texas"),
        (("tool", "usmle_rules", "--attempts-used", "many"), "attempts_used"),
    ],
)
def test_a_wrong_call_ends_with_one_sentence(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(data))
    assert call(*words) == 2
    said = capsys.readouterr()
    assert told in said.err and said.out == "" and len(said.err.strip().splitlines()) == 1
