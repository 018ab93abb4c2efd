"""The commands `img-advisor advisor …`: accounts of the console."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from bot.accounts import ROLES, Account, Accounts
from web.database import with_database

app = typer.Typer(help="Accounts of the console.", no_args_is_help=True)
Value = TypeVar("Value")
BY = "cli"

Email = Annotated[str, typer.Argument(help="The account's e-mail address.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def _with_accounts(work: Callable[[Accounts], Coroutine[Any, Any, Value]]) -> Value:
    from bot.bootstrap import open_accounts

    return with_database(lambda engine, settings: work(open_accounts(engine, settings)))


def _row(account: Account) -> dict[str, Any]:
    state = "disabled" if account.disabled else "first password" if account.must_change else "active"
    return {
        "id": account.id, "email": account.email, "name": account.name, "roles": [role for role in ROLES if role in account.roles],
        "state": state, "last_login_at": account.last_login_at.isoformat() if account.last_login_at else None,
    }  # fmt: skip


def _say_first(account: Account, password: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({**_row(account), "first_password": password or None}, ensure_ascii=False, indent=2) + "\n")
        return
    typer.echo(f"{account.email}: {', '.join(_row(account)['roles'])}")
    if password:
        typer.echo(f"First password: {password}")
        typer.echo("It is shown only now, works for 7 days, and must be changed at the first sign-in.", err=True)


@app.command()
def add(
    email: Email,
    name: Annotated[str, typer.Option(help="The name, as applicants see it; otherwise made from the address.")] = "",
    role: Annotated[list[str] | None, typer.Option(help=f"One or more of {', '.join(ROLES)}.")] = None,
    sso_only: Annotated[bool, typer.Option("--sso-only", help="No password: signs in through the identity provider.")] = False,
    as_json: AsJson = False,
) -> None:
    """A new account. The first one should be an admin; without --role it is when there is no admin yet."""

    async def work(accounts: Accounts) -> tuple[Account, str]:
        roles = role or (["advisor"] if any("admin" in a.roles and not a.disabled for a in await accounts.all()) else ["admin"])
        return await accounts.add(email, name, roles, by=BY, password=not sso_only)

    _say_first(*_with_accounts(work), as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Who has an account."""
    rows = [_row(account) for account in _with_accounts(lambda accounts: accounts.all())]
    if as_json:
        sys.stdout.write(json.dumps({"accounts": rows}, ensure_ascii=False, indent=2) + "\n")
        return
    for row in rows:
        last = f"last sign-in {row['last_login_at'][:16].replace('T', ' ')} UTC" if row["last_login_at"] else "never signed in"
        typer.echo(f"{row['email']}  {row['name']}  {', '.join(row['roles'])}  {row['state']}  {last}")
    if not rows:
        typer.echo("There are no accounts. Make the first with: img-advisor advisor add EMAIL")


@app.command("role")
def role_(email: Email, roles: Annotated[list[str], typer.Argument(help=f"One or more of {', '.join(ROLES)}.")]) -> None:
    """Other roles for an account; those it had are replaced."""

    async def work(accounts: Accounts) -> Account:
        return await accounts.set_roles((await accounts.by_email(email)).id, roles, by=BY)

    typer.echo(f"{email}: {', '.join(_row(_with_accounts(work))['roles'])}")


@app.command()
def reset(email: Email, as_json: AsJson = False) -> None:
    """A new first password. Ends the account's sessions and lifts a lock."""

    async def work(accounts: Accounts) -> tuple[Account, str]:
        account = await accounts.by_email(email)
        first = await accounts.reset(account.id, by=BY)
        return await accounts.get(account.id), first

    _say_first(*_with_accounts(work), as_json)


@app.command()
def disable(email: Email) -> None:
    """Shuts an account and ends its sessions at once."""

    async def work(accounts: Accounts) -> Account:
        return await accounts.disable((await accounts.by_email(email)).id, by=BY)

    _with_accounts(work)
    typer.echo(f"{email} is disabled.")


@app.command()
def enable(email: Email) -> None:
    """Opens a disabled account again."""

    async def work(accounts: Accounts) -> Account:
        return await accounts.enable((await accounts.by_email(email)).id, by=BY)

    _with_accounts(work)
    typer.echo(f"{email} is enabled.")
