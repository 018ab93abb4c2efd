"""Which sites may embed the chat, and that a conversation stays on the site it was started on."""

from __future__ import annotations

import gzip

import httpx
import pytest
from web_server import PASSING, Server, is_problem, serve

from bot.errors import SettingsError
from bot.settings import ROOT, Settings, read_settings

SCHOOL, CLINIC, EVIL = "https://school.example", "https://clinic.example", "https://evil.example"


@pytest.fixture
def two_sites(settings: Settings) -> Settings:
    return settings.model_copy(update={"sites": f"{SCHOOL},{CLINIC}", "visitor_messages_per_minute": 1})


def directives(policy: str) -> dict[str, str]:
    return dict((part.strip().partition(" ")[::2]) for part in policy.split(";"))


# The settings


@pytest.mark.parametrize(
    "sites", ["school.example", "https://school.example/page", "https://a.example https://b.example", "https://*", "https://a.example;x"]
)
def test_a_site_is_a_web_origin(sites: str) -> None:
    with pytest.raises(SettingsError, match=r"IMG_ADVISOR_SITES.*https://school\.example"):
        read_settings(sites=sites)


def test_sites_are_read_as_browsers_write_them() -> None:
    found = read_settings(sites=" https://School.example/ ,http://localhost:8080, http://[::1]:81,")
    assert found.origins == ["https://school.example", "http://localhost:8080", "http://[::1]:81"]


# The frame


def test_a_frame_can_be_framed_by_its_own_site_only(two_sites: Settings) -> None:
    with serve(two_sites) as server, server.client() as client:
        for site, ancestors in ((SCHOOL, SCHOOL), (CLINIC, CLINIC), ("", "'self'"), (server.url, "'self'"), (f"{SCHOOL}/", SCHOOL)):
            response = client.get("/widget/frame", params={"site": site} if site else {})
            assert response.status_code == 200
            policy = directives(response.headers["content-security-policy"])
            assert policy["frame-ancestors"] == ancestors
            assert "x-frame-options" not in response.headers
        refused = client.get("/widget/frame", params={"site": EVIL})
        assert "IMG_ADVISOR_SITES" in is_problem(refused, 403, "forbidden")["detail"]
        assert directives(refused.headers["content-security-policy"])["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("site", [f"{SCHOOL};script-src *", f"{SCHOOL} {EVIL}", "*", "'self'", "null", f"{SCHOOL}\n", "javascript:0"])
def test_what_a_frame_is_asked_for_never_reaches_its_policy(client: httpx.Client, site: str) -> None:
    response = client.get("/widget/frame", params={"site": site})
    policy = directives(response.headers["content-security-policy"])
    assert policy["frame-ancestors"] in ("'none'", SCHOOL) and "*" not in str(policy)


def test_the_frame_allows_itself_what_it_needs_and_no_more(client: httpx.Client) -> None:
    policy = directives(client.get("/widget/frame").headers["content-security-policy"])
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "img-src": "'self' data:",
        "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'self'", "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/guides", "/guides/visas/h1b", "/demo", "/console", "/api/v1/conversations", "/openapi.json"])
