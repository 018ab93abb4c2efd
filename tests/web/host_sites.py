"""Web sites of other people: small real servers, each an origin of its own (`http://NAME.localhost:PORT`, which a browser finds here)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class Site:
    origin: str
    pages: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)

    def put(self, path: str, body: str, policy: str = "", **headers: str) -> str:
        """Serves a page, optionally with a Content-Security-Policy; returns its address."""
        self.pages[path] = (body, {**headers, **({"Content-Security-Policy": policy} if policy else {})})
        return self.origin + path


@contextmanager
def site(name: str) -> Iterator[Site]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, headers = found.pages.get(self.path.split("?")[0], ("<!doctype html><title>Nothing</title>", {}))
            self.send_response(200)
            for header, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    found = Site(f"http://{name}.localhost:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
