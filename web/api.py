"""The API, version 1. Routes authenticate, limit, hand a Question to the advisor, and send on what comes back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import TypeAdapter

import bot
from bot.answer import Answer, Profile
from bot.errors import NotFound
from bot.store import Conversation, Store, StoredAnswer, StoredMessage, StoredQuestion, StoredReply
from web.bodies import (
    AskBody,
    ChunkOut,
    ConversationOut,
    FeedbackBody,
    FeedbackOut,
    HandoffBody,
    HandoffOut,
    MessageBody,
    PassageOut,
    SearchBody,
    SearchResult,
    Started,
    plain_filters,
    turns,
)
from web.events import DOCUMENTED, Run, stream_run, stream_stored
from web.limits import bearer, check_operator
from web.problems import WebError, documented, respond
from web.state import AdvisorHere, StateHere, limit_requests, state_of

_INDEX = ("index-missing", "index-mismatch")
_INPUT = ("invalid-json", "too-large", "invalid-input", "internal")
_VISITOR = ("unauthorized", "forbidden", "not-found", "too-many-requests", "internal")


def operator(request: Request) -> None:
    check_operator(request, state_of(request).settings)


operators = APIRouter(
    prefix="/api/v1", tags=["operators"], dependencies=[Depends(operator)],
    responses=documented("unauthorized", "forbidden", "key-not-set", "unknown-collection", *_INPUT, *_INDEX),
)  # fmt: skip
conversations = APIRouter(prefix="/api/v1", tags=["conversations"])


def token_of(request: Request) -> str:
    token = bearer(request)
    if token is None:
        raise WebError(
            "unauthorized", "The conversation's token is missing. Send 'Authorization: Bearer' with the token it was started with."
        )
    return token


async def opened(conversation_id: str, request: Request, advisor: AdvisorHere, state: StateHere) -> Conversation:
    return await advisor.store.open(conversation_id, token_of(request), state.sites.of(request))


async def own_answer(answer_id: str, request: Request, advisor: AdvisorHere, state: StateHere) -> None:
    """Dependency of what is done with one answer: the token must open the conversation that it belongs to."""
    token = token_of(request)
    try:
        conversation_id = await advisor.store.conversation_of(answer_id)
    except NotFound:
        raise NotFound("There is no such answer in a conversation of yours.") from None
    await advisor.store.open(conversation_id, token, state.sites.of(request))


Opened = Annotated[Conversation, Depends(opened)]


# Operators and evaluators ------------------------------------------------------------------------------------------------


@operators.post("/ask", response_model=Answer, summary="One answer, nothing stored")
async def ask(body: AskBody, advisor: AdvisorHere, state: StateHere) -> Response:
    """The history comes with the question. Open while the server listens on loopback only, else behind the API key."""
    began = time.monotonic()
    try:
        answer = await advisor.answer(body.asked())
    except Exception as error:
        state.metrics.failed(getattr(error, "type", "internal"))
        raise
    state.metrics.answered(answer, time.monotonic() - began)
    return _json(answer.model_dump_json())


@operators.post("/search", summary="Ranked passages, no answer")
async def search(body: SearchBody, advisor: AdvisorHere) -> SearchResult:
    """The best `k` passages. Open while the server listens on loopback only, else behind the API key."""
    found = await advisor.search(
        body.query, history=turns(body.history), k=body.k, collection=body.collection, filters=plain_filters(body.filters)
    )
    return SearchResult(passages=[PassageOut.of(passage) for passage in found])


# Conversations -----------------------------------------------------------------------------------------------------------


@conversations.post(
    "/conversations", status_code=201, summary="Start a conversation",
    responses=documented("forbidden", "too-many-requests", "too-large", "internal"),
)
async def start(request: Request, advisor: AdvisorHere, state: StateHere) -> Started:
    """The token opens this conversation and no other."""
    state.limits.check(request, "conversation")
    site = state.sites.of(request)
    ident, token = await advisor.store.start(site)
    state.metrics.started(site)
    return Started(id=ident, token=token)


@conversations.post(
    "/conversations/{conversation_id}/messages",
    response_model=Answer,
    summary="Ask",
    responses={**documented(*_INPUT, *_VISITOR, *_INDEX), 200: DOCUMENTED},
)
async def send_message(
    body: MessageBody, request: Request, conversation: Opened, advisor: AdvisorHere, state: StateHere,
    accept: Annotated[str, Header()] = "", last_event_id: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:  # fmt: skip
    """The question and its answer are stored, also when the connection drops. Two messages at once are answered one after the other."""
    streaming = "text/event-stream" in accept
    if streaming and last_event_id:
        if found := state.runs.find(conversation.id, last_event_id):
            return stream_run(*found)
        if stored := await _stored_answer(advisor.store, conversation.id, body.text):
            return stream_stored(stored.json.decode())
    state.limits.check(request, "message")
    run = state.runs.start(conversation.id, advisor.stream(body.question(conversation.id)))
    if streaming:
        return stream_run(run)
    await run.wait()
    return _result(run)


def _result(run: Run) -> Response:
    if run.answer is not None:
        return _json(run.answer.model_dump_json())
    assert run.failure is not None, "a run that is over has an answer or a failure"
    return respond(None, run.failure)


async def _stored_answer(store: Store, conversation_id: str, text: str) -> StoredAnswer | None:
    """The answer to the last question of these words, for whoever resumes a run that is no longer in memory."""
    messages = await store.messages(conversation_id)
    asked = next((m for m in reversed(messages) if isinstance(m, StoredQuestion) and m.text.strip() == text), None)
    return next((m for m in messages if asked and isinstance(m, StoredAnswer) and m.question_id == asked.id), None)


@conversations.get(
    "/conversations/{conversation_id}",
    response_model=ConversationOut,
    summary="All turns",
    dependencies=[Depends(limit_requests)],
    responses={**documented(*_VISITOR), 304: {"description": "Nothing changed since the `ETag` in `If-None-Match`"}},
)
async def read(
    conversation: Opened, advisor: AdvisorHere, state: StateHere, if_none_match: Annotated[str, Header(max_length=500)] = ""
) -> Response:
    """Questions, answers and replies of advisors, oldest first, byte-identical to what was first sent. Who waits for an advisor asks again
    now and then with the last `ETag` in `If-None-Match`, which costs next to nothing while nothing changed."""
    etag = f'"{await advisor.store.mark(conversation.id)}.{bot.__version__}"'
    if etag in if_none_match:
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-store"})
    messages = await advisor.store.messages(conversation.id)
    found = await advisor.store.handoff(conversation.id)
    handoff = HandoffOut.of(found, state.settings.reply_within) if found else None
    head = ConversationOut(
        id=conversation.id, created_at=conversation.created_at, profile=conversation.profile, handoff=handoff, turns=[]
    ).model_dump_json(exclude={"turns"}).encode()  # fmt: skip
    parts = b",".join(_turn(message) for message in messages)
    return _json(head[:-1] + b',"turns":[' + parts + b"]}", {"ETag": etag})


_TEXT = TypeAdapter(str)


def _turn(message: StoredMessage) -> bytes:
    """Stored answers are spliced in as they are, never parsed and written again."""
    match message:
        case StoredAnswer():
            return b'{"role":"assistant","id":' + _TEXT.dump_json(message.id) + b',"answer":' + message.json + b"}"
        case StoredReply():
            name = _TEXT.dump_json(message.advisor)
            return b'{"role":"advisor","id":' + _TEXT.dump_json(message.id) + b',"advisor":' + name + b',"answer":' + message.json + b"}"
        case StoredQuestion():
            said = {"role": "user", "id": message.id, "text": message.text, "created_at": message.created_at}
            return TypeAdapter(dict).dump_json(said)


@conversations.get(
    "/passages/{chunk_id}",
    summary="The passage a citation quotes from",
    dependencies=[Depends(limit_requests)],
    responses=documented("not-found", "too-many-requests", "internal"),
)
async def read_passage(chunk_id: Annotated[str, Path(max_length=100)], advisor: AdvisorHere) -> ChunkOut:
    """Of the guides, which anyone may read; no token is needed."""
    chunk = await advisor.chunk(chunk_id)
    return ChunkOut(chunk_id=chunk.chunk_id, text=chunk.text, heading=list(chunk.heading))


@conversations.delete(
    "/conversations/{conversation_id}",
    status_code=204,
    summary="Forget a conversation",
    dependencies=[Depends(limit_requests)],
    responses=documented(*_VISITOR),
)
async def forget(conversation: Opened, advisor: AdvisorHere, state: StateHere) -> None:
    """Questions, answers, profile, feedback and hand-offs are gone everywhere."""
    await advisor.store.forget(conversation.id)
    state.runs.forget(conversation.id)


@conversations.put(
    "/conversations/{conversation_id}/profile",
    summary="Set the applicant's profile",
    dependencies=[Depends(limit_requests)],
    responses=documented(*_INPUT, *_VISITOR),
)
async def set_profile(body: Profile, conversation: Opened, advisor: AdvisorHere) -> Profile:
    """Replaces the whole profile; every field is optional. It is forgotten with the conversation."""
    await advisor.store.set_profile(conversation.id, body)
    return body


@conversations.post(
    "/conversations/{conversation_id}/handoff",
    status_code=202,
    summary="Ask for a human advisor",
    dependencies=[Depends(limit_requests)],
    responses=documented(*_INPUT, *_VISITOR),
)
async def request_handoff(conversation: Opened, advisor: AdvisorHere, state: StateHere, body: HandoffBody | None = None) -> HandoffOut:
    """Asked twice while one is open, the same hand-off comes back. The advisor's reply becomes a turn of the conversation."""
    reason = (body.reason if body else None) or "The visitor asked for an advisor."
    return HandoffOut.of(await advisor.store.request_handoff(conversation.id, reason), state.settings.reply_within)


@conversations.post(
    "/answers/{answer_id}/feedback",
    summary="Say whether an answer helped",
    dependencies=[Depends(limit_requests), Depends(own_answer)],
    responses=documented(*_INPUT, *_VISITOR),
)
async def give_feedback(answer_id: str, body: FeedbackBody, advisor: AdvisorHere) -> FeedbackOut:
    """Needs the token of the answer's conversation. The last call wins."""
    await advisor.store.set_feedback(answer_id, body.value, body.reason, body.comment)
    return FeedbackOut(answer_id=answer_id, value=body.value, reason=body.reason, comment=body.comment)


def _json(body: str | bytes, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store", **(headers or {})})
