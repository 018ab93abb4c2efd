"""Chunks: budgets, whole sentences and rows, tables, code, and sentences that are longer than the embedder can read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_files import REGISTRY, Room, guide, jsonl

from bot.embedding import OnnxEmbedder
from bot.passage import Chunk
from bot.terms import Terms
from ingest.chunk import TARGET_TOKENS, chunk, chunk_text, pieces
from ingest.load import read_bytes


@pytest.fixture
def cut(embedder: OnnxEmbedder, terms: Terms):
    def cut_(text: str, form: str = "guide", name: str = "a.md", **options) -> list[Chunk]:
        return chunk(read_bytes(text.encode(), form, name, REGISTRY), embedder.count_tokens, embedder.max_tokens, terms, **options)

    return cut_


def said(chunks: list[Chunk]) -> list[str]:
    return [span.said for item in chunks for span in item.spans]


def test_spans_are_substrings_and_marks_are_gone(cut) -> None:
    (found,) = cut(guide("The fee is **$5**. [^fee-1] See [the page](https://x.org) for `more`.\n\n> Quoted [^board]\n"))
    assert [(found.text[s.start : s.end], s.facts) for s in found.spans] == [
        ("The fee is $5.", ("fee-1",)),
        ("See the page for more.", ()),
        ("Quoted", ("board",)),
    ]
    assert found.as_of == "2025-05" and found.volatile
    assert found.guide is not None and found.guide.url == "/guides/a"


def test_guides_of_other_collections_have_no_page(cut) -> None:
    (found,) = cut(guide("Text."), pages=False)
    assert found.guide is None and found.source.title == "Board page"


def test_other_formats_are_their_own_source_and_keep_their_signs(cut) -> None:
    (found,) = cut("Use `x` *now* [^1] and [a](b). Done.", "text", "notes/my-file.txt")
    assert found.guide is None and found.source.title == "my file" and found.document_id == "notes/my-file.txt"
    assert found.text == "Use `x` *now* [^1] and [a](b). Done."
    assert len(found.spans) == 2


def test_a_long_text_without_headings_is_cut_between_sentences(cut, embedder: OnnxEmbedder) -> None:
    sentences = [f"Sentence number {i} of a long text says what it says, and nothing else." for i in range(400)]
    found = cut(" ".join(sentences), "text", "long.txt")
    assert said(found) == sentences
    costs = embedder.count_tokens([item.text for item in found])
    assert max(costs) <= TARGET_TOKENS and min(costs[:-1]) > TARGET_TOKENS / 2
    assert [item.position for item in found] == list(range(len(found)))


def test_a_long_table_repeats_its_header(cut) -> None:
    rows = [f"| State {i} | {i} years | {'words ' * 10}|" for i in range(200)]
    found = cut(guide("\n".join(["| State | Limit | Note |", "|---|---|---|", *rows])))
    assert len(found) > 5
    for item in found:
        assert item.text.startswith("| State | Limit | Note |\n|---|---|---|\n")
        assert all(item.text[s.start : s.end].startswith("| State ") and s.kind == "row" for s in item.spans)
    assert len(said(found)) == 200 and said(found)[7].startswith("State 7 — Limit: 7 years; Note: words")


def test_two_tables_keep_their_own_headers(cut) -> None:
    found = cut(guide("| A | B |\n|---|---|\n| 1 | 2 |\n\n| C | D |\n|---|---|\n| 3 | 4 |\n"))
    assert said(found) == ["1 — B: 2.", "3 — D: 4."]


def test_lists_keep_their_items_whole(cut) -> None:
    found = cut(guide("Bring:\n\n- a passport\n  and a copy\n- two photos. They must be new.\n\n1. Apply.\n2. Wait.\n\n***\n\nEnd.\n"))
    assert said(found) == ["Bring:", "a passport and a copy", "two photos.", "They must be new.", "Apply.", "Wait.", "End."]
    assert [s.kind for s in found[0].spans] == ["sentence", "item", "item", "sentence", "item", "item", "sentence"]


def test_code_is_kept_whole_and_as_it_is(cut) -> None:
    (found,) = cut(guide("Run this. [^fee-1]\n\n```sh\nimg-advisor ask 'A. B.' # **x** [^y]\n- no item\n```\n\nThen that.\n"))
    assert said([found]) == ["Run this.", "img-advisor ask 'A. B.' # **x** [^y] - no item", "Then that."]
    assert "```" not in found.text


def test_the_same_text_twice_has_two_ids_and_ids_stay(cut) -> None:
    text = guide("## A {#a}\nSame.\n## B {#b}\nSame.\n")
    ids = [item.chunk_id for item in cut(text)]
    assert len(set(ids)) == 2
    assert ids == [item.chunk_id for item in cut(text)]
    assert cut(text.replace("Same.\n## B", "Other.\n## B"))[1].chunk_id == ids[1]


def test_a_heading_path_of_any_length_leaves_room(cut) -> None:
    body = "".join(f"{'#' * n} {'Very long heading ' * 40}\n" for n in range(1, 7)) + " ".join(["Some words here."] * 100)
    found = cut(guide(body))
    assert 1 < len(found) < 20
    assert len(said(found)) == 100


LONG = "The board lists documents: " + "; ".join(f"document number {i} with stamp, seal and certified translation" for i in range(120))
TAIL = LONG + "; and finally the zebra certificate from the veterinary inspector of the harbor."


def test_a_sentence_longer_than_the_embedder_stays_whole_and_is_divided_for_its_vectors(cut, embedder: OnnxEmbedder) -> None:
    (found,) = cut(TAIL, "text", "long.txt")
    assert [found.text[s.start : s.end] for s in found.spans] == [TAIL]
    assert embedder.count_tokens([TAIL])[0] > 2 * embedder.max_tokens
    parts = pieces(*chunk_text(found), embedder.count_tokens, embedder.max_tokens)
    assert max(embedder.count_tokens(parts)) <= embedder.max_tokens
    assert all(part.startswith("long\n") for part in parts)
    told = "".join("".join(part.removeprefix("long\n").split()) for part in parts)
    assert told.replace(";", "").replace(",", "") == "".join(TAIL.split()).replace(";", "").replace(",", "")
    assert all(part.rstrip().endswith((";", ":", ",", "harbor.")) for part in parts), "cut at the ends of clauses"


@pytest.mark.parametrize("text", ["word " * 3000, "字" * 4000, "x" * 50_000, "a" * 90 + " " + "é😀" * 3000, "one, " * 2000])
def test_pieces_of_anything_fit(text: str, embedder: OnnxEmbedder) -> None:
    parts = pieces("Title: ", text, embedder.count_tokens, embedder.max_tokens)
    assert max(embedder.count_tokens(parts)) <= embedder.max_tokens
    assert sum(part.count(text[0]) - "Title: ".count(text[0]) for part in parts) == text.count(text[0])


async def test_the_end_of_a_long_sentence_is_found(room: Room, folder) -> None:
    others = {f"o{i}": f"The board lists documents of kind {i}: diploma, transcript and letter." for i in range(8)}
    jsonl(folder / "a.jsonl", long=TAIL, short=LONG, **others)
    await room.ingest(folder)
    index = await room.index()
    rows = {chunk.document_id: row for row, chunk in enumerate(index.chunks)}
    (query,) = room.embedder.embed(["zebra certificate from the veterinary inspector"])
    cosine = {ident: float(index.span_vectors(row)[0] @ query) for ident, row in rows.items()}
    cut_off = float(room.embedder.embed([TAIL])[0] @ query)  # the embedder alone reads the beginning only
    assert cosine["long"] > cosine["short"] and cosine["long"] > cut_off
    best = index.keywords.scores(room.terms.tokens("zebra certificate veterinary inspector"))
    assert int(best.argmax()) == rows["long"]
    for row in rows.values():
        assert np.allclose(np.linalg.norm(index.span_vectors(row), axis=1), 1, atol=1e-5)


BLOCKS = st.sampled_from(
    ["A sentence. ", "Is it? ", "\n\n", "- item\n", "\n## Head\n", "| a | b |\n", "|---|---|\n", "> quote ", "`code` ", "**bold** ",
     "[^fee-1] ", "e.g. x ",
     "word " * 60, "\n```\ncode. more\n```\n", "<!-- c -->", "\nTitle\n===\n", "7 years. ", "\t"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(BLOCKS, max_size=25).map("".join))
def test_every_word_is_in_one_span_and_spans_lie_in_order(embedder: OnnxEmbedder, terms: Terms, body: str) -> None:
    document = read_bytes(guide("First. [^fee-1]\n\n" + body + "\n").encode(), "guide", "a.md", REGISTRY)
    for item in chunk(document, embedder.count_tokens, embedder.max_tokens, terms):
        at = 0
        for span in item.spans:
            assert at <= span.start < span.end <= len(item.text)
            at = span.end
        assert not {"sentence.", "word", "years."} & {w for a, b in _gaps(item) for w in item.text[a:b].split()}


def _gaps(item: Chunk) -> list[tuple[int, int]]:
    edges = [0, *(edge for span in item.spans for edge in (span.start, span.end)), len(item.text)]
    return list(zip(edges[::2], edges[1::2], strict=True))
