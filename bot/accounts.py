"""The console's people: advisors, editors, admins. Whatever changes an account is in the audit log, in the same transaction."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.attempts import Attempts
from bot.audit import Audit
from bot.errors import Conflict, InputError, LoginRefused, NotFound
from bot.passwords import check_password, first_password, fits, hashed, outdated
from bot.sessions import Sessions
from bot.store import now_text, time_text
from bot.tables import accounts as table

Role = Literal["advisor", "editor", "admin"]
ROLES: tuple[Role, ...] = ("advisor", "editor", "admin")
FIRST_PASSWORD_LASTS = dt.timedelta(days=7)
_EMAIL = re.compile(r"[^\s@\x00-\x1f\"<>]{1,64}@[^\s@\x00-\x1f\"<>]{1,180}\.[^\s@\x00-\x1f\"<>.]{2,63}")
_WRONG = "The e-mail address or the password is wrong."


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    email: str
    name: str
    roles: frozenset[Role]
    must_change: bool  # signed in with a first password
    has_password: bool
    tied: bool  # to an identity at the provider
    disabled: bool
    created_at: dt.datetime
    last_login_at: dt.datetime | None

    def may(self, role: Role) -> bool:
        """An admin may do everything."""
        return role in self.roles or "admin" in self.roles


class Accounts:
    def __init__(self, engine: AsyncEngine, sessions: Sessions | None = None) -> None:
        self._engine, self.sessions = engine, sessions or Sessions(engine)
        self.audit = Audit(engine)
        self.attempts = Attempts(engine)

    # Signing in

    async def authenticate(self, email: str, password: str, address: str = "") -> Account:
        """`address` is where the request comes from.

        Raises:
            LoginRefused.
        """
        email = email.strip().lower()[:254]
        await self.attempts.count(account=email, address=address)
        row = await self._row(table.c.email == email)
        right = await fits(password, row["password_hash"] if row else None)
        if row is None or not right or row["disabled_at"]:
            await self.audit.record("system", "login.refused", row["id"] if row else "unknown")
            raise LoginRefused(_WRONG)
        if row["password_until"] and row["password_until"] < now_text():
            raise LoginRefused("This first password has run out. Ask an admin for a new one.")
        await self.attempts.forgive(account=email)
        if address:
            await self.attempts.take_back(address)
        fresh = {"password_hash": await hashed(password)} if outdated(row["password_hash"]) else {}
        return await self.signed_in(row["id"], "password", **fresh)

    async def signed_in(self, account_id: str, how: str, **fresh: Any) -> Account:
        """Notes that its owner has proved who they are.

        Raises:
            NotFound.
        """
        return await self._change(account_id, {"last_login_at": now_text(), **fresh}, account_id, "login", {"how": how})

    async def of_session(self, token: str) -> tuple[Account, str] | None:
        """The account that a session's token stands for, and the session's id."""
        session = await self.sessions.find(token)
        row = await self._row(table.c.id == session.account_id) if session else None
        return (_account(row), session.id) if session and row and not row["disabled_at"] else None

    async def of_identity(self, subject: str, email: str) -> Account | None:
        """The account of somebody whom the identity provider vouches for. The first time it is found by e-mail address, ever after by
        `subject`: an address may go to somebody else, a subject never does.

        Raises:
            Conflict: the account belongs to another identity.
        """
        row = await self._row(table.c.subject == subject)
        if row is None and (row := await self._row(table.c.email == email.strip().lower())) is not None:
            if row["subject"] is not None:
                raise Conflict("The account with this e-mail address belongs to another identity. An admin can untie them.")
            if not row["disabled_at"]:
                return await self._change(row["id"], {"subject": subject}, row["id"], "account.tie", {})
        return _account(row) if row and not row["disabled_at"] else None

    # Reading

    async def all(self) -> list[Account]:
        async with self._engine.connect() as connection:
            query = sa.select(table).order_by(table.c.disabled_at.is_not(None), sa.func.lower(table.c.name), table.c.email)
            return [_account(dict(row)) for row in (await connection.execute(query)).mappings()]

    async def get(self, account_id: str) -> Account:
        """
        Raises:
            NotFound.
        """
        row = await self._row(table.c.id == account_id)
        if row is None:
            raise _no_account()
        return _account(row)

    async def by_email(self, email: str) -> Account:
        """
        Raises:
            NotFound.
        """
        row = await self._row(table.c.email == email.strip().lower())
        if row is None:
            raise _no_account()
        return _account(row)

    async def names(self, ids: Iterable[str]) -> dict[str, str]:
        """Names by id. What is no account's id (a name that the command line gave) is not in it."""
        query = sa.select(table.c.id, table.c.name).where(table.c.id.in_(list(set(ids))))
        async with self._engine.connect() as connection:
            return {row.id: row.name for row in await connection.execute(query)}

    # Changing. `by` is who does it: an account's id, or "cli".

    async def add(
        self, email: str, name: str = "", roles: Iterable[str] = ("advisor",), *, by: str, password: bool = True
    ) -> tuple[Account, str]:
        """A new account and its first password, which cannot be had again and must be changed; none without `password`.

        Raises:
            InputError: no e-mail address, no such role. Conflict: there is one.
        """
        email = email.strip().lower()
        if len(email) > 254 or not _EMAIL.fullmatch(email):
            raise InputError(f"'{email[:80]}' is no e-mail address. Write it like ana@school.example.")
        first = first_password() if password else ""
        row: dict[str, Any] = {
            "id": secrets.token_hex(8), "email": email, "name": _name(name) or _name(email.split("@")[0]), "roles": _roles(roles),
            "created_at": now_text(), **(await _first(first) if password else {}),
        }  # fmt: skip
        try:
            async with self._engine.begin() as connection:
                await connection.execute(sa.insert(table).values(row))
                await self.audit.record(by, "account.add", row["id"], {"roles": row["roles"]}, connection)
        except IntegrityError:
            raise Conflict(f"There is an account with the address {email} already.") from None
        return await self.get(row["id"]), first

    async def reset(self, account_id: str, *, by: str) -> str:
        """A new first password; whoever is signed in with the account is not any more, and a lock is lifted."""
        first = first_password()
        account = await self._change(account_id, await _first(first), by, "account.reset", {}, ends_sessions=True)
        await self.attempts.forgive(account=account.email)
        return first

    async def change_password(self, account_id: str, old: str, new: str, *, session: str = "") -> Account:
        """By its owner. Other sessions than `session` end.

        Raises:
            LoginRefused: `old` is wrong. InputError: `new` is no good.
        """
        row = await self._row(table.c.id == account_id)
        if row is None:
            raise _no_account()
        await self.attempts.count(account=f"change {row['email']}")
        if not await fits(old, row["password_hash"]):
            raise LoginRefused("The present password is wrong.")
        await self.attempts.forgive(account=f"change {row['email']}")
        check_password(new, row["email"], row["name"])
        if old == new:
            raise InputError("The new password is the old one. Choose another.")
        values = {"password_hash": await hashed(new), "password_until": None}
        return await self._change(account_id, values, account_id, "account.password", {}, ends_sessions=True, but=session)

    async def rename(self, account_id: str, name: str, *, by: str) -> Account:
        if not _name(name):
            raise InputError("The name is empty. Write it as applicants shall see it.")
        return await self._change(account_id, {"name": _name(name)}, by, "account.name", {})

    async def set_roles(self, account_id: str, roles: Iterable[str], *, by: str) -> Account:
        """
        Raises:
            InputError: no such role, or none. Conflict: nobody would be admin any more.
        """
        wanted = _roles(roles)
        value = {"roles": wanted}
        return await self._change(account_id, value, by, "account.roles", value, keep_an_admin="admin" not in wanted)

    async def disable(self, account_id: str, *, by: str) -> Account:
        """Ends its sessions at once.

        Raises:
            Conflict: nobody would be admin any more.
        """
        return await self._change(
            account_id, {"disabled_at": now_text()}, by, "account.disable", {}, ends_sessions=True, keep_an_admin=True
        )  # fmt: skip

    async def enable(self, account_id: str, *, by: str) -> Account:
        return await self._change(account_id, {"disabled_at": None}, by, "account.enable", {})

    async def untie(self, account_id: str, *, by: str) -> Account:
        """From its identity at the provider; the next one with its e-mail address takes the place."""
        return await self._change(account_id, {"subject": None}, by, "account.untie", {}, ends_sessions=True)

    async def sign_out(self, account_id: str, *, by: str, but: str = "") -> int:
        """Ends the sessions of an account; how many there were."""
        async with self._engine.begin() as connection:
            ended = await self.sessions.end_all(account_id, but=but, connection=connection)
            await self.audit.record(by, "account.sign-out", account_id, {"sessions": ended}, connection)
        return ended

    # Parts

    async def _row(self, where: sa.ColumnElement[bool]) -> dict[str, Any] | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(table).where(where))).mappings().first()
        return dict(row) if row is not None else None

    async def _change(
        self, account_id: str, values: Mapping[str, Any], by: str, action: str, detail: Mapping[str, Any], *, ends_sessions: bool = False,
        but: str = "", keep_an_admin: bool = False,
    ) -> Account:  # fmt: skip
        async with self._engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            if keep_an_admin:
                await _others_are_admin(connection, account_id)
            changed = sa.update(table).where(table.c.id == account_id).values(values).returning(table)
            row = (await connection.execute(changed)).mappings().first()
            if row is None:
                raise _no_account()
            if ends_sessions:
                await self.sessions.end_all(account_id, but=but, connection=connection)
            await self.audit.record(by, action, account_id, detail, connection)
        return _account(dict(row))


