"""Everything that was asked in a workspace, to take along: by the link that /img export gives, or by the command line."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from bot.store import Store, StoredQuestion
from bot.threads import Threads
from bot.workspaces import Workspaces
from web.pages import page
from web.problems import WebError, documented
from web.slack.door import slack_of
from web.state import StateHere

router = APIRouter()
NO_MORE = "This link was used, or is too old. Ask for another one with /img export."


@router.get("/slack/export", tags=["slack"], summary="The page behind the link of /img export", responses=documented("not-found"))
async def ask_first(request: Request, state: StateHere) -> Response:
    """Takes nothing yet: a link is opened by more than people."""
    slack_of(state)
    return page("slack_export.html", key=request.query_params.get("key", ""), headers={"Referrer-Policy": "no-referrer"})


@router.post("/slack/export", tags=["slack"], summary="A workspace's conversations", responses=documented("forbidden", "not-found"))
async def download(request: Request, state: StateHere) -> Response:
    """A key is good once."""
    slack = slack_of(state)
    key = request.query_params.get("key", "")
    what, _, rest = key.partition(".")
    team, _, rest = rest.partition(".")
    user, _, _ = rest.partition(".")
    if what != "export" or not await slack.workspaces.use(key):
        raise WebError("forbidden", NO_MORE)
    found = await bundle(slack.workspaces, slack.threads, slack.advisor.store, team)
    await slack.note(team, user, "workspace.export", conversations=len(found["conversations"]))
    headers = {"Content-Disposition": f'attachment; filename="img-advisor-{team}.json"', "Cache-Control": "no-store"}
    return Response(json.dumps(found, ensure_ascii=False, indent=2), media_type="application/json", headers=headers)


async def bundle(workspaces: Workspaces, threads: Threads, store: Store, team: str) -> dict[str, Any]:
    """
    Raises:
        NotFound: there is no such workspace.
    """
    workspace = await workspaces.get(team)
    talks = []
    for ident in await workspaces.conversations(team):
        thread, profile = await threads.of(ident), await store.profile(ident)
        handoff = await store.handoff(ident)
        talks.append({
            "id": ident,
            "channel": thread.channel if thread else None,
            "thread": thread.thread if thread else None,
            "user": thread.user if thread else None,
            "profile": profile.model_dump(mode="json", exclude_none=True) if profile else {},
            "handoff": {"state": handoff.state, "reason": handoff.reason} if handoff else None,
            "turns": [_turn(message) for message in await store.messages(ident)],
        })  # fmt: skip
    chosen = workspace.preferences.model_dump()
    return {"team": team, "name": workspace.name, "settings": chosen, "channels": await workspaces.modes(team), "conversations": talks}


def _turn(message: Any) -> dict[str, Any]:
    if isinstance(message, StoredQuestion):
        return {"role": "user", "text": message.text, "at": message.created_at.isoformat()}
    return {"role": "advisor" if hasattr(message, "advisor") else "assistant", "answer": json.loads(message.json)}
