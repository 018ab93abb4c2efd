"""Workspaces in Slack: installing, renewing, leaving; commands; and nothing that crosses from one to another."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from pydantic import SecretStr
from slack_twin import Play, app_for, copied, install, play, slack_settings, until
from web_server import PASSING

from bot import tables
from bot.settings import Settings
from bot.workspaces import Tokens
from web.slack.command import SET_COLLECTION, SET_DEFAULT, SET_MODE
from web.slack.limits import problems
from web.slack.manifest import EVENTS, SCOPES, manifest
from web.slack.twin import Twin
from web.slack.twin_server import running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with play(settings, tmp_path_factory.mktemp("slack"), rotating=True, more={"public_url": ""}) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(opened: Play) -> AsyncIterator[Play]:
    opened.twin.log.clear()
    opened.twin.faults.clear()
    for team in opened.twin.teams.values():
        team.ephemerals.clear()
    yield opened
    await opened.idle()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(here: Play) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=here.twin.app_url, follow_redirects=False) as found:
        yield found


async def allow(here: Play, browser: httpx.AsyncClient, team: str) -> httpx.Response:
    """From /slack/install to Slack, where somebody allows it, and back."""
    asked = await browser.get("/slack/install", params={"team": team})
    assert asked.status_code == 302 and asked.headers["location"].startswith(f"{here.twin.url}/oauth/v2/authorize?")
    back = await browser.get(asked.headers["location"])
    return await browser.get(back.headers["location"])


async def test_a_workspace_installs_the_app_and_is_answered(here: Play, browser: httpx.AsyncClient) -> None:
    here.twin.team("T5", "Hospital", installed=False)
    done = await allow(here, browser, "T5")
    assert done.status_code == 200 and "Hospital" in done.text
    found = await here.slack.workspaces.get("T5")
    assert (found.name, found.bot_user, found.installed_by) == ("Hospital", "UBOTT5", "U3T5")
    ts = await here.twin.say("U1T5", "DU1T5", PASSING)
    assert "218" in str(await here.answers("DU1T5", ts))
    async with here.advisor.engine.connect() as connection:
        rows = str((await connection.execute(sa.select(tables.workspaces))).all())
    assert here.twin.teams["T5"].token not in rows and here.twin.teams["T5"].refresh_token not in rows


async def test_an_installation_that_was_begun_elsewhere_or_before_leads_nowhere(here: Play, browser: httpx.AsyncClient) -> None:
    here.twin.team("T6", "Clinic", installed=False)
    asked = await browser.get("/slack/install", params={"team": "T6"})
    back = (await browser.get(asked.headers["location"])).headers["location"]
    async with httpx.AsyncClient() as other:  # somebody else's browser: a forged link
        assert (await other.get(back)).status_code == 403
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert (await browser.get("/slack/oauth_redirect", params={"code": "x", "state": "made-up"})).status_code == 403
    refused = await browser.get("/slack/oauth_redirect", params={"error": "access_denied", "state": state})
    assert refused.status_code == 200 and "Nothing was installed" in refused.text
    assert (await browser.get(back)).status_code == 403, "a state is good once"
    assert await here.slack.workspaces.find("T6") is None
    asked = await browser.get("/slack/install", params={"team": "T6"})
    back = (await browser.get(asked.headers["location"])).headers["location"]
    assert (await browser.get(back.replace("code=", "code=no"))).status_code == 403
    assert await here.slack.workspaces.find("T6") is None


async def test_a_token_is_renewed_before_it_ends(here: Play) -> None:
    team = here.twin.teams["T1"]
    old = Tokens(team.token, team.refresh_token, time.time() + 60)
    found = await here.slack.workspaces.get("T1")
    await here.slack.workspaces.save(
        "T1", name=found.name, bot_user=found.bot_user, bot_id=found.bot_id, scopes=(), tokens=old, installed_by="U3T1"
    )
    here.slack.forget_tokens("T1")
    asked = [await here.twin.say("U1T1", "DU1T1", PASSING) for _ in range(4)]
    for ts in asked:
        assert await here.answers("DU1T1", ts)
    renewed = here.twin.calls("oauth.v2.access")
    assert len(renewed) == 1 and renewed[0]["refresh_token"] == old.refresh
    now = await here.slack.workspaces.tokens("T1")
    assert now is not None and now.access == team.token != old.access and (now.expires_at or 0) > time.time() + 3600


async def test_what_one_workspace_says_never_shows_in_another(here: Play) -> None:
    """A canary for each: in its conversations, its settings, its export; looked for in everything that the others got."""
    teams = ("T1", "T7")
    here.twin.team("T7", "Other")
    await install(here.slack, here.twin, "T7")
    for team in teams:
        await here.slack.workspaces.set_mode(team, f"C1{team}", "all", f"U3{team}")
        for place in (f"DU1{team}", f"C1{team}"):
            ts = await here.twin.say(f"U1{team}", place, f"My canary{team} matched in Texas. {PASSING}")
            await here.answers(place, ts)
            await here.twin.say(f"U1{team}", place, "What did I tell about my canary?", ts)
        await here.twin.command(f"U1{team}", f"C1{team}", f"canary{team}: {PASSING}")
    await here.idle()
    tokens = {team: here.twin.teams[team].token for team in teams}
    for team, other in (teams, teams[::-1]):
        shown = json.dumps([c.messages for c in here.twin.teams[team].channels.values()]) + json.dumps(here.twin.teams[team].ephemerals)
        assert f"canary{team}" in shown and f"canary{other}" not in shown
        (there,) = await exported(here, team)
        assert f"canary{team}" in there and f"canary{other}" not in there and f"C1{other}" not in there
        theirs = [answer["id"] for talk in json.loads(there)["conversations"] for turn in talk["turns"] if (answer := turn.get("answer"))]
        assert theirs and not [one for one in theirs if await here.slack.threads.owns(other, one)]
        # a button with another workspace's answer does nothing
        action = {"type": "button", "action_id": "share", "value": theirs[0]}
        before = len(here.twin.teams[other].channels[f"C1{other}"].messages)
        await here.twin.click(f"U1{other}", f"C1{other}", action, {"ts": "1.1", "is_ephemeral": True})
        await here.idle()
        assert len(here.twin.teams[other].channels[f"C1{other}"].messages) == before
    assert tokens["T1"] != tokens["T7"]


async def exported(here: Play, team: str, user: str = "") -> list[str]:
    """What the link of /img export leads to; nothing when there is none."""
    here.slack.base_url = here.twin.app_url
    said = await here.twin.command(user or f"U3{team}", f"C1{team}", "export")
    if "<http" not in said["text"]:
        return []
    url = said["text"].partition("<")[2].partition("|")[0]
    async with httpx.AsyncClient() as client:
        page = await client.get(url)
        assert page.status_code == 200 and "canary" not in page.text and "<form" in page.text
        file = await client.post(url)
        assert file.status_code == 200 and "attachment" in file.headers["content-disposition"]
        assert (await client.post(url)).status_code == 403, "the link works once"
        assert (await client.post(url.replace("export.", "import."))).status_code == 403
    return [file.text]


async def test_who_leaves_is_forgotten_and_who_comes_back_begins_anew(here: Play) -> None:
    if "T7" not in here.twin.teams:
        here.twin.team("T7", "Other")
        await install(here.slack, here.twin, "T7")
    ts = await here.twin.say("U1T7", "DU1T7", PASSING)
    await here.answers("DU1T7", ts)
    await here.answers("DU1T1", await here.twin.say("U1T1", "DU1T1", PASSING))
    await asyncio.sleep(1.1)  # Slack tells times in whole seconds
    old = here.twin.event("T7", {"type": "app_uninstalled"})
    await here.twin.uninstall("T7")

    async def gone() -> bool:
        return await here.slack.workspaces.find("T7") is None

    await until(gone)
    await here.idle()
    assert await here.slack.workspaces.conversations("T7") == []
    async with here.advisor.engine.connect() as connection:
        jobs = (await connection.execute(sa.select(tables.jobs).where(tables.jobs.c.owner == "T7"))).all()
    assert not [job for job in jobs if job.payload]
    assert await here.slack.workspaces.conversations("T1"), "nobody else is"
    here.twin.issue(here.twin.teams["T7"])
    await install(here.slack, here.twin, "T7")
    old["event_time"] = int(time.time()) - 60
    await here.twin.deliver(old)  # it comes late: the app was installed again since
    ts = await here.twin.say("U1T7", "DU1T7", PASSING)
    assert await here.answers("DU1T7", ts)


async def test_img_answers_its_asker_alone_who_may_share_it(here: Play) -> None:
    team = here.twin.teams["T1"]
    place = here.twin.channel("T1", "CNOBOT", "not-added", members={"U1T1", "U2T1"})  # the app was never added to it
    answer = await here.twin.command("U1T1", "CNOBOT", PASSING)
    assert answer == {}, "it is acknowledged without a word"

    async def there() -> bool:
        return bool(team.ephemerals)

    await until(there)
    (mine,) = team.ephemerals
    assert mine["to"] == "U1T1" and "218" in str(mine["blocks"]) and place.messages == []
    share = next(e for b in mine["blocks"] for e in b.get("elements", []) if e.get("action_id") == "share")
    await here.twin.click("U1T1", "CNOBOT", share, mine)

    async def shared() -> bool:
        return len(place.messages) == 1 and not team.ephemerals

    await until(shared)
    assert "218" in str(place.messages[0]["blocks"]) and "U1T1" in str(place.messages[0]["blocks"][0])
    await here.twin.command("U1T1", "CNOBOT", "And since when?")
    await until(there)
    assert "1 July 2025" in str(team.ephemerals[0]["blocks"]), "it remembers what was asked before"
    forgotten = await here.twin.command("U1T1", "CNOBOT", "forget")
    assert "Forgotten" in forgotten["text"]
    assert await here.slack.threads.own("T1", "U1T1", "img") == []


async def test_settings_are_the_admins_to_change(here: Play) -> None:
    seen = await here.twin.command("U1T1", "C1T1", "settings")
    assert "static_select" not in str(seen) and problems(seen["blocks"], "message") == []
    assert "Only an admin" in (await here.twin.command("U1T1", "C1T1", "mode all"))["text"]
    assert await here.slack.workspaces.mode("T1", "CADM") is None
    here.twin.channel("T1", "CADM", "admins")
    assert "every message" in (await here.twin.command("U3T1", "CADM", "mode all"))["text"]
    await here.slack.workspaces.choose("T1", allowed=["second"])
    here.slack.forget_tokens("T1")
    menus = await here.twin.command("U3T1", "CADM", "settings")
    assert problems(menus["blocks"], "message") == [] and all(name in str(menus) for name in (SET_MODE, SET_DEFAULT, SET_COLLECTION))
    message: dict[str, Any] = {"ts": "1.1", "is_ephemeral": True}
    for user, kept in (("U1T1", "all"), ("U3T1", "silent")):
        action = {"type": "static_select", "action_id": SET_MODE, "selected_option": {"value": "silent|CADM"}}
        await here.twin.click(user, "CADM", action, message)
        await settled(here)
        assert await here.slack.workspaces.mode("T1", "CADM") == kept
    for name, chosen in (("third", None), ("second", "second"), ("", None)):
        action = {"type": "static_select", "action_id": SET_COLLECTION, "selected_option": {"value": f"{name}|"}}
        await here.twin.click("U3T1", "CADM", action, message)
        await settled(here)
        assert (await here.slack.workspaces.get("T1")).preferences.collection == chosen, "only what the operator has allowed"
    entries = [entry.action for entry in await here.advisor.audit.entries(subject="T1")]
    assert "workspace.mode" in entries and "workspace.collection" in entries


async def settled(here: Play) -> None:
    await asyncio.sleep(0.3)
    await here.idle()


async def test_admins_may_take_everything_along_and_delete_it(here: Play) -> None:
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    await here.answers("DU1T1", ts)
    await here.idle()
    assert await exported(here, "T1", "U1T1") == []
    (file,) = await exported(here, "T1")
    found = json.loads(file)
    talk = next(talk for talk in found["conversations"] if talk["thread"] == ts)
    assert [turn["role"] for turn in talk["turns"]] == ["user", "assistant"] and talk["user"] == "U1T1"
    assert here.twin.teams["T1"].token not in file
    refused = await here.twin.command("U1T1", "C1T1", "delete")
    assert "Only an admin" in refused["text"]
    asked = await here.twin.command("U3T1", "C1T1", "delete")
    button = asked["blocks"][1]["elements"][0]
    await here.twin.click("U1T1", "C1T1", button, {"ts": "1.1", "is_ephemeral": True})
    await settled(here)
    assert await here.slack.workspaces.conversations("T1")
    await here.twin.click("U3T1", "C1T1", button, {"ts": "1.1", "is_ephemeral": True})
    await settled(here)
    assert await here.slack.workspaces.conversations("T1") == []
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    assert await here.answers("DU1T1", ts), "the app stays installed"


async def test_the_manifest_asks_for_what_is_used_and_nothing_else() -> None:
    made = manifest("https://advisor.example/")
    assert made["oauth_config"]["scopes"]["bot"] == list(SCOPES) and made["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)
    assert made["oauth_config"]["redirect_urls"] == ["https://advisor.example/slack/oauth_redirect"]
    urls = [made["settings"]["interactivity"]["request_url"], made["features"]["slash_commands"][0]["url"]]
    assert set(urls) == {"https://advisor.example/slack/events"} == {made["settings"]["event_subscriptions"]["request_url"]}
    about = made["display_information"]
    assert len(about["name"]) <= 35 and len(about["description"]) <= 140 and 175 <= len(about["long_description"]) <= 4000
    assert "agent_view" in made["features"] and "assistant_view" not in made["features"]
    assert len(made["features"]["agent_view"]["suggested_prompts"]) <= 4
    assert all(len(s["name"]) <= 24 and len(s["description"]) <= 150 for s in made["features"]["shortcuts"])
    over_socket = manifest(socket_mode=True)
    assert over_socket["settings"]["socket_mode_enabled"] and "url" not in json.dumps(over_socket)


async def test_a_token_that_is_a_setting_speaks_for_its_own_workspace_alone(settings: Settings, tmp_path: Path) -> None:
    copied(settings.data, tmp_path / "data")
    twin = Twin()
    async with running(twin):
        team = twin.team("T1")
        twin.team("T2")
        more = {"slack_bot_token": SecretStr(team.token), "slack_encryption_key": SecretStr("")}
        mine = slack_settings(settings.model_copy(update={"data": tmp_path / "data"}), twin, **more)
        twin.fail("auth.test", status=500)  # Slack does not answer while the server starts
        async with app_for(mine, twin) as slack:
            here = Play(twin, slack)
            assert await slack.workspaces.find("T1") is None
            await slack.workspaces.save("T2", name="", bot_user="UBOTT2", bot_id="BT2", scopes=(), tokens=None, installed_by="settings")
            ts = await twin.say("U1T2", "DU1T2", PASSING)  # it was the setting's before
            await here.idle()
            assert not here.thread("DU1T2", ts)
            ts = await twin.say("U1T1", "DU1T1", PASSING)
            assert "218" in str(await here.answers("DU1T1", ts))
