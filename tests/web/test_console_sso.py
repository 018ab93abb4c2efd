"""Single sign-on against a real identity provider in a thread, on loopback."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import oidc_provider_mock
import pytest
from console_pages import add_account, sign_in, token_of
from oidc_provider_mock._server import _threaded_server
from web_server import Server, serve

from bot.settings import Settings

PAGE = {"Accept": "text/html"}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib.*")  # the provider's own


@dataclass
class Idp:
    url: str
    asked: list[dict[str, str]] = field(default_factory=list)  # forms sent to its token endpoint

    def user(self, sub: str, **claims: Any) -> None:
        httpx.put(f"{self.url}/users/{sub}", json=claims).raise_for_status()


@pytest.fixture(scope="module")
def idp() -> Iterator[Idp]:
    app = oidc_provider_mock.app(require_nonce=True)
    found = Idp("")

    @app.before_request
    def note() -> None:
        import flask

        if flask.request.path == "/oauth2/token":
            found.asked.append(dict(flask.request.form))

    with _threaded_server(app=app) as server:
        found.url = f"http://localhost:{server.server_port}"
        yield found


@pytest.fixture(scope="module")
def sso(settings: Settings, idp: Idp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    values = {
        "sso_issuer": idp.url, "sso_client_id": "console", "sso_client_secret": secrets.token_hex(), "sso_name": "Example School",
        "sso_domains": "school.example, clinic.example", "data": tmp_path_factory.mktemp("sso"),
    }  # fmt: skip
    with serve(Settings.model_validate({**settings.model_dump(), **values})) as server:
        yield server


@pytest.fixture
def client(sso: Server) -> Iterator[httpx.Client]:
    with sso.client() as found:
        yield found


def begin(client: httpx.Client, **fields: str) -> str:
    """Clicks "Sign in with Example School"; where that leads."""
    form = client.get("/console/login")
    assert "Sign in with Example School" in form.text
    page = client.post("/console/sso", data={"csrf": token_of(form.text), **fields}, headers=PAGE)
    assert page.status_code == 200, page.text
    return html.unescape(re.findall(r'content="0; url=([^"]+)"', page.text)[0])


def at_provider(address: str, sub: str = "", action: str = "") -> str:
    """Signs in there (or says no); the address that the provider sends the browser back to."""
    data = {"action": action} if action else {"sub": sub}
    return httpx.post(address, data=data).headers["location"]


def come_back(client: httpx.Client, address: str) -> httpx.Response:
    parts = urlsplit(address)
    return client.get(f"{parts.path}?{parts.query}", headers=PAGE)


def test_somebody_with_an_account_comes_in(sso: Server, client: httpx.Client, idp: Idp) -> None:
    account = add_account(sso, "editor", name="Ana")
    idp.user("ana", email=account.email.upper(), email_verified=True, name="Ana R.")
    address = begin(client, next="/console/account")
    asked = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
    assert asked["code_challenge_method"] == "S256" and asked["nonce"] and asked["redirect_uri"] == f"{sso.url}/console/sso/back"
    back = at_provider(address, "ana")
    entered = come_back(client, back)
    assert entered.status_code == 303 and entered.headers["location"] == "/console/account"
    assert client.get("/console/session").json()["account"] == account.id
    verifier = idp.asked[-1]["code_verifier"].encode()
    assert base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode() == asked["code_challenge"]
    assert come_back(client, back).status_code == 400  # the same answer works once
    # Ever after it is the subject that counts, not the address.
    idp.user("ana", email="married@school.example", email_verified=True)
    assert come_back(client, at_provider(begin_again(sso, client), "ana")).status_code == 303
    idp.user("thief", email=account.email, email_verified=True)
    with sso.client() as theirs:
        refused = come_back(theirs, at_provider(begin(theirs), "thief"))
        assert refused.status_code == 403 and "another identity" in refused.text


def begin_again(sso: Server, client: httpx.Client) -> str:
    client.cookies.clear()
    return begin(client)


OTHERS = [
    {"email": "stranger@school.example"}, {"email": "ana@elsewhere.example"}, {}, {"email": "ana@school.example", "email_verified": False}
]  # fmt: skip


@pytest.mark.parametrize("claims", OTHERS)
def test_others_do_not(sso: Server, client: httpx.Client, idp: Idp, claims: dict[str, Any]) -> None:
    idp.user("other", **claims)
    refused = come_back(client, at_provider(begin(client), "other"))
    assert refused.status_code == 403 and 'role="alert"' in refused.text
    assert client.get("/console/session").status_code == 401


def test_who_was_shut_out_stays_out(sso: Server, client: httpx.Client, idp: Idp) -> None:
    account = add_account(sso)
    sso.run(sso.state.advisor.accounts.disable(account.id, by="cli"))  # type: ignore[union-attr]
    idp.user("shut", email=account.email)
    sso.state.settings = (settings := sso.state.settings).model_copy(update={"sso_role": "advisor"})
    try:
        assert come_back(client, at_provider(begin(client), "shut")).status_code == 403
    finally:
        sso.state.settings = settings


def test_newcomers_get_a_role_where_the_operator_says_so(settings: Settings, idp: Idp, sso: Server) -> None:
    chosen = sso.settings.model_copy(update={"sso_role": "advisor"})
    with serve(chosen) as server, server.client() as client:
        idp.user("new", email="new@clinic.example", name="Dr. <b>New</b>")
        assert come_back(client, at_provider(begin(client), "new")).status_code == 303
        page = client.get("/console/account").text
        assert "Dr. &lt;b&gt;New" in page and "new@clinic.example · advisor" in page and "no password here" in page
        account = server.run(server.state.advisor.accounts.by_email("new@clinic.example"))  # type: ignore[union-attr]
        client.cookies.clear()
        assert sign_in(client, account, "").status_code == 401


def test_saying_no_there_is_no_error_here(client: httpx.Client) -> None:
    address = begin(client)
    state = "&state=" + parse_qs(urlsplit(address).query)["state"][0]  # which other providers say again by themselves
    refused = come_back(client, at_provider(address, action="deny") + state)
    assert refused.status_code == 403 and "Example School" in refused.text and "access_denied" not in refused.text
    new = "&state=" + parse_qs(urlsplit(begin(client)).query)["state"][0]
    assert come_back(client, "/console/sso/back?error=server_error" + new).status_code == 502
    assert come_back(client, "/console/sso/back?error=server_error" + state).status_code == 400  # that one is over


def test_an_answer_to_somebody_elses_sign_in_is_not_taken(sso: Server, client: httpx.Client, idp: Idp) -> None:
    """Otherwise a stranger could sign a victim in as themselves, and read what the victim writes there."""
    account = add_account(sso)
    idp.user("mallory", email=account.email)
    link = at_provider(begin(client), "mallory")
    with sso.client() as victim:
        assert come_back(victim, link).status_code == 400
        begin(victim)
        assert come_back(victim, link).status_code == 400
        assert victim.get("/console/session").status_code == 401
    forged = re.sub(r"code=[^&]+", "code=forged", at_provider(begin(client), "mallory"))
    assert come_back(client, forged).status_code == 502


def test_a_token_for_another_nonce_is_not_taken(sso: Server, client: httpx.Client, idp: Idp) -> None:
    account = add_account(sso)
    idp.user("replay", email=account.email)
    address = re.sub(r"nonce=[^&]+", "nonce=of-another-sign-in", begin(client))
    assert come_back(client, at_provider(address, "replay")).status_code == 502
    assert client.get("/console/session").status_code == 401


def test_what_was_typed_comes_along(sso: Server, client: httpx.Client, idp: Idp) -> None:
    account = add_account(sso)
    idp.user("typed", email=account.email)
    carry = '{"path": "/console/account", "fields": [["note", "Dear applicant,\\nlong ago"]]}'
    offered = come_back(client, at_provider(begin(client, carry=carry), "typed"))
    assert offered.status_code == 200 and "Dear applicant,\nlong ago" in offered.text


def test_a_provider_that_cannot_be_used_is_told(settings: Settings, idp: Idp, free_port: int) -> None:
    for issuer in (f"http://localhost:{free_port}", f"{idp.url}/jwks", idp.url.replace("localhost", "127.0.0.1")):
        wrong = settings.model_copy(update={"sso_issuer": issuer, "sso_client_id": "console", "sso_name": "Example School"})
        with serve(wrong) as server, server.client() as client:
            form = client.get("/console/login")
            told = client.post("/console/sso", data={"csrf": token_of(form.text)}, headers=PAGE)
            if "127.0.0.1" not in issuer:  # there the document names its address, whatever it was asked by
                assert told.status_code == 502 and "Example School" in told.text and issuer not in told.text
            assert 'type="password"' in told.text or told.status_code == 200


def test_without_a_provider_there_is_no_such_door(server: Server) -> None:
    with server.client() as client:
        form = client.get("/console/login")
        assert "/console/sso" not in form.text
        assert client.post("/console/sso", data={"csrf": token_of(form.text)}, headers=PAGE).status_code == 404
        assert client.get("/console/sso/back?state=&code=x", headers=PAGE).status_code == 404
