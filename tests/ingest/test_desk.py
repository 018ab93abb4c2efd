"""The knowledge folder as editors work on it: real files, a real git checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from small_library import write_library

from bot.errors import InputError, NotFound
from ingest.check import check
from ingest.desk import ChangedMeanwhile, Desk
from ingest.entries import entry_of, ids_of, with_entry

J1 = "guides/visas/j1.md"
WHO = {"author": "Eva <Editor>\n", "email": "eva@school.example"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(write_library(tmp_path / "knowledge"), tmp_path / "data" / "desk.lock")


@pytest.fixture
def checkout(desk: Desk) -> Desk:
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "guides"]):
        git(desk, *arguments)
    return desk


def git(desk: Desk, *arguments: str) -> str:
    settings = ["-c", "user.name=Nobody", "-c", "user.email=nobody@school.example"]
    return subprocess.run(["git", *settings, *arguments], cwd=desk.folder, check=True, capture_output=True, text=True).stdout


def test_a_guide_is_saved_whole_and_committed_alone_as_its_editor(checkout: Desk) -> None:
    (checkout.folder / "facts.yaml").write_text("# touched\n" + (checkout.folder / "facts.yaml").read_text())
    (checkout.folder / "staged.txt").write_text("x")
    git(checkout, "add", "staged.txt")
    opened = checkout.read(J1)
    text = opened.text.replace("seven years", "eight years")
    saved = checkout.save(J1, text.replace("\n", "\r\n"), opened.digest, **WHO, message="The limit\nwas raised")
    assert saved.committed is not None and saved.committed.commit
    assert (checkout.folder / J1).read_text() == text
    assert git(checkout, "log", "-1", "--format=%an|%ae|%s").strip() == "Eva Editor|eva@school.example|visas/j1: The limit was raised"
    assert git(checkout, "show", "--name-only", "--format=").split() == [J1]
    assert git(checkout, "status", "--porcelain").splitlines() == [" M facts.yaml", "A  staged.txt"]  # left as they were
    again = checkout.save(J1, text, saved.written.digest, **WHO)
    assert again.committed is None and git(checkout, "rev-list", "--count", "HEAD").strip() == "2"


def test_without_git_a_guide_is_saved_all_the_same(desk: Desk) -> None:
    opened = desk.read(J1)
    saved = desk.save(J1, opened.text.replace("seven years", "eight years"), opened.digest, **WHO)
    assert saved.committed is None and "eight" in desk.read(J1).text
    assert not [path for path in (desk.folder / J1).parent.iterdir() if path.suffix != ".md"]


def test_a_file_that_git_refuses_is_saved_and_the_reason_is_told(checkout: Desk) -> None:
    hook = checkout.folder / ".git/hooks/pre-commit"
    hook.write_text(f"#!/bin/sh\necho 'no commits on a Friday, says {checkout.folder}' >&2\nexit 1\n")
    hook.chmod(0o755)
    opened = checkout.read(J1)
    saved = checkout.save(J1, opened.text.replace("seven years", "eight years"), opened.digest, **WHO)
    assert saved.committed is not None and not saved.committed.commit and "Friday" in saved.committed.reason
    assert str(checkout.folder) not in saved.committed.reason
    assert "eight" in checkout.read(J1).text


def test_who_saves_over_a_changed_file_is_shown_what_it_holds_now(desk: Desk) -> None:
    opened = desk.read(J1)
    desk.save(J1, opened.text.replace("seven years", "eight years"), opened.digest, **WHO)
    with pytest.raises(ChangedMeanwhile) as caught:
        desk.save(J1, opened.text.replace("seven years", "nine years"), opened.digest, **WHO)
    assert "eight" in caught.value.theirs.text and "eight" in desk.read(J1).text
    desk.save(J1, opened.text.replace("seven years", "nine years"), caught.value.theirs.digest, **WHO)
    assert "nine" in desk.read(J1).text


def test_what_would_stop_the_guides_from_entering_the_index_is_not_saved(desk: Desk) -> None:
    opened = desk.read(J1)
    for wrong, line in (
        (opened.text.replace("[^j1-seven]", "[^no-such-fact]"), True), (opened.text.replace("title:", "titel:"), True),
        ("no front matter", True), (opened.text + "\n<!-- never closed", True), ("", False),
    ):  # fmt: skip
        findings = desk.findings(J1, wrong)
        assert desk.stops(findings) and (not line or findings[0].line > 0), findings
        with pytest.raises(InputError, match="Not saved"):
            desk.save(J1, wrong, opened.digest, **WHO)
    assert desk.read(J1) == opened


def test_a_guide_is_checked_by_the_same_rules_as_the_whole_folder(desk: Desk) -> None:
    whole = {(f.code, f.line, f.message) for f in check(desk.folder).findings if f.file == J1 and f.code != "conflict"}
    assert {(f.code, f.line, f.message) for f in desk.findings(J1, desk.read(J1).text)} == whole
    text = desk.read(J1).text.replace("A J-1 physician may not moonlight", "A J-1 physician currently may not moonlight")
    broken = text.replace("[^j1-moonlight]", "") + "\nSee [the other guide](/guides/visas/nowhere).[^advice]\n"
    found = {f.code for f in desk.findings(J1, broken)} - {f.code for f in desk.findings(J1, desk.read(J1).text)}
    assert {"no-mark", "broken-link"} <= found


@pytest.mark.parametrize(
    "name",
    [
        "../outside.md", "guides/../../outside.md", "/etc/passwd", "guides/visas/../../../outside.md", "guides/link.md", "guides/visas",
        "guides/visas/j1.md/../j1.md", "data/terms.yaml", "facts.yaml", "guides/visas/.hidden.md", "guides/a b.md", "guides/visas/j1.md#x",
        "",
        "guides/visas/j1.md\x00", "guides\\visas\\j1.md", "GUIDES/visas/j1.md",
    ],
)  # fmt: skip
def test_nothing_outside_of_the_guides_can_be_read_or_written(desk: Desk, name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("secret")
    os.symlink(outside, desk.folder / "guides" / "link.md")
    with pytest.raises((NotFound, InputError)):
        desk.save(name, desk.read(J1).text, "", **WHO)
    if name != "facts.yaml":  # which is read an entry at a time, and shown nowhere as a whole
        with pytest.raises((NotFound, InputError)):
            desk.read(name)
    assert outside.read_text() == "secret"


def test_a_new_guide_begins_with_a_template_and_needs_a_free_name(desk: Desk) -> None:
    new = desk.begin("visas/travel")
    assert new.digest == "" and new.text.startswith("---\n")
    assert desk.stops(desk.findings(new.name, new.text))  # its mark names nothing yet
    text = new.text.replace("[^fact-id]", "[^advice]").replace('title: ""', 'title: "Travel"')
    desk.save(new.name, text, "", **WHO)
    assert desk.read(new.name).text.rstrip() == text.rstrip()
    for taken in ("visas/travel", "../x", "Visas/x", "visas/", "x"):
        with pytest.raises(InputError):
            desk.begin(taken)
    with pytest.raises(ChangedMeanwhile):
        desk.save(new.name, text + "more", "", **WHO)  # somebody else began a guide of this name


def test_a_fact_is_edited_alone_and_what_rests_on_it_is_checked(desk: Desk) -> None:
    opened = desk.read("facts.yaml#ck-pass")
    assert opened.text.startswith("ck-pass:") and "ck-old" not in opened.text
    before = (desk.folder / "facts.yaml").read_text()
    saved = desk.save("facts.yaml#ck-pass", opened.text.replace("2026-01", "2026-07"), opened.digest, **WHO)
    old = "ck-pass: {source: usmle-scores, as_of: 2026-01"
    assert (desk.folder / "facts.yaml").read_text() == before.replace(old, old.replace("2026-01", "2026-07"))
    for wrong in (
        "ck-pass: {source: nowhere}", "other: {source: law}", "ck-pass: {source: law}\nx: {source: law}", "ck-pass: [",
        "ck-pass: {as_of: 1}",
    ):  # fmt: skip
        assert desk.stops(desk.findings("facts.yaml#ck-pass", wrong)), wrong
        with pytest.raises(InputError):
            desk.save("facts.yaml#ck-pass", wrong, saved.written.digest, **WHO)
    new = desk.read("facts.yaml#j1-travel")
    desk.save(new.name, "j1-travel: {source: law, as_of: 2026-05}", new.digest, **WHO)
    assert "j1-travel" in desk.entries("facts.yaml")


def test_an_entry_goes_back_where_it_stood() -> None:
    text = "# head\na:\n  x: 1\n# about b\nb:\n- 1\n\n- 2\nd: {x: 1}\n"
    assert ids_of(text) == ["a", "b", "d"]
    assert entry_of(text, "b") == "b:\n- 1\n\n- 2\n"
    assert with_entry(text, "b", "b: 3") == "# head\na:\n  x: 1\n# about b\nb: 3\nd: {x: 1}\n"
    assert with_entry(text, "c", "c: 3\n") == "# head\na:\n  x: 1\n# about b\nb:\n- 1\n\n- 2\nc: 3\nd: {x: 1}\n"
    assert with_entry("", "a", "a: 1") == "a: 1\n"
    for ident in ids_of(text):
        assert with_entry(text, ident, entry_of(text, ident) or "") == text


def test_a_folder_that_must_not_be_written_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.why_read_only() == ""
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert "not write" in desk.why_read_only()
    opened = desk.read(J1)
    with pytest.raises(InputError, match="not write"):
        desk.save(J1, opened.text + "x", opened.digest, **WHO)
    assert desk.read(J1) == opened
