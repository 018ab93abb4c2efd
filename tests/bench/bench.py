"""`make bench`: this project and the stock recipe side by side, over the same guides and the golden questions.

Each side runs in a process of its own, both stay up, and they take turns, so that whatever else the machine does falls on both. No question
is asked twice of a side while time is taken. Times are medians over the rounds; on a shared machine only the ratios mean something, and the
"cost" (processor time of the serving process) more than the times: who runs more threads gets more of a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bot.golden import GoldenQuestion, read_golden
from bot.settings import ROOT
from ingest.load import MARK, load, plain
from ingest.registry import read_registry

HERE = Path(__file__).resolve().parent
STOCK_PYTHON = ROOT / ".venv-st" / "bin" / "python"
REPORTS = ROOT / "reports"
AT_ONCE = 32
K = 5

Ranges = dict[str, dict[str, tuple[int, int]]]
"""guide -> anchor -> first character of the section, character after its last one"""


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int
    one: int  # questions a round, one at a time
    many: int  # questions a round, AT_ONCE at a time
    starts: int
    asked: int  # questions for quality and answers; 0: all


FULL = Size(rounds=4, one=40, many=96, starts=3, asked=0)
QUICK = Size(rounds=2, one=12, many=32, starts=1, asked=60)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `goal` is about the ratio, or about ours where `of_ours`.

    `ratio` says how many times better ours is; None where there is nothing to compare, or where ours is 0 and no ratio says it.
    """

    name: str
    unit: str
    stock: float | None
    ours: float
    ratio: float | None
    goal: float | None = None
    of_ours: bool = False
    chart: bool = False

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        if self.of_ours:
            return self.ours <= self.goal
        return self.ratio >= self.goal if self.ratio is not None else not self.ours and bool(self.stock)


# The guides as the stock recipe gets them -----------------------------------------------------------------------------------


def texts_and_ranges(knowledge: Path) -> tuple[dict[str, str], Ranges]:
    """Each guide as plain text without front matter and source marks, and where its sections lie in it.

    The stock recipe is spared the front matter: its chunks would be found often, and answer nothing.
    """
    texts: dict[str, str] = {}
    ranges: Ranges = {}
    errors: list[Any] = []
    for document in load(knowledge / "guides", read_registry(knowledge), errors):
        text, found = "", {}
        for section in document.sections:
            start = len(text)
            text += f"{'#' * len(section.heading)} {section.heading[-1]}\n\n{plain(MARK.sub('', section.text)).strip()}\n\n"
            found[section.anchor] = (start, len(text))
        texts[document.id], ranges[document.id] = text, found
    if errors:
        raise SystemExit(f"{errors[0]}")
    return texts, ranges


