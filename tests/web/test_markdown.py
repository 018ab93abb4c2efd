from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from web_server import FEES, STEP_2, write_knowledge

from bot.answer import SourceRef
from bot.embedding import OnnxEmbedder
from bot.passage import FactRef
from bot.terms import Terms
from ingest.chunk import chunk
from ingest.load import load
from ingest.registry import read_registry
from web.markdown import find_quote, render, web_address


def fact(ident: str, title: str = "", url: str | None = "https://a.example/x", as_of: str = "2025") -> FactRef:
    return FactRef(ident, SourceRef(title=title or ident, url=url), as_of)


def html(body: str, quote: str = "", *facts: FactRef) -> BeautifulSoup:
    return BeautifulSoup(render(body, {f.id: f for f in facts}, quote).html, "lxml")


def marked(soup: BeautifulSoup) -> str:
    return " ".join("".join(str(m.get_text()) for m in soup.find_all("mark")).split())


# Structure


def test_headings_have_the_anchors_of_the_index(tmp_path: Path) -> None:
    headings = ("# Top", "## Fees & costs", "## Fees & costs", "### Own {#own-anchor}", "## With **bold** {#b}")
    body = "".join(f"{heading}\n\nSome text.\n\n" for heading in headings)
    path = tmp_path / "guides" / "a.md"
    path.parent.mkdir()
    path.write_text(f"---\ntitle: A\nsource: {{title: s}}\n---\n{body}")
    (document,) = load(path.parent, read_registry(tmp_path), [])
    rendered = render(document.body, {})
    assert [heading.anchor for heading in rendered.headings] == [section.anchor for section in document.sections]
    assert [heading.text for heading in rendered.headings] == ["Top", "Fees & costs", "Fees & costs", "Own", "With bold"]
    soup = BeautifulSoup(rendered.html, "lxml")
    assert [tag["id"] for tag in soup.find_all(["h2", "h3"])] == [heading.anchor for heading in rendered.headings]
    assert not soup.find("h1") and "{#" not in soup.get_text()


def test_marks_become_notes_numbered_as_they_come() -> None:
    facts = [fact("b"), fact("a"), fact("twin", title="b")]
    soup = html("One.[^b] Two.[^a][^b]\n\n| x |\n|---|\n| cell[^a] |\n\n- item[^unknown][^twin]\n", "", *facts)
    assert [note.get_text() for note in soup.select("sup.note")] == ["1", "2", "1", "2", "1"]
    targets = [str(a["href"]) for a in soup.select("sup.note a")]
    assert targets[0] == "#source-1" and len({str(a["id"]) for a in soup.select("sup.note a")}) == 5
    assert "[^" not in soup.get_text()


def test_two_facts_of_one_source_after_one_sentence_are_one_note() -> None:
    soup = html("One.[^a][^twin] Two.[^twin]", "", fact("a"), fact("twin", title="a"))
    assert [note.get_text() for note in soup.select("sup.note")] == ["1", "1"]


def test_html_in_a_guide_is_text() -> None:
    soup = html(
        "<script>alert(1)</script>\n\nA <img src=x onerror=alert(1)> [x](javascript:alert(1)) ![y](https://a.example/y.png) <b>b</b>\n"
    )
    assert not soup.find(["script", "img", "b", "a"])
    assert "<script>alert(1)</script>" in soup.get_text()


def test_links_outside_are_made_safe() -> None:
    link = html("[x](https://a.example/) and [y](/guides/z)").find_all("a")
    assert link[0]["rel"] == ["noopener", "nofollow"] and not link[1].get("rel")


@pytest.mark.parametrize(
    ("url", "good"),
    [("https://a.example/x", True), ("HTTP://a.example", True), ("javascript:alert(1)", False), ("data:text/html,x", False),
     ("//a.example", False), ("https://", False), (" https://a.example", False), ("", False), (None, False)],
)  # fmt: skip
def test_only_web_addresses_are_linked(url: str | None, good: bool) -> None:
    assert bool(web_address(url)) is good


# Quotes


