"""`img-advisor knowledge check`: everything about a knowledge folder that can be seen to be wrong without asking anybody.

Errors are what would mislead a reader or stop a guide from entering the index. Warnings are worth a look and may stand.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from bot.errors import DocumentError, InputError
from bot.figures import Figure, clean, find, same
from bot.settings import ROOT
from bot.terms import STOP, stem
from bot.words import word_lists
from ingest.charts import CHARTS
from ingest.chunk import TARGET_TOKENS
from ingest.conflicts import Clash, find_conflicts, without_source_dates
from ingest.load import MARK, Section, plain
from ingest.prose import grade, unexplained
from ingest.registry import Record, Registry, SourceRecord, read_registry, read_yaml
from ingest.statements import Page, Statement, read_page, read_pages
from ingest.tables import UNKNOWN, Row, read_tables

SOON_DAYS = 30  # a guide whose review is due within so many days is "soon stale"
HARDEST_GRADE = 14.0  # US school grade; above, a guide is hard to read for people with another first language
TOKENS_PER_WORD = 1.35  # word pieces per white-space word, measured on these guides with the default embedder's tokenizer
SHOWN = 40  # findings of one kind that the text report lists; the JSON report has all

Severity = Literal["error", "warning"]

# code -> (title, what to do)
KINDS: dict[str, tuple[str, str]] = {
    "file": ("Files that cannot be used", "Correct the file as the message says."),
    "unknown-mark": ("Marks that name nothing", "Add the fact to facts.yaml, or correct the mark."),
    "no-source": ("Facts without a source", "Add the source to sources.yaml, or correct the id."),
    "source-incomplete": ("Sources without title or publisher", "Write them in sources.yaml; readers see both."),
    "source-address": ("Addresses that must not be shown", "Remove `url` and put the owner's page in `owner_url`."),
    "no-mark": ("Sentences and rows without a mark", "End each with [^fact-id], or [^advice] when it is advice."),
    "advice-figure": ("Figures in advice", "Advice may hold no figure: take it out, or give the sentence its source."),
    "front-matter": ("Front matter", "Fill in the field; knowledge/README.md says what belongs there."),
    "as-of": ("Dates of guides", "Set `as_of` to the date of the oldest dated fact the guide tells."),
    "now": ("'Currently' next to facts that change", "Say the month of the fact instead."),
    "undated": ("Facts that change, told without a date", "Say the month or year of the fact, or '(undated page)'."),
    "as-of-differs": ("Dates in sentences that differ from facts.yaml", "Say the date that the fact has, or correct it in facts.yaml."),
    "caveat": ("Unsure facts told without a caveat", "Say that it could not be confirmed."),
    "orphan-questions": ("Questions for sections that are not there", "Correct the anchor in `questions`."),
    "orphan-chart": ("Charts that cannot be shown", "Correct `charts`: an anchor of the guide, and the name of a chart."),
    "no-questions": ("Sections without questions", "Add two to four questions for the anchor, as applicants ask them."),
    "broken-link": ("Links to guides or sections that are not there", "Correct the link."),
    "long-section": ("Sections longer than a passage", "Split the section, so that each part answers one question."),
    "long-sentence": ("Sentences longer than a passage", "Split the sentence or row: what is over the limit is not searched."),
    "duplicate": ("The same sentence in several guides", "Keep it in one guide, or say it with what is particular to each."),
    "reading-level": ("Guides that are hard to read", "Shorten sentences and use plainer words."),
    "abbreviation": ("Abbreviations never explained", "Write them out once in the guide, or list them in data/abbreviations.yaml."),
    "stale": ("Guides past their review date", "Check the facts at their owners' pages and set a new `review_by`."),
    "soon-stale": ("Guides to be reviewed soon", "Check the facts at their owners' pages and set a new `review_by`."),
    "conflict-data": ("Entries of data/conflicts.yaml", "Correct the ids."),
    "table": ("Figures that differ from the tables", "Correct the sentence or the table."),
    "conflict": (
        "Statements that may contradict each other",
        "Correct the wrong one. Where sources disagree, add them to data/conflicts.yaml; where both are right, to data/agreements.yaml.",
    ),
    "usable": ("Entries of usable_facts.yaml", "Correct the id."),
    "untold": ("Usable facts that no guide tells", "Tell the fact in a guide, or take it off usable_facts.yaml."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """`file` is relative to the knowledge folder, `line` 1-based (0: the file as a whole)."""

    severity: Severity
    code: str
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.message}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of a topic's usable facts are told in some guide."""

    topic: str
    usable: int
    told: int

    @property
    def share(self) -> float:
        return self.told / self.usable if self.usable else 1.0


