"""The few rules by which a cell may be worked out. Each is repeatable from the names and values of its inputs alone."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from bot.rows import money

Rule = Literal["sum of products", "difference", "add years", "add days", "years between", "latest", "points", "position"]
Pairs = Sequence[tuple[str, str]]
"""Names and values of the inputs, in the order that the rule wants."""


def recomputed(rule: Rule, inputs: Pairs) -> str:
    """
    sum of products: price, number, price, number … -> money.  difference: from, what is taken away -> a number, not below 0.
    add years, add days: a date, a number -> a date.  latest: date, months, date, months … -> the last of the dates so many months on.
    points: numbers -> their sum.  years between: a later year, an earlier one -> years.
    position: a score, then named marks -> where it lies among them.

    Raises:
        ValueError: an input is not of the shape that the rule wants.
    """
    values = [value for _, value in inputs]
    if rule == "sum of products":
        return money(str(sum(number(price) * number(times) for price, times in zip(values[::2], values[1::2], strict=True))))
    if rule == "difference":
        return str(max(number(values[0]) - number(values[1]), Decimal(0)))
    if rule == "add years":
        return years_later(dt.date.fromisoformat(values[0]), int(number(values[1]))).isoformat()
    if rule == "add days":
        return (dt.date.fromisoformat(values[0]) + dt.timedelta(days=int(number(values[1])))).isoformat()
    if rule == "latest":
        pairs = zip(values[::2], values[1::2], strict=True)
        return max(months_later(dt.date.fromisoformat(day), int(number(months))) for day, months in pairs).isoformat()
    if rule == "points":
        return str(sum(number(value) for value in values))
    if rule == "years between":
        between = int(number(values[0])) - int(number(values[1]))
        return f"{between} year" + "s" * (between != 1)
    return _position(inputs)


def formula(rule: Rule, inputs: Pairs) -> str:
    """The rule with its values, for people."""
    values = [value for _, value in inputs]
    if rule == "sum of products":
        pairs = list(zip(inputs[::2], inputs[1::2], strict=True))
        return " + ".join(price if times == ONCE else f"{_bracketed(times)} × {price}" for (_, price), (_, times) in pairs)
    if rule == "latest":
        pairs = list(zip(inputs[::2], inputs[1::2], strict=True))
        return ("the later of " if len(pairs) > 1 else "") + " and ".join(f"{a} ({day}) + {months}" for (a, day), (_, months) in pairs)
    if rule == "points":
        return " + ".join(f"{value} ({name})" for name, value in inputs) or "0"
    if rule == "position":
        return f"{values[0]} beside " + ", ".join(f"{name}: {value}" for name, value in inputs[1:])
    sign = {"difference": "−", "years between": "−", "add years": "+", "add days": "+"}[rule]
    return f" {sign} ".join(f"{name} ({value})" for name, value in inputs)


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


ONCE = "once"


def number(text: str) -> Decimal:
    """The one number of a text: "$2,430", "7 years" or "once"; of "100 − 30" the difference."""
    if text == ONCE:
        return Decimal(1)
    whole, minus, part = text.partition(" − ")
    if minus:
        return number(whole) - number(part)
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
    if len(found) != 1:
        raise ValueError(f"'{text}' is not one number")
    return Decimal(found[0].replace(",", ""))


def years_later(day: dt.date, years: int) -> dt.date:
    """The same day of another year; 29 February becomes the 28th where there is none."""
    return months_later(day, 12 * years)


def months_later(day: dt.date, months: int) -> dt.date:
    """The same day of another month, or its last day where that is earlier."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _position(inputs: Pairs) -> str:
    score = number(inputs[0][1])
    marks = sorted((number(value), name) for name, value in inputs[1:])
    equal = [name for value, name in marks if value == score]
    below = [(value, name) for value, name in marks if value < score]
    above = [(value, name) for value, name in marks if value > score]
    if equal:
        return f"{score}: the same as the {' and the '.join(equal)}"
    if not below:
        return f"{score}: below the {above[0][1]} ({above[0][0]}), the lowest of these"
    if not above:
        return f"{score}: above the {below[-1][1]} ({below[-1][0]}), the highest of these"
    return f"{score}: between the {below[-1][1]} ({below[-1][0]}) and the {above[0][1]} ({above[0][0]})"
