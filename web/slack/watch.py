"""Replies of advisors, from wherever they were written, into the thread where the question was asked: each once, whoever sees it first."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from bot.answer import Reply
from bot.errors import NotFound
from bot.jobs import GiveUp, Job
from bot.store import time_text
from web.slack import blocks
from web.slack.app import Slack
from web.slack.calls import Refused, call
from web.slack.speak import EVENT_TYPE, left_behind
from web.slack.words import plain, shortened

log = logging.getLogger(__name__)

REPLY = "slack.reply"
EVERY_S = 2.0
SINCE_S = 3 * 24 * 3600.0
"""Replies older than this are not sent any more: jobs that are over are known for longer than that."""


def add(slack: Slack) -> None:
    async def look() -> None:
        since = time_text(dt.datetime.now(dt.UTC) - dt.timedelta(seconds=SINCE_S))
        for reply_id, thread in await slack.threads.unsent_replies(since, REPLY):
            where = {"channel": thread.channel, "thread": thread.thread, "user": thread.user, "conversation": thread.conversation_id}
            lane = f"say:{thread.team}:{thread.channel}:{thread.thread}"
            await slack.jobs.put(REPLY, reply_id, where, owner=thread.team, lane=lane)

    async def send(job: Job) -> None:
        await _send(slack, job)

    slack.every(EVERY_S, look)
    slack.on(REPLY, send)


async def _send(slack: Slack, job: Job) -> None:
    where: dict[str, Any] = job.payload
    reply = await _reply(slack, where["conversation"], job.key)
    try:
        workspace, tokens = await slack.installation(job.owner)
    except NotFound as error:
        raise GiveUp(str(error)) from None
    client = slack.bare_client(tokens.access)
    message = blocks.message(reply, slack.base_url)
    thread, _, whisper = where["thread"].partition(":")
    if whisper or "." not in thread:  # a question that only its asker saw: the reply, too, is theirs alone
        opened = await call(client.conversations_open(users=where["user"]))
        channel, thread = opened["channel"]["id"], ""
    else:
        channel = where["channel"]
    if job.attempts > 1 or job.note.get("posting"):
        if thread and await left_behind(client, workspace, channel, thread, thread, job.key, None):
            return
    await slack.jobs.note(job, posting=True)
    mark = {"event_type": EVENT_TYPE, "event_payload": {"job": job.key}}
    text, shown = f"<@{where['user']}> {message.text}", message.blocks
    said: dict[str, Any] = {"channel": channel, "thread_ts": thread or None, "text": text, "blocks": shown, "metadata": mark}
    said |= {"unfurl_links": False, "unfurl_media": False}
    named: dict[str, Any] = {"username": f"{shortened(plain(reply.advisor).strip(), 60) or 'Advisor'} (advisor)"}
    try:
        try:
            await call(client.chat_postMessage(**said, **named))
        except Refused as refused:
            if refused.error != "missing_scope":  # the app was installed before it asked to write in others' names
                raise
            await call(client.chat_postMessage(**said))
    except Refused as refused:
        raise GiveUp(refused.error) from None


async def _reply(slack: Slack, conversation: str, reply_id: str) -> Reply:
    for message in await slack.advisor.store.messages(conversation):
        if message.id == reply_id:
            return Reply.model_validate_json(message.json)  # type: ignore[union-attr]
    raise GiveUp("the reply was forgotten")