@dataclass(frozen=True, slots=True)
class Report:
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    guides: int
    statements: int

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings may stand."""
        return not any(f.severity == "error" for f in self.findings)

    def count(self, severity: Severity) -> int:
        return sum(f.severity == severity for f in self.findings)

    @property
    def total(self) -> Coverage:
        return Coverage("all", sum(c.usable for c in self.coverage), sum(c.told for c in self.coverage))

    def as_text(self) -> str:
        lines: list[str] = []
        for severity, title in (("error", "ERRORS"), ("warning", "WARNINGS")):
            found = [f for f in self.findings if f.severity == severity]
            if found:
                lines += [title, ""]
            for code in KINDS:
                group = [f for f in found if f.code == code]
                if not group:
                    continue
                name, advice = KINDS[code]
                lines += [f"{name} ({len(group)}). {advice}", *(f"  {f}" for f in group[:SHOWN])]
                if len(group) > SHOWN:
                    lines.append(f"  … and {len(group) - SHOWN} more; --json lists them all.")
                lines.append("")
        if self.coverage:
            lines += ["COVERAGE", "", f"{'topic':<16}{'told':>6}{'usable':>8}{'share':>8}"]
            lines += [f"{c.topic:<16}{c.told:>6}{c.usable:>8}{c.share:>8.1%}" for c in (*self.coverage, self.total)]
            lines.append("")
        lines.append(
            f"{self.guides} guides, {self.statements} sentences and rows: {self.count('error')} errors, {self.count('warning')} warnings."
        )
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "guides": self.guides,
            "statements": self.statements,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "findings": [asdict(f) for f in self.findings],
            "coverage": [{"topic": c.topic, "usable": c.usable, "told": c.told} for c in self.coverage],
        }


@dataclass(slots=True)
class _Folder:
    """A knowledge folder as read, and what has been found so far."""

    path: Path
    today: dt.date
    pages: list[Page]
    registry: Registry
    findings: list[Finding] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    rows: list[Row] | None = None  # of the tables, where they were read before

    def add(self, severity: Severity, code: str, file: str, line: int, message: str) -> None:
        self.findings.append(Finding(severity, code, file, line, message))

    @property
    def statements(self) -> Iterator[Statement]:
        for page in self.pages:
            yield from page.statements


def check(folder: Path, today: dt.date | None = None) -> Report:
    """Reads a knowledge folder and reports what is wrong with it. `today` decides what is stale.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder.name or folder}: there is no such knowledge folder. Check IMG_ADVISOR_KNOWLEDGE.")
    errors: list[DocumentError] = []
    pages = read_pages(folder, errors)
    try:
        registry = read_registry(folder)
    except DocumentError as error:
        errors.append(error)
        registry = Registry()
    found = _Folder(folder, today or dt.date.today(), pages, registry)
    _unusable(found, errors)
    for look in _CHECKS:
        look(found)
    order = {code: i for i, code in enumerate(KINDS)}
    findings = sorted(
        found.findings,
        key=lambda f: (f.severity, order[f.code], f.file if f.code != "conflict" else "", f.line if f.code != "conflict" else 0),
    )
    return Report(tuple(dict.fromkeys(findings)), tuple(found.coverage), len(pages), sum(len(p.statements) for p in pages))


