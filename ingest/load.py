"""Files -> Documents. One reader for everything that enters the index.

Markdown guides carry front matter and source marks (`[^fact-id]` after a sentence); other formats have one source each.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from bs4 import BeautifulSoup
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from bot.answer import SourceRef
from bot.errors import DocumentError, InputError
from bot.passage import FactRef
from ingest.registry import Registry, date_text

SUFFIXES = {".md": "guide", ".markdown": "guide", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text", ".text": "text", ".html": "html", ".htm": "html",
            ".csv": "csv"}  # fmt: skip
MAX_BYTES = 64 * 1024 * 1024
MARK = re.compile(r"\[\^([A-Za-z0-9_.:-]+)\]")
_HEADING = re.compile(r"^(#{1,6})[ \t]+(.*?)[ \t]*(?:\{#([A-Za-z0-9_.:-]+)\})?[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^\s*(```|~~~)")


@dataclass(frozen=True, slots=True)
class Section:
    heading: tuple[str, ...]  # headings from the document's title down; never empty
    anchor: str
    text: str  # Markdown of the section's own paragraphs, marks included
    line: int = 0  # 1-based line of the heading in the file


@dataclass(frozen=True, slots=True)
class Document:
    """A file (or a line of a JSON Lines file) as loaded."""

    id: str
    title: str
    kind: Literal["guide", "jsonl", "text", "html", "csv"]
    body: str
    sections: tuple[Section, ...]
    source: SourceRef
    as_of: str = "unknown"
    volatile: bool = False
    review_by: str = "unknown"
    summary: str = ""
    audience: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    questions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    facts: dict[str, FactRef] = field(default_factory=dict)
    root: str = ""

    @property
    def content_hash(self) -> str:
        """Over everything that ends up in the index, resolved marks included: changing a source's date changes its guides."""
        parts = [
            self.id, self.title, self.kind, self.body, self.source.model_dump_json(), self.as_of, str(self.volatile), self.review_by, self.summary,
            repr(self.topics), repr(sorted(self.questions.items())), repr(sorted(self.facts.items())),
        ]  # fmt: skip
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class FrontMatter(BaseModel):
    """What a guide says about itself. `source` is for guides whose statements carry no marks of their own."""

    model_config = ConfigDict(extra="forbid")

    title: str
    summary: str = ""
    audience: list[str] = []
    topics: list[str] = []
    as_of: str = "unknown"
    review_by: str = "unknown"
    volatile: bool = False
    questions: dict[str, list[str]] = {}
    source: str | dict[str, Any] | None = None
    id: str | None = None

    @field_validator("as_of", "review_by", mode="before")
    @classmethod
    def _date(cls, value: object) -> str:
        return date_text(value)

    @field_validator("audience", "topics", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class JsonLine(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str
    text: str
    title: str = ""
    url: str | None = None
    as_of: str = "unknown"

    @field_validator("as_of", mode="before")
    @classmethod
    def _date(cls, value: object) -> str:
        return date_text(value) if value else "unknown"


def find_files(root: Path) -> list[Path]:
    """The files of `root` that can be read, in a stable order; hidden ones and other formats are passed over.

    Raises:
        InputError: `root` does not exist, or is a file of an unknown format.
    """
    if root.is_file():
        if root.suffix.lower() not in SUFFIXES:
            raise InputError(f"{root.name}: files ending in '{root.suffix}' cannot be read. Use {', '.join(sorted(SUFFIXES))}.")
        return [root]
    if not root.is_dir():
        raise InputError(f"{root.name or root}: there is no such file or folder. Check the path.")
    return sorted(
        p
        for p in root.rglob("*")
        if p.is_file() and p.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in p.relative_to(root).parts)
    )


def load(root: Path, registry: Registry, errors: list[DocumentError], *, id_root: Path | None = None) -> Iterator[Document]:
    """The documents of a file or folder. What is wrong with one is added to `errors` and the rest goes on."""
    base = id_root or (root if root.is_dir() else root.parent)
    for path in find_files(root):
        name = path.relative_to(base).as_posix()
        try:
            yield from _load_file(path, name, registry, errors)
        except DocumentError as error:
            errors.append(error)


def _load_file(path: Path, name: str, registry: Registry, errors: list[DocumentError]) -> Iterable[Document]:
    text = _read(path, name)
    match SUFFIXES[path.suffix.lower()]:
        case "guide":
            return [_guide(text, name, registry)]
        case "jsonl":
            return _json_lines(text, name, errors)
        case "html":
            return [_html(text, name)]
        case "csv":
            return [_csv(text, name)]
        case _:
            if not text.strip():
                raise DocumentError("is empty; write something in it or remove it", file=name)
            title = Path(name).stem.replace("-", " ").replace("_", " ")
            return [Document(name, title, "text", text, (Section((title,), "", text, 1),), _file_source(name, title))]


def _read(path: Path, name: str) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DocumentError(f"is larger than {MAX_BYTES // 2**20} MiB; split it", file=name)
        raw = path.read_bytes()
    except OSError as error:
        raise DocumentError(
            f"cannot be read ({error.strerror or type(error).__name__}); check that it exists and its permissions", file=name
        ) from None
    if b"\0" in raw[:8192]:
        raise DocumentError("is a binary file, not text; convert it to text or remove it", file=name)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DocumentError("is not UTF-8 text; save it as UTF-8", file=name, line=line) from None


def _file_source(name: str, title: str, url: str | None = None) -> SourceRef:
    safe = url if url and re.match(r"https?://[^\s]+$", url) else None
    return SourceRef(title=title or name, publisher="", url=safe, tier="document")


# Guides -----------------------------------------------------------------------------------------------------------------


def _guide(text: str, name: str, registry: Registry) -> Document:
    front, body, offset = read_front_matter(text, name)
    slug = front.id or re.sub(r"\.(md|markdown)$", "", name)
    sections = tuple(cut_sections(body, front.title, name, offset))
    if not any(section.text.strip() for section in sections):
        raise DocumentError("has front matter but no text", file=name)
    source = _guide_source(front, name, registry)
    facts = {}
    for section in sections:
        for match in MARK.finditer(section.text):
            fact = registry.fact(match.group(1))
            if fact is None:
                line = section.line + section.text[: match.start()].count("\n") + 1
                raise DocumentError(
                    f"the mark [^{match.group(1)}] names no fact of facts.yaml and no source of sources.yaml; add it there or correct the mark",
                    file=name, line=line,
                )  # fmt: skip
            facts[fact.id] = fact
    if not facts and source is None:
        raise DocumentError(
            "names no source: mark its sentences with [^fact-id], or name one in the front matter", file=name, field="source"
        )
    anchors = {section.anchor for section in sections}
    for anchor in front.questions:
        if anchor not in anchors:
            raise DocumentError(f"questions for '#{anchor}', but no section has that anchor", file=name, field="questions")
    return Document(
        slug, front.title, "guide", body, sections, source or _file_source(name, front.title), front.as_of, front.volatile, front.review_by, front.summary,
        tuple(front.audience), tuple(front.topics), {a: tuple(q) for a, q in front.questions.items()}, facts,
    )  # fmt: skip


def read_front_matter(text: str, name: str) -> tuple[FrontMatter, str, int]:
    if not text.startswith("---\n"):
        raise DocumentError("has no front matter; start it with '---', title: …, '---'", file=name, line=1)
    end = re.search(r"^---[ \t]*$", text[4:], re.M)
    if end is None:
        raise DocumentError("the front matter is not closed; end it with a line '---'", file=name, line=1)
    raw = text[4 : 4 + end.start()]
    try:
        data = yaml.safe_load(raw)
    except yaml.MarkedYAMLError as error:
        raise DocumentError(
            f"the front matter is not valid YAML ({error.problem})",
            file=name,
            line=(error.problem_mark.line + 2) if error.problem_mark else 1,
        ) from None
    except yaml.YAMLError:
        raise DocumentError("the front matter is not valid YAML", file=name, line=1) from None
    if not isinstance(data, dict):
        raise DocumentError("the front matter must be 'name: value' lines", file=name, line=1)
    try:
        front = FrontMatter.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        line = next((i for i, row in enumerate(raw.split("\n"), 2) if row.startswith(f"{key}:")), 1)
        raise DocumentError(first["msg"], file=name, line=line, field=".".join(map(str, first["loc"]))) from None
    body_at = 4 + end.end() + 1
    return front, text[body_at:], text[:body_at].count("\n")


def _guide_source(front: FrontMatter, name: str, registry: Registry) -> SourceRef | None:
    if front.source is None:
        return None
    if isinstance(front.source, str):
        fact = registry.fact(front.source)
        if fact is None:
            raise DocumentError(f"'{front.source}' is not in sources.yaml", file=name, field="source")
        return fact.source
    try:
        return SourceRef.model_validate({"tier": "secondary", **front.source})
    except ValidationError as error:
        raise DocumentError(error.errors()[0]["msg"], file=name, field="source") from None


def slugify(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def cut_sections(body: str, title: str, name: str, offset: int) -> Iterator[Section]:
    """Cut at headings; headings inside code fences do not count. The text before the first heading is a section of its own."""
    path: list[str] = []
    levels: list[int] = []
    anchor, start_line, rows = "", offset, []
    seen: set[str] = set()
    fenced = False
    for number, row in enumerate(body.split("\n"), 1):
        if _FENCE.match(row):
            fenced = not fenced
        match = None if fenced else _HEADING.match(row)
        if match is None:
            rows.append(row)
            continue
        if any(r.strip() for r in rows):
            yield Section((title, *path), anchor, "\n".join(rows), start_line)
        rows = []
        level = len(match.group(1))
        while levels and levels[-1] >= level:
            levels.pop()
            path.pop()
        levels.append(level)
        path.append(plain(match.group(2)))
        anchor = match.group(3) or slugify(path[-1])
        if anchor in seen:
            if match.group(3):
                raise DocumentError(f"the anchor #{anchor} is used twice; anchors must differ", file=name, line=offset + number)
            anchor = f"{anchor}-{number}"
        seen.add(anchor)
        start_line = offset + number
    if any(r.strip() for r in rows):
        yield Section((title, *path), anchor, "\n".join(rows), start_line)


_INLINE = (
    (re.compile(r"<!--.*?-->", re.S), ""),
    (re.compile(r"!\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)"), r"\1"),
    (re.compile(r"\[([^\]^][^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)"), r"\1"),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)"), r"\1"),
    (re.compile(r"`([^`\n]+)`"), r"\1"),
)


def plain(markdown: str) -> str:
    """Inline Markdown off; marks, lists and table pipes stay."""
    for pattern, replacement in _INLINE:
        markdown = pattern.sub(replacement, markdown)
    return markdown


# Other formats ----------------------------------------------------------------------------------------------------------


def _json_lines(text: str, name: str, errors: list[DocumentError]) -> Iterator[Document]:
    for number, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        try:
            line = JsonLine.model_validate_json(row)
        except ValidationError as error:
            first = error.errors()[0]
            fieldname = ".".join(map(str, first["loc"])) or None
            errors.append(
                DocumentError(
                    "is not valid JSON" if first["type"] == "json_invalid" else first["msg"], file=name, line=number, field=fieldname
                )
            )
            continue
        if not line.text.strip():
            errors.append(DocumentError("the text is empty", file=name, line=number, field="text"))
            continue
        title = line.title.strip() or line.id
        heading = (line.title.strip(),) if line.title.strip() else ("",)
        yield Document(
            line.id,
            title,
            "jsonl",
            line.text,
            (Section(heading, "", line.text, number),),
            _file_source(line.id, title, line.url),
            line.as_of,
        )


def _html(text: str, name: str) -> Document:
    soup = BeautifulSoup(text, "lxml")
    for tag in soup(["script", "style", "noscript", "template", "nav", "iframe", "svg", "form", "button"]):
        tag.decompose()
    title = (soup.title.get_text(" ", strip=True) if soup.title else "") or Path(name).stem
    canonical = soup.find("link", rel="canonical")
    url = str(canonical.get("href")) if canonical else None
    root = soup.find("main") or soup.find("article") or soup.body or soup
    rows: list[str] = []
    for node in root.find_all(["h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "tr", "blockquote", "pre", "dt", "dd"]):
        if node.name in {"p", "li", "blockquote", "dd"} and node.find(["p", "li"]) is not None:
            continue
        content = " ".join(node.get_text(" ", strip=True).split())
        if not content:
            continue
        if node.name[0] == "h" and node.name[1:].isdigit():
            anchor = f" {{#{node['id']}}}" if re.fullmatch(r"[A-Za-z0-9_.:-]+", str(node.get("id", ""))) else ""
            rows.append(f"{'#' * int(node.name[1])} {content}{anchor}\n")
        elif node.name == "tr":
            cells = [" ".join(c.get_text(" ", strip=True).split()).replace("|", "/") for c in node.find_all(["th", "td"])]
            rows.append("| " + " | ".join(cells) + " |" + ("\n|" + "---|" * len(cells) if node.find("th") and not node.find("td") else ""))
        elif node.name == "li":
            rows.append(f"- {content}")
        elif node.find_parent(["td", "th"]) is None:
            rows.append(content + "\n")
    if not rows:
        rows = [" ".join(root.get_text(" ", strip=True).split())]
    body = re.sub(r"\n(?=[^|\-#\n])", "\n\n", "\n".join(rows))
    if not body.strip():
        raise DocumentError("holds no text", file=name)
    seen: set[str] = set()
    body = "\n".join(_once(row, seen) for row in body.split("\n"))
    return Document(name, title, "html", body, tuple(cut_sections(body, title, name, 0)), _file_source(name, title, url))


def _once(row: str, seen: set[str]) -> str:
    """An HTML page may repeat an id; the first keeps it."""
    match = _HEADING.match(row)
    if match and match.group(3):
        if match.group(3) in seen:
            return row.replace(f" {{#{match.group(3)}}}", "")
        seen.add(match.group(3))
    return row


def _csv(text: str, name: str) -> Document:
    """A table, a row a statement: "column: value; column: value"."""
    try:
        table = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise DocumentError(f"is not a valid CSV table ({error})", file=name) from None
    if len(table) < 2:
        raise DocumentError("needs a header line and at least one row", file=name)
    for number, row in enumerate(table[1:], 2):
        if row and len(row) != len(table[0]):
            raise DocumentError(f"has {len(row)} cells where the header has {len(table[0])}", file=name, line=number)
    clean = [[cell.replace("|", "/").replace("\n", " ").strip() for cell in row] for row in table if row]
    body = "\n".join("| " + " | ".join(row) + " |" + ("\n|" + "---|" * len(row) if i == 0 else "") for i, row in enumerate(clean))
    title = Path(name).stem.replace("-", " ").replace("_", " ")
    return Document(name, title, "csv", body, (Section((title,), "", body, 1),), _file_source(name, title))


def to_json(document: Document) -> str:
    """The document's own description, for the guide pages."""
    return json.dumps(
        {
            "kind": document.kind, "summary": document.summary, "audience": document.audience, "topics": document.topics, "as_of": document.as_of,
            "review_by": document.review_by,
        }
    )  # fmt: skip
