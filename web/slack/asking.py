"""Asking from anywhere: the global shortcut, and the shortcut on a message that asks something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from web.slack.answers import asked_aloud
from web.slack.parts import context, text_input
from web.slack.people import team_of, user_of
from web.slack.speak import Place
from web.slack.talk import ask
from web.slack.texts import written
from web.slack.windows import View, entered, show, told, window
from web.slack.words import say

if TYPE_CHECKING:
    from web.slack.app import Slack

ASK, ANSWER_THIS = "ask", "answer_this"
"""Callback ids of the shortcuts, as the manifest names them."""
ASKED = "asked"
TITLE = "Ask IMG Advisor"
LONGEST = 2900


def add(slack: Slack) -> None:
    door = Asking(slack)
    slack.actions.shortcut(ASK)(door.open)
    slack.actions.view(ASKED)(door.asked)
    slack.actions.shortcut(ANSWER_THIS)(door.answer_this)


class Asking:
    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    async def open(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()

        async def make() -> View:
            return _question()

        await show(self._slack, team_of(body), body["trigger_id"], TITLE, make)

    async def asked(self, ack: Any, body: dict[str, Any], view: View) -> None:
        """The question is said in a channel, where one was chosen, else in the direct chat."""
        text = str(entered(view, "question") or "").strip()
        if not text:
            await ack(response_action="errors", errors={"question": "Write your question."})
            return
        channel = str(entered(view, "where") or "")
        team, user = team_of(body), user_of(body)
        await ack(
            response_action="update",
            view=told(TITLE, "Your question is being answered. You find the answer in the channel you chose, else in our direct chat."),
        )
        key = f"{team}:{user}:{view.get('id')}"
        await asked_aloud(self._slack, team, user, text, channel=channel, key=key)

    async def answer_this(self, ack: Any, body: dict[str, Any]) -> None:
        """Answers somebody's message for whoever chose the shortcut alone; they may share it."""
        await ack()
        team, user, message = team_of(body), user_of(body), body.get("message") or {}
        channel, ts = body["channel"]["id"], str(message.get("ts") or body.get("message_ts"))
        thread = str(message.get("thread_ts") or ts)
        place = Place(team, channel, thread, ts, user, private=channel.startswith("D"), ephemeral=True)
        await ask(self._slack, place, written(str(message.get("text") or "")), f"{team}:{channel}:{ts}:{user}:{body.get('action_ts', '')}")


def _question() -> View:
    where = {
        "type": "input", "block_id": "where", "optional": True,
        "label": {"type": "plain_text", "text": "Ask in a channel (else only you see the answer)"},
        "element": {
            "type": "conversations_select", "action_id": "where", "placeholder": {"type": "plain_text", "text": "Our direct chat"},
            "filter": {"include": ["public", "private"], "exclude_bot_users": True, "exclude_external_shared_channels": True},
        },
    }  # fmt: skip
    question = text_input(
        "question", say("question"), multiline=True, most=LONGEST, optional=False, focus_on_load=True,
        placeholder={"type": "plain_text", "text": "For example: How long can I stay on a J-1?"},
    )  # fmt: skip
    return window(TITLE, [question, where, context(say("note"))], callback=ASKED, submit=say("send"), close=say("cancel"))
