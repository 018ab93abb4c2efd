from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from jsonschema import Draft202012Validator
from web_server import PASSING, Server, Talk, begin, is_problem, serve

from bot.bootstrap import open_advisor
from bot.settings import Settings
from ingest.chunk import CHUNKER
from web.app import create_app

ROUTES = {
    ("post", "/api/v1/ask"), ("post", "/api/v1/search"), ("post", "/api/v1/conversations"),
    ("get", "/api/v1/conversations/{conversation_id}"),
    ("delete", "/api/v1/conversations/{conversation_id}"), ("post", "/api/v1/conversations/{conversation_id}/messages"),
    ("put", "/api/v1/conversations/{conversation_id}/profile"), ("post", "/api/v1/conversations/{conversation_id}/handoff"),
    ("post", "/api/v1/answers/{answer_id}/feedback"), ("get", "/guides"), ("get", "/guides/{slug}"), ("get", "/demo"), ("get", "/healthz"),
    ("get", "/readyz"), ("get", "/metrics"),
}  # fmt: skip


# Operations


def test_health_and_readiness(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["status"] == "ready" and ready["documents"] == 4 and ready["chunks"] > 4 and ready["knowledge_version"]


def test_without_an_index_it_says_what_to_run(settings: Settings, tmp_path: Path) -> None:
    empty = Settings.model_validate({**settings.model_dump(), "data": tmp_path / "data"})
    with serve(empty) as server, server.client() as client:
        assert client.get("/healthz").status_code == 200
        assert "img-advisor ingest" in is_problem(client.get("/readyz"), 503, "index-missing")["detail"]
        is_problem(client.post("/api/v1/ask", json={"question": "fee?"}), 503, "index-missing")
        is_problem(client.get("/guides"), 503, "index-missing")
        talk = begin(client)
        is_problem(client.post(talk.messages, json={"text": "fee?"}, headers=talk.headers), 503, "index-missing")
        assert client.get("/demo").status_code == 200


def test_metrics_count_and_hold_no_words(client: httpx.Client, talk: Talk) -> None:
    secret = "zebra crossing secret"
    client.post(talk.messages, json={"text": f"{PASSING} {secret}"}, headers=talk.headers)
    client.get(f"/guides?q={secret}")
    client.get("/nowhere/zebra")
    text = client.get("/metrics").text
    assert "zebra" not in text and talk.id not in text
    assert 'img_advisor_requests_total{method="POST",route="/api/v1/conversations/{conversation_id}/messages",status="200"}' in text
    assert "img_advisor_answer_seconds_count" in text and 'img_advisor_answers_total{mode="extractive"' in text


def test_two_apps_count_apart(settings: Settings) -> None:
    first, second = create_app(settings), create_app(settings)
    first.state.doors.metrics.failed("internal")
    assert b'img_advisor_failed_answers_total{type="internal"} 1.0' in first.state.doors.metrics.text()
    assert b'type="internal"' not in second.state.doors.metrics.text()


async def test_an_advisor_that_is_handed_in_stays_open(settings: Settings) -> None:
    advisor = await open_advisor(settings, chunker=CHUNKER)
    app = create_app(settings, advisor)
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            assert (await client.get("/readyz")).status_code == 200
    assert (await advisor.status())["documents"] == 4
    await advisor.close()


# The OpenAPI document


def test_every_route_is_documented(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operations = {(method, path): operation for path, methods in document["paths"].items() for method, operation in methods.items()}
    assert set(operations) >= ROUTES
    for (_, path), operation in operations.items():
        assert operation["summary"] and operation["tags"], path
        success = next(operation["responses"][code] for code in sorted(operation["responses"]) if code < "300")
        assert success["description"], path
        if "requestBody" in operation or path.startswith("/api"):
            problems = [r for code, r in operation["responses"].items() if code >= "400"]
            assert problems, path
            for response in problems:
                assert list(response["content"]) == ["application/problem+json"], (path, response)
        assert "HTTPValidationError" not in str(operation), path
        if path.startswith("/api/v1/") and path != "/api/v1/conversations":
            assert operation["security"], path


def test_every_reference_leads_somewhere(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()

    def references(node: object) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(references(value) for value in node.values())) if node else own
        return set().union(*(references(item) for item in node)) if isinstance(node, list) and node else set()

    names = {ref.removeprefix("#/components/schemas/") for ref in references(document)}
    assert {"Answer", "Problem", "Citation", "Profile"} <= names <= set(document["components"]["schemas"])


def test_the_stream_is_described(client: httpx.Client) -> None:
    response = client.get("/openapi.json").json()["paths"]["/api/v1/conversations/{conversation_id}/messages"]["post"]["responses"]["200"]
    assert set(response["content"]) == {"application/json", "text/event-stream"}
    assert "Last-Event-ID" in response["description"]


def test_the_document_matches_what_is_sent(client: httpx.Client, talk: Talk) -> None:
    document = client.get("/openapi.json").json()

    def check(name: str, value: object) -> None:
        Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]}).validate(value)

    check("Answer", client.post(talk.messages, json={"text": PASSING}, headers=talk.headers).json())
    check("ConversationOut", client.get(talk.path, headers=talk.headers).json())
    check("SearchResult", client.post("/api/v1/search", json={"query": "fee"}).json())
    check("Problem", client.get("/nowhere").json())
    check("Ready", client.get("/readyz").json())


