"""PDF -> Document: a section a page, so that a citation can name the page."""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError

from bot.errors import DocumentError
from bot.sentences import spans
from ingest.document import MAX_TEXT, Document, Outline, clean_title, file_source, title_of

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of every small fault that it has already repaired

EDGE_SHARE = 0.6
"""A first or last line that stands on this share of the pages is a running header or footer."""


def read_pdf(raw: bytes, name: str, url: str | None = None) -> Document:
    """
    Raises:
        DocumentError: encrypted, damaged, or without text.
    """
    try:
        reader = PdfReader(io.BytesIO(raw))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError("is protected by a password; save a copy without one", file=name)
        pages = [_page_text(page) for page in reader.pages]
        metadata = reader.metadata
        title = clean_title(str(metadata.title) if metadata and metadata.title else None)
        marks = _bookmarks(reader)
    except DocumentError:
        raise
    except DependencyError:
        raise DocumentError("is encrypted; save a copy that is not", file=name) from None
    except Exception:  # what pypdf raises for damaged files is not one family of errors
        raise DocumentError("is not a PDF that can be read; it may be damaged: save it again", file=name) from None
    if not any(page.strip() for page in pages):
        what = "holds pictures of text but no text; run text recognition (OCR) on it first" if pages else "has no pages"
        raise DocumentError(what, file=name)
    if sum(map(len, pages)) > MAX_TEXT:
        raise DocumentError("holds more text than can be read at once; split it", file=name)
    title = title if title and not re.match(r"Microsoft Word - |.*\.(?:docx?|indd|qxd)$", title) else title_of(name)
    outline = Outline(title)
    for number, text in enumerate(_whole_sentences(_without_edges(_joined(pages))), 1):
        above = [label for page, label in marks if page < number][-1:] if marks else []
        here = [label for page, label in marks if page == number][:1]
        outline.head(1, f"Page {number}" + (f": {(here or above)[0]}" if here or above else ""), f"page-{number}", line=number,
                     fragment=f"page={number}")  # fmt: skip
        outline.add(text)
    sections = outline.sections()
    return Document(name, title, "pdf", "\n\n".join(section.text for section in sections), sections, file_source(name, title, url))


def _page_text(page: Any) -> str:
    text = page.extract_text() or ""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text.replace("\r\n", "\n").replace("\r", "\n"))


def _bookmarks(reader: PdfReader) -> list[tuple[int, str]]:
    """(1-based page, title) of the document's bookmarks, in the order of pages; none when they are broken."""
    found: list[tuple[int, str]] = []

    def walk(items: list[Any], depth: int) -> None:
        for item in items:
            if isinstance(item, list):
                if depth < 8:
                    walk(item, depth + 1)
            else:
                page, label = reader.get_destination_page_number(item), clean_title(item.title)
                if page is not None and page >= 0 and label:
                    found.append((page + 1, label))

    try:
        walk(reader.outline, 0)
    except Exception:  # bookmarks are a comfort; the text does not depend on them
        return []
    return sorted(found, key=lambda mark: mark[0])


def _joined(pages: list[str]) -> list[str]:
    """Words that were divided at a line's end, made whole: with the hyphen where the document writes it elsewhere."""
    words = set(re.findall(r"[\w-]+", " ".join(pages).lower()))

    def join(match: re.Match[str]) -> str:
        first, second = match.group(1), match.group(2)
        hyphen = f"{first}-{second}".lower() in words and f"{first}{second}".lower() not in words
        return f"{first}{'-' if hyphen else ''}{second}"

    return [re.sub(r"([^\W\d_]{2,})[-\u00ad]\n[ \t]*([a-z]{2,})", join, page) for page in pages]


def _without_edges(pages: list[str]) -> list[str]:
    """Pages without running headers, footers and page numbers."""
    lines = [[line for line in page.split("\n") if line.strip()] for page in pages]
    edges = Counter(key for rows in lines for key in {_shape(row) for row in (rows[:1] + rows[-1:] if len(rows) > 2 else [])})
    running = {key for key, times in edges.items() if times >= 3 and times >= EDGE_SHARE * len(pages)}
    result = []
    for page, rows in zip(pages, lines, strict=True):
        kept = page.split("\n")
        for edge in (rows[:1], rows[-1:]):
            if len(rows) > 2 and edge and _shape(edge[0]) in running:
                kept.remove(edge[0])
        result.append("\n".join(kept))
    return result


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", " ".join(line.split()))


def _whole_sentences(pages: list[str]) -> list[str]:
    """A sentence that runs over the end of a page belongs to the page on which it begins."""
    result = [page.strip("\n") for page in pages]
    for i in range(len(result) - 1):
        last, following = result[i].rstrip(), result[i + 1].lstrip()
        if last and following and last[-1] not in '.!?:;"”)' and (following[0].islower() or last[-1] == ","):
            end = next((end for _, end in spans(following)), 0)
            result[i], result[i + 1] = f"{last}\n{following[:end]}", following[end:]
    return result
