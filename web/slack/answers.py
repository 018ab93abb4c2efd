"""What people do with an answer: say whether it helped, read all of it, ask on, share it, ask for a human."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from bot.answer import Answer, Reply
from bot.errors import AdvisorError, NotFound
from bot.jobs import GiveUp, Job
from bot.store import OPEN
from web.slack import blocks, phrases
from web.slack.calls import Refused, Unreachable, call
from web.slack.command import THREAD
from web.slack.parts import Block, context, option, plain_text, quote, rich, run, section, text_input
from web.slack.people import team_of, user_of
from web.slack.speak import Place
from web.slack.talk import ask
from web.slack.windows import View, entered, kept, show, told, window
from web.slack.windows import answer as respond_with
from web.slack.words import mrkdwn, say, shortened

if TYPE_CHECKING:
    from web.slack.app import Slack

log = logging.getLogger(__name__)

ALOUD = "slack.aloud"
WHY, HUMAN = "why", "human"
"""Callbacks of the modals."""
REASONS = ("wrong", "outdated", "unclear", "incomplete", "other")
MOST_NOTE = 2000
MOST_RESPONSES = 4
"""A response_url takes five messages."""


def add(slack: Slack) -> None:
    desk = Answers(slack)
    slack.on(ALOUD, lambda job: say_aloud(slack, job))
    app = slack.actions
    app.action(blocks.FEEDBACK)(desk.feedback)
    app.action(blocks.WHOLE)(desk.whole)
    app.action(blocks.ROWS)(desk.rows)
    app.action(re.compile(rf"^{blocks.ASK}:"))(desk.ask)
    app.action(blocks.SHARE)(desk.share)
    app.action(blocks.DISMISS)(desk.dismiss)
    app.action(blocks.HANDOFF)(desk.human)
    app.view(WHY)(desk.why)
    app.view(HUMAN)(desk.ask_human)
    app.action(re.compile(r"^open:"))(_nothing)  # buttons that are links


async def _nothing(ack: Any) -> None:
    await ack()


class Answers:
    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    # Whether it helped

    async def feedback(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        """The last press wins, whoever's it is; Slack shows the button as pressed. A thumb down asks why."""
        await ack()
        answer_id, _, value = str(action.get("value") or "").partition(" ")
        if value not in ("1", "-1"):
            return
        team = team_of(body)
        if value == "-1":
            client = await self._slack.client(team)
            try:
                await call(client.views_open(trigger_id=body["trigger_id"], view=_why(answer_id)))
            except (Refused, Unreachable) as error:
                log.info("A modal could not be opened (%s).", error)
        try:
            await self._own(team, answer_id)
            await self._slack.advisor.store.set_feedback(answer_id, int(value))
        except AdvisorError as error:
            await self._whisper(body, str(error))

    async def why(self, ack: Any, body: dict[str, Any], view: View) -> None:
        answer_id, team = str(kept(view).get("answer") or ""), team_of(body)
        comment = str(entered(view, "comment") or "")[:MOST_NOTE]

        async def make() -> View:
            await self._own(team, answer_id)
            await self._slack.advisor.store.set_feedback(answer_id, -1, entered(view, "reason"), comment or None)
            return told(say("whyNot"), say("thanks") + " This helps to make the guides better.")

        await respond_with(ack, self._slack, team, view["id"], say("whyNot"), make)

    # The whole of it

    async def whole(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        team = team_of(body)

        async def make() -> View:
            answer = await self._own(team, str(action.get("value") or ""))
            return window("Answer and quotes", blocks.whole(answer, self._slack.base_url) or [section("There is nothing more.")])

        await show(self._slack, team, body["trigger_id"], "Answer and quotes", make)

    async def rows(self, ack: Any, body: dict[str, Any], action: dict[str, Any], respond: Any) -> None:
        """The answer's tables in full, one message each, under the answer; where only one person saw that, for them alone."""
        await ack()
        team, (channel, thread) = team_of(body), _where(body)
        try:
            answer = await self._own(team, str(action.get("value") or ""))
            messages = blocks.all_rows(answer, self._slack.base_url)
            if _whispered(body):
                for message in messages[:MOST_RESPONSES]:
                    await respond(text=message.text, blocks=message.blocks, response_type="ephemeral", replace_original=False)
                return
            client = await self._slack.client(team)
            for message in messages:
                await call(
                    client.chat_postMessage(channel=channel, thread_ts=thread, text=message.text, blocks=message.blocks, unfurl_links=False)
                )
        except (AdvisorError, Refused, Unreachable) as error:
            await self._whisper(body, str(error) if isinstance(error, AdvisorError) else phrases.FAILED)

    # Asking on

    async def ask(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        """A suggestion, an option, or a prompt of the home tab: said aloud, then answered like anything that was written. On what only one
        person saw, the next answer is for them alone, too."""
        await ack()
        team, user, text = team_of(body), user_of(body), str(action.get("value") or "")
        if not text.strip():
            return
        channel, thread = _where(body)
        key = f"{team}:{user}:{action.get('action_ts')}"
        if _whispered(body):
            at = str(action.get("action_ts") or "")
            place = Place(team, channel, THREAD, at, user, private=False, ephemeral=True, respond=str(body.get("response_url") or ""))
            await ask(self._slack, place, text, key)
            return
        await asked_aloud(self._slack, team, user, text, channel=channel, thread=thread, key=key)

    # Sharing a preview

    async def share(self, ack: Any, body: dict[str, Any], action: dict[str, Any], respond: Any) -> None:
        await ack()
        team, user, (channel, _) = team_of(body), user_of(body), _where(body)
        answer_id, _, thread = str(action.get("value") or "").partition(" ")
        try:
            answer = await self._own(team, answer_id)
        except AdvisorError as error:
            await self._whisper(body, str(error))
            return
        made = blocks.message(answer, self._slack.base_url)
        shown = [context(phrases.SHARED.format(user=user)), *made.blocks][: blocks.MOST_BLOCKS]
        in_thread: dict[str, Any] = {"thread_ts": thread} if re.fullmatch(r"\d+\.\d+", thread) else {}
        try:
            client = await self._slack.client(team)
            await call(client.chat_postMessage(channel=channel, text=made.text, blocks=shown, unfurl_links=False, **in_thread))
        except Refused:  # we are no member of the channel: Slack posts it for us
            await respond(text=made.text, blocks=shown, response_type="in_channel", replace_original=False, **in_thread)
        await respond(delete_original=True)

    async def dismiss(self, ack: Any, respond: Any) -> None:
        await ack()
        await respond(delete_original=True)

    # A human

    async def human(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        team = team_of(body)
        channel, thread = ("", None) if _whispered(body) else _where(body)
        keeps: dict[str, Any] = {"answer": str(action.get("value") or ""), "channel": channel, "thread": thread}

        async def make() -> View:
            answer = await self._own(team, keeps["answer"])
            return _human(answer, self._slack.settings.reply_within, keeps)

        await show(self._slack, team, body["trigger_id"], say("advisor"), make)

    async def ask_human(self, ack: Any, body: dict[str, Any], view: View) -> None:
        team, keeps, within = team_of(body), kept(view), self._slack.settings.reply_within
        store, new = self._slack.advisor.store, False
        tongue = str(keeps.get("language") or "en")
        waiting, promised = say("advisorWaiting", tongue), _promise(within, tongue)

        async def make() -> View:
            nonlocal new
            answer = await self._own(team, str(keeps.get("answer") or ""))
            conversation = await store.conversation_of(answer.id)
            note = str(entered(view, "note") or "").strip()[:MOST_NOTE]
            before = await store.handoff(conversation)
            await store.request_handoff(conversation, note or (answer.handoff.reason if answer.handoff else "") or say("advisorAsked"))
            new = before is None or before.state not in OPEN
            return told(say("advisor", tongue), f"{waiting} {promised}")

        await respond_with(ack, self._slack, team, view["id"], say("advisor", tongue), make)
        if not new or not keeps.get("channel"):
            return
        client = await self._slack.client(team)
        aloud = [context(f":raising_hand: {mrkdwn(waiting)} {mrkdwn(promised)}")]
        where = {"channel": str(keeps["channel"]), "thread_ts": str(keeps.get("thread") or "") or None}
        try:
            await call(client.chat_postMessage(text=mrkdwn(waiting), blocks=aloud, **where))  # type: ignore[arg-type]
        except (Refused, Unreachable) as error:
            log.info("A hand-off could not be told in its thread (%s).", error)

    # Parts

    async def _own(self, team: str, answer_id: str) -> Answer:
        """
        Raises:
            NotFound: it was not given in this workspace, or was forgotten.
        """
        if not answer_id or not await self._slack.threads.owns(team, answer_id):
            raise NotFound("This answer is not there any more. It may have been forgotten; ask again.")
        store = self._slack.advisor.store
        try:
            return Answer.model_validate_json(await store.answer_json(answer_id))
        except NotFound:
            return Reply.model_validate_json(await store.reply_json(answer_id))

    async def _whisper(self, body: dict[str, Any], text: str) -> None:
        """To whoever pressed the button."""
        channel, thread = _where(body)
        if not channel:
            return
        client = await self._slack.client(team_of(body))
        try:
            await call(client.chat_postEphemeral(channel=channel, user=user_of(body), text=mrkdwn(text), thread_ts=thread))
        except (Refused, Unreachable) as error:
            log.info("Something could not be whispered (%s).", error)


async def asked_aloud(slack: Slack, team: str, user: str, text: str, *, channel: str = "", thread: str | None = None, key: str) -> None:
    """Has a question that was asked by a button or a modal shown, and answered under it. Without a channel: in the direct chat."""
    payload = {"user": user, "text": text, "channel": channel, "thread": thread}
    await slack.jobs.put(ALOUD, key, payload, owner=team, lane=f"aloud:{team}:{user}")


async def say_aloud(slack: Slack, job: Job) -> None:
    team, asked = job.owner, job.payload
    user, text, channel, thread = asked["user"], asked["text"], asked["channel"], asked["thread"]
    try:
        client = await slack.client(team)
    except NotFound as error:
        raise GiveUp(str(error)) from None
    said = [context(f":speech_balloon: <@{user}>"), quote(shortened(text, 2500))]

    async def show_in(place: str, under: str | None) -> str:
        posted = await call(
            client.chat_postMessage(channel=place, text=mrkdwn(shortened(text, 300)), blocks=said, unfurl_links=False, thread_ts=under)
        )
        return str(posted["ts"])

    ts = job.note.get("ts")
    channel, thread = (job.note.get("channel", channel), job.note.get("thread", thread)) if ts else (channel, thread)
    if ts is None and channel:
        try:
            ts = await show_in(channel, thread)
        except Refused as refused:  # we are no member of that channel
            log.info("A question could not be shown in a channel (%s).", refused.error)
            channel = ""
    if ts is None:
        channel, thread = (await call(client.conversations_open(users=user)))["channel"]["id"], None
        ts = await show_in(channel, None)
    await slack.jobs.note(job, ts=ts, channel=channel, thread=thread)
    await ask(slack, Place(team, channel, thread or ts, ts, user, private=channel.startswith("D")), text, job.key)


def _whispered(body: dict[str, Any]) -> bool:
    """The button stands on something that only one person sees."""
    return bool((body.get("container") or {}).get("is_ephemeral"))


def _where(body: dict[str, Any]) -> tuple[str, str | None]:
    """The channel and thread of the message whose button was pressed; in the home tab there is none."""
    container, message = body.get("container") or {}, body.get("message") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id") or ""
    thread = message.get("thread_ts") or container.get("thread_ts") or message.get("ts") or container.get("message_ts")
    return str(channel), str(thread) if channel and thread else None


def _why(answer_id: str) -> View:
    reasons: Block = {
        "type": "input", "block_id": "reason", "optional": True, "label": plain_text(say("whyNot")),
        "element": {
            "type": "radio_buttons", "action_id": "reason", "options": [option(say(f"why_{reason}"), reason) for reason in REASONS],
        },
    }  # fmt: skip
    comment = text_input("comment", say("comment"), multiline=True, most=MOST_NOTE)
    return window(
        say("whyNot"), [reasons, comment], callback=WHY, submit=say("sendFeedback"), close=say("cancel"), keeps={"answer": answer_id}
    )


def _human(answer: Answer, within: str, keeps: dict[str, Any]) -> View:
    tongue = answer.language
    shared, promised = rich([run(say("advisorShared", tongue))]), context(mrkdwn(_promise(within, tongue)))
    note = text_input("note", say("advisorWhat", tongue), multiline=True, most=MOST_NOTE)
    return window(
        say("advisor", tongue), [shared, promised, note], callback=HUMAN, submit=say("advisorSend", tongue), close=say("cancel", tongue),
        keeps={**keeps, "language": tongue},
    )  # fmt: skip


def _promise(within: str, language: str) -> str:
    return say("advisorWithin", language, time=within) if within else say("advisorWhenever", language)
