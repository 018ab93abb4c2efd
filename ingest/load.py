"""Files -> Documents. One reader for everything that enters the index.

Markdown guides carry front matter and source marks (`[^fact-id]` after a sentence); other formats have one source each.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, field_validator

from bot.answer import SourceRef
from bot.errors import DocumentError, InputError
from bot.rows import date_text
from bot.terms import read_yaml
from ingest.document import MAX_TEXT, Document, Outline, Section, file_source, slugify, title_of
from ingest.registry import Registry
from ingest.sheet import read_csv, read_yaml_table

__all__ = [
    "MARK",
    "SUFFIXES",
    "Document",
    "FrontMatter",
    "Section",
    "cut_sections",
    "find_files",
    "load",
    "plain",
    "read_bytes",
    "read_front_matter",
    "slugify",
]

SUFFIXES = {
    ".md": "guide",
    ".markdown": "guide",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".text": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".csv": "csv",
    ".tsv": "csv",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".pdf": "pdf",
    ".docx": "docx",
}
MAX_LINE = 16 * 1024 * 1024
"""Bytes of a line of a JSON Lines file, which itself may be of any size."""
MARK = re.compile(r"\[\^([A-Za-z0-9_.:-]+)\]")
_HEADING = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]*\{#([A-Za-z0-9_.:-]+)\})?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-{2,})[ \t]*$")
_OTHER = re.compile(r"^(?: {0,3}(?:>|\||[-*+][ \t]|\d{1,9}[.)][ \t])| {4}|\t)")
_INDENTED = re.compile(r"^(?: {4}|\t)")
_ANCHORED = re.compile(r"(.*?)[ \t]*(?:\{#([A-Za-z0-9_.:-]+)\})?[ \t]*$", re.S)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.S)


class FrontMatter(BaseModel):
    """What a guide says about itself. `source` is for guides whose statements carry no marks of their own."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
    summary: str = ""
    audience: list[str] = []
    topics: list[str] = []
    as_of: str = "unknown"
    review_by: str = "unknown"
    volatile: bool = False
    questions: dict[str, list[str]] = {}
    charts: dict[str, str] = {}
    source: str | dict[str, Any] | None = None
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*$")] | None = None

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


def find_files(root: Path, passed_over: list[str] | None = None) -> list[Path]:
    """The files of `root` that can be read, in a stable order; hidden ones are left out, and those of other formats.

    Args:
        passed_over: gets the names of files of other formats.
    Raises:
        InputError: `root` does not exist, is a file of an unknown format, or a folder in it cannot be read.
    """
    try:
        kind = stat.S_IFMT(root.stat().st_mode)
    except (OSError, ValueError) as error:
        gone = isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
        why = "there is no such file or folder. Check the path." if gone else "it cannot be read. Check its permissions."
        raise InputError(f"{root.name or root}: {why}") from None
    if kind == stat.S_IFREG:
        if root.suffix.lower() not in SUFFIXES:
            raise InputError(f"{root.name}: files ending in '{root.suffix}' cannot be read. Use {', '.join(sorted(SUFFIXES))}.")
        return [root]
    if kind != stat.S_IFDIR:
        raise InputError(f"{root.name}: this is neither a file nor a folder. Check the path.")
    found: list[Path] = []
    _walk(root, root, frozenset(), found, passed_over if passed_over is not None else [])
    return sorted(found)


