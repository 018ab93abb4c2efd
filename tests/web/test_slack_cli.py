"""`img-advisor slack …`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet
from running import running
from slack_twin import copied
from typer.testing import CliRunner

from bot.database import open_engine
from bot.migrations import upgrade
from bot.settings import ROOT, Settings, read_settings
from bot.store import Store
from bot.threads import Threads
from bot.workspaces import Keys, Tokens, Workspaces
from web.cli import app

KEY = Fernet.generate_key().decode()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database in which a workspace has asked something."""
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(tmp_path))
    monkeypatch.setenv("IMG_ADVISOR_SLACK_ENCRYPTION_KEY", KEY)

    async def fill() -> None:
        engine = await open_engine(read_settings(data=tmp_path).database)
        await upgrade(engine)
        store, found = Store(engine), Workspaces(engine, Keys(KEY))
        tokens = Tokens("xoxb-secret")
        await found.save("T1", name="School", bot_user="U0", bot_id="B0", scopes=(), tokens=tokens, installed_by="U1")
        thread = await Threads(engine, store).open("T1", "D1", "1.0", "U1", private=True)
        await store.add_question(thread.conversation_id, "How long is a J-1?")
        await engine.dispose()

    asyncio.run(fill())
    return tmp_path


def said(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["slack", *arguments])
    assert result.exit_code == status, (result.output, result.exception)
    return result.stdout


def test_an_operator_lists_exports_and_deletes_a_workspace(data: Path) -> None:
    (row,) = json.loads(said("workspaces", "--json"))["workspaces"]
    assert (row["team"], row["conversations"]) == ("T1", 1)
    assert "T1" in said("workspaces")
    whole = said("export", "T1")
    assert "How long is a J-1?" in whole and "xoxb" not in whole
    said("export", "T1", str(data / "out.json"))
    assert json.loads((data / "out.json").read_text(encoding="utf-8")) == json.loads(whole)
    said("allow", "T1", "second")
    assert json.loads(said("workspaces", "--json"))["workspaces"][0]["settings"]["allowed"] == ["second"]
    assert "1 workspaces" in said("reencrypt")
    assert "Deleted: 1" in said("delete", "T1", "--yes")
    assert json.loads(said("workspaces", "--json"))["workspaces"][0]["conversations"] == 0
    said("delete", "T1", "--uninstall", "--yes")
    assert json.loads(said("workspaces", "--json"))["workspaces"] == []


def test_a_manifest_and_a_key_are_printed(data: Path) -> None:
    made = json.loads(said("manifest", "--url", "https://advisor.example"))
    assert made["settings"]["event_subscriptions"]["request_url"] == "https://advisor.example/slack/events"
    assert json.loads(said("manifest", "--socket"))["settings"]["socket_mode_enabled"]
    assert Fernet(said("key").strip())


def test_the_twin_is_a_program_that_starts_answers_and_ends_in_good_order(settings: Settings, tmp_path: Path) -> None:
    copied(settings.data, tmp_path / "data")
    env = {**os.environ, "IMG_ADVISOR_DATA": str(tmp_path / "data"), "IMG_ADVISOR_KNOWLEDGE": str(settings.knowledge)}
    command = [sys.executable, "-c", "from web.cli import main; main()", "slack", "--twin", "--port", "0"]
    with running(command, cwd=ROOT, env=env) as found:
        assert httpx.get(found.url, timeout=20).status_code == 200
        assert found.stop() == 0, found.errors
