"""A knowledge folder that is a git checkout: what was saved is committed, that one file and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Committed:
    """`commit` is its short name; "" where nothing was committed, and `reason` says why."""

    commit: str
    reason: str = ""


def is_checkout(folder: Path) -> bool:
    return shutil.which("git") is not None and _git(folder, "rev-parse", "--is-inside-work-tree").stdout.strip() == "true"


def commit(folder: Path, file: Path, message: str, *, name: str, email: str) -> Committed:
    """Commits one file as somebody; whatever else is changed or staged stays as it is. What is saved stays saved when this fails."""
    who = [f"user.name={_plain(name) or 'Editor'}", f"user.email={_plain(email) or 'editor@localhost'}", "commit.gpgSign=false"]
    options = [part for option in who for part in ("-c", option)]
    path = file.relative_to(folder).as_posix()
    try:
        added = _git(folder, "add", "--", path)
        if added.returncode:
            return Committed("", _said(added) or "git does not take the file")
        if not _git(folder, "diff", "--cached", "--quiet", "HEAD", "--", path).returncode:
            return Committed("", "nothing changed")
        done = _git(folder, *options, "commit", "--quiet", "--only", "-m", message, "--", path)
        if done.returncode:
            return Committed("", _said(done) or "git refused")
        return Committed(_git(folder, "rev-parse", "--short", "HEAD").stdout.strip())
    except subprocess.TimeoutExpired:
        return Committed("", "git did not end in time")
    except OSError as error:
        return Committed("", error.strerror or "git could not be started")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In the folder, asking nobody anything, and not led elsewhere by variables of the environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """The first line of a complaint, without places on this machine."""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [""]
    return re.sub(r"'?/[^\s']*'?", "…", lines[0].removeprefix("fatal: ").removeprefix("error: "))[:200]


def _plain(text: str) -> str:
    return re.sub(r"[<>\x00-\x1f]", "", text).strip()
