"""The home tab, and advisors at work in Slack: who sees and may do what, in step with the console."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from slack_people import ADMIN, ADVISOR, APPLICANT, CHANNEL, account_of, element, has, home, opened, words
from slack_twin import Play, install, play, until
from web_server import PASSING

from bot.settings import Settings
from bot.workspaces import Tokens
from web.slack import limits
from web.slack.twin import User

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOTICES = "C9T1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with play(settings, tmp_path_factory.mktemp("desk")) as found:
        found.twin.channel("T1", NOTICES, "handoffs")
        await account_of(found, ADVISOR, "Dr. Ana Ruiz")
        await account_of(found, "UXT1", "Ben Ito")
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(place: Play) -> Play:
    """Nobody has a modal open from before, and nothing waits."""
    place.twin.views.clear()
    place.twin.teams["T1"].ephemerals.clear()
    for handoff in await place.advisor.store.handoffs():
        await place.advisor.inbox.close(handoff.id, "test")
    return place


async def handed_off(here: Play, reason: str = "My case is odd", user: str = APPLICANT) -> str:
    """An applicant of the workspace asks, then asks for a human; the hand-off's id."""
    chat = f"D{user}"
    ts = await here.twin.say(user, chat, PASSING)
    await here.answers(chat, ts)
    await here.idle()
    thread = await here.slack.threads.latest(user[2:], user)
    assert thread is not None
    return (await here.advisor.store.request_handoff(thread.conversation_id, reason)).id


async def notice(here: Play, handoff_id: str, says: str = "") -> dict[str, Any]:
    """The message that tells of it, once it says so."""
    channel = here.twin.teams["T1"].channels[NOTICES]

    def shown() -> list[dict[str, Any]]:
        return [m for m in channel.messages if handoff_id in str(m["blocks"]) or says in words(m)]

    async def there() -> bool:
        return any(says in words(m) for m in shown())

    await until(there)
    return [m for m in shown() if says in words(m)][-1]


async def told_of(here: Play) -> None:
    await here.twin.open_home(ADMIN)
    view = await home(here, ADMIN, "Settings of this workspace")
    action = {"type": "conversations_select", "action_id": "notices", "selected_conversation": NOTICES}
    await here.twin.click(ADMIN, "", {**element(view, "notices"), **action}, view=view)

    async def chosen() -> bool:
        return (await here.slack.workspaces.get("T1")).preferences.notices == NOTICES

    await until(chosen)


# The home tab


async def test_the_home_tab_says_how_to_ask_and_what_is_known(here: Play) -> None:
    await here.twin.open_home(APPLICANT)
    view = await home(here, APPLICANT, "You have told me nothing")
    assert limits.view_problems({**view, "type": "home"}) == []
    assert not has(view, "claim") and not has(view, "notices") and "Inbox" not in words(view)
    assert len([part for part in limits.parts_of(view["blocks"]) if str(part.get("action_id")).startswith("ask:prompt")]) == 4


async def test_a_profile_is_told_checked_used_for_the_next_question_and_forgotten(here: Play) -> None:
    user = "U5T1"
    here.twin.teams["T1"].users[user] = User(user, "Nadia", "T1")
    here.twin.channel("T1", f"D{user}", "Nadia", kind="im", members={user, "UBOTT1"})
    await here.twin.open_home(user)
    view = await home(here, user, "You have told me nothing")
    await here.twin.click(user, "", element(view, "profile"), view=view)
    form = await opened(here, "What we know about you", user)
    values = {"graduation_year": {"graduation_year": {"value": "1850"}}, "step2ck": {"step2ck": {"value": "soon"}}}
    wrong = await here.twin.submit(user, form, values)
    assert set(wrong["errors"]) == {"graduation_year", "step2ck"}
    values = {
        "graduation_year": {"graduation_year": {"value": "2018"}},
        "step2ck": {"step2ck": {"value": "243"}},
        "states": {"states": {"value": "Texas, Ohio"}},
        "visa_needed": {"visa_needed": {"selected_option": {"value": "yes"}}},
        "attempts": {"attempts": {"value": "Step 1: 2, Step 2 CK: 1"}},
    }
    await here.twin.submit(user, form, values)
    view = await home(here, user, "243")
    assert "Texas, Ohio" in words(view) and "yes" in words(view)
    ts = await here.twin.say(user, f"D{user}", PASSING)
    await here.answers(f"D{user}", ts)
    await here.idle()
    thread = await here.slack.threads.latest("T1", user)
    assert thread is not None
    profile = await here.advisor.store.profile(thread.conversation_id)
    assert profile is not None and (profile.step2ck, profile.attempts) == (243, {"step1": 2, "step2ck": 1})
    await here.twin.click(user, "", element(view, "profile_clear"), view=view)
    await home(here, user, "You have told me nothing")
    assert await here.advisor.store.profile(thread.conversation_id) is None
    assert await here.slack.threads.profile("T1", user) is None


