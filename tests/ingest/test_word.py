"""DOCX files, made here, through the reader."""

from __future__ import annotations

import io
import zipfile

import docx
import pytest

from bot.errors import DocumentError
from ingest.word import read_docx


def made(*, title: str = "") -> bytes:
    document = docx.Document()
    document.core_properties.title = title
    document.add_paragraph("Before any heading.")
    document.add_heading("Fees", 1)
    document.add_paragraph("The fee is $100. It is not refunded.")
    document.add_paragraph("by card", style="List Bullet")
    document.add_paragraph("by check", style="List Number")
    document.add_heading("Exam fees", 2)
    table = document.add_table(2, 2)
    for cell, text in zip([c for row in table.rows for c in row.cells], ["Exam", "Fee", "Step 1", "$670"], strict=True):
        cell.text = text
    document.add_heading("Fees", 1)
    document.add_paragraph("# is no heading here, and [^x] is no mark.")
    return saved(document)


def saved(document: docx.document.Document) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def test_headings_lists_and_tables() -> None:
    found = read_docx(made(title="Rules"), "rules.docx")
    assert found.title == "Rules" and found.kind == "docx"
    assert [(s.heading, s.anchor) for s in found.sections] == [
        (("Rules",), ""),
        (("Rules", "Fees"), "fees"),
        (("Rules", "Fees", "Exam fees"), "exam-fees"),
        (("Rules", "Fees"), "fees-2"),
    ]
    assert "- by card\n- by check" in found.sections[1].text
    assert "| Exam | Fee |\n|---|---|\n| Step 1 | $670 |" in found.sections[2].text
    assert found.sections[3].text.strip() == "# is no heading here, and [^x] is no mark."


def test_the_title_comes_from_the_text_the_properties_or_the_name() -> None:
    document = docx.Document()
    document.add_heading("Stated", 0)
    document.add_paragraph("Text.")
    assert read_docx(saved(document), "a.docx").title == "Stated"
    assert read_docx(made(), "dir/my-rules.docx").title == "my rules"


def huge() -> bytes:
    """A few kilobytes that unpack to more than anybody wants."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("word/document.xml", "w", force_zip64=True) as file:
        for _ in range(520):
            file.write(bytes(1024 * 1024))
    return out.getvalue()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "encrypted"),
        (b"PK\x03\x04 broken", "damaged"),
        (b"plain text", "damaged"),
        (saved(docx.Document()), "no text"),
        (made()[:2000], "damaged"),
    ],
)
def test_what_cannot_be_read_is_said(raw: bytes, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        read_docx(raw, "bad.docx")


def test_a_zip_bomb_is_not_unpacked() -> None:
    with pytest.raises(DocumentError, match="unpacks"):
        read_docx(huge(), "bomb.docx")
