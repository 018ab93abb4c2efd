"""PDF files, made here, through the reader."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from ingest_files import pdf
from pypdf import PdfReader, PdfWriter

from bot.errors import DocumentError
from ingest.pdf import read_pdf

PAGES = [
    ["Handbook of the Board", "Applicants pay a fee of 100 dollars.", "The board reviews each file,", "1"],
    ["Handbook of the Board", "which takes eight weeks. Appeals go to the coun-", "cil. The council meets in May.", "2"],
    ["Handbook of the Board", "Licenses last two years.", "They are renewed online.", "3"],
]


def test_a_section_a_page_with_its_anchor() -> None:
    found = read_pdf(pdf(PAGES, title="Handbook"), "a/handbook.pdf", "https://board.example.org/handbook.pdf")
    assert (found.id, found.title, found.kind) == ("a/handbook.pdf", "Handbook", "pdf")
    assert [(s.anchor, s.heading, s.fragment) for s in found.sections] == [
        (f"page-{n}", ("Handbook", f"Page {n}"), f"page={n}") for n in (1, 2, 3)
    ]
    assert found.source.title == "Handbook" and found.source.url == "https://board.example.org/handbook.pdf"


def test_running_heads_and_page_numbers_are_no_text() -> None:
    text = read_pdf(pdf(PAGES), "handbook.pdf").body
    assert "Handbook of" not in text
    assert not any(line.strip().isdigit() for line in text.splitlines())
    assert "renewed online." in text


def test_sentences_and_words_run_over_the_ends_of_pages_and_lines() -> None:
    first, second, _ = read_pdf(pdf(PAGES), "handbook.pdf").sections
    assert " ".join(first.text.split()).endswith("The board reviews each file, which takes eight weeks.")
    assert "council. The council meets" in " ".join(second.text.split())
    assert "eight weeks" not in second.text


def test_a_hyphen_that_belongs_to_the_word_stays() -> None:
    lines = ["A cap-exempt employer may file. Universities are cap-", "exempt employers. A resi-", "dent is one."]
    assert "Universities are cap-exempt employers. A resident is one." in read_pdf(pdf([lines]), "a.pdf").body


def test_bookmarks_name_the_pages() -> None:
    found = read_pdf(pdf(PAGES, bookmarks=[("Fees", 0), ("Renewal", 2)]), "handbook.pdf")
    assert [s.heading[1] for s in found.sections] == ["Page 1: Fees", "Page 2: Fees", "Page 3: Renewal"]


def test_the_file_name_is_the_title_of_last_resort() -> None:
    assert read_pdf(pdf(PAGES, title="Microsoft Word - draft7.doc"), "x/state-board_rules.pdf").title == "state board rules"


@pytest.mark.parametrize(("password", "text"), [("secret", "password"), ("", "")])
def test_encryption(password: str, text: str) -> None:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(PAGES))))
    writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    if not password:  # locked against changes only: everybody may read it
        assert "Licenses last two years" in read_pdf(out.getvalue(), "open.pdf").body
        return
    with pytest.raises(DocumentError, match=text) as caught:
        read_pdf(out.getvalue(), "secret.pdf")
    assert caught.value.file == "secret.pdf"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (pdf([[], []]), "OCR"),
        (pdf([]), "no pages"),
        (b"%PDF-1.4\n garbage", "damaged"),
        (pdf(PAGES)[:300], "damaged|no pages|OCR"),
        (b"not a pdf at all", "damaged"),
        (bytes(range(256)) * 40, "damaged"),
    ],
)
def test_what_cannot_be_read_is_said(raw: bytes, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        read_pdf(raw, "bad.pdf")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_never_raise_anything_else(seed: int) -> None:
    raw = bytearray(pdf(PAGES, title="T", bookmarks=[("Fees", 0)]))
    for i in range(seed, len(raw), 97):
        raw[i] = (raw[i] * 31 + seed) % 256
    try:
        assert read_pdf(bytes(raw), "bad.pdf").sections
    except DocumentError as error:
        assert str(error).startswith("bad.pdf")


def test_no_path_of_the_machine_is_told(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        read_pdf(b"%PDF-1.7", "inside/bad.pdf")
    assert str(tmp_path) not in str(caught.value)