async def test_a_prompt_of_the_home_tab_is_asked_in_the_direct_chat(here: Play) -> None:
    await here.twin.open_home(APPLICANT)
    view = await home(here, APPLICANT, "Ask, and see")
    chat = here.twin.teams["T1"].channels[f"D{APPLICANT}"]
    before = len(chat.messages)
    await here.twin.click(APPLICANT, "", element(view, "ask:prompt"), view=view)

    async def asked() -> bool:
        return len(chat.messages) > before

    await until(asked)
    await here.answers(chat.id, chat.messages[before]["ts"], 2)


async def test_open_questions_are_shown_to_whoever_asked_them(here: Play) -> None:
    handoff = await handed_off(here)
    await here.twin.open_home(APPLICANT)
    await home(here, APPLICANT, "Waiting for one to take it on")
    await here.advisor.inbox.claim(handoff, (await here.advisor.accounts.by_email(f"{ADVISOR.lower()}@example.com")).id)
    await here.twin.open_home(APPLICANT)
    view = await home(here, APPLICANT, "Dr. Ana Ruiz has taken on")
    assert not has(view, "claim")
    await here.twin.open_home("U3T1")
    assert "Dr. Ana Ruiz has taken on" not in words(await home(here, "U3T1", "My open questions"))


# Hand-offs in a channel


async def test_a_new_handoff_is_told_once_taken_on_there_and_kept_in_step_with_the_console(here: Play) -> None:
    await told_of(here)
    handoff = await handed_off(here, "Only <!channel> knows")
    message = await notice(here, handoff, "Waiting")
    assert limits.mentions(message["blocks"], message["text"]) == [] and PASSING not in message["text"]
    await here.twin.click(APPLICANT, NOTICES, element(message, "claim"), message)
    await until(lambda: says_whispered(here, "Only advisors"))
    assert (await here.advisor.store.handoff_of(handoff)).state == "requested"
    await here.twin.click(ADVISOR, NOTICES, element(message, "claim"), message)
    message = await notice(here, handoff, "Taken on by Dr. Ana Ruiz")
    assert not has(message, "claim")
    ana = await here.advisor.accounts.by_email(f"{ADVISOR.lower()}@example.com")
    await here.advisor.inbox.release(handoff, ana.id)  # in the console
    await notice(here, handoff, "Waiting")
    await here.advisor.inbox.claim(handoff, ana.id)  # the same again
    await notice(here, handoff, "Taken on by Dr. Ana Ruiz")
    await here.advisor.inbox.release(handoff, ana.id)
    await notice(here, handoff, "Waiting")
    ben = await here.advisor.accounts.by_email("uxt1@example.com")
    await here.advisor.inbox.claim(handoff, ben.id)
    message = await notice(here, handoff, "Taken on by Ben Ito")
    await here.twin.click(ADVISOR, NOTICES, {"type": "button", "action_id": "claim", "value": handoff}, message)  # an old button, late
    await until(lambda: says_whispered(here, "Ben Ito has taken"))
    await here.advisor.inbox.close(handoff, ben.id)
    message = await notice(here, handoff, "Closed")
    channel = here.twin.teams["T1"].channels[NOTICES]
    assert len([m for m in channel.messages if "Only" in words(m)]) == 1
    await here.advisor.store.forget((await here.advisor.store.handoff_of(handoff)).conversation_id)

    async def gone() -> bool:
        return channel.message(message["ts"]) is None

    await until(gone)


