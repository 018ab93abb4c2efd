"""What the marks in guides stand for: `facts.yaml`, `sources.yaml` and `data/conflicts.yaml` of a knowledge folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from bot.answer import SourceRef
from bot.errors import DocumentError
from bot.passage import FactRef
from bot.rows import date_text

ADVICE = FactRef(
    "advice",
    SourceRef(title="Advice, without an official source", publisher="These guides", url=None, tier="advice", link="source"),
    confidence="medium",
)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SourceRecord(Record):
    """An official page or publication a fact rests on. `url` is absent where the page read was a copy that must not be shown."""

    title: str
    publisher: str = ""
    tier: Literal["primary", "secondary"] = "secondary"
    url: str | None = None
    owner_url: str | None = None
    published: str = "unknown"
    retrieved: str = "unknown"

    @field_validator("url", "owner_url")
    @classmethod
    def _public(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^\s/]+\.[^\s]+$", value):
            raise ValueError("must be a public web address")
        return value

    @field_validator("published", "retrieved", mode="before")
    @classmethod
    def _date(cls, value: object) -> str:
        return date_text(value)

    def ref(self, owner_url: str | None = None) -> SourceRef:
        owner = owner_url or self.owner_url
        return SourceRef(
            title=self.title,
            publisher=self.publisher,
            url=self.url or owner,
            tier=self.tier,
            link="source" if self.url or not owner else "owner",
        )


class FactRecord(Record):
    source: str
    as_of: str = "unknown"
    volatile: bool = False
    confidence: Literal["high", "medium", "low"] = "high"
    conflicts: list[str] = []
    owner_url: str | None = None

    @field_validator("as_of", mode="before")
    @classmethod
    def _date(cls, value: object) -> str:
        return date_text(value)


class Position(Record):
    fact: str | None = None
    where: str | None = None
    says: str
    as_of: str = "unknown"
    tier: str = "secondary"

    @field_validator("as_of", mode="before")
    @classmethod
    def _date(cls, value: object) -> str:
        return date_text(value)


class Conflict(Record):
    """Sources that disagree. Both sides stand; `preferred` names the fact to use, or none when both must be shown."""

    topic: str
    statement: str
    positions: list[Position]
    preferred: str | None = None
    reason: str = ""


class Registry(Record):
    sources: dict[str, SourceRecord] = {}
    facts: dict[str, FactRecord] = {}
    conflicts: dict[str, Conflict] = {}

    def fact(self, mark: str) -> FactRef | None:
        """What a mark stands for: a fact, or a source named directly; None when it is unknown."""
        if mark == "advice":
            return ADVICE
        record = self.facts.get(mark)
        if record is not None:
            source = self.sources.get(record.source)
            if source is None:
                return None
            return FactRef(mark, source.ref(record.owner_url), record.as_of, record.volatile, record.confidence, tuple(record.conflicts))
        source = self.sources.get(mark)
        return FactRef(mark, source.ref(), source.published) if source else None


def read_yaml(path: Path, name: str) -> Any:
    """
    Raises:
        DocumentError: unreadable or not YAML; names the line.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DocumentError(f"is not valid YAML ({error.problem})", file=name, line=line) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DocumentError(f"cannot be read ({type(error).__name__})", file=name) from None


def read_registry(folder: Path) -> Registry:
    """The registry of a knowledge folder; files that are not there count as empty.

    Raises:
        DocumentError: names the file, the entry and the field that is wrong.
    """
    registry = Registry()
    for name, field, model in (
        ("sources.yaml", "sources", SourceRecord),
        ("facts.yaml", "facts", FactRecord),
        ("data/conflicts.yaml", "conflicts", Conflict),
    ):
        path = folder / name
        if not path.is_file():
            continue
        data = read_yaml(path, name) or {}
        if not isinstance(data, dict):
            raise DocumentError("must map ids to entries", file=name)
        entries: dict[str, Any] = getattr(registry, field)
        for key, value in data.items():
            try:
                entries[str(key)] = model.model_validate(value)
            except ValidationError as error:
                first = error.errors()[0]
                raise DocumentError(
                    f"entry '{key}': {first['msg']}",
                    file=name,
                    line=_line_of(path, str(key)),
                    field=".".join(map(str, first["loc"])) or None,
                ) from None
    return registry


def _line_of(path: Path, key: str) -> int | None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith((f"{key}:", f'"{key}":', f"'{key}':")):
            return number
    return None