@pytest.mark.parametrize(
    ("body", "quote", "expected"),
    [
        ("One is 5. Two is 50. Three.", "Two is 50.", "Two is 50."),
        ("The score is **218** for [exams](https://a.example).[^a] More.", "The score is 218 for exams.", "The score is 218 for exams."),
        ("**A pass** is kept. More.", "A pass is kept.", "A pass is kept."),
        ("It ends in **bold words.** More.", "It ends in bold words.", "It ends in bold words."),
        ("Before. **Start inside and go** on outside. More.", "inside and go on outside.", "inside and go on outside."),
        ("A line\nthat goes on. More.", "A line\nthat goes on.", "A line that goes on."),
        ("A line\nthat goes on. More.", "A line that goes on.", "A line that goes on."),
        ("- First item.\n- **Second** item (yes).\n", "Second item (yes).", "Second item (yes)."),
        ("> Quoted by *them*.\n", "Quoted by them.", "Quoted by them."),
        ('He said "no." Then he left.', 'He said "no."', 'He said "no."'),
        ("First. (In brackets.) Last.", "(In brackets.)", "(In brackets.)"),
        ("Umfang: 5 ½ Jahre – تأشيرة J-1 हिन्दी. Ende.", "Umfang: 5 ½ Jahre – تأشيرة J-1 हिन्दी.", "Umfang: 5 ½ Jahre – تأشيرة J-1 हिन्दी."),
    ],
)
def test_a_quote_is_highlighted(body: str, quote: str, expected: str) -> None:
    soup = html(body, quote, fact("a"))
    for note in soup.select("sup.note"):
        note.decompose()
    assert marked(soup) == expected
    assert len(soup.select("mark#quote")) == 1


@pytest.mark.parametrize("quote", ["wo is 50.", "Two is 5", "Four.", "", "...", "| One | is |", "<script>"])
def test_what_is_not_said_is_not_highlighted(quote: str) -> None:
    rendered = render("One is 5. Two is 50. Three.", {}, quote)
    assert "<mark" not in rendered.html and not rendered.quote_found


def test_one_sentence_within_one_format_is_one_mark() -> None:
    soup = html("Before. The score is **218** today.[^a] After.", "The score is 218 today.", fact("a"))
    (mark,) = soup.find_all("mark")
    assert mark.get_text() == "The score is 218 today." and mark.find("strong")


def test_a_table_row_is_highlighted_cell_by_cell() -> None:
    body = "| Fee | Amount |\n|---|---|\n| SEVIS | **220** dollars[^a] |\n| SEVIS | 2200 dollars |\n"
    soup = html(body, "| SEVIS | 220 dollars |", fact("a"))
    assert [mark.get_text() for mark in soup.find_all("mark")] == ["SEVIS", "220 dollars"]
    assert len(soup.select("mark#quote")) == 1 and soup.find("mark").find_parent("tr").get_text(" ", strip=True).startswith("SEVIS")  # type: ignore[union-attr]


def test_a_sentence_said_twice_is_marked_twice_with_one_id() -> None:
    soup = html("Same words.\n\n## B\n\nSame words.\n", "Same words.")
    assert len(soup.find_all("mark")) == 2 and len(soup.select("#quote")) == 1


def test_where_a_quote_stands() -> None:
    assert find_quote("abc def", "def") == (4, 7)
    assert find_quote("abcdef", "def") is None
    assert find_quote("x", "!") is None


def test_every_quote_of_the_index_is_found_on_its_page(tmp_path: Path, embedder: OnnxEmbedder, terms: Terms) -> None:
    folder = write_knowledge(tmp_path)
    documents = list(load(folder / "guides", read_registry(folder), []))
    assert {d.id for d in documents} >= {"usmle/step-2-ck", "visas/j1-fees"} and "|" in FEES and "- " in STEP_2
    quotes = 0
    for document in documents:
        for item in chunk(document, embedder.count_tokens, embedder.max_tokens, terms):
            for span in item.spans:
                quote = item.text[span.start : span.end]
                assert render(document.body, document.facts, quote).quote_found, quote
                quotes += 1
    assert quotes >= 10