def check_guide(
    folder: Path, name: str, text: str, others: Iterable[Page], registry: Registry, today: dt.date | None = None,
    rows: list[Row] | None = None,
) -> list[Finding]:  # fmt: skip
    """What would be wrong with one guide if `text` were its text. Only `check` compares its statements with those of all other guides.

    Args:
        name: of the file, "guides/visas/j1.md". others: the other guides, for links and repetitions. rows: of the tables, read before.
    """
    try:
        page = read_page(text, name)
    except DocumentError as error:
        return [Finding("error", "file", name, error.line or 0, error.reason)]
    here = _Folder(folder, today or dt.date.today(), [page], registry, rows=rows)
    for look in (_marks, _front_matter, _changing, _prose, _tables):
        look(here)
    here.pages = [page, *(other for other in others if other.file != name)]
    for look in (_sections, _duplicates):
        look(here)
    order = {code: i for i, code in enumerate(KINDS)}
    mine = [f for f in here.findings if f.file == name]
    return sorted(dict.fromkeys(mine), key=lambda f: (f.severity, f.line, order[f.code]))


def check_registry(folder: Path, pages: list[Page], today: dt.date | None = None) -> list[Finding]:
    """What is wrong with sources, facts and conflicts of a folder, and which marks of the guides name nothing."""
    try:
        here = _Folder(folder, today or dt.date.today(), pages, read_registry(folder))
    except DocumentError as error:
        return [Finding("error", "file", error.file, error.line or 0, error.reason)]
    for look in (_sources, _conflict_data, _marks):
        look(here)
    codes = {"no-source", "source-incomplete", "source-address", "conflict-data", "unknown-mark"}
    return list(dict.fromkeys(f for f in here.findings if f.code in codes))


def _unusable(f: _Folder, errors: Iterable[DocumentError]) -> None:
    for wrong in errors:
        f.add("error", "file", wrong.file, wrong.line or 0, wrong.reason)


# Sources ------------------------------------------------------------------------------------------------------------------

# Copies, previews and test hosts: the address works today, but it is not the page that the source's owner stands for.
_UNUSABLE = re.compile(
    r"^https?://(?:"
    r"(?:raw\.|gist\.|cdn\.)?(?:githubusercontent|jsdelivr)\b|github\.com/[^/]+/[^/]+/(?:blob|raw|tree)/"
    r"|(?:web\.archive\.org|webarchive\.[\w.]+|archive\.(?:ph|today|is)|r\.jina\.ai|webcache\.googleusercontent\.com|translate\.goog)"
    r"|(?:[\w-]+\.)*(?:staging|stage|preview|test|dev|uat|qa|webiis)\d*[.-]|(?:staging|stage|preview|uat)\w*[.-]|(?:ftp|print|ww)\."
    r"|[\w.-]*\.(?:kinsta\.cloud|wpengine\.com|vercel\.app|netlify\.app|herokuapp\.com|pages\.dev|azurewebsites\.net|amazonaws\.com)\b"
    r"|[\w.-]*\.(?:cloudfront\.net|episerver\.net|hs-sites\.com|interakty\.com|5y1\.org)\b"
    r"|localhost\b|\d{1,3}(?:\.\d{1,3}){3}\b|[\w.-]+\.(?:[:/]|$))",
    re.I,
)


