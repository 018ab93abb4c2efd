"""The golden set: questions in applicants' words with the places that answer them. Data, read by the evaluation and its tests.

A file is a YAML list of entries; a place is `slug#anchor`, a section of a guide. Operators add entries of their own from answers that
an advisor approved (`entry_from`, `add_entry`).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import yaml
from filelock import FileLock
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from bot.answer import Answer, Status
from bot.errors import DocumentError, InputError
from bot.terms import read_yaml

Entry = TypeVar("Entry")

Kind = Literal["plain", "typo", "multi", "follow_up", "false_premise", "no_answer", "out_of_scope"]
Topic = Literal["visas", "ecfmg", "usmle", "match", "licensure", "programs", "applying", "life"]
NOT_QUESTIONS = frozenset({"paraphrases.yaml"})
"""Files beside the questions that hold another kind of data."""

_PLACE = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*#[A-Za-z0-9_.:-]+")


def _place(value: str) -> str:
    if not _PLACE.fullmatch(value):
        raise ValueError(f"'{value}' is not a place; write slug#anchor, as in visas/h1b-for-residency#step-3")
    return value


def _pattern(value: str) -> str:
    try:
        _compiled(value)
    except re.error as error:
        raise ValueError(f"'{value}' is not a pattern ({error}); write a plain string, or /regex/ with a valid expression") from None
    if not value.strip("/ "):
        raise ValueError("is empty; say what the answer must or must not hold")
    return value


def _compiled(value: str) -> re.Pattern[str]:
    """A plain string counts where it stands as itself: "30" is not found in "300", nor in "1,30"."""
    if len(value) > 1 and value.startswith("/") and value.endswith("/"):
        return re.compile(value[1:-1], re.IGNORECASE)
    return re.compile(rf"(?<![\w.,])(?<!\w-){re.escape(value)}(?![\w]|[.,]\d)", re.IGNORECASE)


Place = Annotated[str, AfterValidator(_place)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class Turn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["user", "assistant"]
    text: str = Field(min_length=1)


class GoldenQuestion(BaseModel):
    """A question and what a right answer is. `file` and `line` say where it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    question: str = Field(min_length=2)
    kind: Kind
    topic: Topic
    history: list[Turn] = []
    standalone: str = ""
    expect: list[Place] = []
    parts: list[Annotated[list[Place], Field(min_length=1)]] = []
    status: list[Status] = Field(min_length=1)
    must_say: list[Pattern] = []
    must_not_say: list[Pattern] = []
    file: str = Field(default="", exclude=True)
    line: int = Field(default=0, exclude=True)

    @model_validator(mode="after")
    def _whole(self) -> GoldenQuestion:
        if (self.kind == "follow_up") != bool(self.history) or (self.kind == "follow_up") != bool(self.standalone):
            raise ValueError("history and standalone belong to follow_up entries, and such entries need both")
        if (self.kind == "multi") != bool(self.parts):
            raise ValueError("parts belong to multi entries, and such entries need them")
        if self.kind in ("plain", "typo", "follow_up", "false_premise") and not self.expect:
            raise ValueError(f"a {self.kind} entry needs expect: the places that answer it")
        if self.kind == "out_of_scope" and self.places:
            raise ValueError("an out_of_scope entry has no places")
        return self

    @cached_property
    def places(self) -> tuple[str, ...]:
        """Every acceptable place, of all parts, each once."""
        return tuple(dict.fromkeys([*self.expect, *(place for part in self.parts for place in part)]))

    @property
    def answerable(self) -> bool:
        """Whether the knowledge base answers it, at least in part; what is not is to be declined."""
        return self.kind not in ("no_answer", "out_of_scope")

    def missing(self, text: str) -> list[str]:
        """What the answer must say and `text` does not."""
        return [item for item in self.must_say if not _compiled(item).search(text)]

    def forbidden(self, text: str) -> list[str]:
        """What the answer must not say and `text` does."""
        return [item for item in self.must_not_say if _compiled(item).search(text)]


def read_golden(path: Path) -> list[GoldenQuestion]:
    """The questions of a file, or of all files of a folder, in order of file name.

    Raises:
        DocumentError: a file cannot be read, an entry is wrong or an id is used twice; names file, line and field.
    """
    if path.is_dir():
        files = sorted(file for file in path.glob("*.yaml") if file.name not in NOT_QUESTIONS)
        if not files:
            raise DocumentError("holds no .yaml files with questions", file=path.name)
    else:
        files = [path]
    questions: dict[str, GoldenQuestion] = {}
    for file in files:
        for question in _read_file(file):
            first = questions.setdefault(question.id, question)
            if first is not question:
                raise DocumentError(
                    f"'{question.id}' is already used in {first.file}, line {first.line}; ids must differ",
                    file=question.file,
                    line=question.line,
                    field="id",
                )
    return list(questions.values())


