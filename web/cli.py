"""The command line: `img-advisor`. Results go to standard output, progress and errors to standard error.

Exit status: 0 done, 1 the answer is no (a check failed), 2 the call or its input is wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bot import __version__
from bot.answer import Answer, Profile, Question, Turn
from bot.collector import one_thread, rarer
from bot.errors import AdvisorError, IndexMismatch, IndexMissing, InputError, ShrinkRefused, UnknownCollection
from bot.settings import Settings, read_settings
from web import advisors, audits, handoffs, seed
from web.slack import cli as slack
from web.terminal import print_citations, print_result, print_tools, read_arguments

app = typer.Typer(
    name="img-advisor", help="Verified, cited answers for international medical graduates.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
knowledge_app = typer.Typer(help="The knowledge base.", no_args_is_help=True)
database_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(knowledge_app, name="knowledge")
app.add_typer(database_app, name="db")
app.add_typer(handoffs.app, name="handoffs")
app.add_typer(seed.app, name="demo")
app.add_typer(advisors.app, name="advisor")
app.add_typer(audits.app, name="audit")
app.add_typer(slack.app, name="slack")

err = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)
Value = TypeVar("Value")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Collection = Annotated[str | None, typer.Option("--collection", help="Another collection than the default one.")]


def main() -> None:
    """Entry point; turns errors into one sentence and an exit status."""
    one_thread()
    rarer()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    status = _status()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = _reader_left()
    sys.exit(status)


def _status() -> int | str | None:
    try:
        app()
    except AdvisorError as error:
        err.print(str(error), style="red", markup=False)
        return 1 if isinstance(error, ShrinkRefused) else 2
    except KeyboardInterrupt:
        err.print("Stopped.")
        return 130
    except SystemExit as ended:  # how Typer ends; where the reader has left it says 1, which means "no" here
        return _reader_left() if isinstance(ended.__context__, BrokenPipeError) else ended.code
    except OSError as error:
        name = f"'{Path(os.fsdecode(error.filename)).name}'" if isinstance(error.filename, str | bytes) else "A file or folder"
        err.print(
            f"{name} cannot be used ({error.strerror or type(error).__name__}). "
            "Check the data folder (IMG_ADVISOR_DATA), its free space, and the files of this call.",
            style="red", markup=False,
        )  # fmt: skip
        return 2
    except Exception as error:
        if os.environ.get("IMG_ADVISOR_LOG_LEVEL", "").lower() == "debug":
            raise
        err.print(
            f"Something went wrong that should not ({type(error).__name__}). "
            "Set IMG_ADVISOR_LOG_LEVEL=debug and repeat the call to see where.",
            style="red", markup=False,
        )  # fmt: skip
        return 2
    return 0


def _reader_left() -> int:
    """`img-advisor … | head`: who reads has enough. What is still to be written goes nowhere, at the interpreter's end too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return 0


def _run(work: Coroutine[Any, Any, Value]) -> Value:
    return asyncio.run(work)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


@contextmanager
def progress_bar() -> Iterator[Any]:
    """A bar on a terminal, a line a step otherwise; called as progress(what, done, total or 0)."""
    if not err.is_terminal:
        told: dict[str, int] = {}

        def plain(what: str, done: int, total: int) -> None:
            tenth = done * 10 // total if total else 0
            if told.get(what) != tenth:
                told[what] = tenth
                err.print(f"{what} {done}" + (f" of {total}" if total else ""), markup=False)

        yield plain
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total or None)
            bar.update(tasks[what], completed=done, total=total or None)

        yield show


def _read_json(path: Path | None, type_: Any, what: str) -> Any:
    if path is None:
        return None
    try:
        return TypeAdapter(type_).validate_json(path.read_bytes())
    except OSError:
        raise InputError(f"The {what} file '{path.name}' cannot be read. Check that it exists.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"The {what} file '{path.name}' is wrong{f' at {where}' if where else ''}: {first['msg']}.") from None


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.")] = None,
) -> None:
    """API, widget, guides and demo page; builds the index first if it is missing or out of date."""
    from web.serve import serve as start

    start(read_settings(host=host, port=port), progress_bar)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question; '-' reads it from standard input.")],
    as_json: AsJson = False,
    profile: Annotated[Path | None, typer.Option(help="JSON file with the applicant's profile.")] = None,
    history: Annotated[Path | None, typer.Option(help='JSON file: [{"role": "user" or "assistant", "text": "…"}].')] = None,
    collection: Collection = None,
    trace: Annotated[Path | None, typer.Option(help="Also write a page that shows how the answer came about.")] = None,
) -> None:
    """One answer, with numbered sources."""
    asked = Question(
        text=sys.stdin.read() if question == "-" else question,
        history=_read_json(history, list[Turn], "history") or [],
        profile=_read_json(profile, Profile, "profile"),
        collection=collection,
    )
    if trace is None:
        answer = _run(_with_advisor(read_settings(), lambda advisor: advisor.answer(asked), collection))
    else:
        from web.report import trace_page

        seen = _run(_with_advisor(read_settings(), lambda advisor: advisor.explained(asked), collection))
        trace.write_text(trace_page(asked.text, seen, history=[turn.model_dump() for turn in asked.history]), "utf-8")
        answer = seen.answer
    if as_json:
        sys.stdout.write(answer.model_dump_json(indent=2) + "\n")
    else:
        print_answer(answer)


