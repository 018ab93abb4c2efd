"""HTML -> Document: the main text of a page, sections by its headings, lists and tables kept."""

from __future__ import annotations

import re
import warnings
from pathlib import PurePosixPath

from bs4 import BeautifulSoup, NavigableString, Tag, XMLParsedAsHTMLWarning
from bs4.dammit import EncodingDetector
from bs4.element import PreformattedString

from bot.errors import DocumentError
from ingest.document import Document, Outline, clean_title, file_source, table_rows

_NOT_TEXT = "script style noscript template nav iframe svg form button object video audio canvas footer head".split()
_INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark q ruby s samp small span strike strong sub sup time "
    "tt u var wbr".split()
)


def declared_encoding(raw: bytes) -> str | None:
    """What the page says it is written in."""
    return EncodingDetector.find_declared_encoding(raw[:4096], is_html=True)


def read_html(text: str, name: str, url: str | None = None) -> Document:
    """
    Args:
        url: where the page was fetched from; without it the page's own canonical address counts.
    Raises:
        DocumentError: no text, or nested so deep that it cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        soup = BeautifulSoup(text, "lxml")
    try:
        return _read(soup, name, url)
    except RecursionError:
        raise DocumentError("is nested too deep to be read; simplify it", file=name) from None


def _read(soup: BeautifulSoup, name: str, url: str | None) -> Document:
    head = clean_title(soup.title.get_text(" ", strip=True) if soup.title else "")
    canonical = soup.find("link", rel="canonical")
    if url is None and isinstance(canonical, Tag):
        url = str(canonical.get("href") or "")
    root = soup.find("main") or soup.find("article") or soup.body or soup
    assert isinstance(root, Tag)
    for tag in [*root.find_all(_NOT_TEXT), *root.select("[hidden], [aria-hidden=true]")]:
        tag.decompose()
    first = root.find("h1")
    title = head or clean_title(_words(first) if isinstance(first, Tag) else "") or PurePosixPath(name).stem
    walk = _Walk(title)
    walk.into(root)
    walk.flush()
    sections = walk.outline.sections()
    if not sections:
        raise DocumentError("holds no text", file=name)
    body = "\n\n".join("\n".join([*section.heading[1:], section.text]) for section in sections)
    return Document(name, title, "html", body, sections, file_source(name, title, url))


class _Walk:
    """Goes through a page in order: words gather until a block begins or ends."""

    def __init__(self, title: str) -> None:
        self.outline = Outline(title)
        self._title = title
        self._words: list[str] = []
        self._bullet = ""

    def into(self, node: Tag) -> None:
        for child in node.children:
            if isinstance(child, Tag):
                self._tag(child)
            elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
                self._words.append(str(child))

    def _tag(self, tag: Tag) -> None:
        if tag.name in _INLINE:
            self.into(tag)
            return
        if tag.name == "br":
            self._words.append(" ")
            return
        self.flush()
        if re.fullmatch("h[1-6]", tag.name):
            self._heading(tag)
        elif tag.name == "table" and tag.find("table") is None:
            rows = [[_words(cell) for cell in row.find_all(["th", "td"])] for row in tag.find_all("tr")]
            self.outline.add("\n".join(["", *table_rows([row for row in rows if any(row)]), ""]))
        else:
            if tag.name == "li":
                self._bullet = "- "
            self.into(tag)
            self.flush()
            self._bullet = ""

    def _heading(self, tag: Tag) -> None:
        content, ident = _words(tag), str(tag.get("id") or "")
        anchor = ident if re.fullmatch(r"[A-Za-z0-9_.:-]+", ident) else ""
        if content and not (tag.name == "h1" and content == self._title):
            self.outline.head(int(tag.name[1]), content, anchor, fragment="" if self.outline.has(anchor) else anchor)

    def flush(self) -> None:
        content = " ".join("".join(self._words).split())
        self._words = []
        if content:
            self.outline.add(self._bullet + content + ("" if self._bullet else "\n"))
            self._bullet = ""  # a second paragraph of the same item


def _words(node: Tag) -> str:
    return " ".join(node.get_text(" ", strip=True).split())
