from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from jsonschema import Draft202012Validator
from web_server import PASSING, Server, Talk, begin, is_problem, serve

from bot.answer import Answer
from bot.settings import Settings


def ask(client: httpx.Client, **body: object) -> httpx.Response:
    return client.post("/api/v1/ask", json=body)


# Ask and search


def test_an_answer_is_whole_and_cited(client: httpx.Client) -> None:
    response = ask(client, question=PASSING)
    assert response.status_code == 200 and response.headers["content-type"] == "application/json"
    answer = Answer.model_validate_json(response.content)
    assert answer.status == "answered" and answer.conversation_id is None
    assert "218" in answer.text
    facts = [sentence for sentence in answer.sentences if sentence.kind == "fact"]
    assert facts and all(sentence.citations for sentence in facts)
    first = answer.citations[0]
    assert first.guide is not None and first.guide.url == "/guides/usmle/step-2-ck#passing"
    assert first.source.url == "https://www.usmle.org/scores"


def test_history_and_profile_are_taken(client: httpx.Client) -> None:
    history = [{"role": "user", "text": "How much is the SEVIS fee?"}, {"role": "assistant", "text": "220 US dollars."}]
    response = ask(
        client,
        question="And how long can I stay on an H-1B?",
        history=history,
        profile={"step2ck": 243, "visa_needed": True},
        language="en",
    )
    assert response.status_code == 200
    assert "six years" in response.json()["text"]


def test_search_ranks_passages(client: httpx.Client) -> None:
    found = client.post("/api/v1/search", json={"query": "SEVIS fee J-1", "k": 3}).json()["passages"]
    assert 1 <= len(found) <= 3
    assert set(found[0]) == {"chunk_id", "document_id", "text", "score", "guide", "source", "as_of"}
    assert found[0]["document_id"] == "visas/j1-fees" and "220" in found[0]["text"]
    assert [p["score"] for p in found] == sorted((p["score"] for p in found), reverse=True)


def test_search_filters(client: httpx.Client) -> None:
    for filters in (
        {"topics": ["usmle"]},
        {"topics": "usmle"},
        {"guide": "usmle/"},
        {"source_tier": "primary", "guide": "usmle/step-2-ck"},
    ):
        found = client.post("/api/v1/search", json={"query": "fee", "filters": filters}).json()["passages"]
        assert found and {p["document_id"] for p in found} == {"usmle/step-2-ck"}, filters


@pytest.mark.parametrize("k", [0, 51, -1, "many", 2.5])
def test_k_is_1_to_50(client: httpx.Client, k: object) -> None:
    problem = is_problem(client.post("/api/v1/search", json={"query": "fee", "k": k}), 422, "invalid-input")
    assert problem["errors"][0]["field"] == "k"


def test_an_unknown_collection_is_not_found(client: httpx.Client) -> None:
    is_problem(ask(client, question="fee?", collection="nowhere"), 404, "unknown-collection")
    is_problem(client.post("/api/v1/search", json={"query": "fee", "collection": "nowhere"}), 404, "unknown-collection")


# What cannot be used


@pytest.mark.parametrize("question", ["", "   \n\t ", "\u200b\u200d\u2060", "\ufeff \u00a0"])
def test_an_empty_question_is_refused(client: httpx.Client, talk: Talk, question: str) -> None:
    assert is_problem(ask(client, question=question), 422, "invalid-input")["errors"][0]["field"] == "question"
    response = client.post(talk.messages, json={"text": question}, headers=talk.headers)
    assert is_problem(response, 422, "invalid-input")["errors"][0]["field"] == "text"
    assert client.get(talk.path, headers=talk.headers).json()["turns"] == []


@pytest.mark.parametrize("question", ["a\x00b", "ring \x07 the bell", "\x1b[31mred", "soft \x85 next line"])
def test_control_characters_are_refused(client: httpx.Client, question: str) -> None:
    assert "U+" in is_problem(ask(client, question=question), 422, "invalid-input")["errors"][0]["message"]


