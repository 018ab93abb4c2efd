"""Jinja2 pages: one environment, everything escaped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_MONTHS = "January February March April May June July August September October November December".split()


def say_date(value: str) -> str:
    """ "2025-07" -> "July 2025", "2025-07-04" -> "4 July 2025"; anything else as it is."""
    parts = value.split("-")
    if not all(part.isdigit() for part in parts) or not 1 <= len(parts) <= 3:
        return value
    if len(parts) == 1:
        return value
    month = int(parts[1])
    if not 1 <= month <= 12:
        return value
    day = f"{int(parts[2])} " if len(parts) == 3 else ""
    return f"{day}{_MONTHS[month - 1]} {parts[0]}"


def is_past(value: str, today: dt.date | None = None) -> bool:
    """Whether a date of any precision is over; 'unknown' never is."""
    now = (today or dt.datetime.now(dt.UTC).date()).isoformat()
    return value[:4].isdigit() and value < now[: len(value)]


def initials(name: str) -> str:
    """ "Dr. Ana María Ruiz" -> "AR"; a title is none of the names."""
    words = [word for word in name.split() if word[0].isalpha() and not word.endswith(".")] or name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


environment = Environment(
    loader=PackageLoader("web"), autoescape=select_autoescape(default=True), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
environment.filters["say_date"] = say_date
environment.filters["initials"] = initials
environment.tests["past"] = is_past


def page(template: str, *, status_code: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> HTMLResponse:
    return HTMLResponse(environment.get_template(template).render(**values), status_code, headers)
