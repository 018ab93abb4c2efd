"""What a result may show: quoted, given or computed, and nothing else."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.bootstrap import open_advisor
from bot.cite import Citations
from bot.errors import SettingsError
from bot.rows import UNKNOWN, Tables
from bot.settings import read_settings
from bot.tools import TOOLS, find, run
from bot.tools.computed import recomputed
from bot.tools.result import Input, Value, computed, given_texts, numbered, plain, problems

EXAMPLES = [
    ("licensure_lookup", {"states": ["Texas", "NY", "Puerto Rico"]}),
    ("licensure_lookup", {"states": ["Ohio"], "aspects": ["usmle_attempt_limit"]}),
    ("specialty_outcomes", {"specialties": ["IM", "derm", "Transitional Year"], "step2ck": 245}),
    ("specialty_outcomes", {"specialties": ["general surgery"], "population": "US IMG"}),
    ("visa_routes", {}),
    ("visa_routes", {"visas": ["O-1", "F-1 OPT", "J-2", "H-4", "Green card"], "citizenship": "Pakistan"}),
    ("visa_routes", {"visa_needed": True, "step3_passed": False}),
    ("usmle_rules", {}),
    ("usmle_rules", {"step": "Step 3", "attempts_used": 7, "state": "AK"}),
    (
        "usmle_rules",
        {"step": "Step 2 CK", "attempt_dates": ["2025-03-01", "2026-05-31", "2025-09-01"], "first_pass": "2024-02-29", "state": "TX"},
    ),
    ("season_calendar", {}),
    ("season_calendar", {"match_year": 2026, "visa": "H-1B", "done": ["step1"]}),
    ("season_calendar", {"visa": "J-1", "done": ["certificate", "step3"]}),
    ("cost_estimate", {"programs": [100, 7], "exams": ["Step 1", "Step 1", "Step 3"], "certification": True, "ranked": 31, "visa": "J-1"}),
    ("cost_estimate", {"programs": [30], "token": False, "exams_abroad": False, "exams": ["Step 2 CK"]}),
    ("program_finder", {"must": {"visa": "H-1B", "specialties": ["neurology"], "graduation_year": 2017}}),
    ("program_finder", {"prefer": {"states": ["NY", "Texas"], "step2ck": 232, "us_experience": False}, "many_imgs": True, "most": 40}),
]


def run_of(name, arguments, tables, today):
    found = run(name, arguments, tables, today)
    return found.result, found.citations


@pytest.mark.parametrize(("name", "arguments"), EXAMPLES)
def test_every_figure_of_a_result_is_quoted_given_or_can_be_repeated(tables, today, name, arguments):
    result, citations = run_of(name, arguments, tables, today)
    outcome = find(name, arguments, tables, today)
    assert len(result.rows) == len(outcome.lines) > 0
    assert problems(result, citations, [*given_texts(arguments, today.isoformat()), *outcome.given]) == {}
    chunks = {chunk.chunk_id: chunk for chunk in tables.chunks}
    for citation in citations:
        assert citation.quote in chunks[citation.chunk_id].text
        assert citation.guide.url.startswith("/guides/tables/")
    for row in result.rows:
        assert set(row.cells) == {column.key for column in result.columns}
        for cell in row.computed:
            assert recomputed(cell.rule, [(i.name, i.value) for i in cell.inputs]) == row.cells[cell.key]


def test_every_state_and_every_specialty_can_be_looked_up(tables, today):
    for row in tables.states:
        arguments = {"states": [row.cells.usps]}
        result, citations = run_of("licensure_lookup", arguments, tables, today)
        assert result.rows[0].cells["state"] == row.cells.state
        assert problems(result, citations, given_texts(arguments, today.isoformat())) == {}
    for row in tables.specialties:
        arguments = {"specialties": [row.cells.specialty], "step2ck": 251}
        result, citations = run_of("specialty_outcomes", arguments, tables, today)
        assert [found.key for found in result.rows] == [row.key]
        assert problems(result, citations, given_texts(arguments, today.isoformat())) == {}


@settings(max_examples=60, deadline=None)
@given(score=st.integers(1, 300))
def test_any_score_lies_somewhere_and_no_chance_is_told(tables, score):
    result, _ = run_of("specialty_outcomes", {"specialties": ["Internal Medicine"], "step2ck": score}, tables, dt.date(2026, 11, 26))
    cell = result.rows[0].cells["position"]
    assert cell.startswith(f"{score}: ")
    assert ("below" in cell) == (score < 242) and ("above" in cell) == (score > 251)
    assert "%" not in " ".join(result.rows[0].cells.values())


def _tampered(tables, today, change):
    outcome = find("specialty_outcomes", {"specialties": ["Neurology"], "step2ck": 245}, tables, today)
    line = outcome.lines[0]
    outcome.lines[0] = replace(line, cells=line.cells | change(line.cells))
    return numbered("specialty_outcomes", outcome, "r1", Citations(today), given_texts({"step2ck": 245}, today.isoformat()))


def test_a_row_with_a_figure_that_nothing_bears_out_is_not_shown(tables, today):
    result, wrong = _tampered(tables, today, lambda cells: {"note": plain("87 of 100 get in")})
    assert result.rows == [] and "87" in wrong[0]
    result, wrong = _tampered(tables, today, lambda cells: {"step2ck_mean_matched": replace(cells["step2ck_mean_matched"], text="239")})
    assert result.rows == [] and "239" in wrong[0]


def test_a_computed_cell_must_be_what_its_inputs_give_and_these_be_cited_or_given(tables, today):
    result, wrong = _tampered(tables, today, lambda cells: {"position": replace(cells["position"], text="245: above the mean")})
    assert result.rows == [] and "inputs" in wrong[0]
    result, wrong = _tampered(tables, today, lambda cells: {"position": computed("position", Input("score", "260"), Input("mean", "250"))})
    assert result.rows == [] and "260" in wrong[0] and "250" in wrong[1]


def test_what_is_unknown_is_said_and_cites_nothing(tables, today):
    result, _ = run_of("licensure_lookup", {"states": ["Guam"]}, tables, today)
    assert result.rows[0].cells["img_training_years"] == UNKNOWN
    assert any(gap.startswith("Guam: ") for gap in result.unknown)


def test_rules_of_computing_refuse_what_they_cannot_read():
    with pytest.raises(ValueError, match="not one number"):
        recomputed("sum of products", [("fee", "750 or 1500"), ("times", "1")])
    assert recomputed("sum of products", [("a", "$11"), ("n", "30"), ("b", "$30"), ("m", "70")]) == "$2,430"
    assert recomputed("add years", [("from", "2024-02-29"), ("years", "7 years")]) == "2031-02-28"
    assert recomputed("difference", [("limit", "4"), ("used", "6")]) == "0"
    assert Value("x").evidence == ()


def test_all_tools_have_a_schema_that_explains_each_argument():
    for tool in TOOLS.values():
        schema = tool.schema()
        assert tool.description and all(field.get("description") for field in schema["properties"].values()), tool.name


# Each tool ----------------------------------------------------------------------------------------------------------------


def cells(result, column):
    return {row.key: row.cells[column] for row in result.rows}


def test_attempts_and_windows_are_worked_out_from_the_rules(tables, today):
    days = ["2025-03-01", "2025-09-01", "2026-05-31"]
    arguments = {"step": "Step 2 CK", "attempt_dates": days, "first_pass": "2024-02-29", "state": "TX"}
    result, _ = run_of("usmle_rules", arguments, tables, today)
    answers = cells(result, "answer")
    assert answers["attempts-at-a-step"] == "1" and answers["texas-attempts"] == "0"
    assert answers["fourth-attempt-after-the-first"] == "2026-11-30"  # half a year after the latest
    assert answers["time-limit-for-ecfmg-certification"] == "2031-02-28" == answers["texas-time"]
    result, _ = run_of("usmle_rules", {"attempts_used": 4, "attempt_dates": []}, tables, today)
    assert cells(result, "answer")["attempts-at-a-step"] == "0"


def test_a_plan_is_added_up_line_by_line_and_what_is_missing_is_named(tables, today):
    result, _ = run_of("cost_estimate", {"programs": [100], "token": False}, tables, today)
    costs = cells(result, "cost")
    assert (costs["first"], costs["further"]) == ("$330", "$2,100")
    assert costs["total"] == "$2,515"  # with the registration of NRMP
    assert "30 × $11 + (100 − 30) × $30" in result.rows[-1].computed[0].formula
    result, _ = run_of("cost_estimate", {"certification": True, "token": False}, tables, today)
    assert any("OET" in gap for gap in result.unknown), "587 AUD cannot be added to dollars"
    assert all("587" not in item.formula for item in result.rows[-1].computed)


def test_a_checklist_puts_each_task_after_what_it_needs(tables, today):
    for visa in ("J-1", "H-1B", "unknown"):
        result, _ = run_of("season_calendar", {"visa": visa}, tables, today)
        seen: set[str] = set()
        for row in result.rows:
            assert set(row.after) <= seen, row.key
            seen.add(row.key)
        assert all(row.citations for row in result.rows)
        assert ("pass-step-3" in seen) == (visa == "H-1B")
    assert result.title.endswith("2027"), "the next Match whose day is to come"
    assert next(row for row in result.rows if row.key == "match-day").date == "2027-03-19"
    done, _ = run_of("season_calendar", {"done": ["certificate"]}, tables, today)
    assert not {"pass-step-1", "be-ecfmg-certified"} & {row.key for row in done.rows}


def test_every_task_names_tasks_and_events_that_are_there(tables):
    tasks, events = {row.cells.task for row in tables.tasks}, {row.cells.event for row in tables.calendar}
    for row in tables.tasks:
        assert set(row.cells.after.split(";")) <= tasks | {"none"}, row.key
        assert row.cells.event in events | {"none"}, row.key


def test_the_finder_keeps_requirements_and_wishes_apart(tables, today):
    must, _ = run_of("program_finder", {"must": {"visa": "H-1B", "specialties": ["neurology"]}}, tables, today)
    assert must.rows and all("H-1B" in row.cells["visas_listed"] or row.cells["visas_listed"] == UNKNOWN for row in must.rows)
    assert all(row.cells["specialty"] == "Neurology" for row in must.rows)
    wish, _ = run_of("program_finder", {"must": {"specialties": ["neurology"]}, "prefer": {"visa": "H-1B"}}, tables, today)
    assert {row.key for row in must.rows} < {row.key for row in wish.rows}
    fits = ["H-1B" in row.cells["visas_listed"] for row in wish.rows]
    assert fits == sorted(fits, reverse=True), "those that fit the wish come first"
    assert any("Without the requirement" in note for note in must.notes)
    assert all(row.reason and row.citations for row in must.rows)


def test_the_same_profile_gives_the_same_ranking(tables, today):
    arguments = {"prefer": {"specialties": ["IM"], "states": ["New York", "FL"], "visa": "J-1", "step2ck": 230}, "most": 40}
    first = run("program_finder", arguments, tables, today).model_dump_json()
    shuffled = Tables(list(reversed(tables.chunks)), tables.terms)
    assert run("program_finder", arguments, shuffled, today).model_dump_json() == first
    result, _ = run_of("program_finder", arguments, tables, today)
    order = [(-int(row.cells["points"]), row.cells["program"].lower()) for row in result.rows if UNKNOWN not in row.cells.values()]
    assert order == sorted(order)


OTHERWISE = "specialty: 1\nstate: 0\nvisa: 9\nstep2ck: 0\ngraduation_year: 0\nus_experience: 0\nimg_share: 0\n"


def test_an_operator_can_weigh_otherwise(tables, today, tmp_path):
    arguments = {"must": {"specialties": ["IM"]}, "prefer": {"states": ["NY"], "visa": "H-1B"}, "most": 40}
    before, _ = run_of("program_finder", arguments, tables, today)
    path = tmp_path / "weights.yaml"
    path.write_text(OTHERWISE)
    weighed = replace(tables, weights=path)
    after, _ = run_of("program_finder", arguments, weighed, today)
    assert [row.key for row in before.rows] != [row.key for row in after.rows]
    assert "9 (visa)" in after.rows[0].computed[0].formula
    path.write_text("visa: many\n")
    with pytest.raises(SettingsError, match="weights.yaml"):
        run("program_finder", arguments, weighed, today)


async def test_the_weights_of_the_operators_own_knowledge_folder_count(library, today, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.yaml").write_text(OTHERWISE)
    advisor = await open_advisor(read_settings(data=library, knowledge=tmp_path), today=lambda: today)
    try:
        found = await advisor.tool("program_finder", {"must": {"specialties": ["IM"]}, "prefer": {"visa": "H-1B"}})
    finally:
        await advisor.close()
    assert "9 (visa)" in found.result.rows[0].computed[0].formula
