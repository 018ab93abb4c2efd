"""Single sign-on through an identity provider (OpenID Connect): authorization code with PKCE, state and nonce.

Who comes back is found by the provider's subject, the first time by e-mail address. An account must be there, unless IMG_ADVISOR_SSO_ROLE
says what role newcomers get.
"""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from bot.accounts import Account
from bot.errors import AdvisorError, Conflict, Forbidden, NotFound
from bot.settings import Settings
from bot.signins import SignIn, SignIns
from web.console.entry import login_page_of, signed
from web.console.frame import HOME, external, forget_cookie, keep_cookie, kept_cookie, render, safe_path
from web.state import AdvisorHere, state_of

log = logging.getLogger("img_advisor.web")
router = APIRouter(prefix=f"{HOME}/sso")
BACK = f"{HOME}/sso/back"
_COOKIE = "img-advisor-sso"
_SIGNED = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that only the provider can make: never "none", never one made with our own secret."""
_FRESH_S = 3600
Text = Annotated[str, Form()]


class SsoFailed(AdvisorError):
    """The provider cannot be used, or said no. The reason is in the log, not on the page."""


@dataclass(slots=True)
class Provider:
    """The identity provider, as its discovery document describes it; read again every hour."""

    settings: Settings
    client: Any = None
    read_at: float = field(default=0.0)

    async def here(self) -> Any:
        """
        Raises:
            SsoFailed: it does not answer, or its document is not its own.
        """
        if self.client is not None and time.monotonic() - self.read_at < _FRESH_S:
            return self.client
        from authlib.integrations.starlette_client import OAuth  # 10 MB that a server without a provider does without

        issuer = self.settings.sso_issuer.rstrip("/")
        client = OAuth().register(
            "sso",
            client_id=self.settings.sso_client_id,
            client_secret=self.settings.sso_client_secret.get_secret_value() or None,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": 10},
        )
        try:
            found = await client.load_server_metadata()
            if str(found["issuer"]).rstrip("/") != issuer:
                raise SsoFailed(f"The provider calls itself by another name than IMG_ADVISOR_SSO_ISSUER ({str(found['issuer'])[:100]}).")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if urlsplit(found[name]).scheme not in ("https", "http"):
                    raise SsoFailed(f"The provider's {name} is no address.")
        except SsoFailed:
            raise
        except Exception as error:  # of whichever HTTP library Authlib found, of JSON, of a document that holds something else
            raise SsoFailed(f"The provider's discovery document cannot be read ({type(error).__name__}).") from None
        algorithms = found.get("id_token_signing_alg_values_supported") or ["RS256"]
        found["id_token_signing_alg_values_supported"] = [name for name in algorithms if name in _SIGNED]
        self.client, self.read_at = client, time.monotonic()
        return client


def provider_of(request: Request) -> Provider:
    """
    Raises:
        NotFound: there is no single sign-on here.
    """
    settings = state_of(request).settings
    if not settings.sso:
        raise NotFound("Single sign-on is not set up here. Sign in with your password.")
    if not hasattr(request.app.state, "sso"):
        request.app.state.sso = Provider(settings)
    found: Provider = request.app.state.sso
    return found


@router.post("")
async def start(request: Request, advisor: AdvisorHere, next: Text = "", carry: Text = "") -> Response:
    """Answers with a page that leads on: browsers follow no redirect of a form to another site under our policy."""
    provider = provider_of(request)
    state_of(request).limits.check(request, "request")
    try:
        client = await provider.here()
        made = await client.create_authorization_url(external(request, BACK))
    except SsoFailed as error:
        return _failed(request, error, next=safe_path(next), carry=carry)
    await SignIns(advisor.engine).begin(made["state"], SignIn(made["nonce"], made["code_verifier"], safe_path(next), carry))
    response = render(request, None, "console/onward.html", to=made["url"], name=provider.settings.sso_name)
    keep_cookie(request, response, _COOKIE, made["state"], max_age=600)
    return response


@router.get("/back")
async def back(request: Request, advisor: AdvisorHere, state: str = "", code: str = "", error: str = "") -> Response:
    """Where the provider sends people back to."""
    provider = provider_of(request)
    mine = kept_cookie(request, _COOKIE)
    pending = await SignIns(advisor.engine).take(state) if mine and hmac.compare_digest(mine.encode(), state.encode()) else None
    if pending is None:
        return login_page_of(request, 400, problem="This sign-in was begun in another browser, or too long ago. Please begin again.")
    keep = {"next": pending.next, "carry": pending.carry}
    try:
        if error == "access_denied":
            raise Forbidden(f"The sign-in with {provider.settings.sso_name} was stopped there. Begin again, or use a password.")
        if error or not code:
            raise SsoFailed(f"The provider said: {error[:60]!r}.")
        person = await _person(await provider.here(), request, code, pending)
        account = await _account(advisor, state_of(request).settings, person)
    except SsoFailed as failure:
        return _failed(request, failure, **keep)
    except (Forbidden, Conflict) as refusal:
        await advisor.audit.record("system", "login.refused", "sso")
        return login_page_of(request, 403, problem=str(refusal), **keep)
    await advisor.accounts.signed_in(account.id, "sso")
    response = await signed(request, account.id, False, pending.next, pending.carry)
    forget_cookie(request, response, _COOKIE)
    return response


async def _person(client: Any, request: Request, code: str, pending: SignIn) -> dict[str, Any]:
    """The claims of who signed in there, checked: signature, issuer, audience, time, nonce.

    Raises:
        SsoFailed.
    """
    try:
        token = await client.fetch_access_token(external(request, BACK), code=code, code_verifier=pending.verifier)
        claims = await client.parse_id_token(token, nonce=pending.nonce)
        if not claims:
            raise SsoFailed("The provider sent no ID token.")
        if not claims.get("email") and client.server_metadata.get("userinfo_endpoint"):
            more = await client.userinfo(token=token)
            if more.get("sub") == claims["sub"]:
                claims = {**more, **claims}
        return dict(claims)
    except SsoFailed:
        raise
    except Exception as error:  # of Authlib, of joserfc, of an HTTP library: the same to whoever wanted to come in
        raise SsoFailed(f"The sign-in could not be completed ({type(error).__name__}).") from None


async def _account(advisor: Any, settings: Settings, claims: dict[str, Any]) -> Account:
    """
    Raises:
        Forbidden, Conflict: nobody who may enter.
    """
    email = str(claims.get("email") or "").strip().lower()
    if not email or claims.get("email_verified") is False:
        raise Forbidden("Your organization does not confirm an e-mail address for you. Ask its administrator.")
    domain = email.rpartition("@")[2]
    if settings.sso_allowed and domain not in settings.sso_allowed:
        raise Forbidden(f"Addresses at {domain[:80]} may not enter here. Sign in with the address of your organization.")
    subject = f"{claims['iss']}|{claims['sub']}"
    found: Account | None = await advisor.accounts.of_identity(subject, email)
    if found is None and settings.sso_role and not await _known(advisor, email):
        await advisor.accounts.add(email, str(claims.get("name") or ""), [settings.sso_role], by="sso", password=False)
        found = await advisor.accounts.of_identity(subject, email)
    if found is None:
        raise Forbidden(f"There is no open account for {email[:80]}. Ask an admin of your team to add it.")
    return found


async def _known(advisor: Any, email: str) -> bool:
    """Also one that was shut: signing in elsewhere does not open it again."""
    return email in {account.email for account in await advisor.accounts.all()}


def _failed(request: Request, error: SsoFailed, **keep: str) -> Response:
    log.warning("Single sign-on failed: %s", error)
    name = state_of(request).settings.sso_name
    problem = f"Signing in with {name} did not work. Try again in a moment, or sign in with a password if you have one. "
    return login_page_of(request, 502, problem=problem + "If it stays, tell your administrator; the reason is in the server's log.", **keep)