async def says_whispered(here: Play, text: str) -> bool:
    return any(text in each["text"] for each in here.twin.teams["T1"].ephemerals)


async def test_a_channel_without_the_app_is_named_to_the_admin_and_told_once_it_is_added(
    here: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.slack.desk.AGAIN_S", 0.3)
    channel = here.twin.channel("T1", "C8T1", "private-desk", members={ADMIN})
    await here.slack.workspaces.choose("T1", notices="C8T1")
    handoff = await handed_off(here)
    await here.twin.open_home(ADMIN)
    await home(here, ADMIN, "no member of that channel")
    channel.members.add("UBOTT1")

    async def told() -> bool:
        return handoff in str(channel.messages)

    await until(told)
    await here.slack.workspaces.choose("T1", notices=NOTICES)


async def test_a_handoff_is_given_to_an_advisor_in_a_modal(here: Play) -> None:
    await told_of(here)
    handoff = await handed_off(here)
    message = await notice(here, handoff, "Waiting")
    await here.twin.click(APPLICANT, NOTICES, element(message, "assign"), message)
    await opened(here, "Assign", APPLICANT, "Only advisors")
    await here.twin.click(ADVISOR, NOTICES, element(message, "assign"), message)
    form = await opened(here, "Assign", ADVISOR)
    ben = await here.advisor.accounts.by_email("uxt1@example.com")
    chosen = {"to": {"to": {"selected_option": {"value": ben.id}}}}
    assert (await here.twin.submit(APPLICANT, {**form}, chosen))["response_action"] == "update"  # forged: refused
    assert (await here.advisor.store.handoff_of(handoff)).state == "requested"
    await here.twin.submit(ADVISOR, form, chosen)
    await notice(here, handoff, "Taken on by Ben Ito")
    again = await here.twin.submit(ADVISOR, form, chosen)  # somebody has it meanwhile
    assert again["response_action"] == "update"


async def test_advisors_have_the_inbox_in_their_home_tab(here: Play) -> None:
    handoff = await handed_off(here)
    await here.twin.open_home(ADVISOR)
    view = await home(here, ADVISOR, "*Waiting*")
    assert "1 waiting" in words(view) and handoff in str(view)
    await here.twin.click(ADVISOR, "", element(view, "claim"), view=view)
    view = await home(here, ADVISOR, "Taken on by Dr. Ana Ruiz")
    await here.twin.click(ADVISOR, "", element(view, "release"), view=view)
    view = await home(here, ADVISOR, "*Waiting*")
    assert (await here.advisor.store.handoff_of(handoff)).state == "requested"


@pytest.mark.parametrize("why", ["guest", "unconfirmed", "disabled", "editor"])
async def test_who_is_no_advisor_of_ours_sees_no_inbox(here: Play, why: str) -> None:
    user = f"U{why.upper()}T1"
    account = await account_of(here, user, "Somebody", "editor" if why == "editor" else "advisor")
    if why == "disabled":
        await here.advisor.accounts.disable(account.id, by="test")
    here.twin.teams["T1"].users[user] = User(user, why, "T1", is_guest=why == "guest", is_email_confirmed=why != "unconfirmed")
    handoff = await handed_off(here)
    await here.twin.open_home(user)
    view = await home(here, user, "My open questions")
    assert "Inbox" not in words(view) and handoff not in str(view)


async def test_a_workspace_sees_its_own_handoffs_alone(here: Play) -> None:
    """An advisor's address in a workspace of somebody else opens nothing but that workspace's own."""
    await told_of(here)
    team = here.twin.team("T3", "Stranger")
    await install(here.slack, here.twin, "T3")
    team.users["U9T3"] = User("U9T3", "Impostor", "T3", is_admin=True, email=f"{ADVISOR.lower()}@example.com")
    here.twin.channel("T3", "C9T3", "theirs", members=set(team.users))
    await here.slack.workspaces.choose("T3", notices="C9T3")
    mine = await handed_off(here)
    site, _ = await here.advisor.store.start("https://school.example")
    web = (await here.advisor.store.request_handoff(site, "From the web")).id
    theirs = await handed_off(here, user="U1T3")
    await notice(here, mine, "Waiting")
    await here.twin.open_home("U9T3")
    view = await home(here, "U9T3", "1 waiting")
    assert theirs in str(view) and mine not in str(view) and web not in str(view)

    async def told() -> bool:
        return bool(team.channels["C9T3"].messages)

    await until(told)
    press = {"type": "button", "action_id": "claim", "value": mine}
    await here.twin.click("U9T3", "C9T3", press, team.channels["C9T3"].messages[0])
    await here.idle()
    assert (await here.advisor.store.handoff_of(mine)).state == "requested"
    said = str(team.channels["C9T3"].messages)
    assert theirs in said and mine not in said and web not in said
    assert web not in str(here.twin.teams["T1"].channels[NOTICES].messages)  # T1 came by OAuth, too


async def test_the_operators_own_workspace_sees_web_and_mail_too_and_no_other_workspace(here: Play) -> None:
    team = here.twin.team("T4", "Operator")
    await here.slack.workspaces.save(
        "T4", name="Operator", bot_user=team.bot_user, bot_id=team.bot_id, scopes=(), tokens=Tokens(team.token), installed_by="settings"
    )
    here.twin.channel("T4", "C9T4", "handoffs", members=set(team.users))
    await here.slack.workspaces.choose("T4", notices="C9T4")
    team.users["U9T4"] = User("U9T4", "Ana", "T4", email=f"{ADVISOR.lower()}@example.com")
    theirs = await handed_off(here)
    site, _ = await here.advisor.store.start("https://school.example")
    web = (await here.advisor.store.request_handoff(site, "From the web")).id
    mail = (await here.advisor.inbox.paste("Ana", "Visa", "Which visa is right for me?")).id

    async def told() -> bool:
        said = str(team.channels["C9T4"].messages)
        return web in said and mail in said

    await until(told)
    await here.twin.open_home("U9T4")
    view = await home(here, "U9T4", "2 waiting")
    assert web in str(view) and mail in str(view) and theirs not in str(view)
    assert theirs not in str(team.channels["C9T4"].messages)
    await here.slack.workspaces.choose("T4", notices=None)


async def test_an_admin_names_advisors_who_have_no_account(here: Play) -> None:
    user = "U8T1"
    here.twin.teams["T1"].users[user] = User(user, "Cleo", "T1")
    handoff = await handed_off(here)
    await here.twin.open_home(ADMIN)
    view = await home(here, ADMIN, "Settings of this workspace")
    chosen = {"type": "multi_users_select", "action_id": "advisors", "selected_users": [user]}
    await here.twin.click(APPLICANT, "", chosen, view=view)  # forged
    await here.idle()
    assert (await here.slack.workspaces.get("T1")).preferences.advisors == []
    await here.twin.click(ADMIN, "", chosen, view=view)

    async def named() -> bool:
        return (await here.slack.workspaces.get("T1")).preferences.advisors == [user]

    await until(named)
    await here.twin.open_home(user)
    view = await home(here, user, "1 waiting")
    await here.twin.click(user, "", element(view, "claim"), view=view)
    await home(here, user, "Taken on by Cleo")
    assert (await here.advisor.store.handoff_of(handoff)).advisor == f"slack:T1:{user}"


async def test_only_admins_choose_where_handoffs_are_told(here: Play) -> None:
    await here.twin.open_home(APPLICANT)
    view = await home(here, APPLICANT, "My open questions")
    before = (await here.slack.workspaces.get("T1")).preferences.notices
    forged = {"type": "conversations_select", "action_id": "notices", "selected_conversation": CHANNEL}
    await here.twin.click(APPLICANT, "", forged, view=view)
    await here.idle()
    assert (await here.slack.workspaces.get("T1")).preferences.notices == before
