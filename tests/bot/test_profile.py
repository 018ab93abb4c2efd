"""What is noted of an applicant: only what they say of themselves. The messages are data, labelled by hand."""

import datetime as dt
import time

import pytest
import yaml

from bot.answer import Profile
from bot.evaluate import GOLDEN
from bot.profile import ProfileReader, contradictions, free_of_visa, merged

TODAY = dt.date(2026, 11, 1)
MESSAGES = yaml.safe_load((GOLDEN / "profile" / "messages.yaml").read_text())


@pytest.fixture(scope="module")
def reader(terms):
    return ProfileReader(terms)


def items(fields):
    return {(name, repr(value)) for name, value in fields.items()}


def measured(reader, messages):
    right = noted = labelled = 0
    wrong = []
    for message in messages:
        told = reader.read(message["text"], Profile(**message.get("known", {})), TODAY)
        found, wanted = items(told.fields), items(message["tells"])
        right, noted, labelled = right + len(found & wanted), noted + len(found), labelled + len(wanted)
        if found != wanted or {p.field for p in told.problems} != set(message.get("problems", [])):
            wrong.append((message["text"], sorted(found - wanted), sorted(wanted - found), told.problems))
    return right / noted, right / labelled, wrong


@pytest.mark.parametrize(("text", "only"), [
    ("I am a DO from Canada", True), ("I graduated in 2017 in Pakistan, CK 243", True),
    ("I am a DO from Canada, am I an IMG", False), ("I graduated in 2017 in Pakistan do I count as recent", False),
])  # fmt: skip
def test_who_asks_without_a_mark_does_not_only_tell(reader, text, only):
    assert reader.tells_only(text, reader.read(text, Profile(), TODAY)) is only


def test_there_are_enough_messages_to_measure_on():
    assert len(MESSAGES) >= 120 and sum(not m["tells"] for m in MESSAGES) >= 40


@pytest.mark.parametrize(("name", "part", "recall"), [("all", slice(None), 0.93), ("held out", slice(-60, None), 0.85)])
def test_what_is_noted_was_told(reader, name, part, recall):
    precision, found, wrong = measured(reader, MESSAGES[part])
    assert precision >= 0.97 and found >= recall, f"{name}: {precision:.3f} {found:.3f}\n" + "\n".join(map(str, wrong))


def told(reader, text, known=None):
    found = reader.read(text, known, TODAY)
    return merged(known, found)[0], found.problems


@pytest.mark.parametrize(("text", "noted"), [
    ("i'm a US-IMG, ck 230", {"citizenship": "United States", "step2ck": 230}),
    ("US IMG, yog 2021, ck 236", {"citizenship": "United States", "graduation_year": 2021, "step2ck": 236}),
    ("got my green card so I'm now a US IMG, what's the US IMG advantage for me", {"us_work_authorization": True}),
    ("What is the match rate of US IMGs in 2025?", {}), ("Do programs prefer a US IMG over a non-US IMG with 250?", {}),
])  # fmt: skip
def test_who_only_speaks_of_us_imgs_or_has_a_green_card_is_no_citizen(reader, text, noted):
    assert reader.read(text, Profile(), TODAY).fields == noted


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("I will marry a US citizen, does that help with a residency visa", None),
        ("I am married to an American citizen", None),
        ("I'm engaged to a Canadian citizen", None),
        ("I compete with US citizens", None),
        ("I moved to the US and I am a US citizen", "United States"),
        ("I am married, I am a US citizen", "United States"),
        ("married, US citizen, YOG 2019", "United States"),
        ("I'm a Canadian citizen", "Canada"),
    ],
)
def test_the_citizenship_of_others_is_not_ones_own(reader, text, noted):
    assert reader.read(text, None, TODAY).fields.get("citizenship") == noted


@pytest.mark.parametrize("text", ["got 241 in step 2ck", "step2ck: 241", "2ck 241", "s2ck 241", "CK-241", "CK 241"])
def test_a_score_is_noted_however_the_exam_is_written(reader, text):
    told = reader.read(text, None, TODAY)
    assert told.fields.get("step2ck") == 241 and not told.problems


def test_what_cannot_be_so_names_field_and_range_and_the_rest_is_kept(reader):
    profile, problems = told(reader, "Step 2 CK 400, need visa, graduated 2016", Profile(states=["Ohio"]))
    assert profile == Profile(states=["Ohio"], visa_needed=True, graduation_year=2016)
    assert [(p.kind, p.field, p.said, p.allowed) for p in problems] == [("range", "step2ck", "400", "1 to 300")]


def test_of_two_values_none_is_guessed(reader):
    profile, problems = told(reader, "I graduated in 2015. YOG 2017.", Profile(step2ck=240))
    assert profile == Profile(step2ck=240) and [p.kind for p in problems] == ["two"]


def test_what_does_not_go_together_is_said_and_both_are_kept(reader):
    profile, _ = told(reader, "I am a US citizen and I need a visa")
    assert profile.visa_needed is True and profile.citizenship == "United States"
    assert [p.field for p in contradictions(profile, TODAY)] == ["visa_needed"]


@pytest.mark.parametrize(
    ("profile", "fields"),
    [
        (Profile(visa_needed=True, us_work_authorization=True), ["visa_needed"]),
        (Profile(visa_needed=True, citizenship="India"), []),
        (Profile(visa_needed=False), []),
        (Profile(degree_path="Canadian", medical_school_country="India"), ["degree_path"]),
        (Profile(degree_path="Canadian", medical_school_country="Canada"), []),
        (Profile(degree_path="DO", medical_school_country="Poland"), ["degree_path"]),
        (Profile(degree_path="DO", medical_school_country="United States"), []),
        (Profile(degree_path="Caribbean", medical_school_country="Grenada"), []),
        (Profile(step3=221, graduation_year=TODAY.year + 1), ["step3"]),
        (Profile(step3=221, graduation_year=TODAY.year), []),
        (Profile(visa_needed=True, citizenship="USA", step3=221, graduation_year=TODAY.year + 2), ["visa_needed", "step3"]),
    ],
)
def test_what_does_not_go_together(profile, fields):
    assert [p.field for p in contradictions(profile, TODAY)] == fields
    assert all(p.said and p.allowed for p in contradictions(profile, TODAY))


def test_who_needs_no_visa(reader):
    assert free_of_visa(Profile()) is None
    assert free_of_visa(Profile(citizenship="United States")) and free_of_visa(Profile(us_work_authorization=True))
    assert free_of_visa(Profile(citizenship="India", visa_needed=True)) is False


def test_a_long_message_is_read_in_time(reader):
    """In proportion to its length: patterns that try again and again would take its square."""
    said = "I graduated from a school in a year and need my step score for a visa in the us "

    def seconds(times: int) -> float:
        began = time.perf_counter()
        reader.read(said * times, None, TODAY)
        return time.perf_counter() - began

    assert min(seconds(95) for _ in range(3)) < 4 * 19 * min(seconds(5) for _ in range(3))
