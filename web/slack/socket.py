"""Socket Mode: Slack's events over a connection that we open, for servers that nobody can reach from outside."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.errors import SettingsError
from bot.jobs import GiveUp, Later
from web.problems import WebError
from web.slack.app import Slack, silent
from web.slack.calls import Refused, Unreachable, call
from web.slack.door import interact, queue

log = logging.getLogger(__name__)


class Socket:
    """A connection that opens itself again whenever it breaks."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack
        self._client: SocketModeClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """
        Raises:
            SettingsError: there is no app-level token, or Slack does not take it.
        """
        token = self._slack.settings.slack_app_token.get_secret_value()
        if not token:
            raise SettingsError("IMG_ADVISOR_SLACK_APP_TOKEN is empty. Socket Mode needs the app-level token (xapp-…) of the Slack app.")
        client = self._slack.bare_client()
        try:
            await call(client.apps_connections_open(app_token=token))
        except (Refused, GiveUp) as refused:
            raise SettingsError(f"Slack does not take IMG_ADVISOR_SLACK_APP_TOKEN ({refused}). Check the app-level token.") from None
        except (Unreachable, Later):
            log.warning("Slack does not answer yet; trying again.")
        self._client = SocketModeClient(app_token=token, web_client=client, logger=silent)
        self._client.socket_mode_request_listeners.append(self._came)  # type: ignore[arg-type]
        await self._client.connect()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        for task in list(self._tasks):
            task.cancel()

    async def _came(self, client: SocketModeClient, request: SocketModeRequest) -> None:
        """Each in a task of its own: the client takes one after the other, and one that is slow must not hold up the rest."""
        task = asyncio.create_task(self._taken(client, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _taken(self, client: SocketModeClient, request: SocketModeRequest) -> None:
        try:
            said = await self._acknowledgement(request.type, request.payload)
        except WebError as error:
            log.warning("What Slack sent was not taken (%s).", error.type)
            return
        except Exception as error:
            log.warning("What Slack sent could not be taken (%s).", type(error).__name__)
            return
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload=said))

    async def _acknowledgement(self, kind: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        if kind == "events_api":
            await queue(self._slack, payload)
            return None
        status, body, headers = await interact(self._slack, payload)
        if status != 200:
            raise WebError("internal", "A listener failed.")
        if not body:
            return None
        if headers.get("content-type", "").startswith("application/json"):
            found: dict[str, Any] = json.loads(body)
            return found
        return {"text": body}