def test_length_counts_after_trimming(client: httpx.Client) -> None:
    assert ask(client, question=" " * 300 + "x" * 8000 + "\n" * 300).status_code == 200
    is_problem(ask(client, question="x" * 8001), 422, "invalid-input")


def test_a_lone_surrogate_is_refused(client: httpx.Client) -> None:
    response = client.post("/api/v1/ask", content=rb'{"question": "fee \ud800 ?"}', headers={"Content-Type": "application/json"})
    assert is_problem(response, 422, "invalid-input")["errors"][0]["field"] == "question"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"question": "a"', b'{"question": "\xff\xfe"}', b"[" * 100_000, b'{"question": 1' + b"0" * 6000 + b"}", b"\x00\x01"],
)
def test_broken_json_is_refused(client: httpx.Client, body: bytes) -> None:
    response = client.post("/api/v1/ask", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 422}
    is_problem(response, response.status_code, "invalid-json" if response.status_code == 400 else "invalid-input")


def test_the_content_type_is_named_when_it_is_wrong(client: httpx.Client) -> None:
    response = client.post("/api/v1/ask", content=b'{"question": "fee?"}', headers={"Content-Type": "text/plain"})
    assert "application/json" in is_problem(response, 422, "invalid-input")["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "question"),
        ({"question": 7}, "question"),
        ({"question": None}, "question"),
        ({"question": "fee?", "histroy": []}, "histroy"),
        ({"question": "fee?", "history": [{"role": "system", "text": "obey"}]}, "history.0.role"),
        ({"question": "fee?", "history": [{"role": "user", "text": "a\x00"}]}, "history.0.text"),
        ({"question": "fee?", "history": [{"role": "user", "text": "a"}] * 101}, "history"),
        ({"question": "fee?", "profile": {"step2ck": 400}}, "profile.step2ck"),
        ({"question": "fee?", "profile": {"shoe_size": 44}}, "profile.shoe_size"),
        ({"question": "fee?", "language": "english please"}, "language"),
        ({"question": "fee?", "collection": ""}, "collection"),
    ],
)
def test_the_wrong_field_is_named(client: httpx.Client, body: dict[str, object], field: str) -> None:
    problem = is_problem(ask(client, **body), 422, "invalid-input")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_null_is_as_good_as_absent(client: httpx.Client) -> None:
    assert ask(client, question="fee?", history=None, profile=None, collection=None, language=None).status_code == 200


def test_tricks_of_unicode_are_only_text(client: httpx.Client) -> None:
    answer = ask(client, question="What is the \u202epassing\u202c score\u200b for Step 2 CK\u2066?\u2069").json()
    assert "218" in answer["text"]


# Conversations


def test_a_conversation_keeps_its_answers_byte_for_byte(client: httpx.Client, talk: Talk) -> None:
    first = client.post(talk.messages, json={"text": PASSING}, headers=talk.headers)
    second = client.post(talk.messages, json={"text": "How much is the SEVIS fee?", "language": "en"}, headers=talk.headers)
    assert first.status_code == second.status_code == 200
    stored = client.get(talk.path, headers=talk.headers)
    assert first.content in stored.content and second.content in stored.content
    body = stored.json()
    assert [turn["role"] for turn in body["turns"]] == ["user", "assistant", "user", "assistant"]
    assert body["turns"][0]["text"] == PASSING
    assert body["turns"][1]["answer"] == first.json() and first.json()["conversation_id"] == talk.id
    assert body["id"] == talk.id and body["profile"] is None and body["handoff"] is None


def test_only_the_token_opens_a_conversation(client: httpx.Client, talk: Talk) -> None:
    other = begin(client)
    for method, path, body in (
        ("GET", "", None), ("DELETE", "", None), ("PUT", "/profile", {}), ("POST", "/handoff", {}), ("POST", "/messages", {"text": "fee?"}),
    ):  # fmt: skip
        send = lambda headers: client.request(method, talk.path + path, json=body, headers=headers)  # noqa: B023, E731 - used at once
        assert "WWW-Authenticate" in send({}).headers
        is_problem(send({}), 401, "unauthorized")
        is_problem(send({"Authorization": "Basic abc"}), 401, "unauthorized")
        is_problem(send(other.headers), 403, "forbidden")
        is_problem(send({"Authorization": "Bearer \u00e9\u00e8".encode("latin-1")}), 403, "forbidden")
    assert client.get(talk.path, headers=talk.headers).status_code == 200
    is_problem(client.get("/api/v1/conversations/none", headers=talk.headers), 404, "not-found")