# Processes ------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Side:
    """One of the two recipes: how it is started, and its process while it serves."""

    name: str
    command: list[str]
    folder: Path  # of its index
    knowledge: Path = ROOT / "knowledge"
    running: subprocess.Popen[str] | None = None
    versions: dict[str, str] | None = None

    def run(self, mode: str, *arguments: str) -> tuple[float, Any]:
        """Seconds from the start of a process until it has said what it found, and that. What the process does after is waited for."""
        start = time.perf_counter()
        command = [*self.command, mode, str(self.folder), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self._environment(), cwd=ROOT) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            seconds = time.perf_counter() - start
            process.stdout.read()
        if process.returncode or not line:
            raise SystemExit(f"The {self.name} side failed ({mode}); its message stands above.")
        return seconds, json.loads(line)

    @contextmanager
    def serving(self) -> Iterator[None]:
        command = [*self.command, "serve", str(self.folder)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=self._environment(), cwd=ROOT) as self.running:
            try:
                self.versions = self._read()
                yield
            finally:
                assert self.running.stdin is not None
                self.running.stdin.close()

    def ask(self, **message: Any) -> Any:
        assert self.running is not None and self.running.stdin is not None
        self.running.stdin.write(json.dumps(message) + "\n")
        self.running.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self.running is not None and self.running.stdout is not None
        line = self.running.stdout.readline()
        if not line:
            raise SystemExit(f"The {self.name} side ended early; its message stands above.")
        return json.loads(line)

    def _environment(self) -> dict[str, str]:
        """Without the caller's own settings of this project, and the project importable; its bytecode kept as when installed."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith("IMG_ADVISOR_") or k == "IMG_ADVISOR_WEIGHTS"}
        keep.pop("PYTHONDONTWRITEBYTECODE", None)
        return keep | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "IMG_ADVISOR_KNOWLEDGE": str(self.knowledge)}

    def memory(self) -> dict[str, float]:
        """MB resident now and at most, of the serving process. Linux only; elsewhere nothing."""
        assert self.running is not None
        try:
            status = Path(f"/proc/{self.running.pid}/status").read_text()
        except OSError:
            return {}
        found = dict(line.split(":", 1) for line in status.splitlines())
        return {name: int(found[field].split()[0]) * 1024 / 1e6 for name, field in (("serving", "VmRSS"), ("peak", "VmHWM"))}


# Measuring ------------------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure_builds(stock: Side, ours: Side, documents: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for side, arguments in ((stock, [str(documents)]), (ours, [])):
        if side.folder.is_dir():
            say(f"{side.name}: the index in {side.folder.name} is kept, so its ingest is not measured")
            continue
        say(f"{side.name}: ingest …")
        seconds, built = side.run("build", *arguments)
        result[side.name] = {"seconds": seconds, **built}
    again = []
    ours.run("build")  # brings a kept index up to date
    for _ in range(3):
        seconds, built = ours.run("build")
        assert built["unchanged"] == built["documents"]
        again.append(seconds)
    result["again"] = statistics.median(again)
    return result


def measure_starts(sides: Sequence[Side], times: int) -> dict[str, dict[str, float]]:
    """Seconds from process start to the first search result, the index there, and processor seconds of the process as a whole.

    One start more than counted, to warm the disk's cache.
    """
    found: dict[str, list[tuple[float, float]]] = {side.name: [] for side in sides}
    for round_ in range(times + 1):
        for side in sides:
            say(f"{side.name}: start {round_} of {times}")
            before = _children()
            seconds, _ = side.run("first", "Which visa lets me train in the United States?")
            if round_:
                found[side.name].append((seconds, _children() - before))
    return {
        name: {"seconds": statistics.median(a for a, _ in starts), "cpu": statistics.median(b for _, b in starts)}
        for name, starts in found.items()
    }


def _children() -> float:
    """Processor seconds of all child processes that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def measure_searches(sides: Sequence[Side], questions: Sequence[str], warm_up: Sequence[str], size: Size) -> dict[str, dict[str, float]]:
    """Medians over the rounds. The sides take turns, and who begins changes each round."""
    rounds: dict[str, list[dict[str, float]]] = {side.name: [] for side in sides}
    for side in sides:
        side.ask(do="one", questions=list(warm_up[:8]))
        side.ask(do="many", questions=list(warm_up[8:40]), at_once=AT_ONCE)
    each = size.one + size.many
    assert size.rounds * each <= len(questions), "too few questions to ask each only once"
    for number in range(size.rounds):
        part = list(questions[number * each : (number + 1) * each])
        order = sides if number % 2 == 0 else sides[::-1]
        say(f"round {number + 1} of {size.rounds}")
        times = {side.name: side.ask(do="one", questions=part[: size.one]) for side in order}
        many = {side.name: side.ask(do="many", questions=part[size.one :], at_once=AT_ONCE) for side in order}
        for name, found in rounds.items():
            found.append(
                {
                    "p50": quantile(times[name]["ms"], 0.5), "p95": quantile(times[name]["ms"], 0.95),
                    "cpu": 1000 * times[name]["cpu"] / size.one,
                    "p50_32": quantile(many[name]["ms"], 0.5), "p95_32": quantile(many[name]["ms"], 0.95),
                    "cpu_32": 1000 * many[name]["cpu"] / size.many, "per_second": size.many / many[name]["seconds"],
                }
            )  # fmt: skip
    return {name: {key: statistics.median(r[key] for r in found) for key in found[0]} for name, found in rounds.items()}


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]


def measure_quality(stock: Side, ours: Side, questions: Sequence[GoldenQuestion], ranges: Ranges) -> dict[str, dict[str, float]]:
    """Recall@5 and MRR on what the guides answer. Of a message with several questions each counts, within five places a question.

    Neither side is given a history: follow-ups are asked in their standalone form. A chunk of the stock recipe is a hit when it overlaps an
    expected section at all.
    """
    asked = [q for q in questions if q.answerable]
    message = [[q.standalone or q.question, K * max(1, len(q.parts))] for q in asked]
    result = {}
    for side in (stock, ours):
        ranks = []
        for question, found in zip(asked, side.ask(do="found", questions=message), strict=True):
            for places in question.parts or [question.expect]:
                ranks.append(next((i for i, item in enumerate(found, 1) if any(_hit(item, place, ranges) for place in places)), 0))
        result[side.name] = {
            "asked": float(len(ranks)), "missed": float(sum(not rank for rank in ranks)),
            "recall": sum(rank > 0 for rank in ranks) / len(ranks),
            "mrr": statistics.fmean(1 / rank if rank else 0.0 for rank in ranks),
        }  # fmt: skip
    return result


