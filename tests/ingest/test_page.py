"""HTML pages through the reader."""

from __future__ import annotations

import pytest

from bot.errors import DocumentError
from ingest.page import declared_encoding, read_html

PAGE = """<!doctype html><html><head><title>Fees | Board</title><link rel="canonical" href="https://board.example.org/fees">
<style>p {color: red}</style></head><body><nav><p>Home</p></nav><main><h1>Fees</h1>Loose words <b>in bold</b>.
<p>The fee<!-- hidden --> is <em>$100</em>.</p><h2 id="late">Late <i>fees</i></h2>
<ul><li>by card<ul><li>Visa card</li></ul></li><li><p>by check</p><p>only once</p></li></ul>
<table><tr><th>Exam</th><th>Fee</th></tr><tr><td>Step 1</td><td>$670 <br> now</td></tr></table>
<h2 id="late">Again</h2><div>In a <span>division</span></div><p hidden>secret</p><blockquote><p>Quoted.</p></blockquote>
<script>var x = "<p>no</p>"</script><footer>Imprint</footer></main></body></html>"""


def test_the_main_text_in_order() -> None:
    found = read_html(PAGE, "fees.html")
    assert found.title == "Fees | Board"
    assert found.source.url == "https://board.example.org/fees"
    text = [" ".join(s.text.split()) for s in found.sections]
    assert text[0] == "Loose words in bold. The fee is $100."
    assert text[1] == "- by card - Visa card - by check only once | Exam | Fee | |---|---| | Step 1 | $670 now |"
    assert text[2] == "In a division Quoted."
    assert [(s.heading[-1], s.anchor, s.fragment) for s in found.sections] == [
        ("Fees", "fees", ""), ("Late fees", "late", "late"), ("Again", "late-2", ""),
    ]  # fmt: skip


def test_the_address_it_was_fetched_from_counts() -> None:
    assert read_html(PAGE, "u", "https://other.example.org/x").source.url == "https://other.example.org/x"


@pytest.mark.parametrize("href", ["javascript:alert(1)", "/relative", "ftp://a.example.org/", "https://"])
def test_an_address_that_is_none_is_left_out(href: str) -> None:
    assert read_html(f'<link rel="canonical" href="{href}"><p>Text.</p>', "a.html").source.url is None


@pytest.mark.parametrize("html", ["", "<html></html>", "<script>1</script>", "<p> </p>", "<!-- only this -->"])
def test_no_text(html: str) -> None:
    with pytest.raises(DocumentError, match="no text"):
        read_html(html, "a.html")


def test_any_depth_and_any_brokenness_ends_well() -> None:
    for html in ("<div>" * 3000 + "deep", "<p>a<b>b<i>c</p></b>d", "<table><tr><td><table><tr><td>inner</table>", "<ul><li>x<li>y"):
        try:
            assert read_html(html, "a.html").sections
        except DocumentError as error:
            assert "deep" in str(error) or "no text" in str(error)


def test_declared_encoding() -> None:
    assert declared_encoding(b'<meta charset="windows-1252">') == "windows-1252"
    assert declared_encoding(b"<p>") is None
