"""What every room of the console stands on: who is signed in, what they may do, protection of forms, and the page around a room.

    router = APIRouter(prefix="/console/inbox", dependencies=[Depends(require("advisor"))])

    @router.get("")
    async def inbox(request: Request, me: Me) -> Response:
        return render(request, me, "console/inbox.html", items=…)

    @router.post("/claim")
    async def claim(request: Request, me: Me, item: Annotated[str, Form()]) -> Response:
        …
        return said(request, "/console/inbox", "It is yours now.")

Each form holds `{{ csrf }}`; a script sends the header X-CSRF-Token with the value of `<meta name="csrf">`, and asks GET /console/session
for a new one after 403 (somebody signed in again in another tab) and for a sign-in after 401.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup
from starlette.datastructures import UploadFile

from bot.accounts import Account, Role
from bot.errors import Forbidden
from web.pages import page
from web.state import advisor_of, state_of

NAV: list[tuple[str, str, Role | None]] = []
"""(label, path, role) of the rooms. Without a role: for everyone. A room appends itself."""

HOME = "/console"
ORDER = ("inbox", "tasks", "coverage", "knowledge", "macros", "numbers", "slack", "accounts", "audit")
"""Last parts of the paths: rooms are shown in this order, whichever was imported first; others come after them."""

_SESSION, _VISIT, _NOTICE = "img-advisor-session", "img-advisor-visit", "img-advisor-notice"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class SignInNeeded(Exception):
    """Nobody is signed in, or the session is over."""


class PasswordChangeNeeded(Exception):
    """Signed in with a first password."""


class Outdated(Exception):
    """The form was made for another session of the same browser."""


@dataclass(frozen=True, slots=True)
class Here:
    account: Account
    session: str  # its id


# Who is there


async def here(request: Request) -> Here | None:
    """Who is signed in, if anybody. Looked up once a request."""
    if not hasattr(request.state, "here"):
        token = kept_cookie(request, _SESSION)
        found = await advisor_of(request).accounts.of_session(token) if token else None
        request.state.here = Here(*found) if found else None
    found_here: Here | None = request.state.here
    return found_here


async def signed_in(request: Request) -> Account:
    """
    Raises:
        SignInNeeded, PasswordChangeNeeded.
    """
    account = (await half_signed_in(request)).account
    if account.must_change:
        raise PasswordChangeNeeded
    return account


async def half_signed_in(request: Request) -> Here:
    """Also with a first password: for the pages that change it and sign out.

    Raises:
        SignInNeeded.
    """
    found = await here(request)
    if found is None:
        raise SignInNeeded
    return found


Me = Annotated[Account, Depends(signed_in)]
HalfMe = Annotated[Here, Depends(half_signed_in)]


def require(role: Role) -> Callable[[Account], Coroutine[Any, Any, None]]:
    """A dependency that lets only people with this role in; admins have every role."""

    async def check(me: Me) -> None:
        if not me.may(role):
            raise Forbidden(f"This page is for people with the role {role}. An admin can give it to you.")

    return check


# CSRF


async def check_csrf(request: Request) -> None:
    """Every request that changes something carries the token of its session: of a page of ours, not of somebody else's site.

    Raises:
        Forbidden: it came from elsewhere. Outdated: from a page of ours that is older than the session; what was typed is offered again.
    """
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    given = request.headers.get("x-csrf-token")
    if given is None and is_form(request):
        given = (await request.form()).get("csrf")  # type: ignore[assignment]
    if isinstance(given, str) and (wanted := csrf_token(request)) and hmac.compare_digest(given.encode(), wanted.encode()):
        return
    if _from_here(request) and is_form(request):
        raise Outdated
    raise Forbidden("This request does not come from a page of the console that is open in your browser. Reload the page and try again.")


def csrf_token(request: Request) -> str:
    """Made from the session's cookie (or, before a sign-in, the visit's), which no other site can read. Empty: there is none yet."""
    base = kept_cookie(request, _SESSION) or kept_cookie(request, _VISIT)
    return hashlib.sha256(f"csrf\n{base}".encode()).hexdigest() if base else ""


def is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in _FORMS


def _from_here(request: Request) -> bool:
    """What a browser says by itself, and no script can change."""
    origin = request.headers.get("origin", "")
    host = _host(request)
    return bool(host) and urlsplit(origin).netloc == host and request.headers.get("sec-fetch-site", "same-origin") == "same-origin"


def external(request: Request, path: str) -> str:
    """The address of a path of ours as others write it."""
    settings = state_of(request).settings
    if settings.public_url:
        return settings.public_url + path
    return f"{'https' if is_secure(request) else 'http'}://{_host(request)}{path}"


def _host(request: Request) -> str:
    if state_of(request).settings.trust_proxy and (forwarded := request.headers.get("x-forwarded-host")):
        return forwarded.split(",")[-1].strip()
    return request.headers.get("host", "")


# Cookies


def is_secure(request: Request) -> bool:
    """Whether the browser speaks HTTPS, to us or to the proxy that we trust."""
    if state_of(request).settings.trust_proxy:
        return request.headers.get("x-forwarded-proto", "https").split(",")[-1].strip().lower() != "http"
    return request.url.scheme == "https"


def adopt_session(request: Request, token: str) -> None:
    """The page that answers this request is made for the new session already."""
    request.cookies[_name(request, _SESSION)] = token


def keep_session(request: Request, response: Response) -> None:
    """From here on the browser is signed in. The cookie goes when the browser is closed, the session when it is over."""
    keep_cookie(request, response, _SESSION, kept_cookie(request, _SESSION))


def drop_session(request: Request, response: Response) -> None:
    forget_cookie(request, response, _SESSION)


def kept_cookie(request: Request, name: str) -> str:
    return request.cookies.get(_name(request, name), "")[:200]


def keep_cookie(request: Request, response: Response, name: str, value: str, **options: Any) -> None:
    response.set_cookie(_name(request, name), value, path="/", httponly=True, secure=is_secure(request), samesite="lax", **options)


def forget_cookie(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(_name(request, name), path="/", secure=is_secure(request), httponly=True, samesite="lax")


def _name(request: Request, name: str) -> str:
    """With this beginning browsers take it from HTTPS only, for this host only: no neighbour under the same domain can set it."""
    return f"__Host-{name}" if is_secure(request) else name


# Pages


def render(request: Request, me: Account | None, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
    """A page of the console. Besides `values` templates have `me`, `nav`, `csrf` (the hidden field), `csrf_token`, `notice` and `path`."""
    visit = ""
    if not csrf_token(request):
        visit = secrets.token_urlsafe(24)
        request.cookies[_name(request, _VISIT)] = visit
    token = csrf_token(request)
    around = {
        "me": me, "nav": _nav(request, me), "csrf_token": token, "notice": _notice(request), "path": request.url.path,
        "csrf": Markup('<input type="hidden" name="csrf" value="{}">').format(token),
    }  # fmt: skip
    response = page(template, status_code=status_code, headers={"Cache-Control": "no-store"}, **{**around, **values})
    if visit:
        keep_cookie(request, response, _VISIT, visit)
    if around["notice"]:
        forget_cookie(request, response, _NOTICE)
    return response


def said(request: Request, path: str, notice: str = "") -> RedirectResponse:
    """After a form: on to a page, which says `notice` once."""
    response = RedirectResponse(path, 303, {"Cache-Control": "no-store"})
    if notice:
        keep_cookie(request, response, _NOTICE, base64.urlsafe_b64encode(notice[:600].encode()).decode(), max_age=60)
    return response


def _notice(request: Request) -> str:
    try:
        return base64.urlsafe_b64decode(request.cookies.get(_name(request, _NOTICE), "")).decode()
    except ValueError:
        return ""


def rooms() -> list[tuple[str, str, Role | None]]:
    known = {name: place for place, name in enumerate(ORDER)}
    return sorted(NAV, key=lambda entry: known.get(entry[1].rpartition("/")[2], len(ORDER)))


def _nav(request: Request, me: Account | None) -> list[dict[str, Any]]:
    if me is None:
        return []
    path = request.url.path.replace("/console/items/", "/console/inbox/")  # an item is of the inbox
    live = getattr(request.app.state, "live", None)
    waiting = live.pulse.waiting if live and live.pulse else 0  # as this process saw it last; a script keeps it fresh
    return [
        {"label": label, "path": to, "here": path == to or path.startswith(to + "/"), "count": waiting if to == "/console/inbox" else 0}
        for label, to, role in rooms()
        if role is None or me.may(role)
    ]


def safe_path(path: str) -> str:
    """Where to go after signing in: within the console, whatever the address says."""
    parts = urlsplit(path)
    inside = parts.path == HOME or parts.path.startswith(HOME + "/")
    return path if inside and not parts.scheme and not parts.netloc and path.isprintable() and "\\" not in path else HOME


async def fields_of(request: Request) -> list[tuple[str, str]]:
    """What was typed into the form of this request; neither files nor passwords nor tokens."""
    if not is_form(request):
        return []
    form = await request.form()
    hidden = {"csrf", "carry"}
    return [(k, v) for k, v in form.multi_items() if not isinstance(v, UploadFile) and k not in hidden and "password" not in k]
