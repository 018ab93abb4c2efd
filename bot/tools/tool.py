"""A tool: a name, typed arguments with descriptions, and what it finds in the tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from bot.errors import InputError
from bot.rows import Tables
from bot.tools.result import Outcome


class Arguments(BaseModel):
    """The arguments of a tool. Their JSON schema is what the API, the command line and a chat model are told."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def _score(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and not LOWEST_SCORE <= value <= HIGHEST_SCORE:
        raise ValueError(f"{value} is no possible score; USMLE scores lie between {LOWEST_SCORE} and {HIGHEST_SCORE}")
    return value


LOWEST_SCORE, HIGHEST_SCORE = 1, 300
"""The scale of Step 2 CK and Step 3 scores."""

Score = Annotated[int, BeforeValidator(_score)]


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    title: str
    description: str
    arguments: type[Arguments]
    find: Callable[[Any, Tables, dt.date], Outcome]

    def read(self, arguments: dict[str, Any]) -> Arguments:
        """
        Raises:
            InputError: what is wrong with which argument, and what it may be.
        """
        try:
            return self.arguments.model_validate(arguments)
        except ValidationError as error:
            raise InputError(f"{self.name}: {_sentence(error)}") from None

    def schema(self) -> dict[str, Any]:
        return self.arguments.model_json_schema()


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"the argument '{where}' is missing."
    if first["type"] == "extra_forbidden":
        return f"there is no argument '{where}'."
    return (f"'{where}': " if where else "") + message[:1].lower() + message[1:].rstrip(".") + "."
