"""`img-advisor serve`: brings the index up to date, then listens."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import uvicorn
from fastapi import FastAPI

from bot.errors import SettingsError
from bot.settings import Settings


class Announcing(uvicorn.Server):
    """Says where it listens once it does, and ends at once when it is asked to."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, line: str) -> None:
        super().__init__(config)
        self._app, self._line = app, line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._line, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if live := getattr(self._app.state, "live", None):
            live.close()  # or it would wait for every open page of the console
        await super().shutdown(sockets)


def serve(settings: Settings, progress_bar: Callable[[], AbstractContextManager[Any]]) -> None:
    """Runs until stopped. Prints the address on standard output once the server answers.

    Raises:
        AdvisorError: the index cannot be built, or the port is taken.
    """
    from web.app import create_app, server_config

    listener = _listen(settings.host, settings.port)
    bring_up_to_date(settings, progress_bar)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    app = create_app(settings)
    server = Announcing(server_config(app, settings), app, f"IMG Advisor: http://{shown}:{port}/")
    # uvicorn ends in good order and then raises the signal again: for a server, having been asked to stop is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run(sockets=[listener])


def bring_up_to_date(settings: Settings, progress_bar: Callable[[], AbstractContextManager[Any]]) -> None:
    """Indexes what changed in the guides. Where that was most of them, this program is started anew, with the same arguments, and finds
    them indexed: 270 MB of what building takes would else stay with it for as long as it serves.

    Raises:
        AdvisorError: the index cannot be built.
    """
    from ingest.run import run

    with progress_bar() as progress:
        report = asyncio.run(run(settings, progress=progress))
    if report.added + report.changed > report.unchanged and os.name == "posix":  # elsewhere the new one would have another number
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _listen(host: str, port: int) -> socket.socket:
    """The socket, taken before the index is built: a taken port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {host}, port {port} ({getattr(error, 'strerror', None) or error}). Choose another with --port or PORT."
        ) from None
    return listener
