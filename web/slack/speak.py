"""An answer on its way into Slack: streamed sentence by sentence where that works, posted whole where it does not, and never twice.

What a try has done is noted with its job: `posting` before the first message is sent, `ts` as soon as Slack has told the message's name. A
try that finds `posting` without `ts` looks into the thread for what the one before it left there.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.answer import Answer, Citation, Sentence
from bot.jobs import Job, Later
from bot.workspaces import Workspace
from web.slack import blocks, words
from web.slack.app import Slack
from web.slack.calls import Refused, Unreachable, call

log = logging.getLogger(__name__)

PACE_S = 0.7
"""Shortest time between two pieces of a stream: Slack allows some hundred calls a minute."""

EVENT_TYPE = "img_advisor"
"""Marks, in the metadata of our messages, the job that a message belongs to."""


WORTH_SAYING = ("answered", "partial", "corrected_premise", "handoff")
"""Status of answers that are given without having been asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question was asked, and how its answer shall come."""

    team: str
    channel: str
    thread: str
    ts: str
    user: str
    private: bool  # nobody else reads it
    asked: bool = True  # spoken to; else the app joins in by itself, and only with something to say
    ephemeral: bool = False  # shown to the asker alone
    respond: str = ""  # the response_url of the command that asked, which works where the app was never added to


class Post:
    """The message that answers one question."""

    def __init__(self, slack: Slack, job: Job, place: Place, workspace: Workspace, client: AsyncWebClient) -> None:
        self._slack, self._job, self._place, self._workspace, self._client = slack, job, place, workspace, client
        self._ts: str | None = job.note.get("ts")
        self._streams = self._ts is None and place.asked and not place.ephemeral
        self._streaming = False
        self._unsent = ""
        self._said: list[str] = []
        self._not_before = 0.0

    async def resume(self) -> None:
        """Finds what an earlier try left in the thread without noting it."""
        if self._ts is None and self._job.note.get("posting") and not self._place.ephemeral:
            self._streams = False
            if ts := await self._left_behind():
                await self._is(ts)

    # While the answer is made

    async def status(self, text: str) -> None:
        """What is happening. Where Slack does not take it, the answer comes without."""
        if not self._place.asked or self._place.ephemeral or self._streaming or self._ts is not None:
            return
        try:
            await call(
                self._client.assistant_threads_setStatus(
                    channel_id=self._place.channel, thread_ts=self._place.thread, status=words.plain(text)[:50]
                )
            )
        except (Refused, Unreachable, Later) as error:
            log.debug("No status: %s", error)

    async def say(self, sentence: Sentence, citations: list[Citation]) -> None:
        base = self._slack.base_url
        links = {c.n: blocks.guide_url(c, base, with_quote=False) or words.web_url(c.source.url) for c in citations}
        piece = blocks.sentence_markdown(sentence.text, sentence.citations, links)
        self._unsent += (" " if self._said else "") + piece
        self._said.append(sentence.text)
        if self._streams and time.monotonic() >= self._not_before:
            await self._flush()

    async def _flush(self) -> None:
        """Sends what was said since; a stream that dies is given up, and the answer comes whole."""
        text, self._unsent = self._unsent, ""
        self._not_before = time.monotonic() + PACE_S
        try:
            if self._ts is None:
                await self._slack.jobs.note(self._job, posting=True)
                begun = await call(
                    self._client.chat_startStream(
                        channel=self._place.channel, thread_ts=self._place.thread, recipient_user_id=self._place.user,
                        recipient_team_id=self._place.team, chunks=[blocks.searched(), {"type": "markdown_text", "text": text}],
                    )
                )  # fmt: skip
                self._streaming = True
                await self._is(begun["ts"])
            else:
                await call(self._client.chat_appendStream(channel=self._place.channel, ts=self._ts, markdown_text=text))
        except Later as later:
            self._unsent = text + self._unsent
            self._not_before = time.monotonic() + later.seconds
        except Refused as refused:
            log.info("A stream ended early (%s); the answer comes whole.", refused.error)
            self._streams = self._streaming = False
        except Unreachable:
            if self._ts is None:
                raise  # it may have begun: the next try looks
            self._streams = False

    # When it is there

    async def finish(self, answer: Answer) -> None:
        """The whole answer stands there when this returns."""
        if not self._place.asked and answer.status not in WORTH_SAYING:
            return
        if self._place.ephemeral:
            await self._whisper(answer)
            return
        if self._streaming and self._streams and self._said == [sentence.text for sentence in answer.sentences]:
            if await self._stopped(answer):
                return
        elif self._ts is not None:
            await self._stopped(None)
        message = blocks.message(answer, self._slack.base_url)
        if self._ts is not None and await self._updated(self._ts, message):
            return
        await self._slack.jobs.note(self._job, posting=True)
        posted = await call(
            self._client.chat_postMessage(
                channel=self._place.channel, thread_ts=self._place.thread, text=message.text, blocks=message.blocks,
                metadata=self._mark(), unfurl_links=False, unfurl_media=False,
            )
        )  # fmt: skip
        await self._is(posted["ts"])

    async def _stopped(self, answer: Answer | None) -> bool:
        """Ends the stream, with the rest of the answer where one is given. False: it had ended by itself."""
        rest: dict[str, Any] = {}
        if answer is not None:
            chunks: list[dict[str, Any]] = [{"type": "markdown_text", "text": self._unsent}] if self._unsent else []
            base = self._slack.base_url
            rest = {"chunks": [*chunks, *blocks.tasks(answer, base)], "blocks": blocks.ending(answer, base), "metadata": self._mark()}
        self._streaming = False
        try:
            await call(self._client.chat_stopStream(channel=self._place.channel, ts=self._ts, **rest))  # type: ignore[arg-type]
        except Refused as refused:
            if answer is not None:
                log.info("A stream could not be ended (%s); the answer comes whole.", refused.error)
            return False
        return True

    async def _updated(self, ts: str, message: blocks.Message) -> bool:
        """False: the message is gone."""
        try:
            await call(
                self._client.chat_update(
                    channel=self._place.channel, ts=ts, text=message.text, blocks=message.blocks, metadata=self._mark()
                )
            )
        except Refused as refused:
            if refused.error == "streaming_state_conflict":
                raise Unreachable(refused.error) from None  # Slack has not noticed its end yet
            if refused.error not in ("message_not_found", "cant_update_message", "edit_window_closed"):
                raise
            self._ts = None
            return False
        return True

    async def _whisper(self, answer: Answer) -> None:
        thread = self._place.thread if self._place.thread not in (self._place.ts, "") and not self._place.respond else ""
        under = "" if self._place.respond else self._place.thread  # where it is shared to
        message = blocks.preview(answer, self._slack.base_url, under)
        if self._place.respond:
            await self._slack.respond(self._place.respond, {"response_type": "ephemeral", "text": message.text, "blocks": message.blocks})
            return
        await call(
            self._client.chat_postEphemeral(
                channel=self._place.channel, user=self._place.user, text=message.text, blocks=message.blocks,
                thread_ts=thread or None,
            )
        )  # fmt: skip

    # What is known of it

    async def _is(self, ts: str) -> None:
        self._ts = ts
        await self._slack.jobs.note(self._job, ts=ts)
        await self._slack.threads.answered(self._place.team, self._place.channel, self._place.ts, answer_ts=ts)

    def _mark(self) -> dict[str, Any]:
        return {"event_type": EVENT_TYPE, "event_payload": {"job": self._job.key}}

    async def _left_behind(self) -> str | None:
        return await left_behind(
            self._client, self._workspace, self._place.channel, self._place.thread, self._place.ts, self._job.key,
            await self._slack.threads.posted(self._place.team, self._place.channel, self._place.thread),
        )  # fmt: skip


async def left_behind(
    client: AsyncWebClient, workspace: Workspace, channel: str, thread: str, since: str, job: str, known: set[str] | None
) -> str | None:
    """A message of ours in a thread that was sent for a job: one that names it; with `known`, also a stream (which names nothing) that is
    not among the messages known."""
    try:
        found = await call(client.conversations_replies(channel=channel, ts=thread, oldest=since, limit=100, include_all_metadata=True))
    except Refused:
        return None
    streams = []
    for message in found.get("messages", []):
        if message.get("user") != workspace.bot_user and message.get("bot_id") != workspace.bot_id:
            continue
        mark = message.get("metadata") or {}
        if (mark.get("event_payload") or {}).get("job") == job:
            return str(message["ts"])
        if known is not None and not mark and message["ts"] > since and message["ts"] not in known:
            streams.append(str(message["ts"]))
    return streams[0] if streams else None
