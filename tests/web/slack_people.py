"""Advisors of the console in a workspace of the twin, and what tests look for on their screens."""

from __future__ import annotations

from typing import Any

from slack_twin import Play, until

from bot.accounts import Account
from web.slack import limits

APPLICANT, ADVISOR, ADMIN, CHANNEL = "U1T1", "U2T1", "U3T1", "C1T1"


async def account_of(here: Play, user: str, name: str, *roles: str) -> Account:
    """An account for somebody of the twin, under the address that Slack knows them by."""
    account, _ = await here.advisor.accounts.add(f"{user.lower()}@example.com", name, roles=roles or ("advisor",), by="test")
    return account


def element(shown: Any, action: str) -> dict[str, Any]:
    """A button, as it is shown in a message or a view."""
    blocks = shown["blocks"] if isinstance(shown, dict) else shown
    found = [part for part in limits.parts_of(blocks) if str(part.get("action_id", "")).startswith(action)]
    assert found, f"no {action} in {[part.get('action_id') for part in limits.parts_of(blocks) if part.get('action_id')]}"
    return found[0]


def has(shown: dict[str, Any], action: str) -> bool:
    return any(str(part.get("action_id", "")).startswith(action) for part in limits.parts_of(shown["blocks"]))


def words(shown: dict[str, Any]) -> str:
    return " ".join(limits.texts_of(shown["blocks"]))


def window(here: Play, user: str) -> dict[str, Any] | None:
    """The modal that somebody has open."""
    return next((view for view in reversed(list(here.twin.views.values())) if view["to"] == user and view["type"] == "modal"), None)


async def opened(here: Play, title: str, user: str, says: str = "") -> dict[str, Any]:
    async def there() -> bool:
        view = window(here, user)
        shown = words(view) if view else ""
        return view is not None and view["title"]["text"] == title and "One moment" not in shown and says in shown

    await until(there)
    view = window(here, user)
    assert view is not None
    return view


async def home(here: Play, user: str, says: str = "", *, hides: str = "") -> dict[str, Any]:
    """Somebody's home tab, once it says so."""
    team = next(team for team in here.twin.teams.values() if user in team.users)

    async def there() -> bool:
        shown = words(team.homes[user]) if user in team.homes else ""
        return bool(shown) and says in shown and (not hides or hides not in shown)

    await until(there)
    return team.homes[user]
