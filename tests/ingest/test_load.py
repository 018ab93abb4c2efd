"""Files into Documents: guides, JSON Lines, and everything that can be wrong with a file or folder."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from ingest_files import REGISTRY, guide, pdf
from test_word import made as docx_file

from bot.errors import DocumentError, InputError
from ingest.load import cut_sections, find_files, load, read_bytes, slugify

SAID = "Text. [^fee-1]\n"


def documents(path: Path, **options):
    errors: list[DocumentError] = []
    return list(load(path, REGISTRY, errors, **options)), errors


def one(text: str | bytes, name: str = "a.md", form: str = "guide"):
    return read_bytes(text.encode() if isinstance(text, str) else text, form, name, REGISTRY)


def wrong(text: str | bytes, name: str = "a.md", form: str = "guide") -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        one(text, name, form)
    return caught.value


# Guides


def test_a_guide() -> None:
    found = one(guide("Before.\n\n## Fees {#cost}\nIt costs $5. [^fee-1]\n### In detail\nMore.\n"), "visas/j1.md")
    assert (found.id, found.title, found.kind) == ("visas/j1", "A guide", "guide")
    assert [(s.heading, s.anchor, s.line) for s in found.sections] == [
        (("A guide",), "", 4),
        (("A guide", "Fees"), "cost", 7),
        (("A guide", "Fees", "In detail"), "in-detail", 9),
    ]
    assert found.facts["fee-1"].as_of == "2025-06"


@pytest.mark.parametrize(
    "encode", [lambda t: b"\xef\xbb\xbf" + t.encode(), lambda t: t.replace("\n", "\r\n").encode(), lambda t: t.encode("utf-16")]
)
def test_byte_order_marks_and_line_ends_do_not_matter(encode) -> None:
    text = guide("## Fees\nIt costs §5. [^fee-1]\n")
    assert one(encode(text)) == one(text)


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("no front matter", 1, None),
        ("---\ntitle: x\n", 1, None),
        (guide(SAID, "title: [x\nas_of: 2025"), 3, None),
        (guide(SAID, "summary: x"), 1, "title"),
        (guide(SAID, "title: x\nsummary: s\nas_of: July"), 4, "as_of"),
        (guide(SAID, "title: x\nas_of: 2025-02-31"), 1, None),
        (guide(SAID, "title: x\ncolour: red"), 3, "colour"),
        (guide(SAID, "title: x\nquestions: {a: 5}"), 3, "questions.a"),
        (guide(SAID, "title: '  '"), 2, "title"),
        (guide(SAID, "title: x\nid: ../up"), 3, "id"),
        (guide(SAID, "- a\n- b"), 1, None),
        (guide(SAID, "title: \x07"), 1, None),
        (guide(SAID, "title: x\nquestions: {fees: ['How much?']}"), None, "questions"),
        (guide("", "title: x"), None, None),
        (guide("Text.", "title: x"), None, "source"),
        (guide("Text.", "title: x\nsource: nowhere"), None, "source"),
        (guide("Text.", "title: x\nsource: {title: t, url: 'javascript:1'}"), None, "source.url"),
        (guide("One.\n\nTwo. [^nothing-known]\n"), 7, None),
        (guide("## A [^nothing]\nTwo.\n"), 5, None),
        (guide("## A {#x}\nOne.\n## B {#x}\nTwo.\n"), 7, None),
        (guide("One.\n\n```\ncode\n## not closed\n"), 7, None),
        (guide("One.\n<!-- not closed\n\nTwo.\n"), 6, None),
    ],
)
def test_what_is_wrong_with_a_guide_is_said_with_line_and_field(text: str, line: int | None, field: str | None) -> None:
    error = wrong(text, "visas/a.md")
    assert (error.file, error.line, error.field) == ("visas/a.md", line, field)


def sections(body: str) -> list[tuple[int, str, str, str]]:
    return [(len(s.heading) - 1, s.heading[-1], s.anchor, " ".join(s.text.split())) for s in cut_sections(body, "T", "a.md", 0)]


def test_headings_of_both_kinds() -> None:
    body = "Top\n===\nA.\n\nLower\nheading {#low}\n---\nB.\n\n***\n\nText\n\n---\n\nC.\n# Next #\nD.\n"
    assert sections(body) == [
        (1, "Top", "top", "A."),
        (2, "Lower heading", "low", "B. *** Text --- C."),
        (1, "Next", "next", "D."),
    ]


@pytest.mark.parametrize(
    "body", ["- item\ngoes on\n---\nText.", "| a |\n---\nText.", "> quoted\n---\nText.", "    code\n---\nText.", "---\nText.", "#hash\n"]
)
def test_lines_that_are_no_headings(body: str) -> None:
    assert [level for level, *_ in sections(body)] == [0]


def test_headings_in_code_and_comments_do_not_count() -> None:
    found = one(guide("A. [^fee-1]\n\n~~~\n# code\n``` \n~~~\n\n<!-- x\n## comment\n-->B.\n## Real\n`<!--` C.\n"))
    assert [s.heading[-1] for s in found.sections] == ["A guide", "Real"]
    assert "comment" not in found.body and "# code" in found.body
    assert found.body.count("\n") == 12, "places stay"
    assert found.sections[1].text.startswith("`<!--` C.")


def test_marks_in_code_are_none_and_marks_in_headings_are_no_text() -> None:
    found = one(guide("A [^fee-1].\n\n```\n[^0-9]\n```\n\n`[^a-z]` is code.\n\n## Fees [^board]\nB.\n"))
    assert set(found.facts) == {"fee-1", "board"}
    assert found.sections[1].heading[-1] == "Fees" and found.sections[1].anchor == "fees"


def test_the_same_heading_twice_gets_two_anchors() -> None:
    found = sections("# A\nx\n# A\ny\n# A\nz\n# 日本\nw\n# 中国\nv\n")
    assert [anchor for _, _, anchor, _ in found] == ["a", "a-3", "a-5", "section", "section-9"]
    assert slugify("H-1B: Fees & Co.") == "h-1b-fees-co"


def test_deep_headings_keep_their_path() -> None:
    body = "".join(f"{'#' * level} L{level}\ntext {level}\n" for level in range(1, 7)) + "### Back\nlast\n"
    paths = [s.heading for s in cut_sections(body, "T", "a.md", 0)]
    assert paths[5] == ("T", "L1", "L2", "L3", "L4", "L5", "L6")
    assert paths[6] == ("T", "L1", "L2", "Back")


# JSON Lines


def test_json_lines(folder: Path) -> None:
    (folder / "a.jsonl").write_text(
        '\ufeff{"id": 7, "text": "Seven."}\r\n\n'
        '{"id": "x/y", "title": "Two", "text": "T.", "url": "https://e.org/x", "as_of": "2025-03", "other": 1}\n'
    )
    found, errors = documents(folder)
    assert not errors
    assert [(d.id, d.title, d.source.url, d.as_of) for d in found] == [
        ("7", "7", None, "unknown"),
        ("x/y", "Two", "https://e.org/x", "2025-03"),
    ]


def test_each_wrong_line_is_told_and_the_others_are_read(folder: Path) -> None:
    rows = ['{"id": "a", "text": "A."}', "{",
            '{"id": "b"}', '{"text": "x"}', '{"id": "c", "text": " "}', '{"id": "d", "text": "x", "as_of": "soon"}',
            '["id"]', '{"id": " ", "text": "x"}', '{"id": "e", "text": "E."}']  # fmt: skip
    (folder / "a.jsonl").write_bytes("\n".join(rows).encode() + b'\n{"id": "f", "text": "\xff"}\n')
    found, errors = documents(folder)
    assert [d.id for d in found] == ["a", "e"]
    assert [(e.line, e.field) for e in errors] == [
        (2, None), (3, "text"), (4, "id"), (5, "text"), (6, "as_of"), (7, None), (8, "id"), (10, None),
    ]  # fmt: skip


def test_a_hundred_thousand_lines_are_never_all_in_memory(folder: Path) -> None:
    path = folder / "big.jsonl"
    with path.open("w") as out:
        for i in range(100_000):
            out.write(json.dumps({"id": f"doc-{i}", "text": f"Number {i} says something. " * 4}) + "\n")
    errors: list[DocumentError] = []
    tracemalloc.start()
    try:
        count = sum(1 for _ in load(path, REGISTRY, errors))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (count, errors) == (100_000, [])
    assert peak < path.stat().st_size / 4


# Files and folders


def test_every_format_in_one_folder(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "g.md").write_text(guide(SAID))
    (folder / "t-1.TXT").write_text("Plain.")
    (folder / "h.html").write_bytes('<meta charset="windows-1252"><p>Caf\xe9.</p>'.encode("windows-1252"))
    (folder / "c.csv").write_text("a,b\n1,2\n")
    (folder / "y.yaml").write_text("- {a: 1}\n")
    (folder / "p.pdf").write_bytes(pdf([["A page."]]))
    (folder / "w.docx").write_bytes(docx_file())
    (folder / "j.jsonl").write_text('{"id": "line", "text": "T."}\n')
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.txt").write_text("no")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.txt").write_text("no")
    passed: list[str] = []
    found, errors = documents(folder, passed_over=passed)
    assert not errors
    assert {d.id: d.kind for d in found} == {
        "sub/g": "guide", "t-1.TXT": "text", "h.html": "html", "c.csv": "csv", "y.yaml": "yaml",
        "p.pdf": "pdf", "w.docx": "docx", "line": "jsonl",
    }  # fmt: skip
    assert "Café" in next(d for d in found if d.kind == "html").body
    assert passed == ["picture.png"]
    assert all(d.source.title for d in found)


def test_one_file_has_its_name_as_id(folder: Path) -> None:
    (folder / "only.txt").write_text("Text.")
    assert [d.id for d in documents(folder / "only.txt")[0]] == ["only.txt"]


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b" \n\t", "empty"),
        ("a.txt", b"\xef\xbb\xbf", "empty"),
        ("a.txt", b"\x7fELF\0\0\0", "binary"),
        ("a.md", bytes(range(256)), "binary"),
        ("a.txt", b"caf\xe9 ol\xe9", "UTF-8"),
        ("a.txt", b"ok\nok\n\xff\xfe\xfa", "UTF-8"),
        ("a.html", b"<meta charset='klingon'><p>x", "klingon"),
        ("a.pdf", b"", "empty"),
        ("a.jsonl", b"\0\0\0", "binary"),
    ],
)
def test_bytes_that_are_no_text(folder: Path, name: str, raw: bytes, says: str) -> None:
    (folder / name).write_bytes(raw)
    (folder / "good.txt").write_text("Good.")
    found, errors = documents(folder)
    assert [d.id for d in found] == ["good.txt"], "the rest goes on"
    assert len(errors) == 1 and errors[0].file == name and says in str(errors[0])
    assert str(folder) not in str(errors[0])


def test_the_line_of_bytes_that_are_no_text(folder: Path) -> None:
    assert wrong(b"ok\nok\n\xff\xfa", "a.txt", "text").line == 3


def test_links_that_lead_in_circles_or_nowhere(folder: Path) -> None:
    (folder / "a.txt").write_text("A.")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("B.")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "twice").symlink_to(folder / "sub")
    os.mkfifo(folder / "pipe.png")
    assert [p.relative_to(folder).as_posix() for p in find_files(folder)] == ["a.txt", "sub/b.txt", "twice/b.txt"]
    (folder / "gone.txt").symlink_to("nothing.txt")
    os.mkfifo(folder / "pipe.txt")
    found, errors = documents(folder)
    assert len(found) == 3 and [e.file for e in errors] == ["gone.txt", "pipe.txt"]


def test_a_path_that_is_not_there_or_of_an_unknown_format(folder: Path) -> None:
    (folder / "a.xyz").write_text("x")
    for path in (folder / "nothing", folder / "a.xyz"):
        with pytest.raises(InputError) as caught:
            find_files(path)
        assert str(folder) not in str(caught.value)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Below no folder that is closed to other users, as pytest's are."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of another kind")
def test_what_may_not_be_read_is_an_error_and_never_looks_deleted(open_folder: Path) -> None:
    """In a child process without root's rights, which would make every file readable."""
    folder = open_folder
    (folder / "closed").mkdir()
    (folder / "closed" / "a.txt").write_text("A.")
    (folder / "b.txt").write_text("B.")
    said = []
    for path in (folder / "closed", folder / "b.txt"):
        mode = path.stat().st_mode
        path.chmod(0)
        said.append(_as_nobody(folder))
        path.chmod(mode)
    assert "InputError" in said[0] and "closed" in said[0] and "ermission" in said[0]
    assert "DocumentError" in said[1] and "b.txt" in said[1] and "ermission" in said[1]


def _as_nobody(folder: Path) -> str:
    """What `load` raises or gathers, as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            errors: list[DocumentError] = []
            try:
                list(load(folder, REGISTRY, errors))
            except Exception as error:
                errors.append(error)  # type: ignore[arg-type]
            os.write(write, repr([(type(e).__name__, str(e)) for e in errors]).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as out:
        text = out.read()
    os.waitpid(child, 0)
    return text