def _sources(f: _Folder) -> None:
    lines = _Lines(f.path / "sources.yaml")
    for name, source in f.registry.sources.items():
        for what in ("title", "publisher"):
            if not getattr(source, what).strip():
                f.add("error", "source-incomplete", "sources.yaml", lines[name], f"'{name}' has no {what}")
        for address in _addresses(source):
            if _UNUSABLE.search(address):
                f.add("error", "source-address", "sources.yaml", lines[name], f"'{name}' shows {address}")
    lines = _Lines(f.path / "facts.yaml")
    for name, fact in f.registry.facts.items():
        if fact.source not in f.registry.sources:
            f.add(
                "error", "no-source", "facts.yaml", lines[name], f"'{name}' names the source '{fact.source}', which is not in sources.yaml"
            )
        if fact.owner_url and _UNUSABLE.search(fact.owner_url):
            f.add("error", "source-address", "facts.yaml", lines[name], f"'{name}' shows {fact.owner_url}")
        for conflict in fact.conflicts:
            if conflict not in f.registry.conflicts:
                f.add(
                    "error",
                    "conflict-data",
                    "facts.yaml",
                    lines[name],
                    f"'{name}' takes part in '{conflict}', which is not in data/conflicts.yaml",
                )


def _addresses(source: SourceRecord) -> list[str]:
    return [address for address in (source.url, source.owner_url) if address]


def _conflict_data(f: _Folder) -> None:
    lines = _Lines(f.path / "data" / "conflicts.yaml")
    for name, conflict in f.registry.conflicts.items():
        named = [position.fact for position in conflict.positions if position.fact]
        for fact in named:
            if f.registry.fact(fact) is None:
                f.add(
                    "error",
                    "conflict-data",
                    "data/conflicts.yaml",
                    lines[name],
                    f"'{name}' has a position of '{fact}', which is not in facts.yaml",
                )
        if conflict.preferred and conflict.preferred not in named:
            f.add(
                "warning",
                "conflict-data",
                "data/conflicts.yaml",
                lines[name],
                f"'{name}' prefers '{conflict.preferred}', which is none of its positions",
            )


class _Lines:
    """On which line of a YAML file an entry starts."""

    def __init__(self, path: Path) -> None:
        self.at: dict[str, int] = {}
        if path.is_file():
            for number, row in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
                match = re.match(r"""(?:- )?['"]?([\w.-]+)['"]?(?::|\s*$)""", row)
                if match:
                    self.at.setdefault(match[1], number)

    def __getitem__(self, name: str) -> int:
        return self.at.get(name, 0)


# Marks --------------------------------------------------------------------------------------------------------------------


def _marks(f: _Folder) -> None:
    for page in f.pages:
        for section in page.sections:
            for match in MARK.finditer(section.text):
                line = section.line + 1 + section.text.count("\n", 0, match.start())
                if f.registry.fact(match[1]) is None and match[1] not in f.registry.facts:
                    f.add("error", "unknown-mark", page.file, line, f"[^{match[1]}]")
        for s in page.statements:
            if not s.facts and page.front.source is None:
                f.add("error", "no-mark", s.file, s.line, _short(s.said))
            if s.facts and set(s.facts) == {"advice"}:
                for figure in find(s.said):
                    if _could_be_wrong(figure):
                        f.add("error", "advice-figure", s.file, s.line, f"'{figure.shown}' in: {_short(s.said)}")


def _could_be_wrong(figure: Figure) -> bool:
    """Whether a figure says something that needs a source: not "third-party", "before July", "a single paragraph", "two-year rule"."""
    if figure.soft or figure.kind in ("name", "ref", "ordinal") or figure.kind == "date" and figure.value.startswith("?"):
        return False
    return bool(re.search(r"\d", figure.shown)) or figure.kind == "span" and "-" not in figure.shown


def _short(text: str, most: int = 110) -> str:
    return text if len(text) <= most else text[: most - 1].rsplit(" ", 1)[0] + " …"


# Front matter and sections ------------------------------------------------------------------------------------------------


def _front_matter(f: _Folder) -> None:
    for page in f.pages:
        front = page.front
        for name in ("summary", "audience", "topics", "as_of", "review_by", "questions"):
            if name not in page.keys or getattr(front, name) in ("", [], {}):
                f.add("error", "front-matter", page.file, page.keys.get(name, 1), f"'{name}' is missing or empty")
        if "as_of" in page.keys:
            dates = sorted(date for s in page.statements for date in _dates(f.registry, s))
            if dates and front.as_of != dates[0]:
                f.add("error", "as-of", page.file, page.keys["as_of"], f"as_of is {front.as_of}, the oldest fact is of {dates[0]}")
        if "review_by" in page.keys:
            _review(f, page)