def test_no_other_page_can_be_framed(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert directives(headers["content-security-policy"])["frame-ancestors"] == "'none'" and headers["x-frame-options"] == "DENY"


# Conversations


def start(client: httpx.Client, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    found = client.post("/api/v1/conversations", headers=headers).raise_for_status().json()
    return f"/api/v1/conversations/{found['id']}", {"Authorization": f"Bearer {found['token']}"}


@pytest.mark.parametrize("way", ["Origin", "Advisor-Site"])
def test_a_conversation_stays_on_its_site(two_sites: Settings, way: str) -> None:
    """Whether the site's own page calls (Origin), or the chat frame for it (Advisor-Site)."""
    with serve(two_sites) as server, server.client() as client:
        path, token = start(client, {way: SCHOOL})
        answer = client.post(f"{path}/messages", json={"text": PASSING}, headers={**token, way: SCHOOL}).raise_for_status().json()
        assert client.get(path, headers={**token, way: SCHOOL}).status_code == 200
        for other in ({}, {way: CLINIC}, {"Origin": EVIL}, {"Origin": server.url}):
            refused = client.get(path, headers={**token, **other})
            assert "another web site" in is_problem(refused, 403, "forbidden")["detail"]
            feedback = client.post(f"/api/v1/answers/{answer['id']}/feedback", json={"value": 1}, headers={**token, **other})
            is_problem(feedback, 403, "forbidden")
            is_problem(client.delete(path, headers={**token, **other}), 403, "forbidden")


def test_a_page_cannot_speak_for_another_site(two_sites: Settings) -> None:
    with serve(two_sites) as server, server.client() as client:
        for headers in (
            {"Origin": CLINIC, "Advisor-Site": SCHOOL, "Sec-Fetch-Site": "cross-site"},
            {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
            {"Origin": EVIL, "Advisor-Site": SCHOOL, "Sec-Fetch-Site": "cross-site"},
            {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
            {"Origin": server.url, "Advisor-Site": EVIL, "Sec-Fetch-Site": "same-origin"},
        ):
            is_problem(client.post("/api/v1/conversations", headers=headers), 403, "forbidden")


def test_this_server_may_be_named_among_the_sites(settings: Settings) -> None:
    """Its own pages send no Origin with GET: the conversation would be lost to them if their origin were a site of its own."""
    with serve(settings) as server:
        server.state.sites.origins = frozenset({server.url, SCHOOL})
        with server.client() as client:
            path, token = start(client, {"Origin": server.url, "Sec-Fetch-Site": "same-origin"})
            assert client.get(path, headers=token).status_code == 200
            path, token = start(client, {"Origin": server.url, "Advisor-Site": SCHOOL})
            assert client.get(path, headers={**token, "Advisor-Site": SCHOOL}).status_code == 200
            assert client.get(path, headers=token).status_code == 403


def test_a_limit_is_said_in_words_with_the_time_to_wait(two_sites: Settings) -> None:
    with serve(two_sites) as server, server.client() as client:
        path, token = start(client, {"Advisor-Site": SCHOOL})
        headers = {**token, "Advisor-Site": SCHOOL}
        client.post(f"{path}/messages", json={"text": PASSING}, headers=headers).raise_for_status()
        refused = client.post(f"{path}/messages", json={"text": PASSING}, headers=headers)
        assert "try again in" in is_problem(refused, 429, "too-many-requests")["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_conversations_are_counted_for_each_site(two_sites: Settings) -> None:
    with serve(two_sites) as server, server.client() as client:
        start(client, {"Advisor-Site": SCHOOL})
        start(client, {"Origin": EVIL})
        text = client.get("/metrics").text
        assert f'img_advisor_conversations_total{{site="{SCHOOL}"}} 1.0' in text
        assert 'img_advisor_conversations_total{site="own"} 1.0' in text and "evil" not in text


# The loader


def test_the_loader_is_small_cached_and_for_everyone(client: httpx.Client) -> None:
    response = client.get("/widget/embed.js")
    assert response.headers["content-type"].startswith("text/javascript")
    assert len(gzip.compress(response.content, 6)) < 5000
    assert "max-age=" in response.headers["cache-control"] and "public" in response.headers["cache-control"]
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    again = client.get("/widget/embed.js", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == response.headers["etag"]
    assert client.get("/widget/embed.js", headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.head("/widget/embed.js").headers["etag"] == response.headers["etag"]


def test_the_loader_uses_nothing_that_a_strict_policy_forbids() -> None:
    source = (ROOT / "web" / "static" / "widget" / "embed.js").read_text(encoding="utf-8")
    for forbidden in ("eval(", "Function(", "innerHTML", "outerHTML", "AdjacentHTML", "document.write", "srcdoc", '"style"', "<style"):
        assert forbidden not in source


def test_no_asset_holds_a_secret(server: Server, client: httpx.Client) -> None:
    """What a site's visitors load is the same for all of them: no token, no key, nothing that differs from one request to the next."""
    for path in ("/widget/embed.js", "/widget/frame"):
        first, second = client.get(path), client.get(path)
        assert first.content == second.content and "set-cookie" not in first.headers
