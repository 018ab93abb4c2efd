"""The evaluation as files: what a team opens after a run."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.settings import Settings
from web.cli import app

QUESTIONS = """
- {id: passing, question: "What is the passing score for Step 2 CK?", kind: plain, topic: usmle, expect: [usmle/step-2-ck#passing],
   status: [answered]}
- {id: wrong-place, question: "How much is the SEVIS fee for a J-1?", kind: plain, topic: visas, expect: [usmle/step-2-ck#passing],
   status: [answered], must_say: ["<b>99</b>"]}
- {id: no-answer, question: "Which cafe near the test center is good?", kind: no_answer, topic: life, status: [no_answer]}
"""


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.yaml"
    path.write_text(QUESTIONS, encoding="utf-8")
    return path


def evaluate(settings: Settings, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(settings.data))
    monkeypatch.setenv("IMG_ADVISOR_KNOWLEDGE", str(settings.knowledge))
    result = CliRunner().invoke(app, ["eval", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_report_with_charts_traces_and_a_comparison(
    settings: Settings, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    evaluate(settings, "--questions", questions, "--report", first, monkeypatch=monkeypatch)
    run = json.loads((first / "run.json").read_text("utf-8"))
    assert [row["id"] for row in run["rows"]] == ["passing", "wrong-place", "no-answer"] and run["writers"] == {"extractive": 3, "llm": 0}
    assert [path.stem for path in (first / "traces").iterdir()] == ["wrong-place"]
    trace = (first / "traces" / "wrong-place.html").read_text("utf-8")
    for part in ("usmle/step-2-ck#passing", "SEVIS", "answerable", "Checks", "&lt;b&gt;99"):
        assert part in trace, part
    page = (first / "report.html").read_text("utf-8")
    assert "traces/wrong-place.html" in page and not re.search(r"<script|https?://", page)
    for name in re.findall(r'src="([^"]+)"', page):
        assert "<svg" in (first / name).read_text("utf-8")
    assert "wrong-place" in (first / "report.md").read_text("utf-8") and "| recall@5 |" in (first / "report.md").read_text("utf-8")

    run["rows"][1]["why"] = []  # as if it had been right before
    before = tmp_path / "before.json"
    before.write_text(json.dumps(run), encoding="utf-8")
    _, out, _ = evaluate(settings, "--questions", questions, "--report", second, "--against", before, monkeypatch=monkeypatch)
    assert "Right before, wrong now (1)" in out
    assert "Right before, wrong now (1)" in (second / "report.html").read_text("utf-8")
    assert "wrong-place" in (second / "report.md").read_text("utf-8").partition("Right before")[2]


@pytest.mark.parametrize("text", ["{}", "[1]", "no json"])
def test_a_file_that_is_no_run_is_refused_before_the_work(
    settings: Settings, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(text, encoding="utf-8")
    monkeypatch.setattr("bot.evaluate.evaluate", lambda *_, **__: pytest.fail("it began"))
    result = CliRunner().invoke(app, ["eval", "--questions", str(questions), "--against", str(wrong)])
    assert result.exit_code and result.exception is not None and str(result.exception)


def test_one_answer_can_be_traced(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMG_ADVISOR_DATA", str(settings.data))
    monkeypatch.setenv("IMG_ADVISOR_KNOWLEDGE", str(settings.knowledge))
    page = tmp_path / "trace.html"
    result = CliRunner().invoke(app, ["ask", "What is the passing score for Step 2 CK?", "--trace", str(page)])
    assert result.exit_code == 0 and "218" in result.stdout
    assert "218" in page.read_text("utf-8") and "Passages" in page.read_text("utf-8")
