"""Installing the app in a workspace: to Slack with a state that is good once, and back with a code that is changed for a token."""

from __future__ import annotations

import hmac
import logging
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from bot.errors import SettingsError
from bot.jobs import GiveUp, Later
from web.pages import page
from web.problems import WebError, documented
from web.slack.door import slack_of
from web.slack.manifest import SCOPES
from web.state import StateHere

router = APIRouter()
log = logging.getLogger(__name__)
COOKIE = "slack_state"


@router.get("/slack/install", tags=["slack"], summary="Install the app in a workspace", responses=documented("not-found"))
async def install(request: Request, state: StateHere) -> Response:
    """Leads to Slack, where somebody of the workspace allows it."""
    slack = slack_of(state)
    settings = slack.settings
    if not (settings.slack_client_id and settings.slack_client_secret.get_secret_value() and slack.workspaces.keys_there):
        raise WebError(
            "not-found",
            "Installing is not set up here: it needs IMG_ADVISOR_SLACK_CLIENT_ID, _CLIENT_SECRET and _ENCRYPTION_KEY. README.md tells how.",
        )
    made = await slack.workspaces.begin()
    asked = {"client_id": settings.slack_client_id, "scope": ",".join(SCOPES), "state": made, "redirect_uri": _back(request, state)}
    if team := request.query_params.get("team"):
        asked["team"] = team[:40]
    slack_com = settings.slack_api_url.rstrip("/").removesuffix("/api")
    response = RedirectResponse(f"{slack_com}/oauth/v2/authorize?{urlencode(asked)}", 302)
    secure = _back(request, state).startswith("https://")
    response.set_cookie(COOKIE, made, max_age=600, path="/slack", httponly=True, samesite="lax", secure=secure)
    return response


@router.get("/slack/oauth_redirect", tags=["slack"], summary="Back from Slack", responses=documented("forbidden", "not-found"))
async def installed(request: Request, state: StateHere, code: str = "", error: str = "") -> Response:
    """The state must be one that we gave, to this browser, not long ago and not used since."""
    from web.slack.app import tokens_of
    from web.slack.calls import Refused, Unreachable, call

    slack = slack_of(state)
    given, cookie = request.query_params.get("state", ""), request.cookies.get(COOKIE, "")
    known = hmac.compare_digest(given.encode(errors="replace"), cookie.encode(errors="replace")) and await slack.workspaces.use(given)
    if not known:
        raise WebError("forbidden", "This installation was begun elsewhere, or too long ago. Begin again at /slack/install.")
    if error or not code:
        return _told("Not installed", "Nothing was installed, as you chose. You can begin again at any time.")
    settings = slack.settings
    try:
        made = await call(
            slack.bare_client().oauth_v2_access(
                client_id=settings.slack_client_id, client_secret=settings.slack_client_secret.get_secret_value(), code=code[:500],
                redirect_uri=_back(request, state),
            )
        )  # fmt: skip
        if made.get("is_enterprise_install") or not (made.get("team") or {}).get("id"):
            return _told("Not installed", "The app can be installed in single workspaces only, not in a whole organization.", 422)
        tokens = tokens_of(made)
        who = await call(slack.bare_client(tokens.access).auth_test())
    except (Refused, Unreachable, Later, GiveUp) as failed:
        log.warning("An installation failed: %s", failed if isinstance(failed, Refused) else type(failed).__name__)
        raise WebError("forbidden", "Slack did not complete the installation. Begin again at /slack/install.") from None
    team, name = made["team"]["id"], made["team"].get("name") or ""
    try:
        await slack.workspaces.save(
            team, name=name, bot_user=who["user_id"], bot_id=who["bot_id"], scopes=tuple(made.get("scope", "").split(",")), tokens=tokens,
            installed_by=(made.get("authed_user") or {}).get("id") or "",
        )  # fmt: skip
    except SettingsError as wrong:
        raise WebError("not-found", str(wrong)) from None
    slack.forget_tokens(team)
    await slack.note(team, (made.get("authed_user") or {}).get("id") or "", "workspace.install")
    response = _told("Installed", f"IMG Advisor is now in {name or 'your workspace'}. Open a chat with it in Slack, or write @IMG Advisor.")
    response.delete_cookie(COOKIE, path="/slack")
    return response


def _told(title: str, text: str, status: int = 200) -> Response:
    return page("slack.html", status_code=status, title=title, text=text)


def _back(request: Request, state: StateHere) -> str:
    base = state.settings.public_url or str(request.base_url).rstrip("/")
    return f"{base}/slack/oauth_redirect"
