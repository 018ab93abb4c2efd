"""The commands `img-advisor slack …`: Socket Mode, a local Slack to try, and what an operator does for workspaces."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bot.audit import Audit
from bot.errors import InputError
from bot.settings import Settings, read_settings
from bot.store import Store
from bot.threads import Threads
from bot.workspaces import Keys, Workspaces
from web.database import with_database

app = typer.Typer(help="Slack: Socket Mode, a local Slack to try, workspaces.", invoke_without_command=True)
Value = TypeVar("Value")
Team = Annotated[str, typer.Argument(help="The workspace's id (T…), as 'img-advisor slack workspaces' lists it.")]


@app.callback()
def run(
    context: typer.Context,
    twin: Annotated[bool, typer.Option("--twin", help="Play Slack on this machine, on a page of its own.")] = False,
    port: Annotated[int, typer.Option(help="Port of the page of --twin; 0: any free one.")] = 8010,
) -> None:
    """Connects to Slack by Socket Mode; with --twin opens a page that plays Slack. Runs until stopped."""
    if context.invoked_subcommand is not None:
        return
    from web.cli import progress_bar
    from web.serve import bring_up_to_date
    from web.slack.run import run_socket, run_twin

    settings = read_settings()
    bring_up_to_date(settings, progress_bar)
    asyncio.run(run_twin(settings, port) if twin else run_socket(settings))
    typer.echo("Stopped.", err=True)


@app.command()
def manifest(
    url: Annotated[str, typer.Option(help="Address at which Slack reaches this server; IMG_ADVISOR_PUBLIC_URL where none is given.")] = "",
    socket: Annotated[bool, typer.Option("--socket", help="For Socket Mode: Slack need not reach this server.")] = False,
    rotation: Annotated[bool, typer.Option("--rotation", help="Tokens that end after twelve hours, and are renewed.")] = False,
) -> None:
    """The app's manifest: paste it where Slack asks for one when an app is created."""
    from web.slack.manifest import manifest as made

    address = url or read_settings().public_url
    if not address and not socket:
        raise InputError("Say where Slack reaches this server: --url https://advisor.example; or --socket for Socket Mode.")
    typer.echo(json.dumps(made(address, socket_mode=socket, rotation=rotation), indent=2))


@app.command()
def key() -> None:
    """A new key for IMG_ADVISOR_SLACK_ENCRYPTION_KEY. Put it in front of the old ones, separated by a comma."""
    from cryptography.fernet import Fernet

    typer.echo(Fernet.generate_key().decode())


@app.command()
def workspaces(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False) -> None:
    """Workspaces that the app is installed in."""

    async def work(found: Workspaces, _: Threads, __: Store, ___: Audit) -> list[dict[str, Any]]:
        return [
            {
                "team": one.team, "name": one.name, "conversations": len(await found.conversations(one.team)),
                "settings": one.preferences.model_dump(), "channels": await found.modes(one.team),
            }
            for one in await found.all()
        ]  # fmt: skip

    rows = _with_workspaces(work)
    if as_json:
        typer.echo(json.dumps({"workspaces": rows}, ensure_ascii=False, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['team']}  {row['name']}  {row['conversations']} conversations")
    if not rows:
        typer.echo("The app is not installed anywhere.")


@app.command()
def export(team: Team, file: Annotated[str, typer.Argument(help="File to write; '-' or none: standard output.")] = "-") -> None:
    """Everything that was asked in a workspace, as one JSON document."""
    from web.slack.export import bundle

    async def work(found: Workspaces, threads: Threads, store: Store, audit: Audit) -> dict[str, Any]:
        made = await bundle(found, threads, store, team)
        await audit.record("cli", "workspace.export", team, {"conversations": len(made["conversations"])})
        return made

    text = json.dumps(_with_workspaces(work), ensure_ascii=False, indent=2) + "\n"
    if file == "-":
        sys.stdout.write(text)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"'{Path(file).name}' cannot be written ({error.strerror}). Choose another place.") from None
    typer.echo(f"Written: {Path(file).name}", err=True)


@app.command()
def delete(
    team: Team,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Also its tokens and settings: the app is gone from there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Deletes everything that was asked in a workspace."""
    if not yes:
        typer.confirm(f"Delete all conversations of {team}?", abort=True)

    async def work(found: Workspaces, _: Threads, __: Store, audit: Audit) -> int:
        await found.get(team)
        number = await found.remove_conversations(team)
        if uninstall:
            await found.remove(team)
        await audit.record("cli", "workspace.delete", team, {"conversations": number, "uninstalled": uninstall})
        return number

    typer.echo(f"Deleted: {_with_workspaces(work)} conversations.")


@app.command()
def allow(team: Team, collections: Annotated[list[str] | None, typer.Argument(help="Names; none: the default one only.")] = None) -> None:
    """Says which collections a workspace may choose to be answered from, besides the default one."""

    async def work(found: Workspaces, _: Threads, __: Store, audit: Audit) -> None:
        now = (await found.get(team)).preferences.collection
        kept = now if now in (collections or []) else None
        await found.choose(team, allowed=collections or [], collection=kept)
        await audit.record("cli", "workspace.allow", team, {"collections": collections or []})

    _with_workspaces(work)
    typer.echo(f"{team} may choose: {', '.join(collections or []) or 'the default collection only'}.")


@app.command()
def reencrypt() -> None:
    """Encrypts all tokens with the first key of IMG_ADVISOR_SLACK_ENCRYPTION_KEY; then the others can be taken away."""

    async def work(found: Workspaces, _: Threads, __: Store, ___: Audit) -> int:
        return await found.reencrypt()

    typer.echo(f"Encrypted anew: the tokens of {_with_workspaces(work)} workspaces.")


def _with_workspaces(work: Callable[[Workspaces, Threads, Store, Audit], Coroutine[Any, Any, Value]]) -> Value:
    def open_and_work(engine: Any, settings: Settings) -> Coroutine[Any, Any, Value]:
        store = Store(engine, settings.secret.get_secret_value())
        keys = Keys(settings.slack_encryption_key.get_secret_value())
        return work(Workspaces(engine, keys), Threads(engine, store), store, Audit(engine))

    return with_database(open_and_work)