def _dates(registry: Registry, statement: Statement) -> Iterator[str]:
    for mark in statement.facts:
        fact = registry.fact(mark)
        if fact and fact.as_of != "unknown":
            yield fact.as_of


def _review(f: _Folder, page: Page) -> None:
    due = page.front.review_by
    line = page.keys["review_by"]
    if due == "unknown":
        f.add("error", "front-matter", page.file, line, "'review_by' has no date")
        return
    year, month, day = (int(part) for part in (due + "-12-28"[len(due) - 4 :] if len(due) < 10 else due).split("-"))
    left = (dt.date(year, month, day) - f.today).days
    if left < 0:
        f.add("warning", "stale", page.file, line, f"review was due on {due}")
    elif left <= SOON_DAYS:
        f.add("warning", "soon-stale", page.file, line, f"review is due on {due}")


def _sections(f: _Folder) -> None:
    anchors = {re.sub(r"\.(md|markdown)$", "", page.file.removeprefix("guides/")): {s.anchor for s in page.sections} for page in f.pages}
    for page in f.pages:
        here = {section.anchor for section in page.sections}
        for anchor in page.front.questions:
            if anchor not in here:
                f.add("error", "orphan-questions", page.file, page.keys.get("questions", 1), f"'#{anchor}'")
        for anchor, chart in page.front.charts.items():
            if anchor not in here or chart not in CHARTS:
                wrong = f"'{chart}' is not one of {', '.join(CHARTS)}" if anchor in here else f"'#{anchor}' is no section"
                f.add("error", "orphan-chart", page.file, page.keys.get("charts", 1), wrong)
        for section in page.sections:
            if section.anchor and section.anchor not in page.front.questions:
                f.add("warning", "no-questions", page.file, section.line, f"'#{section.anchor}'")
            _length(f, page, section)
            for match in re.finditer(r"\]\((?:/guides/([\w/.-]+?))?(?:#([\w.:-]+))?\)", section.text):
                slug, anchor = match[1], match[2]
                known = here if slug is None else anchors.get(slug)
                if (slug or anchor) and (known is None or anchor and anchor not in known):
                    line = section.line + 1 + section.text.count("\n", 0, match.start())
                    f.add("error", "broken-link", page.file, line, match[0][2:-1])


def _length(f: _Folder, page: Page, section: Section) -> None:
    """Tables are cut between rows with their header repeated, so only running text counts for a section."""
    here = [s for s in page.statements if s.anchor == section.anchor and s.headings == section.heading]
    prose = sum(_tokens(s.said) for s in here if s.kind != "row")
    if prose > TARGET_TOKENS:
        f.add(
            "warning",
            "long-section",
            page.file,
            section.line,
            f"'#{section.anchor}' has about {prose} tokens of text; a passage holds {TARGET_TOKENS}",
        )
    for s in here:
        if _tokens(s.said) > TARGET_TOKENS:
            f.add("error", "long-sentence", s.file, s.line, _short(s.said))


def _tokens(text: str) -> int:
    return round(len(text.split()) * TOKENS_PER_WORD)


# Dates and doubts ---------------------------------------------------------------------------------------------------------