def _read_file(path: Path) -> list[GoldenQuestion]:
    name = path.name
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if not isinstance(root, yaml.SequenceNode):
            raise DocumentError("must be a list of entries, each starting with '- id:'", file=name, line=1)
        return [_read_entry(loader, node, name) for node in root.value]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DocumentError(f"is not valid YAML ({error.problem})", file=name, line=line) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise DocumentError("cannot be read. Check that it exists and that it is text in UTF-8.", file=name) from None


def _read_entry(loader: yaml.SafeLoader, node: yaml.Node, name: str) -> GoldenQuestion:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise DocumentError("must be an entry with fields, starting with '- id:'", file=name, line=line)
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    data = loader.construct_document(node)
    try:
        return GoldenQuestion.model_validate({**data, "file": name, "line": line})
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][0]) if first["loc"] else None
        message = first["msg"].removeprefix("Value error, ")
        raise DocumentError(f"entry '{data.get('id', '')}': {message}", file=name, line=lines.get(where or "", line), field=where) from None


# New entries --------------------------------------------------------------------------------------------------------------

_TOPICS: dict[str, Topic] = {
    "states": "licensure", "specialties": "match", "residency": "life", "money": "life", "start": "life",
}  # fmt: skip
MOST_FIGURES = 3
MOST_PLACES = 8


def entry_from(answer: Answer, question: str, ident: str) -> GoldenQuestion:
    """An approved answer as a golden question: it is to be answered again, from the same sections, with the same figures.

    Raises:
        InputError: the answer cites no section of a guide, or the question is none.
    """
    urls = [citation.guide.url for citation in answer.citations if citation.guide and "#" in citation.guide.url]
    places = [place for url in dict.fromkeys(urls) if _PLACE.fullmatch(place := url.removeprefix("/guides/"))]
    if not places:
        raise InputError("This answer cites no section of a guide, so there is nothing that a golden question could hold it to.")
    if len(" ".join(question.split())) < 2:
        raise InputError("A golden question needs a question. Write it as an applicant would ask.")
    shelf = places[0].partition("/")[0]
    figures = [figure for sentence in answer.sentences if sentence.kind == "fact" for figure in sentence.figures]
    try:
        return GoldenQuestion(
            id=ident, question=" ".join(question.split()), kind="plain", topic=_topic(shelf),
            expect=places[:MOST_PLACES], status=["answered"], must_say=list(dict.fromkeys(figures))[:MOST_FIGURES],
        )  # fmt: skip
    except ValidationError as error:
        raise InputError(f"This cannot be a golden question ({error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}).") from None


def _topic(shelf: str) -> Topic:
    """Of a shelf that is an operator's own there is no topic; it counts where most questions do."""
    named: dict[str, Topic] = {topic: topic for topic in get_args(Topic)} | _TOPICS
    return named.get(shelf, "applying")


def add_entry(file: Path, entry: GoldenQuestion) -> bool:
    """Writes an entry to the end of a file, which stays whole whatever happens. False: one of this id is there already.

    Raises:
        DocumentError: the file holds something else. InputError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(file.with_suffix(".lock")), timeout=10):
            before = file.read_text(encoding="utf-8") if file.exists() else f"{_HEAD}\n"
            known: Sequence[GoldenQuestion] = _read_file(file) if file.exists() else []
            if any(other.id == entry.id for other in known):
                return False
            part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
            part.write_text(f"{before.rstrip()}\n\n{_written(entry)}", encoding="utf-8")
            os.replace(part, file)
    except OSError as error:
        raise InputError(f"'{file.name}' cannot be written ({error.strerror}). Check the data folder, or free some space.") from None
    return True


_HEAD = "# Golden questions from approved answers. Run them: img-advisor eval --questions THIS_FILE"


def _written(entry: GoldenQuestion) -> str:
    value = entry.model_dump(exclude_defaults=True)
    return yaml.safe_dump([value], sort_keys=False, allow_unicode=True, width=1000)


def read_entries(file: Path, kind: type[Entry]) -> list[Entry]:
    """The entries of a YAML list.

    Raises:
        DocumentError: the file is not of the expected shape.
    """
    try:
        return TypeAdapter(list[kind]).validate_python(read_yaml(file.read_bytes()))  # type: ignore[valid-type]
    except ValidationError as error:
        first = error.errors()[0]
        raise DocumentError(f"entry {first['loc'][0] if first['loc'] else ''}: {first['msg']}", file=file.name) from None
    except (OSError, yaml.YAMLError):
        raise DocumentError("cannot be read. Check that it is a YAML list.", file=file.name) from None