# Headers


@pytest.mark.parametrize("path", ["/demo", "/guides", "/guides/visas/h1b", "/static/demo.js", "/nowhere", "/healthz", "/api/v1/ask"])
def test_every_response_is_secured(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] and headers["x-frame-options"] == "DENY"
    assert "server" not in headers


def test_pages_keep_their_own_policy(client: httpx.Client) -> None:
    for path in ("/demo", "/guides", "/guides/visas/h1b", "/problems/not-found"):
        text = client.get(path).text
        assert "<script>" not in text and " style=" not in text and " onclick=" not in text
        assert "http://" not in text.replace("http://www.w3.org", "")
        for address in ("https://fonts", "//cdn", "https://unpkg"):
            assert address not in text


def test_head_is_get_without_a_body(client: httpx.Client) -> None:
    for path in ("/demo", "/guides", "/healthz", "/static/demo.js"):
        head, get = client.head(path), client.get(path)
        assert head.status_code == 200 and head.content == b"" and head.headers["content-type"] == get.headers["content-type"]
    assert client.head("/nowhere").status_code == 404


def test_home_is_the_demo(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.is_redirect and response.headers["location"] == "/demo"


def test_allowed_sites_may_call_the_conversation_api_and_nothing_else(client: httpx.Client, server: Server, talk: Talk) -> None:
    origin = {"Origin": "https://school.example"}
    preflight = {
        **origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,last-event-id",
    }
    allowed = client.options(talk.messages, headers=preflight)
    assert allowed.status_code == 204 and allowed.headers["access-control-allow-origin"] == "https://school.example"
    assert "POST" in allowed.headers["access-control-allow-methods"] and "Last-Event-ID" in allowed.headers["access-control-allow-headers"]
    response = client.post("/api/v1/conversations", headers=origin)
    assert response.headers["access-control-allow-origin"] == "https://school.example" and "Origin" in response.headers["vary"]
    refused = client.get(talk.path, headers=origin)
    assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == "https://school.example"
    for path in ("/api/v1/ask", "/api/v1/search", "/guides", "/metrics", "/demo"):
        assert "access-control-allow-origin" not in client.options(path, headers=preflight).headers
        assert "access-control-allow-origin" not in client.get(path, headers=origin).headers
    for other in ("https://evil.example", "https://school.example.evil.example", "null", "http://school.example"):
        response = client.options(talk.messages, headers={**preflight, "Origin": other})
        assert "access-control-allow-origin" not in response.headers
        is_problem(response, 405, "method-not-allowed")
    assert "access-control-allow-credentials" not in allowed.headers
