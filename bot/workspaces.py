"""Workspaces that the app is installed in: their tokens, their wishes, and what is theirs alone.

Tokens are encrypted with the keys of the settings (Fernet): the first key encrypts, all decrypt, so that a new key can be put in front and
the old one taken away once `reencrypt` has run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.database import insert
from bot.errors import NotFound, SettingsError
from bot.store import now_text, time_text

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

Mode = Literal["mention", "follow", "all", "silent"]
"""When a channel is answered: only where the app is mentioned; also in threads it is part of; every message; never."""
MODES: tuple[Mode, ...] = ("mention", "follow", "all", "silent")

STATE_S = 600.0
"""How long an installation may take from its beginning to its end."""


class Preferences(BaseModel):
    """What a workspace has chosen. What an older version does not know is left out."""

    model_config = ConfigDict(extra="ignore")

    allowed: list[str] = []  # collections it may choose besides the server's default one; the operator's to say
    collection: str | None = None  # the one that is asked; empty: the default one
    mode: Mode = "follow"  # of channels that have none of their own
    notices: str | None = None  # channel in which new hand-offs are told
    advisors: list[str] = []  # users who may draft, claim and reply


@dataclass(frozen=True, slots=True)
class Tokens:
    """`refresh` is given where tokens are rotated; then `expires_at` is when `access` ends."""

    access: str
    refresh: str | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    team: str
    name: str
    bot_user: str
    bot_id: str
    scopes: tuple[str, ...]
    preferences: Preferences
    installed_by: str
    expires_at: float | None
    has_tokens: bool


class Keys:
    """
    Raises:
        SettingsError: one is no Fernet key.
    """

    def __init__(self, keys: str) -> None:
        self._all: MultiFernet | None = None
        if not keys.strip(", "):
            return
        from cryptography.fernet import Fernet, MultiFernet  # only where there are tokens to keep

        try:
            found = [Fernet(key.strip()) for key in keys.split(",") if key.strip()]
        except ValueError:
            raise SettingsError(
                "IMG_ADVISOR_SLACK_ENCRYPTION_KEY holds something that is no key. Make one with: img-advisor slack key"
            ) from None
        self._all = MultiFernet(found)

    @property
    def there(self) -> bool:
        return self._all is not None

    def encrypt(self, value: Any) -> bytes:
        return self._given().encrypt(json.dumps(value).encode())

    def decrypt(self, data: bytes) -> Any:
        from cryptography.fernet import InvalidToken

        try:
            return json.loads(self._given().decrypt(data))
        except InvalidToken:
            raise SettingsError(
                "No key of IMG_ADVISOR_SLACK_ENCRYPTION_KEY opens a workspace's tokens. Put the old key back behind the new one, "
                "or install the app anew."
            ) from None

    def rotated(self, data: bytes) -> bytes:
        return self._given().rotate(data)

    def _given(self) -> MultiFernet:
        if self._all is None:
            raise SettingsError(
                "IMG_ADVISOR_SLACK_ENCRYPTION_KEY is empty: tokens are kept encrypted or not at all. Make a key with: img-advisor slack key"
            )
        return self._all


class Workspaces:
    def __init__(self, engine: AsyncEngine, keys: Keys) -> None:
        self._engine = engine
        self._keys = keys

    @property
    def keys_there(self) -> bool:
        """Tokens can be kept."""
        return self._keys.there

    async def save(
        self, team: str, *, name: str, bot_user: str, bot_id: str, scopes: Sequence[str], tokens: Tokens | None, installed_by: str
    ) -> None:
        """Installed, or installed again: what the workspace has chosen stays."""
        now = now_text()
        row = {
            "team": team, "name": name[:200], "bot_user": bot_user, "bot_id": bot_id, "scopes": ",".join(scopes),
            "tokens": self._sealed(tokens) if tokens else None, "expires_at": tokens.expires_at if tokens else None,
            "settings": Preferences().model_dump(), "installed_by": installed_by, "created_at": now, "updated_at": now,
        }  # fmt: skip
        changed = {name: value for name, value in row.items() if name not in ("team", "settings")}
        row_in = insert(self._engine, tables.workspaces).values(row)
        async with self._engine.begin() as connection:
            await connection.execute(row_in.on_conflict_do_update(index_elements=["team"], set_=changed))

    async def find(self, team: str) -> Workspace | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(tables.workspaces).where(tables.workspaces.c.team == team))).mappings().first()
        return _workspace(row) if row else None

    async def get(self, team: str) -> Workspace:
        """
        Raises:
            NotFound: the app is not installed there.
        """
        found = await self.find(team)
        if found is None:
            raise NotFound("The app is not installed in this workspace. Install it with /slack/install.")
        return found

    async def all(self) -> list[Workspace]:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(sa.select(tables.workspaces).order_by(tables.workspaces.c.team))).mappings()
            return [_workspace(row) for row in rows]

    async def tokens(self, team: str) -> Tokens | None:
        """None: none are kept for this workspace.

        Raises:
            SettingsError: no key opens them.
        """
        async with self._engine.connect() as connection:
            data = (await connection.execute(sa.select(tables.workspaces.c.tokens).where(tables.workspaces.c.team == team))).scalar()
        return Tokens(**self._keys.decrypt(data)) if data is not None else None

    async def renew(self, team: str, old: Tokens, new: Tokens) -> bool:
        """Puts `new` in the place of `old`. False: another replica has renewed them already, or the app was removed."""
        table = tables.workspaces
        sealed = self._sealed(new)
        async with self._engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            data = (await connection.execute(sa.select(table.c.tokens).where(table.c.team == team).with_for_update())).scalar()
            if data is None or self._keys.decrypt(data) != _fields(old):
                return False
            change = sa.update(table).where(table.c.team == team).values(tokens=sealed, expires_at=new.expires_at, updated_at=now_text())
            await connection.execute(change)
        return True

    async def reencrypt(self) -> int:
        """Encrypts all tokens with the first key; how many."""
        table = tables.workspaces
        async with self._engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            query = sa.select(table.c.team, table.c.tokens).where(table.c.tokens.is_not(None)).with_for_update()
            rows = (await connection.execute(query)).all()
            for row in rows:
                change = sa.update(table).where(table.c.team == row.team).values(tokens=self._keys.rotated(row.tokens))
                await connection.execute(change)
        return len(rows)

    async def choose(self, team: str, **values: Any) -> Preferences:
        """Changes some of what a workspace has chosen.

        Raises:
            NotFound.
        """
        table = tables.workspaces
        async with self._engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            row = (await connection.execute(sa.select(table.c.settings).where(table.c.team == team).with_for_update())).first()
            if row is None:
                raise NotFound("The app is not installed in this workspace.")
            chosen = Preferences(**{**row.settings, **values})
            stored = {"settings": chosen.model_dump(), "updated_at": now_text()}
            await connection.execute(sa.update(table).where(table.c.team == team).values(stored))
        return chosen

    async def mode(self, team: str, channel: str) -> Mode | None:
        """What was chosen for a channel; None: nothing."""
        table = tables.workspace_channels
        async with self._engine.connect() as connection:
            found = await connection.execute(sa.select(table.c.mode).where(table.c.team == team, table.c.channel == channel))
            mode: Mode | None = found.scalar()
            return mode

    async def set_mode(self, team: str, channel: str, mode: Mode, by: str) -> None:
        """
        Raises:
            NotFound.
        """
        await self.get(team)
        said = {"mode": mode, "set_by": by, "updated_at": now_text()}
        row_in = insert(self._engine, tables.workspace_channels).values(team=team, channel=channel, **said)
        async with self._engine.begin() as connection:
            await connection.execute(row_in.on_conflict_do_update(index_elements=["team", "channel"], set_=said))

    async def modes(self, team: str) -> dict[str, Mode]:
        table = tables.workspace_channels
        async with self._engine.connect() as connection:
            rows = await connection.execute(sa.select(table.c.channel, table.c.mode).where(table.c.team == team).order_by(table.c.channel))
            return {row.channel: row.mode for row in rows}

    # Installations under way

    async def begin(self, about: str = "") -> str:
        """A state for an installation, or a key for something else `about` which it then begins with; good once and for STATE_S."""
        state, now, table = about + secrets.token_urlsafe(32), time.time(), tables.workspace_states
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(table).where(table.c.expires_at < now))
            await connection.execute(sa.insert(table).values(hash=_hash(state), expires_at=now + STATE_S))
        return state

    async def use(self, state: str) -> bool:
        """False: it was never given, is used up, or too old."""
        table = tables.workspace_states
        async with self._engine.begin() as connection:
            gone = await connection.execute(sa.delete(table).where(table.c.hash == _hash(state)).returning(table.c.expires_at))
            row = gone.first()
        return row is not None and row.expires_at >= time.time()

    # Everything of a workspace

    async def remove(self, team: str, *, installed_until: float | None = None) -> bool:
        """Removes a workspace: its tokens, choices, conversations and what is still to be done for it.

        False: it is not there, or was installed after `installed_until` (seconds since 1970), and nothing was removed.
        """
        here = tables.workspaces.c.team == team
        if installed_until is not None:  # asked in the same transaction: it may be installed again while an old event is worked on
            here = sa.and_(here, tables.workspaces.c.created_at <= time_text(dt.datetime.fromtimestamp(installed_until, dt.UTC)))
        async with self._engine.begin() as connection:
            if not (await connection.execute(sa.delete(tables.workspaces).where(here))).rowcount:
                return False
            await connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.owner == team))
            await connection.execute(sa.delete(tables.conversations).where(tables.conversations.c.site == site(team)))
        if self._engine.dialect.name == "sqlite":  # see Store.forget
            async with self._engine.execution_options(sqlite_begin="NONE").connect() as connection:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return True

    async def remove_conversations(self, team: str) -> int:
        """Removes all that was asked in a workspace, and leaves the app installed; how many conversations."""
        table = tables.conversations
        async with self._engine.begin() as connection:
            gone = await connection.execute(sa.delete(table).where(table.c.site == site(team)))
            await connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.owner == team, tables.jobs.c.state != "running"))
        return gone.rowcount

    async def conversations(self, team: str) -> list[str]:
        """Ids, oldest first."""
        table = tables.conversations
        async with self._engine.connect() as connection:
            query = sa.select(table.c.id).where(table.c.site == site(team)).order_by(table.c.created_at, table.c.id)
            rows = await connection.execute(query)
            return [row.id for row in rows]

    def _sealed(self, tokens: Tokens) -> bytes:
        return self._keys.encrypt(_fields(tokens))



def site(team: str) -> str:
    """What the conversations of a workspace are filed under."""
    return f"slack:{team}"


def _fields(tokens: Tokens) -> dict[str, Any]:
    return {"access": tokens.access, "refresh": tokens.refresh, "expires_at": tokens.expires_at}


def _workspace(row: Any) -> Workspace:
    scopes = tuple(scope for scope in row["scopes"].split(",") if scope)
    return Workspace(
        row["team"], row["name"], row["bot_user"], row["bot_id"], scopes, Preferences(**row["settings"]), row["installed_by"],
        row["expires_at"], row["tokens"] is not None,
    )  # fmt: skip


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode(errors="replace")).hexdigest()
