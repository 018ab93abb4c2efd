"""The commands `img-advisor handoffs …`: how operators answer people who asked for a human advisor."""

from __future__ import annotations

import asyncio
import json
import sys
import unicodedata
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bot.answer import Answer, Reply
from bot.errors import InputError
from bot.settings import read_settings
from bot.store import OPEN, Handoff, State, Store, StoredAnswer, StoredMessage, StoredQuestion
from web.database import with_database

app = typer.Typer(help="People who asked for a human advisor.", no_args_is_help=True)
Value = TypeVar("Value")

Id = Annotated[str, typer.Argument(help="The hand-off's id, as `list` shows it.")]
Advisor = Annotated[str, typer.Option("--as", metavar="NAME", help="Your name, as the applicant sees it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
ALL: tuple[State, ...] = (*OPEN, "answered", "closed")


def _with_store(work: Callable[[Store], Coroutine[Any, Any, Value]]) -> Value:
    return with_database(lambda engine, settings: work(Store(engine, settings.secret.get_secret_value())))


def _say(text: str) -> None:
    """Applicants write what they like; a terminal obeys some of it."""
    typer.echo("".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\ufffd" for c in text))


def _row(handoff: Handoff) -> dict[str, Any]:
    return {
        "id": handoff.id, "state": handoff.state, "advisor": handoff.advisor_name, "reason": handoff.reason,
        "conversation_id": handoff.conversation_id, "created_at": handoff.created_at.isoformat(),
        "updated_at": handoff.updated_at.isoformat(),
    }  # fmt: skip


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are answered or closed.")] = False, as_json: AsJson = False
) -> None:
    """Who waits for an advisor; the longest wait first."""
    found = _with_store(lambda store: store.handoffs(ALL if everything else OPEN))
    if as_json:
        _print_json({"handoffs": [_row(handoff) for handoff in found]})
        return
    for handoff in found:
        _say(f"{handoff.id}  {handoff.created_at:%Y-%m-%d %H:%M} UTC  {handoff.state:9}  {handoff.advisor_name or '-'}  {handoff.reason}")
    if not found:
        _say("Nobody waits for an advisor.")


@app.command()
def show(handoff_id: Id, as_json: AsJson = False) -> None:
    """The conversation behind a hand-off: what the applicant wrote, what was answered from which sources, and the profile."""

    async def read(store: Store) -> tuple[Handoff, Any, list[StoredMessage]]:
        handoff = await store.handoff_of(handoff_id)
        return handoff, await store.profile(handoff.conversation_id), await store.messages(handoff.conversation_id)

    handoff, profile, messages = _with_store(read)
    told = profile.model_dump(mode="json", exclude_none=True) if profile else {}
    if as_json:
        turns = [_turn(message) for message in messages]
        _print_json({**_row(handoff), "profile": told, "turns": turns})
        return
    _say(f"{handoff.state}, {handoff.advisor_name or 'taken on by nobody'}. {handoff.reason}")
    for name, value in told.items():
        _say(f"  {name}: {value}")
    for message in messages:
        _say("")
        if isinstance(message, StoredQuestion):
            _say(f"> {message.text}")
            continue
        answer = Answer.model_validate_json(message.json) if isinstance(message, StoredAnswer) else Reply.model_validate_json(message.json)
        _say((f"{answer.advisor}: " if isinstance(answer, Reply) else "") + answer.text)
        for citation in answer.citations:
            _say(f"  [{citation.n}] {citation.quote}  ({citation.source.title}, {citation.as_of})")


def _turn(message: StoredMessage) -> dict[str, Any]:
    if isinstance(message, StoredQuestion):
        return {"role": "user", "id": message.id, "text": message.text, "created_at": message.created_at.isoformat()}
    if isinstance(message, StoredAnswer):
        return {"role": "assistant", "id": message.id, "answer": json.loads(message.json)}
    return {"role": "advisor", "id": message.id, "advisor": message.advisor, "answer": json.loads(message.json)}


@app.command()
def claim(
    handoff_id: Id, advisor: Advisor, take_over: Annotated[bool, typer.Option(help="Also from the advisor who has it now.")] = False
) -> None:
    """Takes a hand-off on, so that nobody else answers it too."""
    _with_store(lambda store: store.claim_handoff(handoff_id, advisor, take_over=take_over))
    _say(f"Taken on by {advisor}.")


@app.command()
def reply(
    handoff_id: Id,
    advisor: Advisor,
    file: Annotated[str, typer.Argument(help="Text file with the reply; '-' reads it from standard input.")] = "-",
    own_words: Annotated[
        str | None, typer.Option("--own-words", metavar="NAME", help="Who stands for the sentences that no guide bears out.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Show what would be sent, and send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sends a reply into the conversation. Each sentence is checked like the bot's own, and gets the citations that bear it out."""
    from bot.bootstrap import open_advisor
    from ingest.chunk import CHUNKER

    text = _read(file)

    async def send() -> Reply:
        opened = await open_advisor(read_settings(), chunker=CHUNKER)
        try:
            return await (opened.check_reply if check else opened.reply)(handoff_id, advisor, text, own_words_by=own_words)
        finally:
            await opened.close()

    made = asyncio.run(send())
    if as_json:
        sys.stdout.write(made.model_dump_json(indent=2) + "\n")
        return
    for sentence in made.sentences:
        marks = "".join(f"[{n}]" for n in sentence.citations) or f"(own words of {made.own_words_by})"
        _say(f"{sentence.text} {marks}")
    for citation in made.citations:
        _say(f"[{citation.n}] {citation.quote}  ({citation.source.title}, {citation.as_of})")
    _say("Nothing was sent." if check else "Sent.")


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError:
        raise InputError(f"The reply '{Path(file).name}' cannot be read. Check that the file exists.") from None
    except UnicodeDecodeError:
        raise InputError("The reply is not UTF-8 text. Save it as UTF-8.") from None


@app.command()
def close(handoff_id: Id) -> None:
    """Ends a hand-off, with or without a reply."""
    _with_store(lambda store: store.close_handoff(handoff_id))
    _say("Closed.")
