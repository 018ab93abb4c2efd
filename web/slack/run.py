"""The Slack app as a process of its own: by Socket Mode, or against the twin."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from cryptography.fernet import Fernet
from pydantic import SecretStr

from bot.bootstrap import open_advisor
from bot.settings import Settings
from bot.workspaces import Tokens
from ingest.chunk import CHUNKER
from web.slack.app import Slack
from web.slack.socket import Socket
from web.slack.twin import Twin
from web.slack.twin_page import page_routes
from web.slack.twin_server import guest, listening, running

TEAM = "TTWIN"


async def _stopped() -> None:
    """Waits until somebody asks the process to end."""
    asked = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, asked.set)
    await asked.wait()


async def run_socket(settings: Settings) -> None:
    """Until stopped.

    Raises:
        SettingsError: no token, or Slack does not take it.
    """
    advisor = await open_advisor(settings, chunker=CHUNKER)
    slack, socket = Slack(settings, advisor), None
    try:
        await slack.start()
        socket = Socket(slack)
        await socket.open()
        print("IMG Advisor: connected to Slack by Socket Mode", flush=True)
        await _stopped()
    finally:
        if socket is not None:
            await socket.close()
        await slack.stop()
        await advisor.close()


async def run_twin(settings: Settings, port: int) -> None:
    """The server, and a Slack for it to talk to. What is said there is forgotten when it ends."""
    twin = Twin()
    async with running(twin, port, page_routes(twin)):
        twin.team(TEAM, "Northbridge")
        twin.channel(TEAM, f"C2{TEAM}", "handoffs")
        async with app_beside(settings, twin) as slack:
            team = twin.teams[TEAM]
            await slack.workspaces.save(
                TEAM, name=team.name, bot_user=team.bot_user, bot_id=team.bot_id, scopes=(), tokens=Tokens(team.token),
                installed_by=f"U3{TEAM}",
            )  # fmt: skip
            await slack.workspaces.choose(TEAM, advisors=[f"U2{TEAM}"], notices=f"C2{TEAM}")
            print(f"Slack, played on this machine: {twin.url}/", flush=True)
            try:
                await _stopped()
            finally:
                await slack.workspaces.remove(TEAM)


@asynccontextmanager
async def app_beside(settings: Settings, twin: Twin) -> AsyncIterator[Slack]:
    """The whole server on a free port, set up for the twin."""
    from web.app import create_app, server_config

    listener = listening(0)
    twin.app_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    mine = settings.model_copy(
        update={
            "slack_signing_secret": SecretStr(twin.signing_secret), "slack_api_url": f"{twin.url}/api/", "public_url": twin.app_url,
            "slack_client_id": twin.client_id, "slack_client_secret": SecretStr(twin.client_secret), "slack_bot_token": SecretStr(""),
            "slack_app_token": SecretStr(twin.app_token), "slack_encryption_key": SecretStr(Fernet.generate_key().decode()),
        }
    )  # fmt: skip
    app = create_app(mine)
    async with guest(uvicorn.Server(server_config(app, mine)), listener):
        slack = app.state.doors.slack
        assert slack is not None
        yield slack