def _hit(item: Sequence[Any], place: str, ranges: Ranges) -> bool:
    guide, _, anchor = place.partition("#")
    if item[0] != guide:
        return False
    if len(item) == 2:
        return item[1] == anchor
    start, stop = ranges[guide].get(anchor, (0, 0))
    return max(item[1], start) < min(item[2], stop)


def measure_answers(ours: Side, questions: Sequence[GoldenQuestion], warm_up: Sequence[str]) -> dict[str, float]:
    """Milliseconds of complete, verified answers, one at a time, in a process that has not seen the questions."""
    with ours.serving():
        ours.ask(do="answers", questions=[{"text": text, "history": []} for text in warm_up[:20]])
        asked = [{"text": q.question, "history": [t.model_dump() for t in q.history]} for q in questions]
        times = [found["ms"] for found in ours.ask(do="answers", questions=asked)]
    return {"p50": quantile(times, 0.5), "p95": quantile(times, 0.95), "asked": float(len(times))}


# The report -----------------------------------------------------------------------------------------------------------------


def rows(found: dict[str, Any]) -> list[Row]:
    search, quality, other, memory = found["search"], found["quality"], found["other_words"], found["memory"]
    builds = found["builds"]

    def less(name: str, unit: str, stock: float, ours: float, goal: float | None = None, *, chart: bool = False) -> Row:
        return Row(name, unit, round(stock, 2), round(ours, 2), round(stock / ours, 2) if ours else None, goal, chart=chart)

    def more(name: str, unit: str, stock: float, ours: float, goal: float | None = None, *, chart: bool = False, digits: int = 1) -> Row:
        return Row(name, unit, round(stock, digits), round(ours, digits), round(ours / stock, 2) if stock else None, goal, chart=chart)

    def both(key: str) -> tuple[float, float]:
        return search["stock"][key], search["ours"][key]

    def start(key: str) -> tuple[float, float]:
        return found["starts"]["stock"][key], found["starts"]["ours"][key]

    result: list[Row] = [
        less("search, one at a time, p50", "ms", *both("p50"), 2, chart=True),
        less("search, one at a time, p95", "ms", *both("p95")),
        less("search, one at a time, cost", "ms of CPU", *both("cpu")),
        less(f"search, {AT_ONCE} at once, p50", "ms", *both("p50_32"), chart=True),
        less(f"search, {AT_ONCE} at once, p95", "ms", *both("p95_32")),
        less(f"search, {AT_ONCE} at once, cost", "ms of CPU", *both("cpu_32"), chart=True),
        more(f"throughput, {AT_ONCE} at once", "queries/s", *both("per_second"), 4, chart=True),
        less("process start to first answer", "s", *start("seconds"), 4, chart=True),
        less("a start, cost", "s of CPU", *start("cpu")),
    ]
    if "stock" in builds and "ours" in builds:
        result.append(less("ingest", "s", builds["stock"]["seconds"], builds["ours"]["seconds"]))
    if "ours" in builds:
        share = 100 * builds["again"] / builds["ours"]["seconds"]
        result.append(Row("ingest again, nothing changed", "% of ingest", None, round(share, 2), None, 3, of_ours=True))
    if memory["ours"]:
        result += [
            less("memory, serving", "MB", memory["stock"]["serving"], memory["ours"]["serving"], chart=True),
            Row("memory, serving, ours", "MB", None, round(memory["ours"]["serving"]), None, 600, of_ours=True),
            less("memory, peak", "MB", memory["stock"]["peak"], memory["ours"]["peak"]),
        ]
    result += [
        more("golden questions, recall@5", "", quality["stock"]["recall"], quality["ours"]["recall"], digits=3),
        less("golden questions missed at 5", "", quality["stock"]["missed"], quality["ours"]["missed"], 2, chart=True),
        more("golden questions, MRR", "", quality["stock"]["mrr"], quality["ours"]["mrr"], digits=3),
        more("in other words, recall@5", "", other["stock"]["recall"], other["ours"]["recall"], digits=3),
        less("in other words, missed at 5", "", other["stock"]["missed"], other["ours"]["missed"]),
        more("in other words, MRR", "", other["stock"]["mrr"], other["ours"]["mrr"], digits=3),
        Row("complete verified answer, p50", "ms", None, round(found["answers"]["p50"], 1), None),
        Row("complete verified answer, p95", "ms", None, round(found["answers"]["p95"], 1), None, 100, of_ours=True),
    ]
    return result


