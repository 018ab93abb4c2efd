"""Replies of advisors, written in Slack: a verified draft to anyone's message, edited and checked in a modal, sent in the advisor's name.

The same draft lies in the console: whoever goes on there finds what was written here, and the other way round.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.drafts import WroteAgain
from bot.errors import Conflict, InputError, NotFound, Unsupported
from bot.inbox import Item
from bot.net import Net
from bot.threads import Thread
from web.slack.blocks import source_elements
from web.slack.calls import Refused, Unreachable, call
from web.slack.desk import DRAFT, Desk
from web.slack.parts import DIVIDER, Block, actions, button, context, mrkdwn_object, option, plain_text, rich, run, section, text_input
from web.slack.people import NOT_AN_ADVISOR, Advisor, advisor_of, team_of, user_of
from web.slack.texts import written
from web.slack.windows import View, answer, entered, fill, kept, refresh_home, show, told, window
from web.slack.words import mrkdwn, plain, say, shortened, web_link

if TYPE_CHECKING:
    from web.slack.app import Slack

log = logging.getLogger(__name__)

DRAFT_REPLY = "draft_reply"
"""Callback id of the shortcut on a message."""
CHECK, SENT = "draft_check", "draft_sent"
TITLE = "Draft a reply"
LONGEST = 3000
SEND, KEEP = "send", "keep"
REASON = "An advisor drafts a reply in Slack"
MOST_MARKS, MOST_SOURCES = 12, 12
_WEIGHT = {"todo": ":pushpin:"}
KEYS = "Marks like [e1a2b3c] tie a sentence to its source. They are not sent."


@dataclass(frozen=True, slots=True)
class Sheet:
    """A draft as it lies in a modal. `text` None: as its version says. `round`: the input's name, new whenever its text is replaced."""

    item: Item
    draft: str
    version: int
    seen: int
    round: int = 0
    own: bool = False
    in_thread: bool = True  # False: we can not write where the question was asked
    problem: str = ""

    @property
    def keeps(self) -> dict[str, Any]:
        here = {"item": self.item.id, "draft": self.draft, "version": self.version, "seen": self.seen}
        return {**here, "round": self.round, "in": self.in_thread}


def add(slack: Slack) -> None:
    drafting = Drafting(slack)
    app = slack.actions
    app.shortcut(DRAFT_REPLY)(drafting.on_message)
    app.action(DRAFT)(drafting.on_item)
    app.action(CHECK)(drafting.check)
    app.view(SENT)(drafting.send)


