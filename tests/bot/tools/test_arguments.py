"""Wrong arguments: one sentence that says what is wrong and what there is."""

import pytest

from bot.errors import IndexMissing, InputError
from bot.rows import Tables
from bot.tools import run


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("licensure_lookup", {"states": ["Texs"]}, ["'Texs'", "Texas"]),
        ("licensure_lookup", {"states": []}, ["states"]),
        ("licensure_lookup", {}, ["'states'", "missing"]),
        ("licensure_lookup", {"states": ["Texas"], "county": "Bexar"}, ["no argument 'county'"]),
        ("specialty_outcomes", {"specialties": ["Nuerology"]}, ["Neurology"]),
        ("specialty_outcomes", {"specialties": ["IM"], "step2ck": 400}, ["400", "300"]),
        ("specialty_outcomes", {"specialties": ["IM"], "step2ck": "high"}, ["step2ck"]),
        ("usmle_rules", {"attempts_used": 1, "attempt_dates": ["2025-01-01", "2026-01-01"]}, ["1", "2 dates"]),
        ("usmle_rules", {"attempt_dates": ["2031-01-01"]}, ["2031-01-01", "future"]),
        ("usmle_rules", {"attempt_dates": ["2025-02-30"]}, ["attempt_dates"]),
        ("usmle_rules", {"first_pass": "1961-05-05"}, ["1961", "1992"]),
        ("usmle_rules", {"state": "Ontario", "attempts_used": 1}, ["'Ontario'"]),
        ("visa_routes", {"visa_needed": True, "us_work_authorization": True}, ["visa_needed", "us_work_authorization"]),
        ("visa_routes", {"visas": ["TN"]}, ["visas"]),
        ("season_calendar", {"match_year": 2031}, ["2031", "2027"]),
        ("cost_estimate", {"programs": [-3]}, ["programs"]),
        ("program_finder", {}, ["requirement"]),
        ("program_finder", {"must": {"specialties": ["podiatry"]}}, ["podiatry", "Nearest"]),
        ("program_finder", {"must": {"graduation_year": 1820}}, ["1820"]),
        ("program_finder", {"prefer": {"step2ck": 400}}, ["400"]),
        ("licensure", {"states": ["Texas"]}, ["licensure_lookup"]),
        ("zzz", {}, ["There are"]),
    ],
)
def test_a_wrong_call_is_told_in_one_sentence(tables, today, name, arguments, told):
    with pytest.raises(InputError) as caught:
        run(name, arguments, tables, today)
    assert all(part in str(caught.value) for part in told), str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_index_without_tables_says_what_to_run(tables, today):
    with pytest.raises(IndexMissing, match="ingest"):
        run("licensure_lookup", {"states": ["Texas"]}, Tables([], tables.terms), today)
