"""The advisors' console: pages behind a sign-in. Every room is a router of its own; forms work without a script.

    frame     who is signed in, what they may do, CSRF, the page around a room
    entry     signing in and out, changing the password
    sso       signing in through an identity provider
    account   one's own account
    accounts  everybody's, for admins
    audits    the audit log
    item      one item of the inbox: conversation, draft, evidence; mail: its reply as e-mail
    macros    snippets for many drafts
    coverage  what people ask, and what we could not answer
    numbers   week by week
    live      what is waiting, told to open pages as it changes
    inbox     the queue, and pasted e-mail
    knowledge the knowledge desk: what is due and disagrees, guides edited, saved and asked
    tasks     what the guides lack, facts that changed, golden questions

A room is added to ROOMS below and to `frame.NAV`, and says what it needs with `dependencies=[Depends(require("advisor"))]`.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI

from web.console import account, accounts, audits, coverage, entry, inbox, item, knowledge, live, macros, mail, numbers, sso, tasks
from web.console.frame import check_csrf

ROOMS = (
    entry.router,
    sso.router,
    account.router,
    accounts.router,
    audits.router,
    item.router,
    mail.router,
    macros.router,
    coverage.router,
    numbers.router,
    knowledge.router,
    tasks.router,
    live.router,
    inbox.router,
)

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_csrf)])
for room in ROOMS:
    router.include_router(room)


def add_console(app: FastAPI) -> None:
    app.include_router(router)
    entry.add_detours(app)