def _walk(folder: Path, root: Path, above: frozenset[tuple[int, int]], found: list[Path], passed_over: list[str]) -> None:
    """Links are followed, but never into a folder that one is in already."""
    try:
        here = folder.stat()
        entries = [(folder / entry.name, _is_folder(entry)) for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:  # a folder that cannot be read must not look like one whose files were deleted
        name = _name(folder.relative_to(root).as_posix() if folder != root else folder.name)
        raise InputError(f"{name}: the folder cannot be read ({error.strerror or type(error).__name__}). Check its permissions.") from None
    key = (here.st_dev, here.st_ino)
    if key in above:
        return
    for path, is_folder in entries:
        if is_folder:
            _walk(path, root, above | {key}, found, passed_over)
        elif path.suffix.lower() in SUFFIXES:
            found.append(path)
        else:
            passed_over.append(_name(path.relative_to(root).as_posix()))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link to itself
            return False
        raise


def load(
    root: Path,
    registry: Registry,
    errors: list[DocumentError],
    *,
    id_root: Path | None = None,
    passed_over: list[str] | None = None,
    pages: bool = True,
) -> Iterator[Document]:
    """The documents of a file or folder. What is wrong with one is added to `errors` and the rest goes on.

    Args:
        pages: guides are shown as pages: their ids are the addresses of these, without the file's ending.
    """
    base = id_root or (root if root.is_dir() else root.parent)
    for path in find_files(root, passed_over):
        name = _name(path.relative_to(base).as_posix())
        try:
            if SUFFIXES[path.suffix.lower()] == "jsonl":
                yield from _json_lines(path, name, errors)
            else:
                yield read_bytes(_raw(path, name), SUFFIXES[path.suffix.lower()], name, registry, pages=pages)
        except DocumentError as error:
            errors.append(error)


def _name(name: str) -> str:
    """File names may hold bytes that are no text; they must not break what prints or stores them."""
    return name.encode("utf-8", "replace").decode()


def read_bytes(
    raw: bytes, form: str, name: str, registry: Registry, *, url: str | None = None, encoding: str | None = None, pages: bool = True
) -> Document:
    """The one document in `raw`.

    Args:
        form: a value of SUFFIXES, but not jsonl.
        url: where it was fetched from. encoding: what the server says it is written in.
    Raises:
        DocumentError: it cannot be used.
    """
    if not raw.strip():
        raise DocumentError("is empty; write something in it or remove it", file=name)
    # Three readers and their libraries are imported when a file needs them: together they cost the server a third of a second.
    if form == "pdf":
        from ingest.pdf import read_pdf

        return read_pdf(raw, name, url)
    if form == "docx":
        from ingest.word import read_docx

        return read_docx(raw, name, url)
    if form == "html":
        from ingest.page import declared_encoding, read_html

        return read_html(_some(decode(raw, name, encoding or declared_encoding(raw)), name), name, url)
    text = _some(decode(raw, name, encoding), name)
    if form == "guide":
        return _guide(text, name, registry, pages)
    return _TEXT[form](text, name, url)


def _some(text: str, name: str) -> str:
    if not text.strip():
        raise DocumentError("is empty; write something in it or remove it", file=name)
    return text


def _raw(path: Path, name: str) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe would never end
            raise DocumentError("is not a file; remove it", file=name)
        if found.st_size > MAX_TEXT:
            raise DocumentError(f"is larger than {MAX_TEXT // 2**20} MiB; split it", file=name)
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(error, name) from None


def _unreadable(error: OSError, name: str) -> DocumentError:
    why = error.strerror or type(error).__name__
    return DocumentError(f"cannot be read ({why}); check that it exists and its permissions", file=name)


def decode(raw: bytes, name: str, encoding: str | None = None) -> str:
    """Text with line feeds only, without a byte order mark.

    Raises:
        DocumentError: binary, or not in UTF-8 (or `encoding`, where one is declared).
    """
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in raw[:8192] and not wide:
        raise DocumentError("is a binary file, not text; convert it to text or remove it", file=name)
    declared = "utf-16" if wide else (encoding or "utf-8").lower()
    declared = "utf-8-sig" if declared in {"utf-8", "utf8", "ascii", "us-ascii"} else declared
    try:
        text = raw.decode(declared)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DocumentError("is not UTF-8 text; save it as UTF-8", file=name, line=line) from None
    except LookupError:
        raise DocumentError(f"is written in '{declared[:40]}', which is not known; save it as UTF-8", file=name) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def _text(text: str, name: str, url: str | None = None) -> Document:
    title = title_of(name)
    return Document(name, title, "text", text, (Section((title,), "", text, 1),), file_source(name, title, url))


_TEXT: dict[str, Callable[[str, str, str | None], Document]] = {
    "text": _text,
    "csv": read_csv,
    "yaml": read_yaml_table,
}


# Guides -----------------------------------------------------------------------------------------------------------------


def _guide(text: str, name: str, registry: Registry, pages: bool) -> Document:
    front, body, offset = read_front_matter(text, name)
    body = without_comments(body, name, offset)
    slug = front.id or (re.sub(r"\.(md|markdown)$", "", name, flags=re.I) if pages else name)
    sections = tuple(cut_sections(body, front.title, name, offset))
    if not any(section.text.strip() for section in sections):
        raise DocumentError("has front matter but no text", file=name)
    source = _guide_source(front, name, registry)
    facts = {}
    for number, row in enumerate(_without_code(body).split("\n"), offset + 1):
        for match in MARK.finditer(row):
            fact = registry.fact(match.group(1))
            if fact is None:
                raise DocumentError(
                    f"the mark [^{match.group(1)}] names no fact of facts.yaml and no source of sources.yaml; "
                    "add it there or correct the mark",
                    file=name,
                    line=number,
                )
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
        id=slug,
        title=front.title,
        kind="guide",
        body=body,
        sections=sections,
        source=source or file_source(name, front.title),
        as_of=front.as_of,
        volatile=front.volatile,
        review_by=front.review_by,
        summary=front.summary,
        audience=tuple(front.audience),
        topics=tuple(front.topics),
        questions={anchor: tuple(questions) for anchor, questions in front.questions.items()},
        charts=front.charts,
        facts=facts,
    )


