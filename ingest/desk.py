"""The knowledge folder as editors work on it: read a file, see what a change would break, save it whole or not at all.

Only files that lie in the folder already can be opened, and new guides below `guides/`: a name is looked up or has to match, never joined
to a path as it came.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from bot.errors import AdvisorError, Conflict, DocumentError, InputError, NotFound
from bot.passage import FactRef
from bot.settings import ROOT
from ingest.check import Finding, check_guide, check_registry
from ingest.checkout import Committed, commit, is_checkout
from ingest.entries import entry_of, ids_of, with_entry
from ingest.load import MARK, find_files, read_bytes
from ingest.registry import Registry, read_registry
from ingest.statements import Page, read_page, read_pages
from ingest.tables import TABLES, Row, read_tables

Value = TypeVar("Value")

REGISTRY = ("facts.yaml", "sources.yaml", "data/conflicts.yaml")
"""Files besides the guides that editors need: what marks stand for, and what is known to disagree. They are long, and are edited an entry
at a time: "facts.yaml#ck-pass"."""
LARGEST = 2 * 1024 * 1024
_STOPPING = frozenset({"file", "unknown-mark", "no-source"})
_NEW = re.compile(r"guides/(?:[a-z0-9][a-z0-9-]{0,60}/){1,3}[a-z0-9][a-z0-9-]{0,60}\.md")


@dataclass(frozen=True, slots=True)
class Written:
    """A file, or an entry of one, as it is. `digest` tells a version from another; "" for what is not there yet."""

    name: str
    text: str
    digest: str

    @property
    def is_guide(self) -> bool:
        return self.name.startswith("guides/")

    @property
    def slug(self) -> str:
        return slug_of(self.name)


@dataclass(frozen=True, slots=True)
class Saved:
    written: Written
    committed: Committed | None  # None: the folder is no git checkout


class ChangedMeanwhile(Conflict):
    """The file was changed since it was opened. `theirs` is what it holds now."""

    def __init__(self, theirs: Written) -> None:
        super().__init__("Somebody changed this file since you opened it. Nothing of yours is lost: compare both, and save again.")
        self.theirs = theirs


class Desk:
    def __init__(self, folder: Path, lock: Path, today: Callable[[], dt.date] = dt.date.today) -> None:
        self.folder = folder
        self._lock = lock
        self._today = today
        self._pages: dict[str, tuple[tuple[int, int], Page]] = {}
        self._reading = threading.Lock()
        self._kept: dict[str, tuple[list[tuple[int, int]], Any]] = {}
        self._versioned: tuple[float, bool] | None = None

    def why_read_only(self) -> str:
        """In a sentence, why nothing can be saved; "" when it can."""
        if not self.folder.is_dir():
            return "There is no knowledge folder. Check IMG_ADVISOR_KNOWLEDGE."
        if self.folder.resolve() == (ROOT / "knowledge").resolve() and not (ROOT / "pyproject.toml").is_file():
            return (
                "These guides came with the installed program and would be lost with its next version. Copy the folder, and set "
                "IMG_ADVISOR_KNOWLEDGE to your copy."
            )
        if not os.access(self.folder / "guides", os.W_OK):
            return "The server may read the knowledge folder but not write to it. Give it the right to, or edit the files elsewhere."
        return ""

    def versioned(self) -> bool:
        """Whether the folder is a git checkout; asked of git once a minute."""
        now = time.monotonic()
        if self._versioned is None or now - self._versioned[0] > 60:
            self._versioned = (now, is_checkout(self.folder))
        return self._versioned[1]

    def names(self) -> list[str]:
        """Every file that there is."""
        root = self.folder / "guides"
        guides = [
            f"guides/{path.relative_to(root).as_posix()}" for path in (find_files(root) if root.is_dir() else [])
            if path.suffix.lower() in {".md", ".markdown"} and self._inside(path)
        ]  # fmt: skip
        return guides + [name for name in REGISTRY if (self.folder / name).is_file()]

    def read(self, name: str) -> Written:
        """
        Raises:
            NotFound: there is no such file. InputError: it cannot be shown.
        """
        self._known(name)
        file, _, entry = name.partition("#")
        text = self._text(file)
        if not entry:
            return Written(name, text, _digest(text))
        found = entry_of(text, entry)
        return Written(name, found or _NEW_ENTRY[file].format(id=entry), _digest(found) if found else "")

    def _text(self, name: str) -> str:
        path = self._path(name)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise InputError(f"{name} cannot be read ({error.strerror}).") from None
        if len(raw) > LARGEST:
            raise InputError(f"{name} is too large to be edited here.")
        try:
            return raw.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise InputError(f"{name} is not text in UTF-8. Save it as such with an editor of your own.") from None

    def entries(self, file: str) -> list[str]:
        """Ids of a file of the registry."""
        return ids_of(self._text(file)) if file in REGISTRY and (self.folder / file).is_file() else []

    def begin(self, slug: str) -> Written:
        """A new guide, from the template.

        Raises:
            InputError: the name is wrong, or taken.
        """
        name = f"guides/{slug}.md"
        if not _NEW.fullmatch(name):
            raise InputError("A guide's name is its folder and a word: visas/travel-abroad. Use small letters, digits and hyphens.")
        if name in self.names():
            raise InputError(f"There is a guide {slug} already. Open that one, or choose another name.")
        return Written(name, _TEMPLATE.format(today=self._today().strftime("%Y-%m"), due=_half_a_year_from(self._today())), "")

    def findings(self, name: str, text: str) -> list[Finding]:
        """What would be wrong with the file if it held `text`; what keeps it out of the index comes first.

        Raises:
            NotFound.
        """
        self._known(name)
        file, _, entry = name.partition("#")
        pages = self._all_pages()
        if entry:
            try:
                text = with_entry(self._text(file), entry, text)
            except InputError as error:
                return [Finding("error", "file", name, 0, str(error))]
        if not file.startswith("guides/"):
            return self._registry_findings(file, text, pages)
        try:
            registry = self._registry()
        except DocumentError as error:
            return [Finding("error", "file", error.file, error.line or 0, error.reason)]
        found = check_guide(self.folder, name, text, pages, registry, self._today(), self._rows())
        stops = self._stops(name, text, registry)
        if stops is None or any(f.code == "file" for f in found):
            return found
        return [Finding("error", "file", name, stops.line or 0, stops.reason), *(f for f in found if f.code != "unknown-mark")]

    def stops(self, findings: list[Finding]) -> bool:
        """Whether something would keep the guides out of the index: then it is not saved."""
        return any(f.code in _STOPPING for f in findings)

    def facts_in(self, text: str) -> dict[str, FactRef]:
        """What the marks of a text stand for, as far as they are known."""
        try:
            registry = self._registry()
        except DocumentError:
            return {}
        return {mark: fact for mark in dict.fromkeys(MARK.findall(text)) if (fact := registry.fact(mark))}

    def save(self, name: str, text: str, digest: str, *, author: str, email: str, message: str = "") -> Saved:
        """Puts `text` into the file, whole or not at all, and commits it where the folder is a checkout.

        Args:
            digest: of the version that was edited; "" for a new file.
        Raises:
            ChangedMeanwhile. InputError: nothing may be written, or the file would not enter the index. NotFound.
        """
        if why := self.why_read_only():
            raise InputError(why)
        self._known(name)
        text = text.replace("\r\n", "\n").rstrip() + "\n"
        if len(text.encode()) > LARGEST:
            raise InputError("The text is too large to be saved here.")
        findings = self.findings(name, text)
        if self.stops(findings):
            raise InputError(f"Not saved: {next(f for f in findings if f.code in _STOPPING)}")
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(self._lock), timeout=20):
            file, _, entry = name.partition("#")
            path = self.folder / file
            now = self.read(name) if path.exists() else Written(name, "", "")
            if now.digest != digest:
                raise ChangedMeanwhile(now)
            if now.digest and now.text == text:
                return Saved(now, None)
            _put(path, with_entry(self._text(file), entry, text) if entry else text)
            note = " ".join(message.split())[:200] or "edited in the console"
            done = commit(self.folder, path, f"{slug_of(name)}: {note}", name=author, email=email) if self.versioned() else None
        return Saved(self.read(name), done)

    # Parts

    def _known(self, name: str) -> None:
        name, _, entry = name.partition("#")
        if bool(entry) != (name in REGISTRY):
            raise NotFound("There is no such file in the knowledge folder.")
        if name not in self.names() and not _NEW.fullmatch(name):
            raise NotFound("There is no such file in the knowledge folder.")
        if not self._inside(self.folder / name):
            raise NotFound("There is no such file in the knowledge folder.")

    def _path(self, name: str) -> Path:
        if name not in self.names():
            raise NotFound("There is no such file in the knowledge folder.")
        return self.folder / name

    def _inside(self, path: Path) -> bool:
        """Links that lead out of the folder are not followed."""
        return path.resolve().is_relative_to(self.folder.resolve())

    def warm(self) -> None:
        """Reads everything once, so that the first editor does not wait for it."""
        if self.folder.is_dir():
            name = next((name for name in self.names() if name.startswith("guides/")), "")
            with contextlib.suppress(AdvisorError):
                self.findings(name, self.read(name).text)

    def _registry(self) -> Registry:
        return self._once("registry", [self.folder / name for name in REGISTRY], lambda: read_registry(self.folder))

    def _rows(self) -> list[Row]:
        return self._once("rows", [self.folder / "data" / name for name in TABLES], lambda: read_tables(self.folder, []))

    def _once(self, what: str, files: list[Path], read: Callable[[], Value]) -> Value:
        """What `read` reads, again only when one of the files changed."""
        stamp = [_stamp(path) for path in files if path.is_file()]
        kept = self._kept.get(what)
        if kept is None or kept[0] != stamp:
            kept = self._kept[what] = (stamp, read())
        value: Value = kept[1]
        return value

    def _all_pages(self) -> list[Page]:
        """All guides; those that did not change since they were last read are not read again."""
        root = self.folder / "guides"
        with self._reading:
            if not self._pages:
                for page in read_pages(self.folder, []):
                    self._pages[page.file] = (_stamp(self.folder / page.file), page)
            kept: dict[str, tuple[tuple[int, int], Page]] = {}
            for path in find_files(root) if root.is_dir() else []:
                name = path.relative_to(self.folder).as_posix()
                stamp = _stamp(path)
                old = self._pages.get(name)
                if old is not None and old[0] == stamp:
                    kept[name] = old
                elif path.suffix.lower() in {".md", ".markdown"}:
                    try:
                        kept[name] = (stamp, read_page(path.read_text(encoding="utf-8-sig").replace("\r\n", "\n"), name))
                    except (DocumentError, OSError, UnicodeDecodeError):
                        continue
            self._pages = kept
            return [page for _, page in kept.values()]

    def _registry_findings(self, name: str, text: str, pages: list[Page]) -> list[Finding]:
        """Of the folder as it would be: a copy of its registry with `text` in its place. What is wrong today already is no news."""
        known = {(f.code, f.file, f.message) for f in check_registry(self.folder, pages, self._today())}
        with tempfile.TemporaryDirectory() as made:
            copy = Path(made)
            (copy / "data").mkdir()
            for other in REGISTRY:
                if other != name and (self.folder / other).is_file():
                    shutil.copyfile(self.folder / other, copy / other)
            (copy / name).write_text(text, encoding="utf-8", errors="replace")
            found = check_registry(copy, pages, self._today())
        return [f for f in found if (f.code, f.file, f.message) not in known]

    def _stops(self, name: str, text: str, registry: Registry) -> DocumentError | None:
        """Why a guide could not enter the index."""
        try:
            read_bytes(text.encode(), "guide", name.removeprefix("guides/"), registry)
        except DocumentError as error:
            return error
        except UnicodeEncodeError:
            return DocumentError("holds characters that are no text; remove them", file=name)
        return None


def slug_of(name: str) -> str:
    return re.sub(r"\.(md|markdown)$", "", name.removeprefix("guides/"), flags=re.I)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _put(path: Path, text: str) -> None:
    """The whole file at once: whoever reads it sees the old text or the new one. A link stays one, and line ends stay as they were."""
    path = path.resolve()
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        windows = path.exists() and b"\r\n" in path.read_bytes()[:4096]
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write((text.replace("\n", "\r\n") if windows else text).encode())
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"The file could not be written ({error.strerror}); it is as it was. Free some space or check permissions."
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _half_a_year_from(day: dt.date) -> str:
    return (day + dt.timedelta(days=182)).isoformat()


_TEMPLATE = """---
title: ""
summary: ""
audience: [applicants]
topics: []
as_of: {today}
review_by: '{due}'
questions:
  first: []
---

## Write a heading as a question {{#first}}

Write one fact a sentence, and end it with the mark of its fact.[^fact-id] Add the fact to facts.yaml, and its source to sources.yaml.
"""
_NEW_ENTRY = {
    "facts.yaml": "{id}:\n  source: id-of-a-source\n  as_of: unknown\n",
    "sources.yaml": "{id}:\n  title: ''\n  publisher: ''\n  tier: secondary\n  url: https://\n  published: unknown\n",
    "data/conflicts.yaml": "{id}:\n  topic: ''\n  statement: ''\n  positions: []\n",
}