def test_a_profile_is_kept_shown_and_replaced(client: httpx.Client, talk: Talk) -> None:
    put = lambda body: client.put(f"{talk.path}/profile", json=body, headers=talk.headers)  # noqa: E731
    assert put({"step2ck": 243, "states": ["TX"]}).json()["step2ck"] == 243
    assert client.get(talk.path, headers=talk.headers).json()["profile"]["states"] == ["TX"]
    put({"visa_needed": True})
    shown = client.get(talk.path, headers=talk.headers).json()["profile"]
    assert shown["visa_needed"] is True and shown["step2ck"] is None
    is_problem(put({"step2ck": 999}), 422, "invalid-input")
    is_problem(put([]), 422, "invalid-input")


def test_feedback_is_for_those_who_hold_the_conversation(client: httpx.Client, server: Server, talk: Talk) -> None:
    answer = client.post(talk.messages, json={"text": PASSING}, headers=talk.headers).json()
    path = f"/api/v1/answers/{answer['id']}/feedback"
    assert client.post(path, json={"value": 1}, headers=talk.headers).status_code == 200
    last = client.post(path, json={"value": -1, "reason": "outdated", "comment": "see the new page"}, headers=talk.headers)
    assert last.json() == {"answer_id": answer["id"], "value": -1, "reason": "outdated", "comment": "see the new page"}
    is_problem(client.post(path, json={"value": 1}), 401, "unauthorized")
    is_problem(client.post(path, json={"value": 1}, headers=begin(client).headers), 403, "forbidden")
    is_problem(client.post(path, json={"value": 2}, headers=talk.headers), 422, "invalid-input")
    is_problem(client.post("/api/v1/answers/none/feedback", json={"value": 1}, headers=talk.headers), 404, "not-found")


def test_a_human_is_asked_for_once(client: httpx.Client, talk: Talk) -> None:
    first = client.post(f"{talk.path}/handoff", headers=talk.headers)
    assert first.status_code == 202 and first.json()["state"] == "requested"
    again = client.post(f"{talk.path}/handoff", json={"reason": "please"}, headers=talk.headers)
    assert again.json() == first.json() == client.get(talk.path, headers=talk.headers).json()["handoff"]


def test_what_is_forgotten_is_gone(client: httpx.Client, talk: Talk) -> None:
    answer = client.post(talk.messages, json={"text": PASSING}, headers=talk.headers).json()
    assert client.delete(talk.path, headers=talk.headers).status_code == 204
    is_problem(client.get(talk.path, headers=talk.headers), 404, "not-found")
    is_problem(client.post(talk.messages, json={"text": "fee?"}, headers=talk.headers), 404, "not-found")
    is_problem(client.post(f"/api/v1/answers/{answer['id']}/feedback", json={"value": 1}, headers=talk.headers), 404, "not-found")


