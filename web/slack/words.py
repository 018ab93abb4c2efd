"""Text for Slack: what it shows, and nothing that it would obey.

Slack reads `<…>` in mrkdwn and Markdown as a mention or a link. Here whatever a person, a guide or a source wrote is text: it can ping
nobody, forge no link, and hide nothing behind characters that turn the line around.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

LONGEST_URL = 500
"""Slack takes 3,000 characters; but a message holds many links, and some 13,000 characters in all."""
STRINGS = Path(__file__).parent.parent / "static" / "widget" / "strings"

# Control characters but line break and tab; bidi embeddings, overrides and isolates; invisible operators; tags; lone surrogates. Joiners
# stay (Persian, Urdu and Hindi are written with them), as do the single marks of direction.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc\U000e0000-\U000e007f\ud800-\udfff]")
_WIDE = str.maketrans({"＜": "<", "﹤": "<", "＞": ">", "﹥": ">", "＆": "&", "﹠": "&", "＠": "@", "﹫": "@"})
_AT = re.compile(r"(?<![\w.])@(?=\w)")
_MARKUP = re.compile(r"([\\`*_~\[\]|#])")
JOINER = "\u2060"
"""Shows nothing; between @ and a name it keeps the two from being a mention."""


def plain(text: str) -> str:
    """What a person may see of it. For rich text and plain_text, which Slack shows as it stands."""
    return _HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n").translate(_WIDE))


def mrkdwn(text: str) -> str:
    """For `text` of messages and for mrkdwn objects: shown as it stands, formatting characters included as far as Slack lets them."""
    return _AT.sub("@" + JOINER, _escaped(plain(text)))


def markdown(text: str) -> str:
    """For `markdown_text` of streams: shown as it stands."""
    return _AT.sub("@" + JOINER, _escaped(_MARKUP.sub(r"\\\1", plain(text))))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str, most: int) -> str:
    """At most so many characters, cut at a word where one ends near."""
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space > most * 2 // 3 else cut).rstrip(" ,;:") + "…"


def web_url(url: str | None) -> str | None:
    """An address that a link may lead to: http or https, without what would end the link."""
    if not url or len(url) > LONGEST_URL or not re.match(r"https?://[^\s/]", url, re.I) or re.search(r"[\s<>|\"\\^`{}\x00-\x1f\x7f]", url):
        return None
    return None if _HIDDEN.search(url) else url


def web_link(url: str, label: str) -> str:
    """A link in mrkdwn; the label cannot end it."""
    return f"<{_escaped(url)}|{mrkdwn(label).replace('|', '¦')}>"


@cache
def _strings(language: str) -> dict[str, Any]:
    path = STRINGS / f"{language}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def say(key: str, language: str = "en", *, n: int | None = None, **values: object) -> str:
    """One of the widget's words, in the answer's language where there are any, else in English."""
    tongue = language.split("-")[0].lower()
    tongue = "fil" if tongue == "tl" else tongue if re.fullmatch(r"[a-z]{2,3}", tongue) else "en"
    found = _strings(tongue).get(key) or _strings("en")[key]
    if isinstance(found, dict):
        found = found.get(_plural(tongue, n or 0)) or found["other"]
    for name, value in {"n": n, **values}.items():
        found = found.replace("{" + name + "}", str(value))
    return str(found)


def _plural(language: str, n: int) -> str:
    """The plural form by Unicode's rules, for whole numbers."""
    match language:
        case "zh":
            return "other"
        case "fr" | "pt" | "hi":
            return "one" if n < 2 else "other"
        case "ru":
            if n % 10 == 1 and n % 100 != 11:
                return "one"
            return "few" if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else "many"
        case "ar":
            if n < 3:
                return ("zero", "one", "two")[n]
            return "few" if 3 <= n % 100 <= 10 else "many" if n % 100 >= 11 else "other"
    return "one" if n == 1 else "other"


_MONTHS = "January February March April May June July August September October November December".split()


def date(as_of: str, language: str = "en") -> str:
    """'2026-09' -> 'September 2026'; in other languages it stays as it is written."""
    match = re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", as_of)
    if match is None or not 1 <= int(match[2] or 1) <= 12:
        return say("dateUnknown", language)
    if language != "en":
        return as_of
    year, month, day = match.groups()
    return " ".join([*([str(int(day))] if day else []), *([_MONTHS[int(month) - 1]] if month else []), year])


def when(at: dt.datetime, fallback: str = "{date_short_pretty} {time}") -> str:
    """A moment, shown by Slack in the reader's own time zone."""
    return f"<!date^{int(at.timestamp())}^{fallback}|{at:%Y-%m-%d %H:%M} UTC>"