_NOW = re.compile(r"\b(?:currently|nowadays|at present|presently|right now|now(?! or )|as of today)\b", re.I)
_DATED = re.compile(r"\b(?:19|20)\d\d\b|\bundated\b|\bunknown date\b|\bno date\b|\bwithout a date\b", re.I)
_CAVEAT = re.compile(
    r"\b(?:could|can|did|do|was|were|is|are) not (?:be )?(?:able to )?(?:confirm|verif|check|known|find|found)"
    r"|\bnot (?:confirmed|verified|known|certain|sure|read|stated|in our sources|in the sources)\b|\bare not in\b"
    r"|\bin the sources we read\b"
    r"|\b(?:unconfirmed|unknown|uncertain|disputed|disagree|unclear|unverified)|\blow[- ]confidence\b"
    r"|\bour (?:own )?inference\b|\bclaims?\b"
    r"|\bno (?:\w+[ -]){1,12}(?:was|were|is|are) (?:found|listed|known)\b|\bdo not know\b|\bmore likely\b|\bis a question for\b"
    r"|\bno (?:usable )?page\b|\bundated commercial\b|\bcheck the status\b",
    re.I,
)
_AS_OF = re.compile(
    r"\bas of ((?:January|February|March|April|May|June|July|August|September|October|November|December) )?((?:19|20)\d\d)\b"
)
_MONTH_NAMES = "January February March April May June July August September October November December".split()


def _changing(f: _Folder) -> None:
    for s in f.statements:
        facts = [fact for mark in s.facts if mark != "advice" and (fact := f.registry.fact(mark))]
        if not facts:
            continue
        if any(fact.volatile for fact in facts):
            word = _NOW.search(_unquoted(s.said))
            if word:
                f.add("error", "now", s.file, s.line, f"'{word[0]}' in: {_short(s.said)}")
            if all(fact.volatile for fact in facts) and any(map(_could_be_wrong, find(s.said))) and not _DATED.search(f"{s.said} {s.head}"):
                f.add("warning", "undated", s.file, s.line, _short(s.said))
        if all(fact.confidence == "low" for fact in facts) and not _CAVEAT.search(f"{s.said} {s.head}"):
            f.add("warning", "caveat", s.file, s.line, _short(s.said))
        told = _AS_OF.search(s.said)
        dates = [fact.as_of for fact in facts if fact.as_of != "unknown"]
        if told and dates:
            month = f"-{_MONTH_NAMES.index(told[1].strip()) + 1:02d}" if told[1] else ""
            date = told[2] + month
            if not any(d.startswith(date) or date.startswith(d) for d in dates):
                f.add(
                    "warning",
                    "as-of-differs",
                    s.file,
                    s.line,
                    f"'{told[0]}' but facts.yaml has {', '.join(sorted(set(dates)))}: {_short(s.said)}",
                )


def _unquoted(text: str) -> str:
    return re.sub(r"[\"“][^\"”]*[\"”]", " ", text)


# Prose --------------------------------------------------------------------------------------------------------------------


def _prose(f: _Folder) -> None:
    known = _known_abbreviations(f.path)
    for page in f.pages:
        level = grade(s.said for s in page.statements if s.kind != "row")
        if level > HARDEST_GRADE:
            f.add("warning", "reading-level", page.file, 0, f"grade {level:.1f}; aim at {HARDEST_GRADE:.0f} or less")
        lines = [(1, f"{page.front.title}. {page.front.summary}")]
        for section in page.sections:
            lines += [(section.line, section.heading[-1])]
            lines += [(section.line + i, plain(MARK.sub("", row))) for i, row in enumerate(section.text.split("\n"), 1)]
        for line, word in unexplained(lines, known):
            f.add("warning", "abbreviation", page.file, line, word)


def _known_abbreviations(folder: Path) -> frozenset[str]:
    name = "data/abbreviations.yaml"
    path = folder / name if (folder / name).is_file() else ROOT / "knowledge" / name
    return _abbreviations(path, path.stat().st_mtime_ns) if path.is_file() else frozenset()


@lru_cache(maxsize=4)
def _abbreviations(path: Path, _changed: int) -> frozenset[str]:
    data = read_yaml(path, "data/abbreviations.yaml")
    return frozenset(word for words in (data or {}).values() for word in str(words).split())


