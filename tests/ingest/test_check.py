"""The check of a knowledge folder: each rule broken on purpose, in a small folder that is otherwise in order."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.errors import InputError
from bot.settings import ROOT
from ingest.check import Report, check

TODAY = dt.date(2026, 11, 22)
SOURCES: dict[str, Any] = {
    "board": {"title": "Training rule", "publisher": "Example Medical Board", "tier": "primary", "url": "https://board.example.gov/rule"},
    "table": {"title": "Fees", "publisher": "Example Society", "tier": "secondary"},
}
FACTS: dict[str, Any] = {
    "years": {"source": "board", "as_of": "2024-05"},
    "fee": {"source": "table", "as_of": "2026-03", "volatile": True},
    "doubtful": {"source": "table", "as_of": "2025", "confidence": "low"},
}
FRONT: dict[str, Any] = {
    "title": "Training in the example state",
    "summary": "How long training takes and what it costs.",
    "audience": ["applicants"],
    "topics": ["licensure"],
    "as_of": "2024-05",
    "review_by": "2027-05-31",
    "questions": {"years": ["How long is training?"], "fee": ["What does it cost?"]},
}
BODY = """
## How long is training? {#years}

The example board asks every applicant for three years of training.[^years]

## What does the license cost? {#fee}

The example license cost 400 dollars in March 2026.[^fee]
"""


def build(
    folder: Path,
    body: str = BODY,
    *,
    front: dict[str, Any] | None = None,
    sources: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    more: dict[str, str] | None = None,
) -> Path:
    """A knowledge folder with one guide; `front` overrides fields (None takes one away), `more` adds files."""
    fields = {key: value for key, value in {**FRONT, **(front or {})}.items() if value is not None}
    guide = "---\n" + yaml.safe_dump(fields, sort_keys=False) + "---\n" + body
    files = {
        "guides/states/example.md": guide,
        "sources.yaml": yaml.safe_dump(sources or SOURCES),
        "facts.yaml": yaml.safe_dump(facts or FACTS),
        **(more or {}),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def found(report: Report, code: str) -> list[tuple[str, int]]:
    return [(f.file, f.line) for f in report.findings if f.code == code]


def line_of(folder: Path, text: str, name: str = "guides/states/example.md") -> int:
    return next(i for i, row in enumerate((folder / name).read_text(encoding="utf-8").split("\n"), 1) if text in row)


def test_a_folder_in_order_has_no_findings(tmp_path: Path) -> None:
    report = check(build(tmp_path), TODAY)
    assert report.findings == ()
    assert report.ok
    assert (report.guides, report.statements) == (1, 2)


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such knowledge folder"):
        check(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("unknown-mark", "The example board asks for an interview.[^nothing-like-it]"),
        ("no-mark", "The example board asks for an interview."),
        ("advice-figure", "Send your papers 90 days before you start.[^advice]"),
        ("now", "The example license currently cost 400 dollars in 2026.[^fee]"),
        ("undated", "The example license cost 400 dollars.[^fee]"),
        ("as-of-differs", "The example license cost 400 dollars as of June 2025.[^fee]"),
        ("caveat", "The example board also takes two years of research.[^doubtful]"),
        ("broken-link", "The [other guide](/guides/states/atlantis) tells of the board of the example state.[^years]"),
        ("abbreviation", "The example board follows the rules of the XQZV in all cases.[^years]"),
    ],
)
def test_a_wrong_sentence_is_found_on_its_line(tmp_path: Path, code: str, sentence: str) -> None:
    folder = build(tmp_path, BODY + "\n" + sentence + "\n")
    assert found(check(folder, TODAY), code) == [("guides/states/example.md", line_of(folder, sentence))]


@pytest.mark.parametrize(
    "sentence",
    [
        "Ask a third-party agency before July.[^advice]",
        "The example license cost 400 dollars (undated page).[^fee]",
        "The example license cost 400 dollars as of March 2026.[^fee]",
        "The example board also takes two years of research, which we could not confirm.[^doubtful]",
        "The example board follows the Xenial Quorum of Zonal Voters (XQZV).[^years]",
        'The claim "the license is currently free" contradicts the fee of March 2026.[^fee]',
    ],
)
def test_a_careful_sentence_is_left_alone(tmp_path: Path, sentence: str) -> None:
    assert check(build(tmp_path, BODY + "\n" + sentence + "\n"), TODAY).findings == ()


def test_rows_need_marks_too(tmp_path: Path) -> None:
    table = "\n| Item | Amount in March 2026 |\n|---|---|\n| License | 400 dollars[^fee] |\n| Copy | 5 dollars |\n"
    folder = build(tmp_path, BODY + table)
    assert found(check(folder, TODAY), "no-mark") == [("guides/states/example.md", line_of(folder, "Copy"))]


@pytest.mark.parametrize("name", ["summary", "audience", "topics", "as_of", "review_by", "questions"])
def test_each_field_of_the_front_matter_is_wanted(tmp_path: Path, name: str) -> None:
    assert "front-matter" in {f.code for f in check(build(tmp_path, front={name: None}), TODAY).findings if f.severity == "error"}


def test_as_of_is_the_oldest_fact(tmp_path: Path) -> None:
    folder = build(tmp_path, front={"as_of": "2026-03"})
    assert found(check(folder, TODAY), "as-of") == [("guides/states/example.md", line_of(folder, "as_of:"))]


@pytest.mark.parametrize(
    ("due", "code"),
    [("2026-11-21", "stale"), ("2026-10", "stale"), ("2026-12-10", "soon-stale"), ("2027-05-31", None), ("2027", None)],
)
def test_guides_past_their_review_are_named(tmp_path: Path, due: str, code: str | None) -> None:
    report = check(build(tmp_path, front={"review_by": due}), TODAY)
    assert [f.code for f in report.findings] == ([code] if code else [])
    assert report.ok


def test_questions_and_sections_belong_together(tmp_path: Path) -> None:
    report = check(build(tmp_path, front={"questions": {"years": ["How long?"], "gone": ["Where?"]}}), TODAY)
    assert {f.code: f.severity for f in report.findings} == {"orphan-questions": "error", "no-questions": "warning"}


def test_long_sections_and_sentences(tmp_path: Path) -> None:
    sentence = "The example board of the state asks each applicant for a paper about training, school and work.[^years] "
    folder = build(tmp_path / "section", BODY + sentence * 20)
    assert len(found(check(folder, TODAY), "long-section")) == 1
    folder = build(tmp_path / "sentence", BODY + "The board asks for " + "a paper and " * 120 + "a stamp.[^years]\n")
    assert len(found(check(folder, TODAY), "long-sentence")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://raw.githubusercontent.com/someone/copy/main/rule.md",
        "https://github.com/someone/copy/blob/main/rule.md",
        "https://web.archive.org/web/2020/https://board.example.gov/rule",
        "https://staging-board.example.gov/rule",
        "https://board.kinsta.cloud/rule",
        "https://qa00.board.example.gov/rule",
        "https://board.example.gov./rule",
        "http://192.168.1.5/rule",
    ],
)
def test_copies_and_test_hosts_are_no_addresses_to_show(tmp_path: Path, url: str) -> None:
    folder = build(tmp_path, sources={**SOURCES, "board": {**SOURCES["board"], "url": url}})
    assert found(check(folder, TODAY), "source-address") == [("sources.yaml", line_of(folder, "board:", "sources.yaml"))]


def test_sources_are_complete_and_there(tmp_path: Path) -> None:
    folder = build(
        tmp_path,
        sources={**SOURCES, "board": {**SOURCES["board"], "publisher": ""}},
        facts={**FACTS, "fee": {**FACTS["fee"], "source": "lost"}},
    )
    codes = {f.code for f in check(folder, TODAY).findings}
    assert {"source-incomplete", "no-source"} <= codes


def test_broken_files_do_not_hide_the_rest(tmp_path: Path) -> None:
    folder = build(tmp_path, BODY + "\nNo mark here at all.\n", more={"guides/states/broken.md": "---\ntitle: [\n---\ntext\n"})
    report = check(folder, TODAY)
    assert [file for file, _ in found(report, "file")] == ["guides/states/broken.md"]
    assert len(found(report, "no-mark")) == 1


def test_the_same_sentence_in_two_guides(tmp_path: Path) -> None:
    (folder := build(tmp_path)).joinpath("guides/states/second.md").write_text((folder / "guides/states/example.md").read_text())
    report = check(folder, TODAY)
    assert len(found(report, "duplicate")) == 2
    assert report.ok


def test_nearly_the_same_sentence_in_two_guides(tmp_path: Path) -> None:
    folder = build(tmp_path)
    text = (folder / "guides/states/example.md").read_text()
    new = "asks for three years of training of every applicant (May 2024)."
    text = text.replace("asks every applicant for three years of training.", new)
    text = text.replace("cost 400 dollars in March 2026", "is sold for 400 dollars since March 2026")
    (folder / "guides/states/second.md").write_text(text)
    assert len(found(check(folder, TODAY), "duplicate")) == 1


def test_contradictions_between_guides_are_named_with_both_places(tmp_path: Path) -> None:
    folder = build(tmp_path)
    text = (folder / "guides/states/example.md").read_text().replace("three years", "two years")
    (folder / "guides/states/second.md").write_text(text)
    report = check(folder, TODAY)
    (finding,) = [f for f in report.findings if f.code == "conflict"]
    assert "'three years' against 'two years'" in finding.message
    assert (finding.file, finding.line) == ("guides/states/example.md", line_of(folder, "three years"))
    assert f"guides/states/second.md:{finding.line}" in finding.message
    assert report.ok


def test_a_pair_found_to_agree_is_named_again_when_a_figure_changes(tmp_path: Path) -> None:
    agreed = yaml.safe_dump([{"facts": ["years", "years"], "detail": "'three years' against 'two years'", "why": "of two routes"}])
    folder = build(tmp_path, more={"data/agreements.yaml": agreed})
    text = (folder / "guides/states/example.md").read_text()
    (folder / "guides/states/second.md").write_text(text.replace("three years", "two years"))
    assert found(check(folder, TODAY), "conflict") == []
    (folder / "guides/states/second.md").write_text(text.replace("three years", "four years"))
    assert len(found(check(folder, TODAY), "conflict")) == 1


STATES = (
    "state,usps,img_training_years,us_graduate_training_years,usmle_limit_years,usmle_attempt_limit,compact_member,pathway,pathway_law,"
    "pathway_effective,note,source,as_of\nExample,NY,3,unknown,unknown,6,yes,none found,none,none,none,row-state-example,2024-05\n"
)
FEES = "item,amount,currency,payer,season,condition,source,as_of\nExample license,400,USD,applicant,2026,none,fee,2026-03\n"
CALENDAR = "season,event,date,rule,source,as_of\n2026,License fee rises,2026-03,unknown,fee,2026-03\n"


def test_figures_are_held_against_the_row_they_name(tmp_path: Path) -> None:
    body = "\n## Table {#years}\n\nExample asks for three years and allows five attempts.[^row-state-example]\n"
    facts = {**FACTS, "row-state-example": {"source": "board", "as_of": "2024-05"}}
    folder = build(tmp_path, body, facts=facts, front={"questions": {"years": ["?"]}}, more={"data/states.csv": STATES})
    (finding,) = [f for f in check(folder, TODAY).findings if f.code == "table"]
    assert "five attempts" in finding.message
    assert "data/states.csv:2" in finding.message


def test_years_of_training_are_not_held_against_a_number_of_attempts(tmp_path: Path) -> None:
    table = STATES.replace("NY,3,unknown,unknown,6", "NY,2,unknown,unknown,3")
    body = "\n## Table {#years}\n\nExample asks for three years of training.[^row-state-example]\n"
    facts = {**FACTS, "row-state-example": {"source": "board", "as_of": "2024-05"}}
    folder = build(tmp_path, body, facts=facts, front={"questions": {"years": ["?"]}}, more={"data/states.csv": table})
    assert len(found(check(folder, TODAY), "table")) == 1


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ("J-1,220,5", []),
        ("J-1;H-1B,220,5", ["data/programs.csv"]),
        ("H-1B,220,5", ["data/programs.csv", "guides/states/example.md"]),
        ("J-1,230,5", ["data/programs.csv", "guides/states/example.md"]),
        ("J-1,unknown,5", ["guides/states/example.md"]),
        ("J-1,220,3", ["data/programs.csv", "guides/states/example.md"]),
    ],
)
def test_a_listing_and_its_row_say_the_same(tmp_path: Path, row: str, wrong: list[str]) -> None:
    table = (
        "program,institution,city,state,specialty,visas_listed,step2ck_figure,graduation_years_limit,us_experience,img_share_pct,note,"
        f"source,as_of\nExample Neurology,Example,Albany,NY,Neurology,{row},unknown,unknown,none,listing-example-neurology,2024-05\n"
    )
    said = "Example Neurology lists the J-1, a score of 220 and a limit of five years since graduation.[^listing-example-neurology]"
    facts = {**FACTS, "listing-example-neurology": {"source": "board", "as_of": "2024-05"}}
    folder = build(tmp_path, BODY + f"\n{said}\n", facts=facts, more={"data/programs.csv": table})
    assert sorted(file for file, _ in found(check(folder, TODAY), "table")) == wrong


@pytest.mark.parametrize(("changed", "code"), [("400", ""), ("450", "table"), ("2026-03\n", ""), ("2026-04\n", "table")])
def test_figures_and_dates_of_fees_are_held_against_the_guides_and_facts(tmp_path: Path, changed: str, code: str) -> None:
    table = FEES.replace("2026-03\n" if changed.startswith("2026") else "400", changed)
    folder = build(tmp_path, more={"data/fees.csv": table})
    assert found(check(folder, TODAY), "table") == ([("data/fees.csv", 2)] if code else [])


@pytest.mark.parametrize(("date", "wrong"), [("2026-03", False), ("2026-05", True), ("2026-03-09", True), ("unknown", False)])
def test_dates_of_the_calendar_are_held_against_the_guides(tmp_path: Path, date: str, wrong: bool) -> None:
    folder = build(tmp_path, more={"data/calendar.csv": CALENDAR.replace("2026-03,unknown", f"{date},unknown")})
    assert found(check(folder, TODAY), "table") == ([("data/calendar.csv", 2)] if wrong else [])


def test_coverage_counts_the_facts_that_are_told(tmp_path: Path) -> None:
    usable = "fees:\n- fee\nrules:\n- years\n- doubtful\n- invented\n"
    folder = build(tmp_path, more={"usable_facts.yaml": usable})
    report = check(folder, TODAY)
    assert [(c.topic, c.told, c.usable) for c in report.coverage] == [("fees", 1, 1), ("rules", 1, 3)]
    assert found(report, "untold") == [("usable_facts.yaml", line_of(folder, "doubtful", "usable_facts.yaml"))]
    assert found(report, "usable") == [("usable_facts.yaml", line_of(folder, "invented", "usable_facts.yaml"))]


def test_conflicts_name_facts_that_are_there(tmp_path: Path) -> None:
    conflicts = {"cf-one": {"topic": "x", "statement": "?", "positions": [{"fact": "lost", "says": "a"}], "preferred": "years"}}
    folder = build(tmp_path, more={"data/conflicts.yaml": yaml.safe_dump(conflicts)})
    assert {f.severity for f in check(folder, TODAY).findings if f.code == "conflict-data"} == {"error", "warning"}


def test_both_reports_tell_everything(tmp_path: Path) -> None:
    report = check(build(tmp_path, BODY + "\nNo mark here at all.\n", more={"usable_facts.yaml": "fees:\n- fee\n- years\n"}), TODAY)
    text = report.as_text()
    data = report.as_json()
    for finding in report.findings:
        assert str(finding) in text
    assert "100.0%" in text
    assert not data["ok"]
    assert data["errors"] == report.count("error") == 1
    assert [f["code"] for f in data["findings"]] == [f.code for f in report.findings]


def test_the_guides_that_come_along_have_no_errors() -> None:
    report = check(ROOT / "knowledge", TODAY)
    assert [str(f) for f in report.findings if f.severity == "error"] == []
    assert report.total.share >= 0.95
    assert len([f for f in report.findings if f.code == "conflict"]) <= 40
