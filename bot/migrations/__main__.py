"""`python -m bot.migrations "what changes"`: drafts the next revision from the difference between `bot.tables` and the last one."""

from __future__ import annotations

import sys

import sqlalchemy as sa
from alembic import command

from bot.migrations import config, head, move

if len(sys.argv) != 2:
    sys.exit('Usage: python -m bot.migrations "what changes"')
with sa.create_engine("sqlite://").begin() as connection:
    move(connection, "head")
    here = config()
    here.attributes["connection"] = connection
    command.revision(here, sys.argv[1], autogenerate=True, rev_id=f"{int(head()) + 1:04d}")
