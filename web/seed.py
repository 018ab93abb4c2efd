"""`img-advisor demo`: made-up conversations for showing and measuring the console."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Made-up conversations, to show the console.", no_args_is_help=True)


@app.command("seed")
def seed_(
    conversations: Annotated[int, typer.Option("--conversations", help="How many; 10000 take a few minutes.")] = 150,
    force: Annotated[bool, typer.Option("--force", help="Also where real conversations are.")] = False,
) -> None:
    """Adds conversations on the site "demo": real questions, really answered, told by made-up applicants; with hand-offs in all states."""
    from bot.seed import seed
    from web.cli import progress_bar, with_advisor

    with progress_bar() as progress:
        handoffs = with_advisor(lambda advisor: seed(advisor, conversations, force=force, progress=progress))
    typer.echo(f"Added {conversations:,} conversations, {handoffs:,} of them handed over. Remove them with: img-advisor demo clear")


@app.command("clear")
def clear_() -> None:
    """Removes them again, and the made-up advisors."""
    from bot.seed import clear
    from web.cli import with_advisor

    typer.echo(f"Removed {with_advisor(clear):,} conversations.")