def table(lines: Sequence[Row]) -> str:
    out = [f"{'':34}{'stock':>10}{'ours':>10} {'':12}{'ratio':>8}  goal"]
    for row in lines:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}×"
        goal = ""
        if row.goal is not None:
            bound = f"at most {row.goal:g} {row.unit}" if row.of_ours else f"at least {row.goal:g}×"
            goal = f"{'ok ' if row.reached else 'LOW'} {bound}"
        stock = "-" if row.stock is None else f"{row.stock:g}"
        out.append(f"{row.name:34}{stock:>10}{row.ours:>10g} {row.unit:12}{ratio:>8}  {goal}".rstrip())
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Speed and quality beside the stock recipe.")
    parser.add_argument("--quick", action="store_true", help="few questions: does it run? The figures mean little")
    parser.add_argument("--keep", type=Path, help="keep both indexes in this folder, and use those that are there already")
    parser.add_argument("--out", type=Path, default=REPORTS, help="folder for bench.json and bench.svg")
    options = parser.parse_args()
    if not STOCK_PYTHON.exists():
        raise SystemExit("The stock recipe is not installed. Run: make install-st")
    with tempfile.TemporaryDirectory() as scratch:
        run(QUICK if options.quick else FULL, options.keep or Path(scratch), Path(scratch), options.out)


def run(size: Size, indexes: Path, scratch: Path, out: Path) -> None:
    golden = read_golden(ROOT / "tests" / "golden")
    other = read_golden(ROOT / "tests" / "golden" / "other-words")
    knowledge = scratch / "knowledge"  # a copy: nobody changes it meanwhile
    shutil.copytree(ROOT / "knowledge", knowledge)
    texts, ranges = texts_and_ranges(knowledge)
    indexes.mkdir(parents=True, exist_ok=True)
    documents = scratch / "guides.json"
    documents.write_text(json.dumps(texts), encoding="utf-8")
    stock = Side("stock", [str(STOCK_PYTHON), str(HERE / "stock.py")], indexes / "stock", knowledge)
    ours = Side("ours", [sys.executable, str(HERE / "ours.py")], indexes / "ours", knowledge)
    mixed = golden[::7] + [q for i, q in enumerate(golden) if i % 7]  # topics in turn
    some = slice(size.asked or None)
    warm_up = [q.question for q in other]
    began = time.strftime("%Y-%m-%d %H:%M")
    found: dict[str, Any] = {"builds": measure_builds(stock, ours, documents)}
    found["starts"] = measure_starts([stock, ours], size.starts)
    with stock.serving(), ours.serving():
        found["search"] = measure_searches([stock, ours], [q.standalone or q.question for q in mixed], warm_up, size)
        found["memory"] = {side.name: side.memory() for side in (stock, ours)}
        say("quality …")
        found["quality"] = measure_quality(stock, ours, mixed[some], ranges)
        found["other_words"] = measure_quality(stock, ours, other[some], ranges)
    say("answers …")
    found["answers"] = measure_answers(ours, mixed[some], warm_up)
    lines = rows(found)
    machine = {"processors": os.cpu_count(), "system": platform.platform(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    report = {
        "date": began, "quick": size is QUICK, "machine": machine, "versions": {"stock": stock.versions, "ours": ours.versions},
        "size": asdict(size), "rows": [asdict(row) | {"reached": row.reached} for row in lines], "measured": found,
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    drawn = subprocess.run([str(STOCK_PYTHON), str(HERE / "chart.py"), str(out / "bench.json"), str(out / "bench.svg")], check=False)
    print(table(lines))
    print(f"\nWarm-up: 40 questions a side; medians of {size.rounds} rounds. Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.")
    print(f"Written to {out.name}/: bench.json" + ("" if drawn.returncode else ", bench.svg"))
    shutil.rmtree(scratch, ignore_errors=True)