class Drafting:
    def __init__(self, slack: Slack) -> None:
        self._slack = slack
        self._desk = Desk(slack)

    # Beginning

    async def on_message(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        team, user, message = team_of(body), user_of(body), body.get("message") or {}
        channel, ts = body["channel"]["id"], str(message.get("ts") or body.get("message_ts"))

        async def make() -> View:
            who = await advisor_of(self._slack, team, user)
            if who is None:
                return told(TITLE, NOT_AN_ADVISOR)
            thread = await self._taken_up(who, channel, ts, message)
            handoff = await self._slack.advisor.store.request_handoff(thread.conversation_id, REASON)
            return await self._begun(who, handoff.id, in_thread=await self._may_write(team, channel))

        await show(self._slack, team, body["trigger_id"], TITLE, make)

    async def _taken_up(self, who: Advisor, channel: str, ts: str, message: dict[str, Any]) -> Thread:
        """The conversation of a message's thread, with the message in it.

        Raises:
            InputError: it says nothing.
        """
        team, threads, store = who.workspace.team, self._slack.threads, self._slack.advisor.store
        author = str(message.get("user") or "")
        thread = await threads.find(team, channel, str(message.get("thread_ts") or ts))
        if author == who.workspace.bot_user:
            if thread is None:
                raise InputError("This message is mine, and no question. Choose the message that asks something.")
            return thread
        text = written(str(message.get("text") or ""))
        if not text:
            raise InputError("There is nothing to read in this message.")
        private = channel.startswith("D")
        thread = thread or await threads.open(team, channel, str(message.get("thread_ts") or ts), author or who.id, private=private)
        if await threads.asked(team, channel, ts) is None:
            await store.add_question(thread.conversation_id, text)
            await threads.ask(thread, ts, text)
        return thread

    async def _may_write(self, team: str, channel: str) -> bool:
        client = await self._slack.client(team)
        try:
            found = (await call(client.conversations_info(channel=channel)))["channel"]
        except (Refused, Unreachable):
            return False
        return bool(found.get("is_member") or found.get("is_im"))

    async def on_item(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        team, user = team_of(body), user_of(body)

        async def make() -> View:
            who = await advisor_of(self._slack, team, user)
            if who is None:
                return told(TITLE, NOT_AN_ADVISOR)
            item = await self._desk.item_for(who, str(action.get("value") or ""))
            return await self._begun(who, item.id)

        await show(self._slack, team, body["trigger_id"], TITLE, make)
        await self._desk.look()

    async def _begun(self, who: Advisor, handoff_id: str, *, in_thread: bool = True) -> View:
        """Takes the hand-off on, and drafts; where a draft is open, that one goes on."""
        advisor = self._slack.advisor
        try:
            item = await advisor.inbox.claim(handoff_id, who.id)
        except Conflict:
            held = await advisor.inbox.item(handoff_id)
            raise Conflict(f"{await self._desk.name_of(held.advisor)} has this question; it is {held.state}.") from None
        open_ = [draft for draft in await advisor.drafts.of(handoff_id) if draft.open]
        draft = open_[0] if open_ else await advisor.draft(handoff_id, author=who.id, name=who.name)
        version = await advisor.drafts.version(draft.id, draft.version)
        await advisor.inbox.see(handoff_id, who.id)
        sheet = Sheet(item, draft.id, draft.version, draft.seen, in_thread=in_thread)
        return await self._sheet(who, sheet, version.text)

    # While it is written

    async def check(self, ack: Any, body: dict[str, Any]) -> None:
        """What would become of the text as it stands now."""
        await ack()
        team, user, view = team_of(body), user_of(body), body.get("view") or {}

        async def make() -> View:
            who, sheet, text = await self._read(team, user, view)
            return await self._sheet(who, sheet, text)

        await fill(self._slack, team, view["id"], TITLE, make)

    async def _read(self, team: str, user: str, view: View) -> tuple[Advisor, Sheet, str]:
        """
        Raises:
            NotFound: not an advisor's, or forgotten.
        """
        keeps = kept(view)
        who = await advisor_of(self._slack, team, user)
        if who is None:
            raise NotFound(NOT_AN_ADVISOR)
        item = await self._desk.item_for(who, str(keeps.get("item") or ""))
        draft = await self._slack.advisor.drafts.get(str(keeps.get("draft") or ""))
        if draft.handoff_id != item.id:
            raise NotFound("There is no such draft.")
        number = int(keeps.get("round") or 0)
        own = bool(entered(view, "own"))
        sheet = Sheet(item, draft.id, int(keeps["version"]), int(keeps["seen"]), number, own, bool(keeps.get("in", True)))
        return who, sheet, str(entered(view, f"text{number}") or "")

    async def _sheet(self, who: Advisor, sheet: Sheet, text: str) -> View:
        """The modal: what was asked, the draft, what its check says, its sources."""
        page = self._desk.page(sheet.item.id)
        if len(text) > LONGEST:
            where = web_link(page, "Open it in the console") if page else "Open it in the console."
            return window(TITLE, [section(f"This draft is longer than Slack takes. {where}")])
        advisor = self._slack.advisor
        try:
            net: Net | None = await advisor.net(sheet.item.id, who.name, text)
        except InputError as error:
            net, problem = None, str(error)
        else:
            problem = sheet.problem
        asked = rich([run(shortened(plain(sheet.item.question).strip(), 600) or "…", italic=True)])
        made: list[Block] = [context("*Asked:*"), asked]
        name = f"text{sheet.round}"
        made.append(text_input(name, "Your reply", value=text, multiline=True, most=LONGEST, optional=False, hint=KEYS))
        made.append(actions(button(CHECK, "Check the text", "check")))
        if problem:
            made.append(section(f":warning: {mrkdwn(shortened(problem, 1500))}"))
        if net is not None:
            made += _marks(net)
        made += _choices(sheet, net)
        if net is not None:
            made += _sources(net, self._slack.base_url)
        if page:
            made.append(context(web_link(page, "The same draft in the console")))
        return window(TITLE, made, callback=SENT, submit="Done", close=say("cancel"), keeps=sheet.keeps)

    # At the end

    async def send(self, ack: Any, body: dict[str, Any], view: View) -> None:
        """Saves what was written; sends it, or leaves it in the console."""
        team, user = team_of(body), user_of(body)
        await answer(ack, self._slack, team, view["id"], TITLE, lambda: self._sent(team, user, view))
        await self._desk.look()
        await refresh_home(self._slack, team, user)

    async def _sent(self, team: str, user: str, view: View) -> View:
        who, sheet, text = await self._read(team, user, view)
        advisor = self._slack.advisor
        again = Sheet(sheet.item, sheet.draft, sheet.version, sheet.seen, sheet.round + 1, sheet.own, sheet.in_thread)
        try:
            version = await advisor.drafts.save(sheet.draft, text, who.id, sheet.version)
            again = Sheet(again.item, again.draft, version.number, again.seen, again.round, again.own, again.in_thread)
            if entered(view, "what") == KEEP:
                return self._kept(sheet.item)
            by = who.name if sheet.own else None
            await advisor.send_draft(sheet.draft, version.number, by=who.id, name=who.name, seen=sheet.seen, own_words_by=by)
        except WroteAgain as error:
            problem = f"{error} What they wrote last is shown above; send it again to send it anyway."
            newer = await self._desk.item_for(who, sheet.item.id)
            again = Sheet(newer, again.draft, again.version, error.seen, again.round, again.own, again.in_thread, problem)
            return await self._sheet(who, again, text)
        except (Unsupported, InputError) as error:
            again = Sheet(again.item, again.draft, again.version, again.seen, again.round, again.own, again.in_thread, str(error))
            return await self._sheet(who, again, text)
        where = "It appears in the thread in a moment." if sheet.item.channel == "slack" else "It stands in the applicant’s chat."
        return told(TITLE, f"Sent as {who.name}. {where}")

    def _kept(self, item: Item) -> View:
        page = self._desk.page(item.id)
        return window(
            TITLE, [section(f"Kept. {web_link(page, 'Go on in the console')}" if page else "Kept. You can go on in the console.")]
        )


def _marks(net: Net) -> list[Block]:
    """What the check says: first how much, then what, where, and what the nearest source says."""
    checks = net.reply.checks
    good = not net.own and not net.todo
    head = f"{':white_check_mark:' if good else ':mag:'} *{mrkdwn(say('checked', n=checks.sentences, done=checks.supported))}*"
    made: list[Block] = [context(head)] if checks.sentences else []
    said: list[str] = []
    for mark in [mark for mark in net.marks if mark.kind != "volatile"][:MOST_MARKS]:
        sentence = next((s.sentence.text for s in net.sentences if s.start <= mark.start < max(s.end, s.start + 1)), "")
        of_source = mark.kind in ("stale", "conflict", "unverified")
        head = f":warning: *{say(mark.kind)}:* " if of_source else f"{_WEIGHT.get(mark.kind, ':x:')} "
        text = f"{head}{mrkdwn(mark.reason)}\n> {_one_line(sentence, 160)}"
        said.append(text if of_source or not mark.quote else f"{text}\nNearest source: “{_one_line(mark.quote, 200)}”")
    made += [{"type": "section", "text": mrkdwn_object(text)} for text in said]
    return made


def _one_line(text: str, most: int) -> str:
    return mrkdwn(shortened(" ".join(plain(text).split()), most))


def _choices(sheet: Sheet, net: Net | None) -> list[Block]:
    target = "Send as a reply in the thread, in my name" if sheet.item.channel == "slack" else "Send to the applicant, in my name"
    send, keep = option(target, SEND), option("Keep it in the console", KEEP)
    options = [send, keep] if sheet.in_thread else [keep]
    made: list[Block] = [
        {
            "type": "input", "block_id": "what", "label": plain_text("When done"),
            "element": {"type": "radio_buttons", "action_id": "what", "options": options, "initial_option": options[0]},
        },
    ]  # fmt: skip
    if not sheet.in_thread:
        made.append(context("I am no member of this channel: add me to it to reply in the thread."))
    if sheet.own or (net is not None and net.own):
        stand = option("They go out marked as my own words", "own")
        chosen = {"initial_options": [stand]} if sheet.own else {}
        made.append(
            {
                "type": "input", "block_id": "own", "optional": True, "label": plain_text("Sentences that no guide bears out"),
                "element": {"type": "checkboxes", "action_id": "own", "options": [stand], **chosen},
            }
        )  # fmt: skip
    return made


def _sources(net: Net, base: str) -> list[Block]:
    citations = net.reply.citations[:MOST_SOURCES]
    if not citations:
        return []
    elements: list[Block] = []
    for citation in citations:
        elements += [*([run("\n")] if elements else []), *source_elements(citation, base, "en")]
    return [DIVIDER, rich(elements)]
