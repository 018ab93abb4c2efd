"""Advisors at work in Slack: new hand-offs told in a channel, taken on, given to somebody, in step with the console."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from bot.errors import AdvisorError, Conflict, NotFound
from bot.inbox import PRIORITIES, Filters, Item
from bot.jobs import GiveUp, Job, Later
from bot.notices import Notice, Notices
from bot.tables import conversations
from bot.workspaces import Workspace, site
from web.slack.calls import Refused, Unreachable, call
from web.slack.parts import Block, actions, button, context, option, plain_text, rich, run, section
from web.slack.people import NOT_AN_ADVISOR, Advisor, advisor_of, person, team_of, user_of
from web.slack.windows import BROKEN, View, answer, entered, kept, refresh_home, show, told, window
from web.slack.words import date, mrkdwn, plain, shortened, web_url, when

if TYPE_CHECKING:
    from web.slack.app import Slack

log = logging.getLogger(__name__)

NOTICE, RENEW = "slack.notice", "slack.renew"
CLAIM, ASSIGN, RELEASE, DRAFT = "claim", "assign", "release", "draft"
"""Names of the actions on a hand-off; each carries its id."""
ASSIGNED = "assigned"
EVERY_S = 2.0
AGAIN_S = 20.0
ICONS = {"urgent": ":rotating_light:", "high": ":large_orange_circle:", "normal": "", "low": ""}
STATES = {"requested": "Waiting", "assigned": "Taken on by {name}", "answered": "Answered by {name}", "closed": "Closed"}
FROM = {"widget": "web chat", "slack": "Slack", "mail": "e-mail"}


def add(slack: Slack) -> None:
    desk = Desk(slack)
    slack.every(EVERY_S, desk.look)
    slack.on(NOTICE, desk.tell)
    slack.on(RENEW, desk.renew)
    app = slack.actions
    app.action(CLAIM)(desk.claim)
    app.action(RELEASE)(desk.release)
    app.action(ASSIGN)(desk.assign)
    app.view(ASSIGNED)(desk.assigned)


class Desk:
    def __init__(self, slack: Slack) -> None:
        self._slack = slack
        self._notices = Notices(slack.advisor.engine)

    # The channel of new hand-offs

    async def look(self) -> None:
        """Queues what has to be told: each once, whichever replica sees it first."""
        jobs = self._slack.jobs
        for workspace in await self._slack.workspaces.all():
            if workspace.preferences.notices:
                for handoff_id in await self._notices.untold(workspace.team, theirs(workspace)):
                    key = f"{workspace.team}:{handoff_id}"
                    payload, where = {"handoff": handoff_id}, workspace.preferences.notices
                    await jobs.put(NOTICE, f"{key}:{where}", payload, owner=workspace.team, lane=f"notice:{key}")
        for notice, changed in await self._notices.outdated():
            key = f"{notice.team}:{notice.handoff_id}"
            payload = {"handoff": notice.handoff_id}
            await jobs.put(RENEW, f"{key}:{changed}", payload, owner=notice.team, lane=f"notice:{key}")

    async def tell(self, job: Job) -> None:
        workspace = await self._slack.workspaces.find(job.owner)
        handoff_id, channel = job.payload["handoff"], workspace.preferences.notices if workspace else None
        if workspace is None or not channel or await self._notices.find(job.owner, handoff_id):
            return
        try:
            item = await self._slack.advisor.inbox.item(handoff_id)
        except NotFound:
            return
        if item.state != "requested":
            return
        client = await self._slack.client(job.owner)
        shown = await self.card(item)
        try:
            said = await call(client.chat_postMessage(channel=channel, text=_heading(item), blocks=shown, unfurl_links=False))
        except Refused as refused:
            if refused.error == "not_in_channel":  # until somebody adds us, or has taken it on
                raise Later(AGAIN_S) from None
            raise GiveUp(refused.error) from None
        await self._notices.save(Notice(job.owner, handoff_id, channel, said["ts"], _mark(item)))

    async def renew(self, job: Job) -> None:
        """Brings a message in step with its hand-off; of one that was forgotten it is taken back."""
        team, handoff_id = job.owner, job.payload["handoff"]
        notice = await self._notices.find(team, handoff_id)
        if notice is None:
            return
        client = await self._slack.client(team)
        try:
            item = await self._slack.advisor.inbox.item(handoff_id)
        except NotFound:
            try:
                await call(client.chat_delete(channel=notice.channel, ts=notice.ts))
            except Refused as refused:
                log.info("A notice could not be taken back (%s).", refused.error)
            await self._notices.remove(team, handoff_id)
            return
        try:
            await call(client.chat_update(channel=notice.channel, ts=notice.ts, text=_heading(item), blocks=await self.card(item)))
        except Refused as refused:
            log.info("A notice could not be renewed (%s).", refused.error)
        await self._notices.save(Notice(team, handoff_id, notice.channel, notice.ts, _mark(item)))

    # One hand-off

    async def card(self, item: Item, *, me: str = "") -> list[Block]:
        """What is asked, by which way, how long it waits, who has it, and what can be done."""
        name = await self.name_of(item.advisor)
        state = STATES[item.state].format(name=name)
        priority = PRIORITIES[item.priority]
        facts = [
            f"{ICONS[priority]} *{priority.capitalize()}*" if ICONS[priority] else "",
            f":envelope_with_arrow: {FROM[item.channel]}",
            f":hourglass_flowing_sand: since {when(item.waiting_since)}" if item.waiting_since else "",
            f":calendar: {mrkdwn(item.due_for)}: {date(item.due.isoformat())}" if item.due else "",
            ":speech_balloon: wrote again" if item.again else "",
            f"*{mrkdwn(state)}*",
        ]
        question = item.question or item.subject or item.reason
        blocks = [rich([run(shortened(plain(question).strip(), 500) or "…")])]
        if item.reason and item.reason != question:
            blocks.append(context(f"_{mrkdwn(shortened(plain(item.reason), 200))}_"))
        blocks.append(context(" · ".join(fact for fact in facts if fact)))
        if buttons := self._buttons(item, me):
            blocks.append(actions(*buttons))
        return blocks

    def _buttons(self, item: Item, me: str) -> list[Block]:
        found: list[Block] = []
        if item.state == "requested" or (item.state == "answered" and item.again):
            found.append(button(CLAIM, "Take on", item.id, "primary"))
        if item.state in ("requested", "assigned"):
            found.append(button(DRAFT, "Draft a reply", item.id))
            found.append(button(ASSIGN, "Assign…", item.id))
        if item.state == "assigned" and (not me or item.advisor == me):
            found.append(button(RELEASE, "Give back", item.id))
        if url := self.page(item.id):
            found.append(button("open:item", "Open in the console", item.id, url=url))
        return found

    def page(self, handoff_id: str) -> str | None:
        return web_url(f"{self._slack.base_url}/console/items/{handoff_id}") if self._slack.base_url else None

    async def name_of(self, advisor: str | None) -> str:
        """Of an account, of somebody in Slack, or as the command line gave it."""
        if not advisor:
            return "nobody"
        if advisor.startswith("slack:") and len(parts := advisor.split(":")) == 3:
            try:
                return (await person(self._slack, parts[1], parts[2])).name
            except (AdvisorError, Refused, Unreachable, Later):
                return "an advisor in Slack"
        return (await self._slack.advisor.accounts.names([advisor])).get(advisor, advisor)

    async def item_for(self, who: Advisor, handoff_id: str) -> Item:
        """
        Raises:
            NotFound: there is none, or it is none of this workspace's business.
        """
        item = await self._slack.advisor.inbox.item(handoff_id, who.id)
        if not who.sees(item.site):
            raise NotFound("There is no such item. Its conversation may have been forgotten.")
        return item

    async def inbox(self, who: Advisor, most: int) -> list[Item]:
        """What waits for an advisor's workspace, most pressing first."""
        found: list[Item] = []
        after: str | None = None
        where = None if who.everywhere else site(who.workspace.team)
        while len(found) < most:
            page = await self._slack.advisor.inbox.page(Filters(show="waiting", site=where), me=who.id, after=after)
            found += [item for item in page.items if who.sees(item.site)]
            after = page.after
            if after is None:
                break
        return found[:most]

    # What advisors press

    async def claim(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()

        async def work(who: Advisor, item: Item) -> None:
            await self._slack.advisor.inbox.claim(item.id, who.id)

        await self._pressed(body, str(action.get("value") or ""), work)

    async def release(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()

        async def work(who: Advisor, item: Item) -> None:
            await self._slack.advisor.inbox.release(item.id, who.id)

        await self._pressed(body, str(action.get("value") or ""), work)

    async def _pressed(self, body: dict[str, Any], handoff_id: str, work: Any) -> None:
        """Does it for an advisor; tells anybody else why not. The messages that tell of the hand-off follow at once."""
        team, user = team_of(body), user_of(body)
        try:
            who = await advisor_of(self._slack, team, user)
            if who is None:
                await self.whisper(body, NOT_AN_ADVISOR)
                return
            await work(who, await self.item_for(who, handoff_id))
        except AdvisorError as error:
            await self.whisper(body, await self._named(str(error)))
        except Exception as error:
            log.warning("A press could not be followed (%s).", type(error).__name__)
            await self.whisper(body, BROKEN)
            return
        await self.look()
        await refresh_home(self._slack, team, user)

    async def _named(self, text: str) -> str:
        """A sentence about an account by its name instead of its id."""
        first = text.split(" ", 1)[0]
        return text.replace(first, await self.name_of(first), 1) if len(first) > 20 else text

    async def assign(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        team, user = team_of(body), user_of(body)

        async def make() -> View:
            who = await advisor_of(self._slack, team, user)
            if who is None:
                return told("Assign", NOT_AN_ADVISOR)
            item = await self.item_for(who, str(action.get("value") or ""))
            return await self._choice(item)

        await show(self._slack, team, body["trigger_id"], "Assign", make)

    async def _choice(self, item: Item) -> View:
        accounts = [a for a in await self._slack.advisor.accounts.all() if a.may("advisor") and not a.disabled][:100]
        if not accounts:
            return told("Assign", "There is no account for an advisor yet. An admin of IMG Advisor makes one with: img-advisor advisor add")
        chosen: Block = {
            "type": "input", "block_id": "to", "label": plain_text("To whom?"),
            "element": {"type": "static_select", "action_id": "to", "options": [option(a.name or a.email, a.id) for a in accounts]},
        }  # fmt: skip
        said = section(mrkdwn(shortened(plain(item.question or item.reason), 300)))
        return window("Assign", [said, chosen], callback=ASSIGNED, submit="Assign", keeps={"item": item.id, "found": item.advisor})

    async def assigned(self, ack: Any, body: dict[str, Any], view: View) -> None:
        team, user, keeps = team_of(body), user_of(body), kept(view)

        async def make() -> View:
            who = await advisor_of(self._slack, team, user)
            if who is None:
                return told("Assign", NOT_AN_ADVISOR)
            item = await self.item_for(who, str(keeps.get("item") or ""))
            to = await self._slack.advisor.accounts.get(str(entered(view, "to") or ""))
            if not to.may("advisor") or to.disabled:
                raise NotFound("This account is no advisor's any more.")
            try:
                await self._slack.advisor.inbox.assign(item.id, to.id, by=who.id, found=keeps.get("found"))
            except Conflict as error:
                raise Conflict(await self._named(str(error))) from None
            return told("Assign", f"{to.name} has it now.")

        await answer(ack, self._slack, team, view["id"], "Assign", make)
        await self.look()
        await refresh_home(self._slack, team, user)

    async def whisper(self, body: dict[str, Any], text: str) -> None:
        """To whoever pressed; in the home tab, where nothing can be whispered, a modal says it."""
        client = await self._slack.client(team_of(body))
        channel = (body.get("channel") or {}).get("id")
        try:
            if channel:
                await call(client.chat_postEphemeral(channel=channel, user=user_of(body), text=mrkdwn(text)))
            else:
                await call(client.views_open(trigger_id=body["trigger_id"], view=told("IMG Advisor", text)))
        except (Refused, Unreachable) as error:
            log.info("Something could not be whispered (%s).", error)


def theirs(workspace: Workspace) -> sa.ColumnElement[bool]:
    """The conversations whose hand-offs a workspace is told of: its own; the operator's own workspace also those of web sites and mail."""
    own = conversations.c.site == site(workspace.team)
    return sa.or_(own, ~conversations.c.site.startswith("slack:", autoescape=True)) if workspace.installed_by == "settings" else own


def _mark(item: Item) -> str:
    return f"{item.state}:{item.advisor or ''}"


def _heading(item: Item) -> str:
    """For notifications: not what was written."""
    return f"A hand-off by {FROM[item.channel]}: {item.state}"
