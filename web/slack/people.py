"""Who somebody in Slack is to us: an applicant, an advisor of the console, an admin of the workspace.

An advisor is who has an account with that role under the e-mail address that Slack has confirmed, or whom the workspace has named. Guests,
bots and members of other workspaces (Slack Connect) are applicants, whatever their address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.errors import NotFound
from bot.workspaces import Workspace, site
from web.slack.calls import Refused, call

if TYPE_CHECKING:
    from web.slack.app import Slack

NOT_AN_ADVISOR = (
    "Only advisors can do this. You are one as soon as there is an account for advisors with the e-mail address that Slack knows you by; "
    "an admin of IMG Advisor can make it."
)


@dataclass(frozen=True, slots=True)
class Person:
    team: str
    user: str
    name: str
    email: str  # confirmed by Slack; empty where it is not, or may not be seen
    admin: bool  # of the workspace
    member: bool  # of this workspace: no guest, no bot, not of another one


@dataclass(frozen=True, slots=True)
class Advisor:
    """`id`: of the account, or slack:TEAM:USER where the workspace named somebody without one. `sites`: whose hand-offs are theirs to
    see; None: all but those of other workspaces."""

    id: str
    name: str
    workspace: Workspace
    everywhere: bool

    def sees(self, where: str) -> bool:
        """Whether conversations of a site are theirs to see."""
        return where == site(self.workspace.team) or (self.everywhere and not where.startswith("slack:"))


def team_of(body: dict[str, Any]) -> str:
    """The workspace in which something was done."""
    team = body.get("team") or {}
    return str(team.get("id") or (body.get("user") or {}).get("team_id") or body.get("team_id") or "")


def user_of(body: dict[str, Any]) -> str:
    user = body.get("user")
    return str(user.get("id") if isinstance(user, dict) else user or body.get("user_id") or "")


async def person(slack: Slack, team: str, user: str) -> Person:
    """
    Raises:
        NotFound: Slack does not know them. Unreachable, Later.
    """
    client = await slack.client(team)
    try:
        found = (await call(client.users_info(user=user)))["user"]
    except Refused:
        raise NotFound("Slack does not tell who this is.") from None
    profile = found.get("profile") or {}
    name = profile.get("display_name") or profile.get("real_name") or found.get("real_name") or found.get("name") or "Somebody"
    outside = any(found.get(flag) for flag in ("is_bot", "is_stranger", "is_restricted", "is_ultra_restricted", "deleted"))
    member = not outside and found.get("team_id", team) == team
    confirmed = found.get("is_email_confirmed", False)
    return Person(team, user, str(name)[:200], str(profile.get("email") or "") if confirmed else "", bool(found.get("is_admin")), member)


async def advisor_of(slack: Slack, team: str, user: str) -> Advisor | None:
    """None: an applicant.

    Raises:
        see `person`.
    """
    someone = await person(slack, team, user)
    return await as_advisor(slack, someone)


async def as_advisor(slack: Slack, someone: Person) -> Advisor | None:
    if not someone.member:
        return None
    workspace = await slack.workspaces.get(someone.team)
    home = workspace.installed_by == "settings"  # the operator's own
    if someone.email:
        try:
            account = await slack.advisor.accounts.by_email(someone.email)
        except NotFound:
            account = None
        if account is not None and account.may("advisor") and not account.disabled:
            return Advisor(account.id, account.name, workspace, home)
    if someone.user in workspace.preferences.advisors:
        return Advisor(f"slack:{someone.team}:{someone.user}", someone.name, workspace, False)
    return None