async def _others_are_admin(connection: AsyncConnection, account_id: str) -> None:
    rows = (await connection.execute(sa.select(table.c.id, table.c.roles).where(table.c.disabled_at.is_(None)).with_for_update())).all()
    admins = {row.id for row in rows if "admin" in row.roles}
    if account_id in admins and len(admins) == 1:
        raise Conflict("This is the only admin. Make somebody else admin first.")


async def _first(password: str) -> dict[str, str]:
    until = time_text(dt.datetime.now(dt.UTC) + FIRST_PASSWORD_LASTS)
    return {"password_hash": await hashed(password), "password_until": until}


def _roles(roles: Iterable[str]) -> list[str]:
    found = set(roles)
    if not found or not found <= set(ROLES):
        wrong = ", ".join(sorted(found - set(ROLES)))
        raise InputError(f"{f'There is no role {wrong[:60]!r}. ' if wrong else ''}Give one or more of: {', '.join(ROLES)}.")
    return [role for role in ROLES if role in found]


def _name(text: str) -> str:
    """One line without what cannot be seen (or turns the writing round)."""
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())[:100]


def _account(row: Mapping[str, Any]) -> Account:
    last = row["last_login_at"]
    return Account(
        row["id"], row["email"], row["name"], frozenset(row["roles"]), row["password_until"] is not None, row["password_hash"] is not None,
        row["subject"] is not None, row["disabled_at"] is not None,
        dt.datetime.fromisoformat(row["created_at"]), dt.datetime.fromisoformat(last) if last else None,
    )  # fmt: skip


def _no_account() -> NotFound:
    return NotFound("There is no such account.")
