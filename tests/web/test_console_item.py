"""One item over HTTP, as a browser without a script uses it."""

from __future__ import annotations

import email
import html
import re
from collections.abc import Iterator
from email.policy import default
from typing import Any

import httpx
import pytest
from console_pages import post, signed_in, token_of
from web_server import PASSING, Server, begin, is_problem, serve

from bot.accounts import Account
from bot.answer import Question
from bot.settings import Settings
from bot.store import Handoff

PAGE = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}
TRUE = "The Step 2 CK minimum passing score is 218 for exams taken on or after 1 July 2025."
HOSTILE = "<script>document.title='owned'</script> \"><img src=x onerror=alert(1)> What is the passing score for Step 2 CK?"


@pytest.fixture
def desk(server: Server) -> Iterator[tuple[httpx.Client, Account]]:
    with signed_in(server, "advisor", name="Ana Ruiz") as found:
        yield found


@pytest.fixture
def waiting(server: Server, client: httpx.Client) -> Handoff:
    return ask_for_help(server, client, PASSING)


def ask_for_help(server: Server, client: httpx.Client, *questions: str) -> Handoff:
    talk = begin(client)
    for question in questions:
        client.post(talk.messages, headers=talk.headers, json={"text": question}).raise_for_status()
    client.post(f"{talk.path}/handoff", headers=talk.headers, json={"reason": "help"}).raise_for_status()
    found = server.run(server.state.advisor.store.handoff(talk.id))  # type: ignore[union-attr]
    assert found is not None
    return found


