"""The home tab: how to ask, what is known about you, what you wait for; for advisors the inbox, for admins the app's settings here."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

from bot.answer import Profile
from bot.errors import NotFound
from bot.jobs import GiveUp, Job
from bot.notices import Notices, Waiting
from bot.profile import NAMES, contradictions, shown
from bot.workspaces import MODES
from web.slack import blocks
from web.slack.calls import Refused, call
from web.slack.desk import Desk
from web.slack.forms import ABOUT, profile_of, profile_window
from web.slack.parts import DIVIDER, Block, actions, button, context, header, option, plain_text, rich, run, section
from web.slack.people import Advisor, Person, as_advisor, person, team_of, user_of
from web.slack.prompts import suggested
from web.slack.windows import HOME, View, answer, refresh_home, show, told
from web.slack.words import mrkdwn, plain, say, shortened, web_link

if TYPE_CHECKING:
    from web.slack.app import Slack

log = logging.getLogger(__name__)

PROFILE, CLEAR, SAVED, NEWER = "profile", "profile_clear", "profile_saved", "home"
CHANNEL, MODE, ADVISORS = "notices", "mode", "advisors"
MOST_ADVISORS = 50
MOST_ITEMS = 8
MODE_WORDS = {
    "mention": "Only where the app is mentioned", "follow": "Mentions, and threads it is part of", "all": "Every question in a channel",
    "silent": "Never in channels",
}  # fmt: skip


def add(slack: Slack) -> None:
    home = Home(slack)
    slack.on(HOME, home.publish)
    slack.events.event("app_home_opened", matchers=[_home_tab])(home.opened)
    app = slack.actions
    app.action(PROFILE)(home.edit)
    app.action(CLEAR)(home.clear)
    app.view(SAVED)(home.saved)
    app.action(CHANNEL)(home.channel)
    app.action(MODE)(home.mode)
    app.action(ADVISORS)(home.advisors)
    app.action(NEWER)(home.newer)


async def _home_tab(event: dict[str, Any]) -> bool:
    return event.get("tab", "home") == "home"


class Home:
    def __init__(self, slack: Slack) -> None:
        self._slack = slack
        self._desk = Desk(slack)
        self._notices = Notices(slack.advisor.engine)

    async def opened(self, body: dict[str, Any], event: dict[str, Any]) -> None:
        await refresh_home(self._slack, body["team_id"], event["user"])

    async def newer(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        await refresh_home(self._slack, team_of(body), user_of(body))

    async def publish(self, job: Job) -> None:
        try:
            client = await self._slack.client(job.owner)
            someone = await person(self._slack, job.owner, job.payload["user"])
        except NotFound as error:
            raise GiveUp(str(error)) from None
        view = {"type": "home", "blocks": (await self.page(someone))[:100]}
        try:
            await call(client.views_publish(user_id=someone.user, view=view))
        except Refused as refused:
            raise GiveUp(refused.error) from None

    async def page(self, someone: Person) -> list[Block]:
        profile = await self._slack.threads.profile(someone.team, someone.user)
        who = await as_advisor(self._slack, someone)
        waiting = await self._notices.waiting(someone.team, someone.user)
        parts = [
            *(await self._inbox(who) if who else []), *self._asking(profile), *self._about(profile), *await self._mine(waiting),
            *(await self._settings(someone) if someone.admin and someone.member else []),
        ]  # fmt: skip
        return parts

    # How to ask

    def _asking(self, profile: Profile | None) -> list[Block]:
        ways = (
            "*Here:* write to me in the *Messages* tab.",
            "*In a channel:* mention me, and go on in the thread.",
            "*For yourself:* `/img` and your question; you may share the answer.",
            "*About a message:* choose “Answer this” in its menu.",
        )
        prompts = [
            button(f"{blocks.ASK}:prompt:{at}", each["title"], each["message"]) for at, each in enumerate(suggested(profile))
        ]  # fmt: skip
        title, note = header("Ask, and see where every sentence comes from"), context(mrkdwn(say("note")))
        return [title, section("\n".join(ways)), actions(*prompts), note, DIVIDER]

    # What is known

    def _about(self, profile: Profile | None) -> list[Block]:
        told_ = profile.model_dump(exclude_none=True) if profile else {}
        made: list[Block] = [header(say("profile"))]
        if told_:
            lines = [f"*{mrkdwn(NAMES[name].capitalize())}:* {mrkdwn(shortened(shown(value), 150))}" for name, value in told_.items()]
            made.append(section("\n".join(lines)))
            assert profile is not None
            for problem in contradictions(profile, dt.date.today()):
                said = f"You said {NAMES[problem.field]}: {problem.said}, and {problem.allowed}. The two do not usually go together."
                made.append(context(f":warning: {mrkdwn(said)}"))
        else:
            made.append(rich([run("You have told me nothing about yourself. You need not; it helps me to choose what matters to you.")]))
        buttons = [button(PROFILE, "Change" if told_ else "Tell me", "profile")]
        if told_:
            sure = {
                "title": plain_text("Forget it?", 100), "text": plain_text("I forget what you told me about yourself.", 300),
                "confirm": plain_text(say("clear"), 30), "deny": plain_text(say("cancel"), 30),
            }  # fmt: skip
            buttons.append(button(CLEAR, say("clear"), "profile", "danger", confirm=sure))
        return [*made, actions(*buttons), context(mrkdwn(ABOUT)), DIVIDER]

    async def edit(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        team, user = team_of(body), user_of(body)

        async def make() -> View:
            return profile_window(await self._slack.threads.profile(team, user), SAVED)

        await show(self._slack, team, body["trigger_id"], say("profile"), make)

    async def saved(self, ack: Any, body: dict[str, Any], view: View) -> None:
        profile, wrong = profile_of(view)
        if wrong:
            await ack(response_action="errors", errors=wrong)
            return
        team, user = team_of(body), user_of(body)

        async def make() -> View:
            await self._keep(team, user, profile)
            return told(say("profile"), say("saved"))

        await answer(ack, self._slack, team, view["id"], say("profile"), make)
        await refresh_home(self._slack, team, user)

    async def clear(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        team, user = team_of(body), user_of(body)
        await self._notices.set_profile(team, user, None)
        await refresh_home(self._slack, team, user)

    async def _keep(self, team: str, user: str, profile: Profile) -> None:
        empty = not profile.model_dump(exclude_none=True)
        if await self._notices.set_profile(team, user, None if empty else profile) or empty:
            return
        client = await self._slack.client(team)  # they have not written to us yet
        chat = (await call(client.conversations_open(users=user)))["channel"]["id"]
        await self._slack.threads.open(team, chat, "profile", user, private=True)
        await self._notices.set_profile(team, user, profile)

    # What they wait for

    async def _mine(self, waiting: list[Waiting]) -> list[Block]:
        made: list[Block] = [header("My open questions")]
        if not waiting:
            return [*made, context("You wait for no advisor."), DIVIDER]
        for each in waiting[:MOST_ITEMS]:
            item = await self._slack.advisor.inbox.item(each.handoff_id)
            name = await self._desk.name_of(each.advisor)
            state = say("advisorWaiting") if each.state == "requested" else say("advisorAssigned", name=name)
            made += [rich([run(shortened(plain(item.question or item.reason), 300) or "…")]), context(mrkdwn(state))]
        return [*made, DIVIDER]

    # For advisors

    async def _inbox(self, who: Advisor) -> list[Block]:
        items = await self._desk.inbox(who, 100)
        made: list[Block] = [header("Inbox" + (f" · {len(items)} waiting" if items else ""))]
        if not items:
            made.append(context(":sparkles: Nobody waits for an advisor."))
        for item in items[:MOST_ITEMS]:
            made += await self._desk.card(item, me=who.id)
        base = self._slack.base_url
        more = [f"and {len(items) - MOST_ITEMS} more"] if len(items) > MOST_ITEMS else []
        if base:
            more.append(web_link(f"{base.rstrip('/')}/console/inbox", "All of it in the console"))
        if more:
            made.append(context(" · ".join(more)))
        return [*made, actions(button(NEWER, "Refresh", "home")), DIVIDER]

    # For admins of the workspace

    async def _settings(self, someone: Person) -> list[Block]:
        workspace = await self._slack.workspaces.get(someone.team)
        chosen = workspace.preferences
        channel: Block = {
            "type": "conversations_select", "action_id": CHANNEL, "placeholder": plain_text("No channel"),
            "filter": {"include": ["public", "private"], "exclude_external_shared_channels": True, "exclude_bot_users": True},
            **({"initial_conversation": chosen.notices} if chosen.notices else {}),
        }  # fmt: skip
        options = [option(MODE_WORDS[mode], mode) for mode in MODES]
        mode: Block = {
            "type": "static_select", "action_id": MODE, "options": options, "initial_option": options[MODES.index(chosen.mode)],
        }  # fmt: skip
        absent = [] if await self._there(someone.team, chosen.notices) else [context(":warning: I am no member of that channel yet.")]
        advisors: Block = {
            "type": "multi_users_select", "action_id": ADVISORS, "placeholder": plain_text("Nobody"), "max_selected_items": MOST_ADVISORS,
            **({"initial_users": chosen.advisors} if chosen.advisors else {}),
        }  # fmt: skip
        return [
            header("Settings of this workspace"),
            section("*Advisors* may read and answer hand-offs of this workspace, besides those who have an account.", accessory=advisors),
            section("*New hand-offs* are told in this channel; add me to it first.", accessory=channel), *absent,
            section("*In channels* I answer, unless a channel has its own rule:", accessory=mode), context("Only admins see this."),
        ]  # fmt: skip

    async def _there(self, team: str, channel: str | None) -> bool:
        client = await self._slack.client(team)
        try:
            return channel is None or bool((await call(client.conversations_info(channel=channel)))["channel"].get("is_member"))
        except Refused:
            return False

    async def channel(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        await self._choose(body, notices=action.get("selected_conversation"))

    async def mode(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        mode = (action.get("selected_option") or {}).get("value")
        if mode in MODES:
            await self._choose(body, mode=mode)

    async def advisors(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        await ack()
        await self._choose(body, advisors=[str(user) for user in action.get("selected_users") or []][:MOST_ADVISORS])

    async def _choose(self, body: dict[str, Any], **values: Any) -> None:
        team, user = team_of(body), user_of(body)
        someone = await person(self._slack, team, user)
        if someone.admin and someone.member:
            await self._slack.workspaces.choose(team, **values)
            self._slack.forget_tokens(team)  # what is known of the workspace is read anew
            await self._slack.advisor.audit.record(f"slack:{team}:{user}", "workspace.choose", team, {"what": sorted(values)})
        await refresh_home(self._slack, team, user)
