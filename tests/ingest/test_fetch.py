"""Documents from web addresses, from a real server on this machine."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ingest_files import Room, pdf

from bot.errors import AdvisorError, DocumentError, InputError, SettingsError
from ingest import fetch
from ingest.build import read_sources
from ingest.fetch import address, download, is_address, is_allowed, read_prefixes
from ingest.registry import Registry


@dataclass
class Site:
    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {
        "/docs/page": (200, {"Content-Type": "text/html"}, b"<title>Fees</title><h2 id=late>Late fees</h2><p>The late fee is $50.</p>"),
        "/docs/latin": (200, {"Content-Type": "text/plain; charset=iso-8859-1"}, b"Caf\xe9."),
        "/docs/a.pdf": (200, {"Content-Type": "application/pdf"}, pdf([["A fee of 100 dollars."]])),
        "/docs/t.csv": (200, {}, b"a,b\n1,2\n"),
        "/docs/moved": (302, {"Location": "page#late"}, b""),
        "/docs/out": (302, {"Location": "/secret"}, b""),
        "/docs/meta": (302, {"Location": "http://169.254.169.254/latest/"}, b""),
        "/docs/file": (302, {"Location": "file:///etc/passwd"}, b""),
        "/docs/loop": (302, {"Location": "loop"}, b""),
        "/docs/zip": (200, {"Content-Type": "application/zip"}, b"PK"),
        "/docs/bomb": (200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(bytes(40 * 2**20))),
        "/docs/large": (200, {"Content-Type": "text/plain", "Content-Length": str(2**31)}, b""),
        "/docs/empty": (200, {"Content-Type": "text/plain"}, b""),
        "/secret": (200, {"Content-Type": "text/plain"}, b"secret"),
    }
    stop = threading.Event()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            if self.path == "/docs/slow":
                stop.wait(20)
                return
            code, headers, body = answers.get(self.path, (404, {}, b"no"))
            self.send_response(code)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                pass  # the reader had enough

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    found = Site(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    stop.set()
    server.shutdown()
    server.server_close()


async def test_the_content_type_decides(site: Site) -> None:
    got = [await download(f"{site.url}/docs/{name}", [f"{site.url}/docs"]) for name in ("page", "latin", "a.pdf", "t.csv", "moved")]
    assert [d.form for d in got] == ["html", "text", "pdf", "csv", "html"]
    assert got[1].encoding == "iso-8859-1"
    assert got[4].url == f"{site.url}/docs/page"


async def test_nothing_is_allowed_unless_it_is_said(site: Site) -> None:
    with pytest.raises(InputError, match="IMG_ADVISOR_ALLOWED_URLS"):
        await read_sources([f"{site.url}/docs/page"], "")
    assert site.asked == []


@pytest.mark.parametrize("name", ["out", "meta", "file"])
async def test_a_redirect_stays_among_the_allowed(site: Site, name: str) -> None:
    with pytest.raises(AdvisorError):
        await download(f"{site.url}/docs/{name}", [f"{site.url}/docs/"])
    assert site.asked == [f"/docs/{name}"]


@pytest.mark.parametrize(
    ("name", "says"), [("loop", "redirects"), ("none", "404"), ("zip", "application/zip"), ("bomb", "larger"), ("large", "larger")]
)
async def test_what_is_no_document_is_said(site: Site, name: str, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        await download(f"{site.url}/docs/{name}", [site.url])


async def test_a_server_that_does_not_answer_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.3)
    with pytest.raises(DocumentError, match="seconds|Timeout"):
        await download(f"{site.url}/docs/slow", [site.url])
    with pytest.raises(DocumentError, match="connection"):
        await download("http://127.0.0.1:9/x", ["http://127.0.0.1:9/"])


async def test_a_name_for_this_machine_is_refused_unless_it_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name that was made to lead to this machine: the connection is real, only the name service is played."""
    import socket

    real = socket.getaddrinfo

    def lie(host: object, *rest: object, **options: object):
        return real("127.0.0.1" if host in (b"docs.example.org", "docs.example.org") else host, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lie)
    port = site.url.rpartition(":")[2]
    with pytest.raises(DocumentError, match="inside this machine"):
        await download(f"http://docs.example.org:{port}/docs/page", [f"http://docs.example.org:{port}/"])
    assert (await download(f"http://localhost:{port}/docs/page", [f"http://localhost:{port}/"])).form == "html"


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://a.org/docs", True),
        ("https://a.org/docs/x.pdf?y=1", True),
        ("https://A.ORG:443/docs/", True),
        ("https://a.org/docs-secret", False),
        ("https://a.org/", False),
        ("http://a.org/docs", False),
        ("https://a.org:8443/docs", False),
        ("https://a.org.evil.com/docs", False),
        ("https://b.org/docs", True),
    ],
)
def test_allowed_addresses(url: str, allowed: bool) -> None:
    assert is_allowed(url, read_prefixes("https://a.org/docs, https://b.org")) is allowed


@pytest.mark.parametrize(
    "url",
    ["https://a.org/docs/../x", "https://a.org/docs/%2e%2e/x", "https://a.org/docs/%252e%252e%252fx", "https://a.org/docs\\x", "https://a.org@evil.com/docs",
     "https://user:pw@a.org/docs", "ftp://a.org/docs", "file:///docs", "https:///docs", "https://a.org:99999/docs", "https://a.org/docs\n", "https://[::1/docs",
     "gopher://a.org/docs"],
)  # fmt: skip
def test_crooked_addresses_are_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        is_allowed(url, ["https://a.org/docs"])
    assert "pw" not in str(caught.value)


def test_a_wrong_setting_is_named() -> None:
    assert read_prefixes(" ,") == []
    with pytest.raises(SettingsError, match="IMG_ADVISOR_ALLOWED_URLS"):
        read_prefixes("https://ok.org, a.org/docs")


def test_what_is_an_address_and_what_a_path() -> None:
    assert is_address("https://a.org/x") and is_address(Path("https://a.org/x")) and is_address("ftp://a.org")
    assert not is_address("docs/a.md") and not is_address("/abs/a.md") and not is_address("C:/docs") and not is_address("a:b.md")
    assert address(Path("https://a.org/x/y#z")) == "https://a.org/x/y"


async def test_a_fetched_page_is_indexed_cited_and_updated(room: Room, site: Site) -> None:
    from ingest.build import ingest

    async def fetched() -> object:
        sources = await read_sources([f"{site.url}/docs/page", f"{site.url}/docs/a.pdf"], f"{site.url}/docs")
        return await ingest(
            room.engine, room.vectors, room.embedder, room.terms, Registry(), sources, collection="docs", lock_file=room.data / "lock"
        )

    report = await fetched()
    assert report.added == 2
    index = await room.index()
    found = {chunk.document_id: chunk for chunk in index.chunks}
    page, paper = found[f"{site.url}/docs/page"], found[f"{site.url}/docs/a.pdf"]
    assert page.guide is None and page.source.title == "Fees" and page.source.url == f"{site.url}/docs/page#late"
    assert paper.anchor == "page-1" and paper.source.url == f"{site.url}/docs/a.pdf#page=1"
    assert (await fetched()).unchanged == 2


async def test_an_empty_page_leaves_the_index_as_it_was(room: Room, site: Site) -> None:
    from ingest.build import Broken, ingest

    sources = await read_sources([f"{site.url}/docs/empty"], site.url)
    with pytest.raises(Broken, match="empty"):
        await ingest(
            room.engine, room.vectors, room.embedder, room.terms, Registry(), sources, collection="docs", lock_file=room.data / "lock"
        )
    assert room.snapshots() == []
