"""Look-ups in answers: chosen for the question, stated in verified sentences, and never in the way when they fail."""

import pytest

from bot import tools
from bot.answer import Profile, Question


async def ask(advisor, text, **more):
    return await advisor.answer(Question(text=text, **more))


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        ("Compare Texas and New York license rules", "licensure_lookup", {"states": ["Texas", "New York"]}),
        ("how many USMLE attempts does Ohio allow", "licensure_lookup", {"states": ["Ohio"], "aspects": ["usmle_attempt_limit"]}),
        ("Which years of training does Texs require for a license?", "licensure_lookup", {"states": ["Texas"]}),
        ("what is the fee to apply to 40 internal medicine programs", "cost_estimate", {"programs": [40]}),
        ("cost of applying to 100 programs IM and FM", "cost_estimate", {"programs": [100]}),
        ("245 step 2 internal medicine non-US IMG", "specialty_outcomes", {"specialties": ["internal medicine"], "step2ck": 245}),
    ],
)
async def test_a_table_answers_where_it_knows_better(advisor, text, tool, arguments):
    answer = await ask(advisor, text)
    assert answer.status == "answered"
    assert [use.name for use in answer.tools] == [tool]
    assert answer.tools[0].arguments.items() >= arguments.items()
    result = answer.results[0]
    assert answer.tools[0].result_ref == result.ref and result.rows
    first = answer.sentences[0]
    assert first.kind == "fact" and answer.citations[first.citations[0] - 1].guide.slug.startswith("tables/")
    assert any(step.startswith(f"tool: {tool}") for step in answer.trace.plan)


@pytest.mark.parametrize("text", [
    "IM programs California", "list of IM programs in NY", "pediatrics programs Texas J-1", "IMG friendly FM programs in Ohio please",
])  # fmt: skip
async def test_programs_that_are_named_by_field_and_place_are_listed(advisor, text):
    answer = await ask(advisor, text)
    assert answer.status == "answered" and [use.name for use in answer.tools] == ["program_finder"] and answer.results[0].rows


@pytest.mark.parametrize(
    "text", ["how many programs take J-1", "neurology programs", "Texas residency programs", "why do IM programs in Texas prefer J-1"]
)
async def test_programs_are_not_listed_for_less_or_for_another_question(advisor, text):
    assert (await ask(advisor, text)).tools == []


async def test_the_score_of_the_profile_is_used(advisor):
    answer = await ask(advisor, "what step 2 ck do non-US IMGs have in psychiatry", profile=Profile(step2ck=238))
    assert answer.tools[0].arguments["step2ck"] == 238
    assert answer.results[0].rows[0].cells["position"].startswith("238: between")


@pytest.mark.parametrize("text", ["How long can I stay on a J-1?", "H-1B fee", "what is the capital of Texas", "Texas license fee"])
async def test_no_table_is_asked_where_prose_knows(advisor, text):
    assert (await ask(advisor, text)).results == []


async def test_a_tool_that_fails_leaves_the_answer_to_prose(advisor, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setitem(tools.TOOLS, "licensure_lookup", tools.Tool("licensure_lookup", "", "", tools.licensure.LicensureArguments, broken))
    answer = await ask(advisor, "how many USMLE attempts does Ohio allow")
    assert answer.status == "answered" and answer.results == [] and answer.tools == []
    assert any("licensure_lookup failed: RuntimeError" in step for step in answer.trace.plan)
    assert "secret" not in answer.model_dump_json()


@pytest.mark.parametrize(
    ("text", "nearest"),
    [("license requirements in Massachusets", "Massachusetts"), ("step 2 score for anestesiologie", "Anesthesiology")],
)
async def test_a_name_that_is_in_no_table_is_told_with_the_nearest(advisor, text, nearest):
    answer = await ask(advisor, text)
    told = answer.text if answer.clarify is None else " ".join(answer.clarify.options)
    assert nearest in told
    assert answer.results == [] and any(step.startswith("no ") for step in answer.trace.plan)
