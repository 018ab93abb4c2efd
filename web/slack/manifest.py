"""The app as Slack is to know it: what is pasted under "Create an app, from a manifest"."""

from __future__ import annotations

from typing import Any

SCOPES: dict[str, str] = {
    "app_mentions:read": "to see messages that mention it",
    "assistant:write": "to show that it works on an answer, and to suggest questions",
    "channels:history": "to see follow-ups in threads of public channels it was added to",
    "channels:read": "to know whether a channel is shared with other organizations",
    "chat:write": "to answer",
    "chat:write.customize": "to put an advisor's name over their reply",
    "commands": "for /img and the shortcuts",
    "groups:history": "the same as channels:history, in private channels it was added to",
    "groups:read": "the same as channels:read, for private channels",
    "im:history": "to see direct messages to it",
    "im:write": "to write to an advisor who takes a question on",
    "mpim:history": "to see follow-ups in group chats it was added to",
    "mpim:read": "the same as channels:read, for group chats",
    "users:read": "to show names of advisors, and to know who is an admin",
    "users:read.email": "to know which advisor's account of the console somebody has",
}
"""What each permission is for."""

EVENTS = (
    "app_home_opened", "app_mention", "app_uninstalled", "assistant_thread_context_changed", "assistant_thread_started", "message.channels",
    "message.groups", "message.im", "message.mpim", "tokens_revoked",
)  # fmt: skip

DESCRIPTION = "Verified, cited answers for international medical graduates on the way to US residency"
LONG = (
    "Ask about visas, ECFMG certification, the USMLE, the Match, state licenses and programs. Every sentence of an answer names the "
    "official page it rests on and its date; what cannot be shown to be supported is not said. A human advisor is one click away. "
    "Answers are general information, not legal or medical advice."
)
PROMPTS = (
    "What is the passing score for Step 2 CK?",
    "How long is my ECFMG certificate valid?",
    "What is the difference between a J-1 and an H-1B?",
)


def _shortcut(name: str, kind: str, callback: str, description: str) -> dict[str, str]:
    return {"name": name, "type": kind, "callback_id": callback, "description": description}


def manifest(url: str = "", *, socket_mode: bool = False, rotation: bool = False) -> dict[str, Any]:
    """`url`: where Slack reaches this server, https://…; with Socket Mode it needs to reach nothing."""
    base = url.rstrip("/")
    request = {} if socket_mode else {"request_url": f"{base}/slack/events"}
    command = {"command": "/img", "description": "Ask IMG Advisor; only you see the answer", "usage_hint": "[question] or help"}
    shortcuts = [
        _shortcut("Ask IMG Advisor", "global", "ask_img_advisor", "Ask a question"),
        _shortcut("Answer this", "message", "answer_this", "The answer to what this message asks"),
        _shortcut("Draft a reply", "message", "draft_reply", "For advisors: a verified draft that you can edit and send"),
    ]
    return {
        "display_information": {"name": "IMG Advisor", "description": DESCRIPTION, "long_description": LONG, "background_color": "#0b4f6c"},
        "features": {
            "agent_view": {
                "agent_description": DESCRIPTION,
                "suggested_prompts": [{"title": question, "message": question} for question in PROMPTS],
            },
            "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True, "messages_tab_read_only_enabled": False},
            "bot_user": {"display_name": "IMG Advisor", "always_online": True},
            "shortcuts": shortcuts,
            "slash_commands": [{**command, "should_escape": False, **({} if socket_mode else {"url": f"{base}/slack/events"})}],
        },
        "oauth_config": {
            **({"redirect_urls": [f"{base}/slack/oauth_redirect"]} if base else {}),
            "scopes": {"bot": list(SCOPES)},
        },
        "settings": {
            "event_subscriptions": {**request, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **request},
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": rotation,
        },
    }
