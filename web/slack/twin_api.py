"""Slack's Web API as far as the app uses it: arguments and limits are checked, and refused with Slack's own codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from web.slack.limits import problems, view_problems
from web.slack.twin import Channel, Fault, Team, Twin

Arguments = dict[str, Any]
LONGEST_TEXT, LONGEST_MARKDOWN = 40_000, 12_000
STREAM_S = 300
"""A stream ends by itself when nothing has been appended for so long."""


class No(Exception):
    """Refused, with Slack's code."""

    def __init__(self, error: str, *details: str) -> None:
        super().__init__(error)
        self.error, self.details = error, list(details)


async def answer(twin: Twin, method: str, token: str, arguments: Arguments) -> tuple[int, dict[str, str], dict[str, Any]]:
    """(status, headers, body) of one call."""
    fault = _fault(twin, method)
    if fault is not None:
        if fault.done:
            _granted(twin, method, token, arguments)
        if fault.timeout:
            await twin.ended.wait()
            return 504, {}, {}
        if fault.status == 429:
            return 429, {"retry-after": str(fault.retry_after)}, {"ok": False, "error": "ratelimited"}
        if fault.status >= 500:
            return fault.status, {}, {}
        if fault.error == "message_not_in_streaming_state" and (team := twin.by_token(token)) is not None:
            _channel(team, arguments).message(str(arguments.get("ts")))["streaming"] = False  # type: ignore[index]
        body = {"ok": False, "error": fault.error or "fatal_error"}
    else:
        body = _granted(twin, method, token, arguments)
    twin.log.append((method, arguments, body))
    return 200, {}, body


def _fault(twin: Twin, method: str) -> Fault | None:
    for fault in twin.faults:
        if fault.method in (method, "*"):
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                twin.faults.remove(fault)
            return fault
    return None


def _granted(twin: Twin, method: str, token: str, arguments: Arguments) -> dict[str, Any]:
    try:
        if method in OPEN:
            made = OPEN[method](twin, token, arguments)
        else:
            if method not in METHODS:
                raise No("unknown_method")
            made = METHODS[method](twin, _team(twin, token), arguments)
        twin.changed()
        return {"ok": True, **made}
    except No as no:
        return {"ok": False, "error": no.error, **({"response_metadata": {"messages": no.details}} if no.details else {})}


def _team(twin: Twin, token: str) -> Team:
    if not token:
        raise No("not_authed")
    if token in twin.revoked:
        raise No("token_revoked")
    if token in twin.expired:
        raise No("token_expired")
    team = twin.by_token(token)
    if team is None:
        raise No("invalid_auth")
    return team


# Without a workspace's token


def _connections_open(twin: Twin, token: str, arguments: Arguments) -> dict[str, Any]:
    if token != twin.app_token:
        raise No("invalid_auth")
    return {"url": twin.url.replace("http", "ws", 1) + "/link"}


def _oauth_access(twin: Twin, token: str, arguments: Arguments) -> dict[str, Any]:
    if (arguments.get("client_id"), arguments.get("client_secret")) != (twin.client_id, twin.client_secret):
        raise No("bad_client_secret")
    if arguments.get("grant_type") == "refresh_token":
        team = next((t for t in twin.teams.values() if t.refresh_token and t.refresh_token == arguments.get("refresh_token")), None)
        if team is None:
            raise No("invalid_refresh_token")
        user = ""
    else:
        team_id, user = twin.codes.pop(str(arguments.get("code")), ("", ""))
        if not team_id:
            raise No("invalid_code")
        team = twin.teams[team_id]
    twin.issue(team)
    rotated = {"refresh_token": team.refresh_token, "expires_in": 43200} if twin.rotating else {}
    return {
        "access_token": team.token, "token_type": "bot", "scope": "chat:write,im:history,app_mentions:read", "bot_user_id": team.bot_user,
        "app_id": twin.app_id, "team": {"id": team.id, "name": team.name}, "enterprise": None, "is_enterprise_install": False,
        "authed_user": {"id": user}, **rotated,
    }  # fmt: skip


# Messages


def _channel(team: Team, arguments: Arguments, name: str = "channel") -> Channel:
    place = team.channels.get(str(arguments.get(name, "")))
    if place is None:
        raise No("channel_not_found")
    if place.archived:
        raise No("is_archived")
    if team.bot_user not in place.members:
        raise No("not_in_channel")
    return place


def _content(arguments: Arguments, *, needed: bool = True) -> dict[str, Any]:
    text, blocks = arguments.get("text"), _json(arguments, "blocks")
    if needed and not text and not blocks and not arguments.get("markdown_text"):
        raise No("no_text")
    if text and len(text) > LONGEST_TEXT:
        raise No("msg_too_long")
    if blocks and (wrong := problems(blocks, "message")):
        raise No("invalid_blocks", *wrong)
    return {"text": text or "", "blocks": blocks or []}


