"""Counters for Prometheus. They hold numbers and route names, never what anybody wrote."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.answer import Answer

_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One registry for each app, so that several apps can live in one process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "img_advisor_requests", "HTTP requests by route, method and status", ["route", "method", "status"], registry=self._registry
        )
        self._request_s = Histogram(
            "img_advisor_request_seconds", "Time to the start of a response", ["route"], buckets=_BUCKETS_S, registry=self._registry
        )
        self._answers = Counter("img_advisor_answers", "Answers by status and mode", ["status", "mode"], registry=self._registry)
        self._answer_s = Histogram("img_advisor_answer_seconds", "Time to a whole answer", buckets=_BUCKETS_S, registry=self._registry)
        self._failed = Counter("img_advisor_failed_answers", "Questions that ended in a problem", ["type"], registry=self._registry)
        self._started = Counter("img_advisor_conversations", "Conversations started, by site", ["site"], registry=self._registry)
        self._open = Gauge("img_advisor_requests_open", "Requests under way", registry=self._registry)

    def answered(self, answer: Answer, seconds: float) -> None:
        self._answers.labels(answer.status, answer.trace.mode).inc()
        self._answer_s.observe(seconds)

    def started(self, site: str) -> None:
        """`site` is one that is allowed, or "" for this server: nobody can make names up."""
        self._started.labels(site or "own").inc()

    def failed(self, type: str) -> None:
        self._failed.labels(type).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def begin(self) -> float:
        self._open.inc()
        return time.perf_counter()

    def responded(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")  # the template: paths themselves would be without number
        method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._request_s.labels(route).observe(seconds)

    def end(self) -> None:
        self._open.dec()


class Measured:
    """Counts and times each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = self.metrics.begin()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.responded(scope, message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            self.metrics.end()
