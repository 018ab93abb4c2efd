"""A reply as an e-mail: plain and HTML, with the sources of every sentence; to be copied, or opened in an e-mail program."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import urljoin

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from markupsafe import Markup

from bot.advisor import Advisor
from bot.answer import Citation, Reply
from bot.errors import NotFound
from bot.items import Item
from bot.store import StoredReply
from web.console.frame import Me, external, render, require
from web.pages import say_date
from web.state import AdvisorHere

router = APIRouter(prefix="/console/items/{handoff_id}", dependencies=[Depends(require("advisor"))])
_MARK = re.compile(r"\[(\d{1,3})\]")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@router.get("/mail")
async def mail_page(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str) -> Response:
    item, reply = await _reply(advisor, handoff_id)
    base = external(request, "/")
    return render(
        request, me, "console/mail.html", item=item, subject=subject_of(item), plain=plain(reply, base), rich=rich(reply, base)
    )


@router.get("/mail.eml")
async def mail_file(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str) -> Response:
    item, reply = await _reply(advisor, handoff_id)
    headers = {"Content-Disposition": 'attachment; filename="reply.eml"', "Cache-Control": "no-store"}
    return Response(message(item, reply, external(request, "/")), media_type="message/rfc822", headers=headers)


async def _reply(advisor: Advisor, handoff_id: str) -> tuple[Item, Reply]:
    """
    Raises:
        NotFound: nothing was sent yet.
    """
    item = await advisor.inbox.item(handoff_id)
    drafts = await advisor.drafts.of(handoff_id)
    wanted = {draft.reply_id for draft in drafts if draft.reply_id}
    found = [m for m in await advisor.store.messages(item.conversation_id) if isinstance(m, StoredReply) and m.id in wanted]
    if not found:
        raise NotFound("Nothing was sent from this item yet. Approve a draft first.")
    return item, Reply.model_validate_json(found[-1].json)


def message(item: Item, reply: Reply, base: str) -> bytes:
    """A file that e-mail programs open as a new message."""
    made = EmailMessage(policy=SMTP)
    made["Subject"] = subject_of(item)
    if address := _ADDRESS.search(item.sender):
        made["To"] = address.group()
    made["X-Unsent"] = "1"  # or it would open as one that was received
    made.set_content(plain(reply, base))
    made.add_alternative(f'<!doctype html><html lang="{reply.language}"><body>{rich(reply, base)}</body></html>', subtype="html")
    return made.as_bytes()


def subject_of(item: Item) -> str:
    asked = " ".join((item.subject or item.question).split())[:120]
    return asked if asked.lower().startswith("re:") else f"Re: {asked}" if asked else "Your question"


def plain(reply: Reply, base: str) -> str:
    lines = [_own_told(reply)]
    if reply.citations:
        lines += ["", "Sources"]
        for c in reply.citations:
            lines.append(f"[{c.n}] “{' '.join(c.quote.split())}”")
            lines.append(f"    {c.source.title}, {say_date(c.as_of)}. {address_of(c, base)}".rstrip())
    lines += ["", *(f"Note: {warning.text}" for warning in reply.warnings)]
    return "\n".join(lines).strip() + "\n"


def rich(reply: Reply, base: str) -> Markup:
    """HTML without styles or scripts: mail programs drop both."""
    parts = [Markup("<p>{}</p>").format(_marked(paragraph)) for paragraph in _own_told(reply).split("\n\n")]
    if reply.citations:
        row = Markup('<li value="{}">“{}” {}, {}. {}</li>')
        rows = [
            row.format(c.n, c.quote, c.source.title, say_date(c.as_of), _link(address_of(c, base))) for c in reply.citations
        ]
        parts.append(Markup("<p><b>Sources</b></p><ol>{}</ol>").format(Markup("").join(rows)))
    parts += [Markup("<p><i>{}</i></p>").format(warning.text) for warning in reply.warnings]
    return Markup("\n").join(parts)


def _own_told(reply: Reply) -> str:
    """The text, with who stands for what no guide bears out."""
    own = [sentence.text for sentence in reply.sentences if sentence.kind == "own"]
    if not own or not reply.own_words_by:
        return reply.text
    several = "sentences" if len(own) > 1 else "sentence"
    return f"{reply.text}\n\n({len(own)} {several} without a number: own words of {reply.own_words_by}.)"


def _marked(paragraph: str) -> Markup:
    lines = []
    for line in paragraph.split("\n"):
        parts = _MARK.split(line)
        said = [Markup("<sup>[{}]</sup>").format(part) if i % 2 else Markup.escape(part) for i, part in enumerate(parts)]
        lines.append(Markup("").join(said))
    return Markup("<br>").join(lines)


def address_of(citation: Citation, base: str) -> str:
    return citation.source.url or (urljoin(base, citation.guide.url) if citation.guide else "")


def _link(address: str) -> Markup:
    return Markup('<a href="{0}">{0}</a>').format(address) if address.startswith(("https://", "http://")) else Markup("")