def read_front_matter(text: str, name: str) -> tuple[FrontMatter, str, int]:
    opened = re.match(r"---[ \t]*\n", text)
    if opened is None:
        raise DocumentError("has no front matter; start it with '---', title: …, '---'", file=name, line=1)
    start = opened.end()
    end = re.search(r"^---[ \t]*$", text[start:], re.M)
    if end is None:
        raise DocumentError("the front matter is not closed; end it with a line '---'", file=name, line=1)
    raw = text[start : start + end.start()]
    try:
        data = read_yaml(raw)
    except yaml.MarkedYAMLError as error:
        raise DocumentError(
            f"the front matter is not valid YAML ({error.problem})",
            file=name,
            line=(error.problem_mark.line + 2) if error.problem_mark else 1,
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError):  # a ValueError for a date like 2025-02-31
        raise DocumentError("the front matter is not valid YAML, or holds a date that does not exist", file=name, line=1) from None
    if not isinstance(data, dict):
        raise DocumentError("the front matter must be 'name: value' lines", file=name, line=1)
    try:
        front = FrontMatter.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        line = next((i for i, row in enumerate(raw.split("\n"), 2) if row.startswith(f"{key}:")), 1)
        raise DocumentError(first["msg"], file=name, line=line, field=".".join(map(str, first["loc"]))) from None
    body_at = start + end.end() + 1
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
        stated = SourceRef.model_validate({"tier": "secondary", **front.source})
        if stated.url and not re.match(r"https?://[^\s/]+", stated.url):
            raise DocumentError("the source's url must be a public web address (https://…)", file=name, field="source.url")
        return stated
    except ValidationError as error:
        raise DocumentError(error.errors()[0]["msg"], file=name, field="source") from None


def fences(rows: list[str]) -> Iterator[tuple[str, str]]:
    """Each row with what it is: "text", "code", or the "fence" that opens or closes code. CommonMark's rules."""
    mark = ""
    for row in rows:
        match = _FENCE.match(row)
        if mark:
            closes = match is not None and match[1][0] == mark[0] and len(match[1]) >= len(mark) and not match[2].strip()
            yield ("fence" if closes else "code"), row
            mark = "" if closes else mark
        elif match is not None and not (match[1][0] == "`" and "`" in match[2]):
            mark = match[1]
            yield "fence", row
        else:
            yield "text", row


def without_comments(body: str, name: str, offset: int = 0) -> str:
    """HTML comments off, line by line, so that places stay; those in code are code.

    Raises:
        DocumentError: a comment or a code fence is never closed, and would swallow the rest.
    """
    result: list[str] = []
    comment = fence = 0  # the line on which one was opened
    mark = ""
    for number, row in enumerate(body.split("\n"), offset + 1):
        match = _FENCE.match(row) if not comment else None
        if mark:
            if match and match[1][0] == mark[0] and len(match[1]) >= len(mark) and not match[2].strip():
                mark = ""
            result.append(row)
        elif match and not (match[1][0] == "`" and "`" in match[2]):
            mark, fence = match[1], number
            result.append(row)
        else:
            kept, comment = _without_comment(row, number, comment)
            result.append(kept)
    if comment:
        raise DocumentError("a comment that begins here is never closed; end it with '-->'", file=name, line=comment)
    if mark:
        raise DocumentError(f"the code fence that begins here is never closed; end it with {mark}", file=name, line=fence)
    return "\n".join(result)