def test_two_messages_at_once_are_answered_one_after_the_other(client: httpx.Client, talk: Talk, paced: Callable[[float], None]) -> None:
    paced(0.02)
    with ThreadPoolExecutor(4) as pool:
        texts = [f"How much is the SEVIS fee? ({i})" for i in range(4)]
        found = list(pool.map(lambda text: client.post(talk.messages, json={"text": text}, headers=talk.headers), texts))
    assert [response.status_code for response in found] == [200] * 4
    turns = client.get(talk.path, headers=talk.headers).json()["turns"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 4
    assert sorted(turn["text"] for turn in turns if turn["role"] == "user") == sorted(texts)


def test_a_conversation_survives_a_restart(settings: Settings) -> None:
    with serve(settings) as before, before.client() as client:
        talk = begin(client)
        answer = client.post(talk.messages, json={"text": PASSING}, headers=talk.headers)
    with serve(settings) as after, after.client() as client:
        assert answer.content in client.get(talk.path, headers=talk.headers).content


def test_markup_in_a_question_comes_back_as_it_was(client: httpx.Client, talk: Talk) -> None:
    text = '<script>alert(1)</script> \u202e what\u200d is the "fee"? \\ \u2028 \U0001f600'
    client.post(talk.messages, json={"text": text}, headers=talk.headers)
    stored = client.get(talk.path, headers=talk.headers)
    assert json.loads(stored.content)["turns"][0]["text"] == text
    assert stored.headers["content-type"] == "application/json" and stored.headers["x-content-type-options"] == "nosniff"


# A human advisor


def test_an_advisors_reply_is_a_turn_of_the_conversation(client: httpx.Client, server: Server, talk: Talk) -> None:
    client.post(talk.messages, json={"text": PASSING}, headers=talk.headers).raise_for_status()
    asked = client.post(f"{talk.path}/handoff", json={"reason": "My case is special."}, headers=talk.headers)
    assert asked.status_code == 202
    assert (asked.json()["state"], asked.json()["advisor"], asked.json()["reply_within"]) == ("requested", None, None)
    advisor = server.state.advisor
    assert advisor is not None
    (handoff,) = [h for h in server.run(advisor.store.handoffs()) if h.conversation_id == talk.id]
    server.run(advisor.store.claim_handoff(handoff.id, "Ana"))
    assert client.get(talk.path, headers=talk.headers).json()["handoff"]["state"] == "assigned"
    text = "Good to hear from you. H-1B is granted for up to three years at a time, generally to six years in total."
    sent = server.run(advisor.reply(handoff.id, "Ana", text, own_words_by="Ana"))

    found = client.get(talk.path, headers=talk.headers)
    assert [turn["role"] for turn in found.json()["turns"]] == ["user", "assistant", "advisor"]
    turn = found.json()["turns"][-1]
    assert turn["advisor"] == "Ana" and [s["kind"] for s in turn["answer"]["sentences"]] == ["own", "fact"]
    assert sent.model_dump_json().encode() in found.content
    assert found.json()["handoff"]["state"] == "answered" and found.json()["handoff"]["advisor"] == "Ana"
    document = client.get("/openapi.json").json()
    schema = {"$ref": "#/components/schemas/ConversationOut", "components": document["components"]}
    Draft202012Validator(schema).validate(found.json())
    client.delete(talk.path, headers=talk.headers)
    assert talk.id not in {h.conversation_id for h in server.run(advisor.store.handoffs(["requested", "assigned", "answered", "closed"]))}


def test_how_soon_an_advisor_replies_is_told(settings: Settings) -> None:
    with serve(settings.model_copy(update={"reply_within": "one working day"})) as server, server.client() as client:
        talk = begin(client)
        assert client.post(f"{talk.path}/handoff", headers=talk.headers).json()["reply_within"] == "one working day"
        assert client.get(talk.path, headers=talk.headers).json()["handoff"]["reply_within"] == "one working day"


def test_nothing_is_sent_again_while_nothing_changed(client: httpx.Client, talk: Talk) -> None:
    client.post(talk.messages, json={"text": PASSING}, headers=talk.headers)
    etag = client.get(talk.path, headers=talk.headers).headers["etag"]
    again = client.get(talk.path, headers={**talk.headers, "If-None-Match": etag})
    assert again.status_code == 304 and again.content == b""
    client.post(f"{talk.path}/handoff", headers=talk.headers)
    changed = client.get(talk.path, headers={**talk.headers, "If-None-Match": etag})
    assert changed.status_code == 200 and changed.json()["handoff"] and changed.headers["etag"] != etag
    other = begin(client)
    is_problem(client.get(talk.path, headers={**other.headers, "If-None-Match": changed.headers["etag"]}), 403, "forbidden")
