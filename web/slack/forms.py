"""The profile as a form: what was told before, and what may be entered."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from pydantic import ValidationError

from bot.answer import Profile
from bot.profile import NAMES, OLDEST_GRADUATION, SCORES, YEARS_AHEAD, shown
from web.slack.parts import Block, context, option, plain_text, text_input
from web.slack.windows import View, entered, window
from web.slack.words import mrkdwn, say

YES_NO = ("us_work_authorization", "visa_needed")
LISTS = ("specialties", "states")
NUMBERS = ("graduation_year", "step2ck", "step3")
FIELDS = tuple(NAMES)
_TIMES = re.compile(r"step\s*(1|2(?:\s*ck)?|3)\s*[:=]?\s*(\d{1,2})", re.I)
ABOUT = (
    "Only what you say here or in our direct chat. It helps me to choose what matters to you, goes along with our direct chats, is seen by "
    "an advisor whom you ask, and is forgotten when you clear it. Leave empty what you do not want to say."
)
HINTS = {"attempts": "A number, or each exam: Step 1: 2, Step 2 CK: 1", "step1": "pass, fail, or a score"}


def profile_window(profile: Profile | None, callback: str) -> View:
    known = profile or Profile()
    fields = [_field(name, getattr(known, name)) for name in FIELDS]
    note = context(mrkdwn(ABOUT))
    return window(say("profile"), [note, *fields], callback=callback, submit=say("save"), close=say("cancel"))


def _field(name: str, value: Any) -> Block:
    label = say(f"profile_{name}")
    if name in YES_NO:
        options = [option(say("notSaid"), "-"), option(say("yes"), "yes"), option(say("no"), "no")]
        chosen = options[0] if value is None else options[1] if value else options[2]
        select = {"type": "static_select", "action_id": name, "options": options, "initial_option": chosen}
        return {"type": "input", "block_id": name, "optional": True, "label": plain_text(label, 200), "element": select}
    return text_input(name, label, value="" if value is None else shown(value), most=300, hint=HINTS.get(name, ""))


def profile_of(view: View) -> tuple[Profile, dict[str, str]]:
    """What was entered, and by field what is wrong with it. An empty field is one that nothing is told of."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name in FIELDS:
        said = str(entered(view, name) or "").strip()
        if not said or said == "-":
            continue
        try:
            values[name] = _value(name, said)
            Profile(**{name: values[name]})
        except ValidationError:
            wrong[name] = "This cannot be so. Please check it."
        except ValueError as error:
            wrong[name] = str(error)
    return (Profile(), wrong) if wrong else (Profile(**values), {})


def _value(name: str, said: str) -> Any:
    if name in YES_NO:
        return said == "yes"
    if name in LISTS:
        return [part.strip() for part in re.split(r"[,;\n]", said) if part.strip()][:20]
    if name in NUMBERS:
        low, high = _range(name)
        return _number(said, low, high)
    if name == "usce_months":
        return _number(said, 0, 240)
    if name == "step1":
        if said.lower() in ("pass", "passed", "fail", "failed"):
            return said.lower()[:4]
        return _number(said, *SCORES["step1"], or_else="pass, fail, or a score")
    if name == "attempts":
        if re.fullmatch(r"\d{1,2}", said):
            return int(said)
        found = {f"step{exam[0]}{'ck' if exam[0] == '2' else ''}": int(times) for exam, times in _TIMES.findall(said)}
        if not found:
            raise ValueError("Write a number, or each exam: Step 1: 2, Step 2 CK: 1")
        return found
    return said


def _range(name: str) -> tuple[int, int]:
    return (OLDEST_GRADUATION, dt.date.today().year + YEARS_AHEAD) if name == "graduation_year" else SCORES[name]


def _number(said: str, low: int, high: int, or_else: str = "a number") -> int | float:
    try:
        value = float(said.replace(",", "."))
    except ValueError:
        raise ValueError(f"Write {or_else}, from {low} to {high}.") from None
    if not low <= value <= high:
        raise ValueError(f"It must be from {low} to {high}.")
    return int(value) if value == int(value) else value