WARNINGS = {"stale": "Old", "volatile": "Changes often", "conflict": "Sources disagree", "unverified": "Not confirmed"}


def print_answer(answer: Answer) -> None:
    out.print(answer.text, markup=False)
    for result in answer.results:
        out.print()
        print_result(out, result)
    if answer.citations:
        out.print()
    print_citations(out, answer.citations)
    for warning in answer.warnings:
        marks = "".join(f"[{n}]" for n in warning.citations)
        out.print(f"! {WARNINGS[warning.kind]}: {warning.text} {marks}", markup=False)
    checks = answer.checks
    if checks.sentences:
        out.print(f"{checks.supported} of {checks.sentences} sentences checked against their sources.", markup=False)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("--k", help="How many passages, 1 to 50.")] = 5,
    collection: Collection = None,
    as_json: AsJson = False,
) -> None:
    """Ranked passages, no answer."""
    passages = _run(_with_advisor(read_settings(), lambda advisor: advisor.search(query, k=k, collection=collection), collection))
    rows = [
        {
            "chunk_id": p.chunk_id, "document_id": p.document_id, "text": p.text, "score": p.score,
            "guide": p.guide.model_dump() if p.guide else None, "source": p.source.model_dump(), "as_of": p.as_of,
        }
        for p in passages
    ]  # fmt: skip
    if as_json:
        _print_json({"passages": rows})
        return
    for rank, row in enumerate(rows, 1):
        title = f"{row['guide']['title']} > {row['guide']['section']}" if row["guide"] else row["document_id"]
        out.print(f"{rank}. {title}  ({row['score']:.3f})", style="bold", markup=False)
        out.print(f"   {' '.join(row['text'].split())[:300]}", markup=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def tool(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A tool's name; see --list.")] = None,
    arguments: Annotated[str | None, typer.Option("--arguments", help="Its arguments as JSON; or each as --NAME VALUE.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="The tools, and what each takes.")] = False,
    as_json: AsJson = False,
) -> None:
    """One look-up in the tables, cited: license rules, scores, visas, attempts, checklist, costs, programs."""
    from bot.tools import TOOLS, tool_of

    if listing or name is None:
        if as_json:
            _print_json({"tools": [{"name": t.name, "description": t.description, "arguments": t.schema()} for t in TOOLS.values()]})
        else:
            print_tools(out, list(TOOLS.values()))
        return
    read = read_arguments(tool_of(name).schema(), context.args, arguments)
    found = _run(_with_advisor(read_settings(), lambda advisor: advisor.tool(name, read)))
    if as_json:
        sys.stdout.write(found.model_dump_json(indent=2) + "\n")
        return
    print_result(out, found.result)
    out.print()
    print_citations(out, found.citations)


async def _with_advisor(settings: Settings, work: Any, collection: str | None = None) -> Any:
    """Opens the advisor, builds the guides' index where it is missing or made by another embedder or chunker, and does `work`."""
    from bot.bootstrap import open_advisor
    from ingest.chunk import CHUNKER

    advisor = await open_advisor(settings, chunker=CHUNKER)
    try:
        try:
            return await work(advisor)
        except (IndexMissing, IndexMismatch, UnknownCollection):
            if collection not in (None, settings.collection):
                raise
            await _ingest(settings)
            return await work(advisor)
    finally:
        await advisor.close()


def with_advisor(work: Callable[[Any], Coroutine[Any, Any, Value]]) -> Value:
    """For commands that live beside this module."""
    return cast(Value, _run(_with_advisor(read_settings(), work)))


async def _ingest(settings: Settings, **options: Any) -> Any:
    from ingest.run import run

    with progress_bar() as progress:
        return await run(settings, progress=progress, **options)


@app.command()
def ingest(
    paths: Annotated[list[str] | None, typer.Argument(help="Files, folders or allowed web addresses; none: the guides.")] = None,
    collection: Collection = None,
    rebuild: Annotated[bool, typer.Option(help="Forget what is indexed and index everything again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Wipe even when a source shrank to under half.")] = False,
    watching: Annotated[bool, typer.Option("--watch", help="Go on: read again whatever is saved, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Guides and documents into the index, only what changed."""
    from dataclasses import asdict

    settings = read_settings()
    if paths and collection is None:
        raise InputError("Documents of your own go into a collection of their own: add --collection NAME.")
    if watching:
        if as_json or rebuild:
            raise InputError("--watch goes on until Ctrl-C: leave --json and --rebuild out, or leave --watch out.")
        _watch(settings, paths or [], collection, yes)
        return
    try:
        report = _run(_ingest(settings, paths=paths or [], collection=collection, rebuild=rebuild, allow_shrink=yes))
    except ShrinkRefused as error:
        if not (sys.stdin.isatty() and not as_json and typer.confirm(f"{error} Go on?", err=True)):
            raise
        report = _run(_ingest(settings, paths=paths or [], collection=collection, rebuild=rebuild, allow_shrink=True))
    if as_json:
        _print_json(asdict(report))
        return
    out.print(_told(report), markup=False)


def _told(report: Any) -> str:
    return (
        f"{report.collection}: {report.documents} documents ({report.added} new, {report.changed} changed, {report.removed} removed), "
        f"{report.chunks} passages, version {report.knowledge_version}, {report.seconds:.1f} s"
    )


def _watch(settings: Settings, paths: list[str], collection: str | None, allow_shrink: bool) -> None:
    """Until Ctrl-C. A file that cannot be used is named on standard error, and the watch goes on with the old index."""
    from ingest.watch import watch

    def told(result: Any) -> None:
        now = time.strftime("%H:%M:%S")
        if isinstance(result, AdvisorError):
            err.print(f"{now} {result}", style="red", markup=False)
        else:
            out.print(f"{now} {_told(result)}", markup=False)
        sys.stdout.flush()

    where = ", ".join(Path(path).name for path in paths) or f"'{settings.knowledge.name}'"
    err.print(f"Watching {where}. Ctrl-C ends it.", markup=False)
    try:
        _run(watch(settings, paths, collection=collection, allow_shrink=allow_shrink, told=told))
    except KeyboardInterrupt:
        err.print("Stopped watching.")


@knowledge_app.command("check")
def knowledge_check(as_json: AsJson = False) -> None:
    """Lints the knowledge base: sources, dates, conflicts, anchors."""
    from ingest.check import check

    report = check(read_settings().knowledge)
    if as_json:
        _print_json(report.as_json())
    else:
        out.print(report.as_text(), markup=False)
    raise typer.Exit(0 if report.ok else 1)


@app.command("eval")
def evaluate(
    questions: Annotated[Path | None, typer.Option(help="A YAML file or folder of golden questions; none: those that come along.")] = None,
    as_json: AsJson = False,
    fit: Annotated[bool, typer.Option(help="Also fit the ranking and the refusal to the questions and print the constants.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="A folder for the report: Markdown, a page with charts, a trace of every wrong answer.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="An earlier run (run.json of a report, or what --json printed) to compare with.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Chat model as provider:name, in the place of IMG_ADVISOR_MODEL.")] = None,
) -> None:
    """Runs the golden set and prints the table of measures."""
    from bot import compare
    from bot.evaluate import GOLDEN, table
    from bot.evaluate import evaluate as measure
    from bot.fit import LACKING, can_fit

    before = _read_json(against, dict[str, Any], "run")
    if before is not None:
        compare.compare(before, {"rows": [], "measures": {}})  # says that it is no report before the long work, not after it
    if fit and not can_fit():
        raise InputError(LACKING)
    pages = None
    if report is not None:
        from web.report import Report

        pages = Report(report)

    async def work(advisor: Any) -> Any:
        with progress_bar() as progress:
            found = await measure(advisor, questions, progress=progress, explain=pages.explain if pages else None)
        found |= {key: value for key, value in (await advisor.status()).items() if key in ("knowledge_version", "model")}
        if fit:
            from bot import fit as fitting
            from bot.kinds import write_kinds

            path = questions or GOLDEN
            found["fit"] = await advisor.fitted(lambda retriever, planner: fitting.fit(retriever, planner, path))
            err.print(fitting.table(found["fit"]), markup=False)
            if questions is None:
                write_kinds(await advisor.fitted_kinds(await advisor.labelled(path)))
                err.print("Kinds of messages: written to bot/kinds.npz.")
        return found

    measured = _run(_with_advisor(read_settings(model=model), work))
    compared = compare.compare(before, measured) if before is not None else None
    if pages is not None:
        err.print(f"Written: {pages.write(measured, compared)}", markup=False)
    if as_json:
        _print_json(measured | ({"comparison": compared} if compared is not None else {}))
    else:
        out.print(table(measured), markup=False)
        if compared is not None:
            out.print("\n" + compare.table(compared), markup=False)
    raise typer.Exit(0 if measured["passed"] else 1)


@database_app.command("upgrade")
def database_upgrade() -> None:
    """Brings the database to the newest schema."""

    async def work() -> bool:
        from bot.database import open_engine
        from bot.migrations import upgrade

        settings = read_settings()
        settings.data.mkdir(parents=True, exist_ok=True)
        engine = await open_engine(settings.database)
        try:
            return await upgrade(engine)
        finally:
            await engine.dispose()

    out.print("The database was upgraded." if _run(work()) else "The database is up to date.")


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="File to write.")]) -> None:
    """A consistent copy of everything that must last."""
    from bot.backup import backup as write

    _run(write(read_settings(), file))
    out.print(f"Written: {file.name}", markup=False)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="File that `backup` wrote.")],
    force: Annotated[bool, typer.Option(help="Replace what the database holds now.")] = False,
) -> None:
    """Puts a backup back."""
    from bot.backup import restore as read

    _run(read(read_settings(), file, force=force))
    out.print(f"Restored from {file.name}.", markup=False)


@app.command()
def version() -> None:
    """The version."""
    out.print(__version__)