def _without_comment(row: str, number: int, opened: int) -> tuple[str, int]:
    """What of a row stands outside comments, and the line of the comment that is open at its end, or 0."""
    if not opened and "<!--" not in row:
        return row, 0
    kept, at = "", 0
    shown = _CODE.sub(lambda m: " " * len(m.group()), row)
    while at < len(row):
        if opened:
            end = row.find("-->", at)
            if end < 0:
                return kept, opened
            opened, at = 0, end + 3
        else:
            begin = shown.find("<!--", at)
            if begin < 0:
                return kept + row[at:], 0
            kept, opened, at = kept + row[at:begin], number, begin + 4
    return kept, opened


def _without_code(body: str) -> str:
    """Code blanked, its lines kept: what looks like a mark in it is none."""
    rows = [row if kind == "text" else "" for kind, row in fences(body.split("\n"))]
    return _CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), "\n".join(rows))


def cut_sections(body: str, title: str, name: str, offset: int) -> Iterator[Section]:
    """Cut at headings, "# …" and underlined ones, but not inside code. The text before the first heading is a section of its own.

    A mark in a heading is no part of its text, and the source of no statement.
    """
    outline = Outline(title, offset)
    paragraph: list[str] = []  # rows that an underline would make a heading
    other = False  # inside a list item, quote or table, which go on to the next blank row

    def head(level: int, text: str, anchor: str | None, number: int) -> None:
        text = " ".join(plain(MARK.sub("", text)).split())
        if anchor and outline.has(anchor):
            raise DocumentError(f"the anchor #{anchor} is used twice; anchors must differ", file=name, line=offset + number)
        outline.head(level, text, anchor or "", line=offset + number, unique=str(number))

    def flush() -> None:
        for waiting in paragraph:
            outline.add(waiting)
        paragraph.clear()

    for number, (kind, row) in enumerate(fences(body.split("\n")), 1):
        heading = _HEADING.match(row) if kind == "text" else None
        underline = _UNDERLINE.match(row) if kind == "text" and paragraph else None
        if heading:
            flush()
            head(len(heading[1]), heading[2] or "", heading[3], number)
            other = False
        elif underline:
            match = _ANCHORED.match(" ".join(paragraph))
            first = number - len(paragraph)
            paragraph.clear()
            head(1 if underline[1][0] == "=" else 2, match[1] if match else "", match[2] if match else None, first)
            for _ in range(number - first):
                outline.add("")  # places within the section are counted from its first row
        elif kind != "text" or not row.strip():
            flush()
            outline.add(row)
            other = False
        elif _OTHER.match(row) and not (paragraph and _INDENTED.match(row)):
            flush()
            outline.add(row)
            other = True
        elif other:
            outline.add(row)
        else:
            paragraph.append(row)
    flush()
    yield from outline.sections()


_INLINE = (
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


# JSON Lines -------------------------------------------------------------------------------------------------------------


def _json_lines(path: Path, name: str, errors: list[DocumentError]) -> Iterator[Document]:
    """Read line by line: the file may be larger than memory."""
    number = 0
    try:
        with path.open("rb") as file:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE:
                    raise DocumentError(f"is longer than {MAX_LINE // 2**20} MiB; split it", file=name, line=number)
                try:
                    document = _json_line(raw, name, number)
                except DocumentError as error:
                    if error.reason.startswith("is a binary"):
                        raise
                    errors.append(error)
                else:
                    if document is not None:
                        yield document
    except OSError as error:
        raise _unreadable(error, name) from None


def _json_line(raw: bytes, name: str, number: int) -> Document | None:
    if b"\0" in raw:
        raise DocumentError("is a binary file, not text; convert it to text or remove it", file=name, line=number)
    try:
        row = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise DocumentError("is not UTF-8 text; save it as UTF-8", file=name, line=number) from None
    if not row.strip():
        return None
    try:
        line = JsonLine.model_validate_json(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or None
        raise DocumentError(
            "is not valid JSON" if first["type"] == "json_invalid" else first["msg"], file=name, line=number, field=where
        ) from None
    for key in ("id", "text"):
        if not getattr(line, key).strip():
            raise DocumentError(f"the {key} is empty", file=name, line=number, field=key)
    title = " ".join(line.title.split())
    text = line.text.replace("\r\n", "\n").replace("\0", "\ufffd")
    return Document(
        id=line.id,
        title=title or line.id,
        kind="jsonl",
        body=text,
        sections=(Section((title,), "", text, number),),
        source=file_source(line.id, title or line.id, line.url),
        as_of=line.as_of,
    )
