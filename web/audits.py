"""The commands `img-advisor audit …`: whether the log is whole, and a copy of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bot.audit import Audit
from bot.errors import InputError
from web.database import with_database

app = typer.Typer(help="The audit log: who did what, when.", no_args_is_help=True)
Value = TypeVar("Value")


def _with_audit(work: Callable[[Audit], Coroutine[Any, Any, Value]]) -> Value:
    return with_database(lambda engine, _: work(Audit(engine)))


@app.command()
def verify(head: Annotated[str, typer.Option(help="A hash that an earlier check printed: it must still be in the log.")] = "") -> None:
    """Reckons the chain of hashes again."""
    found = _with_audit(lambda audit: audit.verify(head))
    if found.ok:
        typer.echo(f"The log is whole: {found.entries} entries.\nHead: {found.head}")
        return
    typer.echo(f"The log is not what it was. {found.problem}", err=True)
    raise typer.Exit(1)


@app.command()
def export(
    file: Annotated[str, typer.Argument(help="File to write; '-' or none: standard output.")] = "-",
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV in the place of JSON Lines.")] = False,
) -> None:
    """The whole log, the oldest entry first."""

    async def work(audit: Audit) -> None:
        with nullcontext(sys.stdout) if file == "-" else _open(file) as out:
            async for line in audit.export("csv" if as_csv else "jsonl"):
                out.write(line)

    _with_audit(work)
    if file != "-":
        typer.echo(f"Written: {Path(file).name}", err=True)


def _open(file: str) -> Any:
    try:
        return Path(file).open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"'{Path(file).name}' cannot be written ({error.strerror}). Choose another place.") from None
