"""Knowledge tasks, changed facts and golden questions, as advisors and editors work on them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_pages import post, signed_in
from test_console_numbers import until
from web_server import Server, begin, serve, write_knowledge

from bot.answer import Question
from bot.evaluate import evaluate
from bot.golden import read_golden
from bot.settings import Settings
from ingest.run import run

PARKING = "Do hospitals pay for <b>parking</b>?"


@pytest.fixture(scope="module")
def edited(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a library of its own, whose guides change."""
    folder = tmp_path_factory.mktemp("tasks")
    own = settings.model_copy(update={"knowledge": write_knowledge(folder / "knowledge"), "data": folder / "data"})
    asyncio.run(run(own))
    with serve(own) as found:
        yield found


def ask(server: Server, text: str) -> tuple[str, str]:
    with server.client() as client:
        talk = begin(client)
        answer = client.post(talk.messages, headers=talk.headers, json={"text": text}).raise_for_status().json()
    return talk.id, answer["id"]


def test_a_question_that_no_guide_answers_is_a_task_that_is_taken_noted_and_done(edited: Server) -> None:
    ask(edited, PARKING)
    with signed_in(edited, "editor", name="Eva") as (client, _):
        until(lambda: "parking" in client.get("/console/tasks").text)
        page = client.get("/console/tasks").text
        assert "Do hospitals pay for &lt;b&gt;parking&lt;/b&gt;?" in page  # nothing that somebody asked is markup
        path = re.search(r'href="(/console/tasks/[0-9a-f]{16})"', page)[1]  # type: ignore[index]
        assert post(client, f"{path}/move", state="doing").status_code == 303
        assert "Eva" in client.get("/console/tasks?state=doing").text
        post(client, f"{path}/note", text="Ask two hospitals.")
        assert "Ask two hospitals." in client.get(path).text
        assert post(client, f"{path}/move", state="lost").status_code == 422
        post(client, f"{path}/move", state="done")
        assert "parking" not in client.get("/console/tasks").text
        assert "task.move" in str(edited.run(edited.state.advisor.audit.entries()))  # type: ignore[union-attr]


def test_a_changed_fact_is_corrected_in_the_conversation_that_was_told_the_old_one(edited: Server) -> None:
    conversation, answer = ask(edited, "How long can I stay on an H-1B?")
    with signed_in(edited, "advisor", name="Ana") as (client, _):
        until(lambda: edited.run(edited.state.workroom.learning.asked.note(edited.run(edited.state.advisor.index()))).count == 0)  # type: ignore[union-attr]
        file = edited.settings.knowledge / "guides/visas/h1b.md"
        file.write_text(file.read_text(encoding="utf-8").replace("six years in total", "eight years in total"), encoding="utf-8")
        asyncio.run(run(edited.settings))
        time.sleep(1.1)  # the advisor looks for another index once a second
        until(lambda: "h1b-length" in client.get("/console/tasks/changes").text)
        path = re.search(r'href="(/console/tasks/changes/[0-9a-f]{16})"', client.get("/console/tasks/changes").text)[1]  # type: ignore[index]
        page = client.get(path).text
        assert "six years" in page and "eight years" in page and answer in page
        drafted = post(client, f"{path}/draft", answer=answer)
        assert drafted.status_code == 303 and drafted.headers["location"].startswith("/console/items/")
        item = client.get(drafted.headers["location"])
        assert item.status_code == 200 and "eight years" in item.text
        assert post(client, f"{path}/draft", answer=answer).status_code == 409  # somebody writes there already
        handoff = edited.run(edited.state.advisor.store.handoff(conversation))  # type: ignore[union-attr]
        (draft,) = edited.run(edited.state.advisor.drafts.of(handoff.id))  # type: ignore[union-attr]
        sent = edited.run(edited.state.advisor.send_draft(draft.id, draft.version, by="ana", name="Ana", own_words_by="Ana"))  # type: ignore[union-attr]
        told = next(sentence for sentence in sent.sentences if "eight years" in sentence.text)
        assert told.citations and told.kind == "fact"  # the new sentence goes with its source
    with signed_in(edited, "editor") as (client, _):
        assert post(client, f"{path}/draft", answer=answer).status_code == 403
        assert post(client, f"{path}/dismiss", answer=answer).status_code == 303
        assert "no correction needed" in client.get(path).text
        post(client, f"{path}/close")
        assert path not in client.get("/console/tasks/changes").text
        assert path in client.get("/console/tasks/changes?every=true").text


def test_one_click_keeps_an_approved_answer_as_a_golden_question(edited: Server) -> None:
    with signed_in(edited, "advisor") as (client, _):
        with edited.client() as visitor:
            talk = begin(visitor)
            answer = visitor.post(talk.messages, headers=talk.headers, json={"text": "What Step 2 CK score do I need to pass?"}).json()
            visitor.post(f"/api/v1/answers/{answer['id']}/feedback", headers=talk.headers, json={"value": 1})
        assert answer["id"] in client.get("/console/tasks/golden").text
        assert post(client, "/console/tasks/golden", answer=answer["id"], question="").status_code == 303
        post(client, "/console/tasks/golden", answer=answer["id"], question="")
        file = Path(edited.settings.golden_folder) / "approved.yaml"
        (entry,) = read_golden(file)
        assert entry.question == "What Step 2 CK score do I need to pass?" and entry.expect[0] == "usmle/step-2-ck#passing"
        assert "218" in entry.must_say
        again = edited.run(edited.state.advisor.explained(Question(text=entry.question)))  # type: ignore[union-attr]
        assert again.answer.status in entry.status and entry.missing(again.answer.text) == []
        report = edited.run(evaluate(edited.state.advisor, file, verifier=False))  # type: ignore[arg-type]
        assert report["questions"] == 1 and report["rows"][0]["id"] == entry.id and not report["rows"][0]["why"], report["rows"]
        assert entry.id in client.get("/console/tasks/golden").text
        assert post(client, "/console/tasks/golden", answer="nobody").status_code == 404