def _duplicates(f: _Folder) -> None:
    exact: dict[str, list[Statement]] = defaultdict(list)
    near: dict[tuple[str, ...], list[Statement]] = defaultdict(list)
    for s in f.statements:
        if s.kind != "row" and len(s.said.split()) >= 6 and s.facts != ("advice",):
            exact[_letters(s.said)].append(s)
            near[_gist(s.said)].append(s)
    told: set[str] = set()
    for group in exact.values():
        if len({s.file for s in group}) > 1:
            told.update(s.place for s in group)
            f.add("warning", "duplicate", group[0].file, group[0].line, f"also {_places(group)}: {_short(group[0].said)}")
    for group in near.values():
        rest = [s for s in group if s.place not in told]
        if len({s.file for s in rest}) > 1 and len(group) == len(rest):
            f.add("warning", "duplicate", rest[0].file, rest[0].line, f"nearly the same {_places(rest)}: {_short(rest[0].said)}")


def _places(group: list[Statement]) -> str:
    places = [s.place for s in group[1:]]
    return "at " + ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")


@lru_cache(maxsize=50_000)
def _letters(text: str) -> str:
    return " ".join(re.findall(r"\w+", clean(text).lower()))


@lru_cache(maxsize=50_000)
def _gist(text: str) -> tuple[str, ...]:
    """What is left when dates of sources, small words, endings and the order of words are taken away."""
    words = re.findall(r"[\w$%.-]*\w", without_source_dates(clean(text)).lower())
    return tuple(sorted({stem(word) for word in words if word not in STOP}))


# Tables, conflicts, coverage ----------------------------------------------------------------------------------------------


def _tables(f: _Folder) -> None:
    errors: list[DocumentError] = []
    rows = read_tables(f.path, errors) if f.rows is None else f.rows
    _unusable(f, errors)
    for row in rows:
        _row_source(f, row)
    marked = {row.mark: row for row in rows if row.mark}
    said: dict[str, list[str]] = defaultdict(list)
    for s in f.statements:
        for mark in s.facts:
            said[mark].append(s.said)
        if s.facts and all(mark in marked for mark in s.facts):
            _told_as_in_rows(f, s, [marked[mark] for mark in s.facts])
    for row in rows:
        if row.cells.source in said and row.cells.source in f.registry.facts:
            _row_as_told(f, row, " ; ".join(said[row.cells.source]))


def _row_source(f: _Folder, row: Row) -> None:
    """The source of a row is known, and the row is as old as the fact it rests on."""
    source, as_of = row.cells.source, row.cells.as_of
    if source != UNKNOWN and f.registry.fact(source) is None:
        f.add("error", "no-source", row.file, row.line, f"column 'source': '{source}' is neither in facts.yaml nor in sources.yaml")
    fact = f.registry.facts.get(source)
    if fact and fact.as_of != as_of:
        f.add("error", "table", row.file, row.line, f"column 'as_of': {as_of}, but {fact.as_of} in facts.yaml for '{source}'")


_VISA = re.compile(r"\b(?:J-1|J-2|H-1B|H-4|O-1|F-1)\b")


def _told_as_in_rows(f: _Folder, s: Statement, rows: list[Row]) -> None:
    """The figures and visas of a sentence that rests on rows alone stand in these rows."""
    values = " ; ".join(row.text for row in rows)
    wrong = [figure.shown for figure in find(without_source_dates(clean(s.said))) if not _stands_in(figure, values)]
    for shown in [*wrong, *sorted(set(_VISA.findall(s.said)) - set(_VISA.findall(values)))]:
        f.add("error", "table", s.file, s.line, f"'{shown}' is not in {', '.join(row.place for row in rows)}: {_short(s.said)}")


def _row_as_told(f: _Folder, row: Row, said: str) -> None:
    """The figures and visas of a row stand in some sentence that names the row's source."""
    wrong = [figure.shown for figure in find(row.told) if not _stands_in(figure, said)]
    for shown in [*wrong, *sorted(set(_VISA.findall(row.told)) - set(_VISA.findall(said)))]:
        f.add("error", "table", row.file, row.line, f"'{shown}' is in no sentence of the guides that names '{row.cells.source}'")