def field(text: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', text)
    assert found, name
    return found[1]


def text_in(page: str) -> str:
    found = re.search(r'<textarea id="text".*?>\n(.*?)</textarea>', page, re.S)
    assert found
    return html.unescape(found[1])


def drafted(client: httpx.Client, handoff: Handoff) -> tuple[str, dict[str, str]]:
    """The item's path, and the form around its new draft."""
    path = f"/console/items/{handoff.id}"
    assert post(client, f"{path}/draft", from_page=path, tone="warm", length="short").status_code == 303
    page = client.get(path, headers=PAGE).text
    return path, {"csrf": token_of(page), "draft": field(page, "draft"), "base": field(page, "base"), "text": text_in(page)}


def test_from_draft_to_reply(server: Server, desk: tuple[httpx.Client, Account], waiting: Handoff) -> None:
    client, me = desk
    path, form = drafted(client, waiting)
    assert "218" in form["text"] and "Ana Ruiz" in form["text"] and re.search(r"\[e[0-9a-f]{7}\]", form["text"])
    wrong = form["text"].replace("218", "219")
    refused = client.post(f"{path}/send", data={**form, "text": wrong}, headers=PAGE)
    assert refused.status_code == 422 and "The figure 219 is not in its source." in refused.text
    assert '<mark class="bad">219</mark>' in refused.text and text_in(refused.text) == wrong
    marks = re.search(r'<div class="marks".*?>(.*?)&#8203;</div>', refused.text, re.S)
    assert marks and html.unescape(re.sub(r"</?mark[^>]*>", "", marks[1])) == wrong  # behind the text, letter for letter
    form["base"] = field(refused.text, "base")
    sent = client.post(f"{path}/send", data=form, headers=PAGE)
    assert sent.status_code == 303 and sent.headers["location"] == path
    page = client.get(path, headers=PAGE).text
    assert "approved by Ana Ruiz" in page and "218" in page
    advisor = server.state.advisor
    assert advisor is not None
    entries = server.run(advisor.audit.entries(subject=form["draft"]))
    assert [(entry.actor, entry.action) for entry in entries] == [(me.id, "draft.send"), (me.id, "draft.approve")]
    again = client.post(f"{path}/save", data={**form, "text": "Too late."}, headers=PAGE)
    assert again.status_code == 409
    assert "Too late." in {v.text for v in server.run(advisor.drafts.versions(form["draft"]))}


def test_own_words_go_under_a_name_and_are_told(
    server: Server, desk: tuple[httpx.Client, Account], waiting: Handoff, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = desk
    path, form = drafted(client, waiting)
    form["text"] = f"{TRUE} Moon cheese pays the rent."
    refused = client.post(f"{path}/send", data=form, headers=PAGE)
    assert refused.status_code == 422 and "<li>Moon cheese pays the rent.</li>" in refused.text
    form["base"] = field(refused.text, "base")
    assert client.post(f"{path}/send", data={**form, "own": "1"}, headers=PAGE).status_code == 303
    assert "Own words of Ana Ruiz" in client.get(path, headers=PAGE).text


def test_everything_that_was_typed_is_saved_whatever_the_form_is_sent_for(
    server: Server, desk: tuple[httpx.Client, Account], waiting: Handoff
) -> None:
    client, _ = desk
    path, form = drafted(client, waiting)
    advisor = server.state.advisor
    assert advisor is not None
    for step in ("check", "save", "approve", "rewrite/shorter", "draft"):
        form["text"] = f"Hello,\n\n{TRUE} {TRUE}\n\nKind regards, ({step})"
        done = client.post(f"{path}/{step}", data=form, headers=PAGE)
        assert done.status_code in (303, 422), (step, done.text)
        assert form["text"] in {v.text for v in server.run(advisor.drafts.versions(form["draft"]))}, step
        form["base"] = field(client.get(path, headers=PAGE).text, "base")
    assert client.post(f"{path}/save", data={**form, "insert": "A piece. [e1234567]"}, headers=PAGE).status_code == 303
    page = client.get(path, headers=PAGE).text
    assert "A piece. [e1234567]" in text_in(page)
    for step, text in (("save", "x" * 9000), ("rewrite/warmer", "Hello, this is mine.")):  # too long; needs a model
        refused = client.post(f"{path}/{step}", data={**form, "base": field(page, "base"), "text": text}, headers=PAGE)
        assert refused.status_code == 422 and 'role="alert"' in refused.text and text_in(refused.text) == text
        page = refused.text
    first = server.run(advisor.drafts.version(form["draft"], 1)).text
    assert client.post(f"{path}/restore/1", data={**form, "base": field(page, "base")}, headers=PAGE).status_code == 303
    assert text_in(client.get(path, headers=PAGE).text) == first


def test_two_advisors_on_one_draft_lose_nothing(server: Server, desk: tuple[httpx.Client, Account], waiting: Handoff) -> None:
    client, _ = desk
    path, form = drafted(client, waiting)
    with signed_in(server, "advisor", name="Ben Okri") as (other, _):
        page = other.get(path, headers=PAGE).text
        assert "Ana Ruiz is here, too" in page
        theirs = {"csrf": token_of(page), "draft": form["draft"], "base": form["base"], "text": "Ben's text."}
        assert other.post(f"{path}/save", data=theirs, headers=JSON).json()["version"] == 2
        late = client.post(f"{path}/save", data={**form, "text": "Ana's text."}, headers=JSON)
        assert late.status_code == 409
        assert (late.json()["theirs"]["text"], late.json()["theirs"]["author"]) == ("Ben's text.", "Ben Okri")
        page = client.post(f"{path}/send", data={**form, "text": "Ana's other text."}, headers=PAGE)
        assert page.status_code == 409 and "Ana&#39;s other text." in page.text and "<del>Ben&#39;s</del>" in page.text
        live = client.get(f"{path}/live").json()
        assert live["here"] == ["Ben Okri"] and live["version"] == 2
        merged = {**form, "base": field(page.text, "base"), "text": TRUE}
        assert client.post(f"{path}/send", data=merged, headers=PAGE).status_code == 303
        assert other.post(f"{path}/send", data={**theirs, "base": "2"}, headers=PAGE).status_code == 409
    advisor = server.state.advisor
    assert advisor is not None
    assert len([m for m in server.run(advisor.store.messages(waiting.conversation_id)) if hasattr(m, "advisor")]) == 1


def test_who_wrote_again_is_read_first(server: Server, client: httpx.Client, desk: tuple[httpx.Client, Account]) -> None:
    me, _ = desk
    talk = begin(client)
    client.post(talk.messages, headers=talk.headers, json={"text": PASSING}).raise_for_status()
    client.post(f"{talk.path}/handoff", headers=talk.headers, json={"reason": "help"}).raise_for_status()
    advisor = server.state.advisor
    assert advisor is not None
    handoff = server.run(advisor.store.handoff(talk.id))
    assert handoff is not None
    path, form = drafted(me, handoff)
    client.post(talk.messages, headers=talk.headers, json={"text": "And how much is the SEVIS fee?"}).raise_for_status()
    refused = me.post(f"{path}/send", data={**form, "text": TRUE}, headers=PAGE)
    assert refused.status_code == 409 and "wrote again" in refused.text and me.get(f"{path}/live").json()["again"] is True
    seen = re.search(r'name="seen" value="(\d+)"', refused.text)
    assert seen
    again = {**form, "base": field(refused.text, "base")}
    assert me.post(f"{path}/draft", data={**again, "text": TRUE}, headers=PAGE).status_code == 303
    page = me.get(path, headers=PAGE).text
    assert "220" in text_in(page) and me.get(f"{path}/live").json()["again"] is False
    client.post(talk.messages, headers=talk.headers, json={"text": "Thanks!"}).raise_for_status()
    last = {**form, "base": field(page, "base"), "text": TRUE}
    refused = me.post(f"{path}/send", data=last, headers=PAGE)
    seen = re.search(r'name="seen" value="(\d+)"', refused.text)
    assert refused.status_code == 409 and seen
    assert me.post(f"{path}/send", data={**last, "base": field(refused.text, "base"), "seen": seen[1]}, headers=PAGE).status_code == 303


def test_markup_in_questions_names_and_notes_stays_words(server: Server, client: httpx.Client) -> None:
    handoff = ask_for_help(server, client, HOSTILE)
    with signed_in(server, "advisor", name="<b onclick=alert(1)>Eve</b>") as (me, _):
        path, form = drafted(me, handoff)
        assert post(me, f"{path}/notes", from_page=path, note=HOSTILE).status_code == 303
        me.post(f"{path}/save", data={**form, "text": HOSTILE}, headers=PAGE)
        pages = [me.get(path, headers=PAGE).text, me.get(f"{path}/versions/{form['draft']}/2", headers=PAGE).text]
        with signed_in(server, "advisor") as (other, _):
            pages.append(other.get(path, headers=PAGE).text)
    for page in pages:
        assert "<img src=x" not in page and "<script>document" not in page and "<b onclick" not in page


def test_markup_from_slack_stays_words(server: Server) -> None:
    advisor = server.state.advisor
    assert advisor is not None
    ident, _ = server.run(advisor.store.start("slack:T1"))
    server.run(advisor.answer(Question(text=HOSTILE, conversation_id=ident)))
    handoff = server.run(advisor.store.request_handoff(ident, f"<!channel> {HOSTILE}"))
    with signed_in(server, "advisor") as (me, _):
        for path in (f"/console/items/{handoff.id}", "/console/inbox?show=all&channel=slack"):
            page = me.get(path, headers=PAGE).text
            assert "passing score" in page and "<img src=x" not in page and "<script>document" not in page and "<!channel" not in page


def test_notes_are_for_advisors_and_only_their_writer_removes_them(
    server: Server, client: httpx.Client, desk: tuple[httpx.Client, Account]
) -> None:
    me, _ = desk
    handoff = ask_for_help(server, client, PASSING)
    path = f"/console/items/{handoff.id}"
    assert post(me, f"{path}/notes", from_page=path, note="Ask Ben about this").status_code == 303
    page = me.get(path, headers=PAGE).text
    found = re.search(r'action="(/console/items/\w+/notes/\w+/remove)"', page)
    assert "Ask Ben about this" in page and found
    with signed_in(server, "advisor") as (other, _):
        theirs = other.get(path, headers=PAGE).text
        assert "Ask Ben about this" in theirs and found[1] not in theirs
        assert post(other, found[1]).status_code == 403
    assert post(me, found[1]).status_code == 303
    assert "Ask Ben about this" not in me.get(path, headers=PAGE).text


def test_a_mail_is_answered_as_a_mail(server: Server, desk: tuple[httpx.Client, Account]) -> None:
    client, _ = desk
    advisor = server.state.advisor
    assert advisor is not None
    item = server.run(advisor.inbox.paste("Amara Khan <amara@example.org>", "Score", f"Dear team,\n{PASSING}\nAmara"))
    path = f"/console/items/{item.id}"
    assert client.get(f"{path}/mail").status_code == 404
    assert post(client, f"{path}/draft", from_page=path).status_code == 303
    page = client.get(path, headers=PAGE).text
    text = f"Hello,\n\n{TRUE}\n\n1 < 2 & so on."
    form = {"csrf": token_of(page), "draft": field(page, "draft"), "base": field(page, "base"), "text": text}
    done = client.post(f"{path}/send", data={**form, "own": "1"}, headers=PAGE)
    assert done.status_code == 303 and done.headers["location"] == f"{path}/mail"
    shown = client.get(f"{path}/mail", headers=PAGE).text
    assert "https://www.usmle.org/scores" in shown and "<sup>[1]</sup>" in shown and "1 &lt; 2 &amp; so on." in shown
    file = client.get(f"{path}/mail.eml")
    assert file.headers["content-type"] == "message/rfc822"
    read = email.message_from_bytes(file.content, policy=default)
    assert (read["To"], read["Subject"], read["X-Unsent"]) == ("amara@example.org", "Re: Score", "1")
    plain, rich = read.get_body(("plain",)), read.get_body(("html",))
    assert plain is not None and rich is not None
    assert "218" in plain.get_content() and "https://www.usmle.org/scores" in plain.get_content()
    assert "own words of Ana Ruiz" in plain.get_content() and 'href="https://www.usmle.org/scores"' in rich.get_content()


def test_places_of_findings_are_counted_as_browsers_count(desk: tuple[httpx.Client, Account], waiting: Handoff) -> None:
    client, _ = desk
    path, form = drafted(client, waiting)
    text = "Hello 🩺🩺,\n\nThe Step 2 CK minimum passing score is 219 for exams taken on or after 1 July 2025."
    found = client.post(f"{path}/check", data={**form, "text": text}, headers=JSON).json()
    wide = text.encode("utf-16-le")
    figure = next(each for each in found["findings"] if each["kind"] == "figure")
    assert wide[2 * figure["start"] : 2 * figure["end"]].decode("utf-16-le") == "219"
    assert "218" in figure["quote"] and figure["url"].startswith("/guides/")
    assert client.post(f"{path}/check", data={**form, "text": " "}, headers=JSON).json() == {"findings": [], "sources": []}


def test_evidence_is_found_in_guides_and_in_tables(desk: tuple[httpx.Client, Account], waiting: Handoff) -> None:
    client, _ = desk
    found = client.get(f"/console/items/{waiting.id}/evidence", params={"q": "SEVIS fee for the J-1"}).json()
    said = [sentence for section in found["sections"] for sentence in section["sentences"]]
    assert any("220" in each["said"] and each["insert"].endswith(f" [{each['key']}]") for each in said)


def test_macros_warn_when_they_are_due_or_no_longer_borne_out(desk: tuple[httpx.Client, Account], waiting: Handoff) -> None:
    client, _ = desk
    wrong = TRUE.replace("218", "230")
    for title, text, day in (("Old", TRUE, "2020-01-01"), ("Wrong", wrong, "2099-01-01"), ("Fine", TRUE, "2099-01-01")):
        assert post(client, "/console/macros", title=title, text=text, review_by=day).status_code == 303
    bad = post(client, "/console/macros", title="Kept <b>", text="What was typed", review_by="soon")
    assert bad.status_code == 422 and "What was typed" in bad.text and "Kept &lt;b&gt;" in bad.text
    rows = re.findall(r"<summary>(.*?)</summary>", client.get("/console/macros", headers=PAGE).text)
    told = {re.findall(r"<b>(.*?)</b>", row)[0]: re.findall(r'class="badge (\w+)"', row) for row in rows}
    assert (told["Old"], told["Wrong"], told["Fine"]) == (["warn"], ["bad"], [])
    path, form = drafted(client, waiting)
    page = client.get(path, headers=PAGE).text
    found = re.search(r'name="macro" value="(\w+)" data-insert="[^"]*230', page)
    assert found and "Review was due 2020-01-01" in page
    client.post(f"{path}/save", data={**form, "macro": found[1]}, headers=PAGE)
    assert "230" in text_in(client.get(path, headers=PAGE).text)


def test_an_item_that_is_forgotten_is_gone_with_all_of_it(server: Server, desk: tuple[httpx.Client, Account], waiting: Handoff) -> None:
    client, _ = desk
    path, form = drafted(client, waiting)
    server.run(server.state.advisor.store.forget(waiting.conversation_id))  # type: ignore[union-attr]
    for answer in (client.get(path), client.get(f"{path}/versions/{form['draft']}/1"), client.post(f"{path}/save", data=form)):
        assert answer.status_code == 404


def test_while_the_database_is_away_what_was_typed_is_given_back(settings: Settings, own_postgres: Any) -> None:
    with serve(settings.model_copy(update={"database_url": f"{own_postgres.url}/postgres"})) as server:
        advisor = server.state.advisor
        assert advisor is not None
        conversation, _ = server.run(advisor.store.start())
        handoff = server.run(advisor.store.request_handoff(conversation, "help"))
        with signed_in(server, "advisor") as (client, me):
            draft = server.run(
                advisor.drafts.propose(handoff.id, "One.", author=me.id, tone="warm", length="short", language="en", seen=0)
            )
            form = {"csrf": token_of(client.get("/console/account", headers=PAGE).text), "draft": draft.id, "base": "1"}
            path = f"/console/items/{handoff.id}/save"
            own_postgres.stop()
            typed = {**form, "text": "Typed <while> it was away.\nAll of it."}
            shown = client.post(path, data=typed, headers=PAGE)
            assert shown.status_code == 503 and "Typed &lt;while&gt; it was away.\nAll of it." in shown.text
            is_problem(client.post(path, data=typed, headers=JSON), 503, "database-away")
            own_postgres.start()
            again = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', shown.text)}
            assert client.post(path, data={**again, "text": typed["text"]}, headers=PAGE).status_code == 303
        assert server.run(advisor.drafts.version(draft.id, 2)).text == typed["text"]
