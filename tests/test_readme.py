"""What the README promises is there, and nothing committed names a place that only exists on one machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.main import get_command

from bot.answer import Status
from bot.settings import ROOT, Settings
from web.app import create_app
from web.cli import app

README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(IMG_ADVISOR_[A-Z0-9_]+)` \| (.+?) \|", README, re.MULTILINE))


def test_every_setting_is_in_the_table_and_in_the_template() -> None:
    names = {"IMG_ADVISOR_" + name.upper() for name in Settings.model_fields}
    assert set(ROWS) == names
    template = re.findall(r"^#(IMG_ADVISOR_[A-Z0-9_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(template) == sorted(names)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_defaults_in_the_table_are_the_real_ones(name: str) -> None:
    default = Settings.model_fields[name].default
    told = ROWS["IMG_ADVISOR_" + name.upper()]
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default in ("", None) or (isinstance(default, Path) and default.is_absolute()):
        assert not told.startswith("`"), f"{told} is no words for a default that is empty or depends on the place"
    else:
        assert told == f"`{str(default).lower() if isinstance(default, bool) else default}`"


def commands(group: Any, before: str = "img-advisor") -> list[str]:
    found = []
    for name, command in group.commands.items():
        found += commands(command, f"{before} {name}") if hasattr(command, "commands") else [f"{before} {name}"]
    return found


@pytest.mark.parametrize("command", commands(get_command(app)))
def test_every_command_is_told(command: str) -> None:
    assert re.search(rf"^\|.*`{command}\b", README, re.MULTILINE)


def test_every_status_is_told() -> None:
    assert {word for word in re.findall(r"`([a-z_]+)`", README) if word in Status.__args__} == set(Status.__args__)  # type: ignore[attr-defined]


def test_the_routes_it_names_exist(tmp_path: Path) -> None:
    routes = set(create_app(Settings(data=tmp_path)).openapi()["paths"])  # type: ignore[call-arg]
    named = re.findall(r"^\| `(?:GET|POST|PUT)[^|]*?(/api/v1/[a-z/{}.]+)", README, re.MULTILINE)
    told = {re.sub(r"\{[a-z_]+\}", "{id}", route) for route in named}
    assert told == {re.sub(r"\{[a-z_]+\}", "{id}", route) for route in routes if route.startswith("/api/v1/")}


def test_its_links_lead_somewhere() -> None:
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("http"):
            assert (ROOT / target).is_file(), target


def test_the_make_targets_it_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z-]+)\b", "\n".join(re.findall(r"```console\n(.*?)```|`(make [a-z-]+)", README, re.S)[0]))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_constraints_hold_pins_and_hashes_only() -> None:
    """No index lines: an install takes its packages from wherever the machine is told to."""
    for path in sorted((ROOT / "constraints").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"://|^\s*-(?!-hash)", line), f"{path.name}: {line}"