def _stands_in(figure: Figure, text: str) -> bool:
    """Whether a text has a figure. Bare numbers stand for amounts and counts of anything, but not for lengths of time, shares or days."""
    if figure.kind == "name" or figure.soft:
        return True
    others = find(clean(text))
    if figure.kind in ("span", "percent") or figure.kind == "date" and not figure.value.endswith("?"):
        return any(same(figure, other) for other in others)
    shown, numbers = _digits(figure.shown), _digits(text) | {other.value for other in others}
    return figure.value in numbers or bool(shown) and shown <= numbers or any(same(figure, other) for other in others)


def _digits(text: str) -> set[str]:
    """The numbers of a text that are written in digits, without their separators."""
    return {number.replace(",", "") for number in re.findall(r"\d[\d,.]*\d|\d", text)}


def _conflicts(f: _Folder) -> None:
    terms, polarity = word_lists(f.path)
    agreed = _agreements(f)
    for clash in find_conflicts(list(f.statements), terms, polarity, f.registry):
        if not agreed(clash):
            one, two = clash.first, clash.second
            f.add("warning", "conflict", one.file, one.line, f"{clash.detail}\n    {_marked(one)}\n    {two.place}: {_marked(two)}")


def _marked(statement: Statement) -> str:
    return statement.said + "".join(f"[^{mark}]" for mark in statement.facts)


class Agreement(Record):
    """Two statements that somebody has read and found to be right both. It holds for these figures only: another figure is named again."""

    facts: tuple[str, str]
    detail: str
    why: str


def _agreements(f: _Folder) -> Callable[[Clash], bool]:
    name = "data/agreements.yaml"
    seen: set[tuple[frozenset[str], frozenset[str]]] = set()
    if (f.path / name).is_file():
        try:
            for entry in TypeAdapter(list[Agreement]).validate_python(read_yaml(f.path / name, name) or []):
                seen.add((frozenset(entry.facts), _figures_of(entry.detail)))
        except DocumentError as error:
            _unusable(f, [error])
        except ValidationError as error:
            first = error.errors()[0]
            f.add("error", "file", name, 0, f"entry {first['loc'][0] if first['loc'] else ''}: {first['msg']}")

    def agreed(clash: Clash) -> bool:
        figures = _figures_of(clash.detail)
        return any((frozenset({a, b}), figures) in seen for a in clash.first.facts for b in clash.second.facts)

    return agreed


def _figures_of(detail: str) -> frozenset[str]:
    return frozenset(re.findall(r"'([^']+)'", detail)) or frozenset({detail})


def _coverage(f: _Folder) -> None:
    name = "usable_facts.yaml"
    if not (f.path / name).is_file():
        return
    try:
        usable = TypeAdapter(dict[str, list[str]]).validate_python(read_yaml(f.path / name, name) or {})
    except DocumentError as error:
        _unusable(f, [error])
        return
    except ValidationError:
        f.add("error", "file", name, 0, "must map topics to lists of fact ids")
        return
    lines = _Lines(f.path / name)
    told = {mark for s in f.statements for mark in s.facts}
    for topic, facts in usable.items():
        for fact in facts:
            if fact not in f.registry.facts:
                f.add("error", "usable", name, lines[fact], f"'{fact}' is not in facts.yaml")
            elif fact not in told:
                f.add("warning", "untold", name, lines[fact], f"'{fact}' ({topic})")
        f.coverage.append(Coverage(topic, len(facts), sum(fact in told for fact in facts)))


_CHECKS: Iterable[Callable[[_Folder], None]] = (
    _sources, _conflict_data, _marks, _front_matter, _sections, _changing, _prose, _duplicates, _tables, _conflicts, _coverage,
)  # fmt: skip
