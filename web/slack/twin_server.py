"""The twin's doors: the Web API, response_urls, the page where an installation is allowed, and the WebSocket of Socket Mode."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.errors import SettingsError
from web.slack.twin import Twin
from web.slack.twin_api import answer


def twin_app(twin: Twin, more: list[BaseRoute] | None = None) -> Starlette:
    async def call(request: Request) -> Response:
        raw = (await request.body()).decode(errors="replace")
        if request.headers.get("content-type", "").startswith("application/json"):
            arguments = json.loads(raw or "{}")
        else:
            arguments = {name: values[-1] for name, values in parse_qs(raw, keep_blank_values=True).items()}
        arguments |= dict(request.query_params)
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or arguments.pop("token", "")
        if not arguments.get("client_id") and (basic := _basic(request)):
            arguments |= {"client_id": basic[0], "client_secret": basic[1]}
        status, headers, body = await answer(twin, request.path_params["method"], token, arguments)
        return JSONResponse(body, status, headers) if body or status == 200 else PlainTextResponse("error", status, headers)

    async def respond(request: Request) -> Response:
        """A response_url: good for half an hour and five messages."""
        known = twin.responses.get(request.path_params["ident"])
        if known is None or known["left"] < 1 or twin.clock() > known["until"]:
            return JSONResponse({"ok": False, "error": "expired_url"}, 404)
        said = await request.json()
        known["left"] -= 1
        twin.log.append(("response_url", said, {"ok": True}))
        twin.respond(twin.teams[known["team"]], known["channel"], known["user"], said, known["ts"])
        return PlainTextResponse("ok")

    async def authorize(request: Request) -> Response:
        """Somebody of the workspace `team` (the first one where none is named) allows the app in."""
        asked = request.query_params
        if asked.get("client_id") != twin.client_id:
            return PlainTextResponse("invalid client_id", 400)
        team = twin.teams.get(asked.get("team", "")) or next(iter(twin.teams.values()))
        code = twin.number("code")
        twin.codes[code] = (team.id, f"U3{team.id}")
        back = {"code": code, "state": asked.get("state", "")}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def link(connection: WebSocket) -> None:
        await connection.accept()
        await connection.send_text(json.dumps({"type": "hello", "num_connections": len(twin.sockets) + 1}))
        twin.sockets.append(connection)
        try:
            while True:
                said = json.loads(await connection.receive_text())
                told = twin.waiting.get(said.get("envelope_id", ""))
                if told is not None and not told.done():
                    told.set_result(said.get("payload") or {})
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            with suppress(ValueError):
                twin.sockets.remove(connection)

    routes: list[BaseRoute] = [
        Route("/api/{method}", call, methods=["GET", "POST"]),
        Route("/response/{ident}", respond, methods=["POST"]),
        Route("/oauth/v2/authorize", authorize),
        WebSocketRoute("/link", link),
    ]
    return Starlette(routes=[*routes, *(more or [])])


def _basic(request: Request) -> tuple[str, str] | None:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    name, _, secret = base64.b64decode(value).decode().partition(":")
    return name, secret


def listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise SettingsError(f"Cannot listen on port {port} ({error.strerror}). Choose another with --port.") from None
    return listener


@asynccontextmanager
async def guest(server: uvicorn.Server, listener: socket.socket) -> AsyncIterator[None]:
    """Serves on this event loop, and leaves the process's signals alone."""

    async def serve() -> None:
        if not server.config.loaded:
            server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup([listener])
        if not server.should_exit:
            await server.main_loop()
        await server.shutdown([listener])

    task = asyncio.create_task(serve())
    while not server.started:
        if task.done():
            await task
            raise SettingsError("The server did not start; what was wrong stands above.")
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def running(twin: Twin, port: int = 0, more: list[BaseRoute] | None = None) -> AsyncIterator[Twin]:
    """Serves the twin on this event loop; `twin.url` is where."""
    listener = listening(port)
    twin.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(twin_app(twin, more), access_log=False, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    async with guest(server, listener):
        try:
            yield twin
        finally:
            await twin.close()
            server.force_exit = True
