"""What people write, and whether it is for us: direct messages, mentions, threads; edits and deletions; the welcome of an empty chat."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.answer import Answer, AnswerEvent, Question, SentenceEvent, StatusEvent
from bot.errors import AdvisorError, InputError, NotFound, UnknownCollection
from bot.jobs import GiveUp, Job, Later
from bot.store import StoredAnswer, StoredQuestion
from bot.threads import Thread, text_hash
from web.slack import phrases
from web.slack.app import Slack
from web.slack.calls import LockedOut, Refused, Unreachable, call
from web.slack.speak import EVENT_TYPE, Place, Post, left_behind
from web.slack.texts import asks, meant_for_others, mentions, written
from web.slack.words import plain, shortened

log = logging.getLogger(__name__)

ANSWER, WITHDRAW = "slack.answer", "slack.withdraw"


def add(slack: Slack) -> None:
    talk = Talk(slack)
    slack.on(ANSWER, talk.answer, given_up=talk.apologize)
    slack.on(WITHDRAW, talk.withdraw)
    slack.events.event("app_mention")(talk.message)
    slack.events.event("message")(talk.message)


class Talk:
    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    # Events

    async def message(self, body: dict[str, Any], event: dict[str, Any]) -> None:
        match event.get("subtype"):
            case "message_changed":
                await self._changed(body["team_id"], event)
            case "message_deleted":
                await self._deleted(body["team_id"], event)
            case _:
                await self._said(body["team_id"], event)

    async def _said(self, team: str, event: dict[str, Any]) -> None:
        if not event.get("user") or not event.get("ts") or event.get("bot_id"):
            return
        place = await self._place(team, event)
        if place is not None:
            await ask(self._slack, place, written(str(event.get("text") or "")))

    async def _place(self, team: str, event: dict[str, Any]) -> Place | None:
        """Where to answer; None: it is not for us."""
        channel, ts, user = event["channel"], event["ts"], event["user"]
        thread = event.get("thread_ts") or ts
        text = str(event.get("text") or "")
        if event.get("channel_type") == "im" or channel.startswith("D"):
            return Place(team, channel, thread, ts, user, private=True)
        workspace, _ = await self._slack.installation(team)
        mode = await self._slack.mode(team, channel)
        if event.get("type") == "app_mention" or mentions(text, workspace.bot_user):
            if mode != "silent":
                return Place(team, channel, thread, ts, user, private=False)
            outsider = event.get("user_team", team) != team
            return None if outsider else Place(team, channel, thread, ts, user, private=False, ephemeral=True)
        if mode not in ("follow", "all") or meant_for_others(text, workspace.bot_user):
            return None
        known = await self._slack.threads.find(team, channel, thread) if thread != ts else None
        spoken_to = known is not None and known.user == user
        joins = (known is not None or mode == "all") and asks(written(text))
        return Place(team, channel, thread, ts, user, private=False, asked=spoken_to) if spoken_to or joins else None

    async def _changed(self, team: str, event: dict[str, Any]) -> None:
        said = event.get("message") or {}
        if said.get("subtype") == "tombstone":  # a thread's first message, deleted
            await self._deleted(team, {**event, "deleted_ts": said.get("ts")})
            return
        if not said.get("user") or said.get("text") == (event.get("previous_message") or {}).get("text"):
            return
        channel, ts, text = event["channel"], said["ts"], written(str(said.get("text") or ""))
        key = key_of(team, channel, ts)
        place = await self._place(team, {**said, "channel": channel, "channel_type": event.get("channel_type")})
        if place is not None and await self._slack.jobs.amend(ANSWER, key, {**asdict(place), "text": text}):
            return
        if await self._slack.jobs.state(ANSWER, key) is None:
            if place is not None:  # now it is for us
                await ask(self._slack, place, text)
            return
        again = place or Place(team, channel, said.get("thread_ts") or ts, ts, said["user"], private=channel.startswith("D"))
        stamp = (said.get("edited") or {}).get("ts") or event.get("event_ts", "")
        payload = {**asdict(again), "text": text, "again": True}
        await self._slack.jobs.put(ANSWER, f"{key}:{stamp}", payload, owner=team, lane=lane_of(again))

    async def _deleted(self, team: str, event: dict[str, Any]) -> None:
        channel, ts = event["channel"], event.get("deleted_ts") or (event.get("previous_message") or {}).get("ts")
        if not ts:
            return
        key = key_of(team, channel, ts)
        await self._slack.jobs.cancel(ANSWER, key)
        before = event.get("previous_message") or {}
        if await self._slack.jobs.state(ANSWER, key) is None:
            asked = await self._slack.threads.asked(team, channel, ts)
            if asked is not None:  # taken up for an advisor's draft, and answered by nobody yet
                await self._slack.advisor.store.drop_unanswered(asked.conversation_id, written(str(before.get("text") or "")))
                await self._slack.threads.withdraw(asked)
            return
        thread = before.get("thread_ts") or ts
        lane = f"say:{team}:{channel}:{thread}"
        await self._slack.jobs.put(WITHDRAW, key, {"channel": channel, "ts": ts}, owner=team, lane=lane)

    # Jobs

    async def answer(self, job: Job) -> None:
        """Answers one message, once, whatever became of earlier tries."""
        slack, payload = self._slack, dict(job.payload)
        text, again = payload.pop("text"), payload.pop("again", False)
        place = Place(**payload)
        try:
            workspace, tokens = await slack.installation(place.team)
        except NotFound as error:
            raise GiveUp(str(error)) from None
        client = slack.bare_client(tokens.access)
        if again and not await self._taken_back(job, place, text):
            return
        if not text:
            await self._once(job, place, phrases.EMPTY)
            return
        if place.private and await slack.threads.find(place.team, place.channel, place.thread) is None:
            slack.soon(self._title(client, place, text))
        thread = await slack.threads.open(place.team, place.channel, thread_key(place), place.user, private=place.private)
        await slack.threads.ask(thread, place.ts, text)
        post = Post(slack, job, place, workspace, client)
        try:
            await post.resume()
            answer = await self._earlier(job, thread, place, text)
            if answer is None:
                answer = await self._made(job, thread, place, text, workspace.preferences.collection, post)
            await post.finish(answer)
        except InputError as error:
            await self._once(job, place, str(error))
        except LockedOut:
            slack.forget_tokens(place.team)
            _, now = await slack.installation(place.team)
            if now.access != tokens.access:  # it was renewed, or installed again, meanwhile
                raise Later(0.1) from None
            raise

    async def _title(self, client: AsyncWebClient, place: Place, text: str) -> None:
        """Names the chat by its first question. What Slack makes of it is its own affair."""
        title = shortened(plain(text), 60)
        await call(client.assistant_threads_setTitle(channel_id=place.channel, thread_ts=place.thread, title=title))

    async def _made(self, job: Job, thread: Thread, place: Place, text: str, collection: str | None, post: Post) -> Answer:
        slack, answer, began = self._slack, None, time.perf_counter()
        await slack.advisor.store.drop_unanswered(thread.conversation_id, text)
        question = Question(text=text, conversation_id=thread.conversation_id, collection=collection)
        try:
            async for event in slack.advisor.stream(question):
                match event:
                    case StatusEvent():
                        await post.status(event.text)
                    case SentenceEvent():
                        await post.say(event.sentence, event.citations)
                    case AnswerEvent():
                        answer = event.answer
        except NotFound as error:
            raise GiveUp(str(error)) from None  # forgotten meanwhile
        except UnknownCollection:
            await slack.workspaces.choose(place.team, collection=None)
            raise
        assert answer is not None, "a stream ends with an answer"
        slack.counted(answer, time.perf_counter() - began)
        await slack.threads.answered(place.team, place.channel, place.ts, answer_id=answer.id)
        return answer

    async def _earlier(self, job: Job, thread: Thread, place: Place, text: str) -> Answer | None:
        """The answer that an earlier try has made and stored."""
        asked = await self._slack.threads.asked(place.team, place.channel, place.ts)
        if asked is not None and asked.answer_id is not None:
            return Answer.model_validate_json(await self._slack.advisor.store.answer_json(asked.answer_id))
        if not (job.attempts > 1 or job.note):
            return None
        said = await self._slack.advisor.store.messages(thread.conversation_id)
        if len(said) < 2 or not isinstance(last := said[-1], StoredAnswer):
            return None
        question = next((m for m in said if isinstance(m, StoredQuestion) and m.id == last.question_id), None)
        if question is None or question.text != text:
            return None
        await self._slack.threads.answered(place.team, place.channel, place.ts, answer_id=last.id)
        return Answer.model_validate_json(last.json)

    async def _taken_back(self, job: Job, place: Place, text: str) -> bool:
        """Of a question that was changed after it was answered: forgets the old one. False: there is nothing to do."""
        if job.note.get("taken_back"):
            return True
        asked = await self._slack.threads.asked(place.team, place.channel, place.ts)
        if asked is None or asked.text_hash == text_hash(text):
            return False
        await self._slack.jobs.note(job, ts=asked.answer_ts)
        await self._slack.threads.withdraw(asked)
        await self._slack.jobs.note(job, taken_back=True)
        return True

    async def withdraw(self, job: Job) -> None:
        """The question was deleted: so are its answer and what is remembered of both."""
        team, channel, ts = job.owner, job.payload["channel"], job.payload["ts"]
        asked = await self._slack.threads.asked(team, channel, ts)
        if asked is None:
            return
        if asked.answer_ts is not None:
            client = await self._slack.client(team)
            try:
                await call(client.chat_delete(channel=channel, ts=asked.answer_ts))
            except Refused as refused:
                log.info("A withdrawn answer could not be deleted (%s).", refused.error)
        await self._slack.threads.withdraw(asked)

    async def apologize(self, job: Job) -> None:
        """Says in its place that a question could not be answered."""
        place = Place(**{name: job.payload[name] for name in Place.__slots__ if name in job.payload})
        if place.asked:
            await self._once(job, place, phrases.FAILED)

    async def _once(self, job: Job, place: Place, text: str) -> None:
        """A sentence of our own in the place of an answer."""
        workspace, tokens = await self._slack.installation(place.team)
        client = self._slack.bare_client(tokens.access)
        if place.respond:
            await self._slack.respond(place.respond, {"response_type": "ephemeral", "text": text})
            return
        if place.ephemeral:
            await call(client.chat_postEphemeral(channel=place.channel, user=place.user, text=text))
            return
        ts = job.note.get("ts")
        if ts is None and job.attempts > 1:
            known = await self._slack.threads.posted(place.team, place.channel, place.thread)
            ts = await left_behind(client, workspace, place.channel, place.thread, place.ts, job.key, known)
        if ts is not None:
            try:
                await call(client.chat_stopStream(channel=place.channel, ts=ts))
            except (Refused, Unreachable):
                pass
            await call(client.chat_update(channel=place.channel, ts=ts, text=text, blocks=[]))
            return
        mark = {"event_type": EVENT_TYPE, "event_payload": {"job": job.key}}
        await call(client.chat_postMessage(channel=place.channel, thread_ts=place.thread, text=text, metadata=mark))


async def ask(slack: Slack, place: Place, text: str, key: str | None = None) -> bool:
    """Queues a question. False: this message is a question already (a mention comes as two events)."""
    payload = {**asdict(place), "text": text}
    return await slack.jobs.put(ANSWER, key or key_of(place.team, place.channel, place.ts), payload, owner=place.team, lane=lane_of(place))


def key_of(team: str, channel: str, ts: str) -> str:
    return f"{team}:{channel}:{ts}"


def lane_of(place: Place) -> str:
    return f"say:{place.team}:{place.channel}:{place.thread}"


def thread_key(place: Place) -> str:
    """What only one person sees is no part of the thread that all see."""
    return f"{place.thread}:{place.user}" if place.ephemeral else place.thread


__all__ = ["ANSWER", "AdvisorError", "add", "ask", "key_of"]
