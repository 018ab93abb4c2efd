"""Data files are parsed once: what was kept is the same, and nothing that is wrong with it is an obstacle."""

from __future__ import annotations

import pytest
import yaml

from bot import parsed as module
from bot.parsed import Parsed
from bot.settings import ROOT
from bot.terms import read_yaml

FILES = sorted((ROOT / "knowledge" / "data").rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_second_time_gives_the_same_without_parsing(path, tmp_path, monkeypatch):
    raw = path.read_bytes()
    first = Parsed(tmp_path)(raw)
    monkeypatch.setattr(module, "read_yaml", lambda _: pytest.fail("parsed again"))
    assert Parsed(tmp_path)(raw) == first == read_yaml(raw)


@pytest.mark.parametrize("raw", [b"day: 2026-11-28", b"1: one", b"{true: yes}", b"times: .nan"])
def test_what_json_would_change_stays_as_it_is(raw, tmp_path):
    for _ in range(2):
        found = Parsed(tmp_path)(raw)
        assert repr(found) == repr(read_yaml(raw))


def test_a_changed_file_is_read_anew(tmp_path):
    read = Parsed(tmp_path)
    assert [read(b"a: 1"), read(b"a: 2"), read(b"a: 1")] == [{"a": 1}, {"a": 2}, {"a": 1}]


@pytest.mark.parametrize("broken", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_was_kept_and_is_broken_is_made_again(broken, tmp_path):
    read = Parsed(tmp_path)
    read(b"a: [1, 2]")
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(broken)
    assert read(b"a: [1, 2]") == {"a": [1, 2]} and kept.read_bytes() == whole


def test_a_folder_that_cannot_be_made_is_no_obstacle(tmp_path):
    (tmp_path / "parsed").write_text("a file")
    assert Parsed(tmp_path / "parsed")(b"a: 1") == {"a": 1}


def test_what_is_not_yaml_is_refused_each_time(tmp_path):
    for _ in range(2):
        with pytest.raises(yaml.YAMLError):
            Parsed(tmp_path)(b"a: [1")
    assert not list(tmp_path.iterdir())


def test_old_ones_go(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 3)
    read = Parsed(tmp_path)
    for i in range(10):
        read(f"a: {i}".encode())
    assert len(list(tmp_path.iterdir())) <= 3


def test_what_has_passed_a_check_is_not_checked_again(tmp_path):
    calls = []

    def check(fails: bool) -> None:
        calls.append(fails)
        if fails:
            raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):
            Parsed(tmp_path).passed(b"a", lambda: check(True))
    for _ in range(2):
        Parsed(tmp_path).passed(b"a", lambda: check(False))
    Parsed(tmp_path).passed(b"b", lambda: check(False))
    assert calls == [True, True, False, False]