def _json(arguments: Arguments, name: str) -> Any:
    value = arguments.get(name)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise No(f"invalid_{name}_format" if name == "blocks" else "invalid_arguments") from None


def _mark(arguments: Arguments) -> dict[str, Any]:
    mark = _json(arguments, "metadata")
    if not mark:
        return {}
    if not isinstance(mark, dict) or not mark.get("event_type") or not isinstance(mark.get("event_payload"), dict):
        raise No("invalid_metadata_format")
    return {"metadata": mark}


def _own(team: Team, place: Channel, ts: Any, otherwise: str) -> dict[str, Any]:
    message = place.message(str(ts))
    if message is None:
        raise No("message_not_found")
    if message.get("user") != team.bot_user:
        raise No(otherwise)
    return message


def _post(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = _channel(team, arguments)
    message: dict[str, Any] = {"type": "message", "user": team.bot_user, "bot_id": team.bot_id, "app_id": twin.app_id, "team": team.id}
    message |= {"ts": twin.now_ts(), **_content(arguments), **_mark(arguments)}
    if thread := arguments.get("thread_ts"):
        if place.message(str(thread)) is None:
            raise No("thread_not_found" if place.kind != "im" else "message_not_found")
        message["thread_ts"] = thread
    for name in ("username", "icon_url", "icon_emoji"):
        if arguments.get(name):
            message[name] = arguments[name]
    place.messages.append(message)
    _echo(twin, team, place, message)
    return {"channel": place.id, "ts": message["ts"], "message": message}


def _echo(twin: Twin, team: Team, place: Channel, message: dict[str, Any]) -> None:
    """Slack tells an app of its own messages, too."""
    if twin.echo and (twin.app_url or twin.sockets):
        kind = "im" if place.kind == "im" else "channel"
        event = {**message, "channel": place.id, "channel_type": kind, "event_ts": message["ts"]}
        twin.soon(twin.deliver(twin.event(team.id, event), tries=1))


def _ephemeral(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = _channel(team, arguments)
    if arguments.get("user") not in place.members:
        raise No("user_not_in_channel")
    message = {"type": "message", "user": team.bot_user, "bot_id": team.bot_id, "ts": twin.now_ts(), **_content(arguments)}
    thread = {"thread_ts": arguments["thread_ts"]} if arguments.get("thread_ts") else {}
    team.ephemerals.append({**message, **thread, "channel": place.id, "to": arguments["user"], "is_ephemeral": True})
    return {"message_ts": message["ts"]}


def _update(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = _channel(team, arguments)
    message = _own(team, place, arguments.get("ts"), "cant_update_message")
    if message.get("streaming"):
        raise No("streaming_state_conflict")
    message |= {**_content(arguments), **_mark(arguments), "edited": {"user": team.bot_user, "ts": twin.now_ts()}}
    message.pop("markdown", None)
    return {"channel": place.id, "ts": message["ts"], "text": message["text"], "message": message}


def _delete(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = _channel(team, arguments)
    place.messages.remove(_own(team, place, arguments.get("ts"), "cant_delete_message"))
    return {"channel": place.id, "ts": arguments["ts"]}


# Streams


def _start_stream(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = _channel(team, arguments)
    if place.kind != "im" and not arguments.get("thread_ts"):
        raise No("invalid_thread_ts")
    if place.kind != "im" and not arguments.get("recipient_user_id"):
        raise No("missing_recipient_user_id")
    if place.kind != "im" and not arguments.get("recipient_team_id"):
        raise No("missing_recipient_team_id")
    if arguments.get("thread_ts") and place.message(str(arguments["thread_ts"])) is None:
        raise No("message_not_found")
    message: dict[str, Any] = {
        "type": "message", "user": team.bot_user, "bot_id": team.bot_id, "ts": twin.now_ts(), "thread_ts": arguments.get("thread_ts"),
        "text": "", "markdown": "", "blocks": [], "tasks": {}, "streaming": True, "touched": twin.clock(),
    }  # fmt: skip
    _append(message, arguments)
    place.messages.append(message)
    team.statuses.pop(f"{place.id}:{message['thread_ts']}", None)
    return {"channel": place.id, "ts": message["ts"]}


def _append(message: dict[str, Any], arguments: Arguments) -> None:
    chunks = list(_json(arguments, "chunks") or [])
    if arguments.get("markdown_text"):
        chunks.insert(0, {"type": "markdown_text", "text": arguments["markdown_text"]})
    for chunk in chunks:
        match chunk.get("type"):
            case "markdown_text":
                if not isinstance(chunk.get("text"), str):
                    raise No("invalid_chunks")
                if len(chunk["text"]) > LONGEST_MARKDOWN or len(message["markdown"]) + len(chunk["text"]) > LONGEST_TEXT:
                    raise No("msg_too_long")
                message["markdown"] += chunk["text"]
                message["text"] = message["markdown"]
            case "task_update":
                known = chunk.get("status") in ("pending", "in_progress", "complete", "error")
                sources = all(s.get("type") == "url" and s.get("url") and s.get("text") for s in chunk.get("sources", []))
                if not (chunk.get("id") and chunk.get("title") and known and sources):
                    raise No("invalid_chunks")
                message["tasks"][chunk["id"]] = {**message["tasks"].get(chunk["id"], {}), **chunk}
            case "plan_update":
                message["plan"] = chunk["title"]
            case "blocks":
                if wrong := problems(chunk.get("blocks"), "message"):
                    raise No("invalid_blocks", *wrong)
                message["blocks"] += chunk["blocks"]
            case _:
                raise No("invalid_chunks")


def _streaming(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    message = _own(team, _channel(team, arguments), arguments.get("ts"), "message_not_owned_by_app")
    if message.get("streaming") and twin.clock() - message["touched"] > STREAM_S:
        message["streaming"] = False
    if not message.get("streaming"):
        raise No("message_not_in_streaming_state")
    message["touched"] = twin.clock()
    return message


def _append_stream(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    message = _streaming(twin, team, arguments)
    if not arguments.get("markdown_text") and not arguments.get("chunks"):
        raise No("invalid_arguments", "markdown_text or chunks is needed")
    _append(message, arguments)
    return {"channel": arguments["channel"], "ts": message["ts"]}


def _stop_stream(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    message = _streaming(twin, team, arguments)
    blocks = _content(arguments, needed=False)["blocks"]
    mark = _mark(arguments)
    _append(message, arguments)
    message |= {"streaming": False, "blocks": [*message["blocks"], *blocks], **mark}
    _echo(twin, team, team.channels[arguments["channel"]], message)
    return {"channel": arguments["channel"], "ts": message["ts"], "message": message}


# Assistant, views, people, channels


def _status(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = _channel(team, arguments, "channel_id")
    if place.message(str(arguments.get("thread_ts"))) is None:
        raise No("invalid_thread_ts")
    key = f"{place.id}:{arguments['thread_ts']}"
    if arguments.get("status"):
        team.statuses[key] = arguments["status"]
    else:
        team.statuses.pop(key, None)
    return {}


def _prompts(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place, prompts = _channel(team, arguments, "channel_id"), _json(arguments, "prompts")
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= 4 or any(not p.get("title") or not p.get("message") for p in prompts):
        raise No("invalid_arguments", "1 to 4 prompts, each with title and message")
    team.prompts[place.id] = {"title": arguments.get("title"), "prompts": prompts, "thread_ts": arguments.get("thread_ts")}
    return {}


def _title(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = _channel(team, arguments, "channel_id")
    if not arguments.get("title") or not arguments.get("thread_ts"):
        raise No("invalid_arguments")
    team.titles[f"{place.id}:{arguments['thread_ts']}"] = arguments["title"]
    return {}


def _view(arguments: Arguments, kind: str) -> dict[str, Any]:
    view = _json(arguments, "view")
    wrong = view_problems(view)
    if not wrong and view["type"] != kind:
        wrong = [f"type must be {kind}"]
    if wrong:
        raise No("invalid_arguments", *wrong)
    found: dict[str, Any] = view
    return found


def _trigger(twin: Twin, team: Team, arguments: Arguments) -> str:
    until, whose, user = twin.triggers.pop(str(arguments.get("trigger_id")), (0.0, "", ""))
    if whose != team.id:
        raise No("invalid_trigger_id")
    if twin.clock() > until:
        raise No("expired_trigger_id")
    return user


def _views_open(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    view = _view(arguments, "modal")
    return {"view": twin.put_view(team.id, _trigger(twin, team, arguments), view)}


def _views_push(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    view = _view(arguments, "modal")
    return {"view": twin.put_view(team.id, _trigger(twin, team, arguments), view, pushed=True)}


def _views_update(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    old = twin.views.get(str(arguments.get("view_id")))
    if old is None and arguments.get("external_id"):
        old = next((v for v in twin.views.values() if v.get("external_id") == arguments["external_id"]), None)
    if old is None or old["team_id"] != team.id:
        raise No("not_found")
    if arguments.get("hash") and arguments["hash"] != old["hash"]:
        raise No("hash_conflict")
    return {"view": twin.put_view(team.id, old["to"], _view(arguments, "modal"), into=old["id"])}


def _views_publish(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    user = str(arguments.get("user_id"))
    if user not in team.users:
        raise No("user_not_found")
    view = _view(arguments, "home")
    team.homes[user] = {**view, "id": team.homes.get(user, {}).get("id") or twin.number("V"), "team_id": team.id, "hash": twin.number("h")}
    return {"view": team.homes[user]}


def _info(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = team.channels.get(str(arguments.get("channel", "")))
    if place is None or (place.kind in ("group", "im") and team.bot_user not in place.members):
        raise No("channel_not_found")
    kinds = {f"is_{kind}": place.kind == kind for kind in ("channel", "group", "im", "mpim")}
    shared = {"is_ext_shared": place.is_ext_shared, "is_shared": place.is_ext_shared, "is_pending_ext_shared": False}
    member = {"is_member": team.bot_user in place.members, "is_archived": place.archived}
    return {"channel": {"id": place.id, "name": place.name, **kinds, **shared, **member}}


def _replies(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place, ts = _channel(team, arguments), str(arguments.get("ts"))
    if place.message(ts) is None:
        raise No("thread_not_found")
    since = str(arguments.get("oldest") or "0")
    found = [dict(m) for m in place.thread(ts) if m["ts"] == ts or m["ts"] > since]
    if not _true(arguments.get("include_all_metadata")):
        for message in found:
            message.pop("metadata", None)
    return {"messages": found, "has_more": False}


def _conversations_open(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    users = arguments.get("users") or ""
    users = users.split(",") if isinstance(users, str) else list(users)
    if len(users) != 1 or users[0] not in team.users:
        raise No("user_not_found")
    if f"D{users[0]}" not in team.channels:
        twin.channel(team.id, f"D{users[0]}", team.users[users[0]].name, kind="im", members={users[0], team.bot_user})
    return {"channel": {"id": f"D{users[0]}"}}


def _user(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    user = team.users.get(str(arguments.get("user")))
    if user is None:
        raise No("user_not_found")
    profile = {"display_name": user.name, "real_name": user.name, "email": user.email or f"{user.id.lower()}@example.com"}
    said = {"id": user.id, "team_id": team.id, "name": user.name, "real_name": user.name, "profile": profile, "is_bot": user.is_bot}
    flags = {"is_admin": user.is_admin, "is_owner": False, "deleted": user.deleted, "is_restricted": user.is_guest}
    return {"user": {**said, **flags, "locale": user.locale, "is_email_confirmed": user.is_email_confirmed}}


def _test(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    here = {"url": f"{twin.url}/", "team": team.name, "team_id": team.id}
    return {**here, "user": "img-advisor", "user_id": team.bot_user, "bot_id": team.bot_id}


def _permalink(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    place = _channel(team, arguments)
    if place.message(str(arguments.get("message_ts"))) is None:
        raise No("message_not_found")
    return {"channel": place.id, "permalink": f"{twin.url}/archives/{place.id}/p{str(arguments['message_ts']).replace('.', '')}"}


def _react(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    message = _channel(team, arguments).message(str(arguments.get("timestamp")))
    if message is None:
        raise No("message_not_found")
    names = message.setdefault("reactions", [])
    if arguments.get("name") in names:
        raise No("already_reacted")
    names.append(arguments.get("name"))
    return {}


def _unreact(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    message = _channel(team, arguments).message(str(arguments.get("timestamp")))
    if message is None or arguments.get("name") not in message.get("reactions", []):
        raise No("no_reaction")
    message["reactions"].remove(arguments["name"])
    return {}


def _revoke(twin: Twin, team: Team, arguments: Arguments) -> dict[str, Any]:
    twin.revoked.add(team.token)
    return {"revoked": True}


def _true(value: Any) -> bool:
    return str(value).lower() in ("true", "1")


OPEN: dict[str, Callable[[Twin, str, Arguments], dict[str, Any]]] = {
    "apps.connections.open": _connections_open,
    "oauth.v2.access": _oauth_access,
}
METHODS: dict[str, Callable[[Twin, Team, Arguments], dict[str, Any]]] = {
    "auth.test": _test,
    "auth.revoke": _revoke,
    "chat.postMessage": _post,
    "chat.postEphemeral": _ephemeral,
    "chat.update": _update,
    "chat.delete": _delete,
    "chat.getPermalink": _permalink,
    "chat.startStream": _start_stream,
    "chat.appendStream": _append_stream,
    "chat.stopStream": _stop_stream,
    "assistant.threads.setStatus": _status,
    "assistant.threads.setSuggestedPrompts": _prompts,
    "assistant.threads.setTitle": _title,
    "views.open": _views_open,
    "views.push": _views_push,
    "views.update": _views_update,
    "views.publish": _views_publish,
    "conversations.info": _info,
    "conversations.replies": _replies,
    "conversations.open": _conversations_open,
    "users.info": _user,
    "reactions.add": _react,
    "reactions.remove": _unreact,
}
