"""DOCX -> Document: sections by its heading styles, lists and tables kept."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import docx
from docx.table import Table

from bot.errors import DocumentError
from ingest.document import MAX_TEXT, Document, Outline, clean_title, file_source, table_rows, title_of

MAX_UNPACKED = 512 * 1024 * 1024
"""Bytes a DOCX may unpack to, pictures included; checked before anything is unpacked."""


def read_docx(raw: bytes, name: str, url: str | None = None) -> Document:
    """
    Raises:
        DocumentError: encrypted, damaged, or without text.
    """
    if raw.startswith(b"\xd0\xcf\x11\xe0"):  # a compound file: an encrypted DOCX, or the old binary format
        raise DocumentError("is encrypted or in the old .doc format; save it as .docx without a password", file=name)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_UNPACKED:
                raise DocumentError("unpacks to more than can be read; split it", file=name)
        opened = docx.Document(io.BytesIO(raw))
        title = clean_title(opened.core_properties.title)
        blocks = [_block(item) for item in opened.iter_inner_content()]
    except DocumentError:
        raise
    except Exception:  # what python-docx and lxml raise for damaged files is not one family of errors
        raise DocumentError("is not a DOCX document that can be read; it may be damaged: save it again", file=name) from None
    stated = next((text for level, text in blocks if level == 0), "")
    title = stated or title or title_of(name)
    outline = Outline(title)
    length = 0
    for level, text in blocks:
        length += len(text)
        if level is None:
            outline.add(text + ("" if text.startswith(("- ", "|")) else "\n"))
        elif level > 0:
            outline.head(level, text)
    sections = outline.sections()
    if not sections:
        raise DocumentError("holds no text; if it holds pictures of text, run text recognition (OCR) on them first", file=name)
    if length > MAX_TEXT:
        raise DocumentError("holds more text than can be read at once; split it", file=name)
    body = "\n\n".join("\n".join([" > ".join(section.heading), section.text]) for section in sections)
    return Document(name, title, "docx", body, sections, file_source(name, title, url))


def _block(item: Any) -> tuple[int | None, str]:
    """(level of a heading: 0 the title; None: text, the text itself)."""
    if isinstance(item, Table):
        rows = [[cell.text for cell in _once(row.cells)] for row in item.rows]
        return None, "\n".join(["", *table_rows(rows), ""])
    text = item.text.strip()
    style = (item.style.name or "") if item.style is not None else ""
    match = re.fullmatch(r"Heading (\d)", style)
    if text and style == "Title":
        return 0, " ".join(text.split())
    if text and match:
        return min(int(match[1]), 6), " ".join(text.split())
    listed = style.startswith("List") or item._p.pPr is not None and item._p.pPr.numPr is not None
    return None, f"- {' '.join(text.split())}" if listed and text else text


def _once(cells: Any) -> list[Any]:
    """A merged cell is listed once for each column it covers."""
    result: list[Any] = []
    for cell in cells:
        if not result or result[-1]._tc is not cell._tc:
            result.append(cell)
    return result
