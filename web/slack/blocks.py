"""An Answer as Slack's blocks: the same sentences, citations and checks as on every other surface.

Text is laid out in `rich_text` blocks, which Slack shows as they stand: a mention or a link is an element of its own there, and only this
module makes links. Limits are Slack's (docs.slack.dev, "Block Kit"); the sum is the one that Slack enforces and does not document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote as quoted

from bot.answer import Answer, Citation, Reply
from bot.profile import NAMES
from web.slack.parts import DIVIDER, MOST_VALUE, Block, actions, button, context, quote, rich, run
from web.slack.tables import FOLD_ROWS, notes, tables
from web.slack.words import date, markdown, mrkdwn, plain, say, shortened, web_link, web_url

MOST_BLOCKS = 50
MOST_SIZE = 9000
"""Bytes of a message. What Slack refuses as too long is not documented: whole ones above some 13,000, streamed ones above some 10,600."""
_FOLDS = ((1600, 6), (1000, 5), (600, 3), (300, 2), (150, 1))
"""(characters of the text, sources) of a message: the first that fits is taken."""

FEEDBACK, WHOLE, ROWS, ASK, HANDOFF, SHARE, DISMISS = "feedback", "whole", "rows", "ask", "handoff", "share", "dismiss"
"""Names of the actions on an answer; each carries the answer's id, but ASK, which carries a question."""

_OWN = "\x00own\x00"  # cannot come from a text: `plain` takes it out
_TOKEN = re.compile(rf"(\[\d{{1,3}}\]|\*\*[^*\n]+\*\*|(?<![\w*])\*[^*\n]+\*(?![\w*])|{_OWN})")
_LINE = re.compile(r"^\s*(?:(?P<bullet>[-*+])|(?P<number>\d+)[.)])\s+(?P<item>.*)$|^#{1,6}\s+(?P<heading>.*)$")
_ICONS = {"stale": ":hourglass:", "volatile": ":arrows_counterclockwise:", "conflict": ":scales:", "unverified": ":grey_question:"}


@dataclass(frozen=True, slots=True)
class Message:
    """`text` is what notifications say and what shows where blocks cannot."""

    text: str
    blocks: list[Block]


# An answer ------------------------------------------------------------------------------------------------------------------


def message(answer: Answer, base: str) -> Message:
    """The whole answer as one message. `base`: the address at which people reach our guides; empty: they are named, not linked."""
    return Message(notification(answer), _fitting(answer, base, body=True))


def ending(answer: Answer, base: str) -> list[Block]:
    """What stands under the text of a stream: table, warnings, sources, checks, buttons."""
    streamed = sum(len(sentence.text.encode(errors="replace")) + 130 * len(sentence.citations) for sentence in answer.sentences)
    return _fitting(answer, base, body=False, room=max(MOST_SIZE - streamed, 3000))


def preview(answer: Answer, base: str, thread: str = "") -> Message:
    """The answer for its asker alone, who may share it with everyone there; `thread`: under which message."""
    made = message(answer, base)
    kept = [block for block in made.blocks if block["type"] != "context_actions"]
    mine = [button(SHARE, "Share with everyone", f"{answer.id} {thread}".strip(), "primary"), button(DISMISS, "Dismiss", answer.id)]
    return Message(made.text, [*kept[: MOST_BLOCKS - 2], actions(*mine), context("Only you see this.")])


def searched(guides: int = 0) -> Block:
    """The task card of a stream: the guides were searched."""
    title = f"Read {guides} guide{'' if guides == 1 else 's'}" if guides else "Searched the guides"
    return {"type": "task_update", "id": "search", "title": title, "status": "complete"}


def tasks(answer: Answer, base: str) -> list[Block]:
    """The task cards that end a stream: what the answer rests on, and what was checked."""
    guides = {c.guide.slug for c in answer.citations if c.guide}
    cards = [searched(len(guides))] if guides else []
    if answer.citations:
        found: dict[str, str] = {}
        for citation in answer.citations:
            url = web_url(citation.source.url) or guide_url(citation, base, with_quote=False)
            if url:
                found.setdefault(url, shortened(plain(citation.source.publisher or citation.source.title).strip(), 100) or url)
        sources = [{"type": "url", "url": url, "text": text} for url, text in list(found.items())[:6]]
        title = say("sources", answer.language, n=len(answer.citations))
        cards.append({"type": "task_update", "id": "sources", "title": title, "status": "complete", "sources": sources})
    return [*cards, checked(answer)]


def checked(answer: Answer) -> Block:
    """The task card "7 of 7 sentences checked"."""
    checks, tongue = answer.checks, answer.language
    if not checks.sentences:
        return {"type": "task_update", "id": "check", "title": "Nothing to check: no fact is stated", "status": "complete"}
    title = say("checked", tongue, n=checks.sentences, done=checks.supported)
    figures = {"details": say("figures", tongue, n=checks.figures, done=checks.figures_supported)} if checks.figures else {}
    return {"type": "task_update", "id": "check", "title": title, "status": "complete", **figures}


def notification(answer: Answer) -> str:
    """A few hundred characters without marks."""
    said = re.sub(r"[ \t]*\[\d{1,3}\]", "", answer.text).replace("**", "")
    if answer.clarify and answer.clarify.question not in said:
        said = f"{said}\n{answer.clarify.question}"
    by = f"{say('advisorReply', answer.language, name=answer.advisor)}: " if isinstance(answer, Reply) else ""
    return mrkdwn(shortened(plain(by + said).strip(), 600)) or say("answer", answer.language)


def all_rows(answer: Answer, base: str) -> list[Message]:
    """The answer's tables in full, as messages: Slack takes one table a message."""
    made = []
    for result in answer.results:
        pages = list(tables(result, answer.language, len(result.rows), most_size=MOST_SIZE - 2500))
        for at, table in enumerate(pages):
            title = plain(result.title) + (f" ({at + 1}/{len(pages)})" if len(pages) > 1 else "")
            below = notes(result, answer.language) if at == len(pages) - 1 else []
            made.append(Message(mrkdwn(shortened(title, 300)) or "…", [rich([run(title, bold=True)]), table, *below]))
    return made


def folded(answer: Answer) -> bool:
    """Whether a message shows less than the whole text and all sources."""
    return len(plain(answer.text)) > _FOLDS[0][0] or len(answer.citations) > _FOLDS[0][1]


def _fitting(answer: Answer, base: str, *, body: bool, room: int = MOST_SIZE) -> list[Block]:
    for characters, sources in _FOLDS:
        blocks = _blocks(answer, base, characters if body else None, sources)
        if size(blocks) <= room and len(blocks) <= MOST_BLOCKS - 2:
            return blocks
    return [block for block in blocks if block["type"] != "table"]


def size(blocks: Sequence[Block]) -> int:
    return len(json.dumps(blocks, ensure_ascii=False).encode(errors="replace"))


def _blocks(answer: Answer, base: str, characters: int | None, sources: int) -> list[Block]:
    blocks: list[Block] = []
    if isinstance(answer, Reply):
        blocks.append(context(f":bust_in_silhouette: *{mrkdwn(say('advisorReply', answer.language, name=answer.advisor))}*"))
    if characters is not None:
        blocks += text_blocks(answer, base, characters)
    blocks += _clarify(answer)
    blocks += _table(answer)
    blocks += [_warning(warning.kind, warning.text, warning.citations, answer.language) for warning in answer.warnings[:6]]
    blocks += source_blocks(answer, base, sources)
    blocks += _checks(answer)
    blocks += _buttons(answer)
    return blocks


# Text


def text_blocks(answer: Answer, base: str, characters: int) -> list[Block]:
    """The text with its numbers linked to our guides; cut after a sentence where it is longer than `characters`."""
    text = _cut(_with_own_words(answer), characters)
    links = {c.n: guide_url(c, base, with_quote=False) or web_url(c.source.url) for c in answer.citations}
    sparing = len(re.findall(r"\[\d{1,3}\]", text)) > 14  # each link takes room: then the first of each number only
    seen: set[int] = set()

    def mark(n: int) -> Block:
        url = None if sparing and n in seen else links[n]
        seen.add(n)
        return {"type": "link", "url": url, "text": f"[{n}]"} if url else run(f"[{n}]")

    elements: list[Block] = []
    for line in text.split("\n"):
        found = _LINE.match(line)
        if found and found["heading"] is None:
            style = "bullet" if found["bullet"] else "ordered"
            item = {"type": "rich_text_section", "elements": list(_inline(found["item"], links, mark)) or [run(" ")]}
            if elements and elements[-1]["type"] == "rich_text_list" and elements[-1]["style"] == style:
                elements[-1]["elements"].append(item)
            else:
                start = {"offset": int(found["number"]) - 1} if found["number"] and 1 < int(found["number"][:4]) < 1000 else {}
                elements.append({"type": "rich_text_list", "style": style, **start, "elements": [item]})
            continue
        parts = [run(plain(found["heading"]).strip() or " ", bold=True)] if found else list(_inline(line, links, mark))
        if not parts:
            if elements and elements[-1]["type"] == "rich_text_section":
                elements[-1]["elements"].append(run("\n"))
            continue
        if elements and elements[-1]["type"] == "rich_text_section":
            elements[-1]["elements"] += [run("\n"), *parts]
        else:
            elements.append({"type": "rich_text_section", "elements": parts})
    return [{"type": "rich_text", "elements": elements}] if elements else []


def _inline(line: str, links: dict[int, str | None], mark: Any) -> Iterator[Block]:
    for part in _TOKEN.split(line):
        number = re.fullmatch(r"\[(\d+)\]", part)
        if number and int(number[1]) in links:
            yield mark(int(number[1]))
        elif part == _OWN:
            yield run(" (own words)", italic=True)
        elif re.fullmatch(r"\*\*[^*]+\*\*", part) and plain(part[2:-2]):
            yield run(plain(part[2:-2]), bold=True)
        elif re.fullmatch(r"\*[^*]+\*", part) and plain(part[1:-1]):
            yield run(plain(part[1:-1]), italic=True)
        elif plain(part):
            yield run(plain(part))


def _with_own_words(answer: Answer) -> str:
    text = answer.text
    at = 0
    for sentence in answer.sentences:
        found = text.find(sentence.text, at)
        if found < 0:
            continue
        at = found + len(sentence.text)
        if sentence.kind == "own":
            text, at = text[:at] + _OWN + text[at:], at + len(_OWN)
    return text


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    ends = [m.end() for m in re.finditer(r"(?:[.!?。।؟]|\])(?=\s|$)|\n", text[: characters + 1])]
    cut = ends[-1] if ends and ends[-1] > characters // 3 else max(text.rfind(" ", 0, characters), characters // 2)
    return text[:cut].rstrip() + " …"


# Sources


def guide_url(citation: Citation, base: str, *, with_quote: bool) -> str | None:
    """The section of our guide; with the quote marked in it, where that makes no monster of the address."""
    if citation.guide is None or not base or not citation.guide.url.startswith("/guides/"):
        return None
    path, _, anchor = citation.guide.url.partition("#")
    asked = f"?quote={quoted(citation.quote, safe='', errors='replace')}" if with_quote else ""
    end = f"#{anchor}" if anchor else ""
    return web_url(base.rstrip("/") + path + asked + end) or web_url(base.rstrip("/") + path + end)


def badges(citation: Citation) -> list[str]:
    return [
        *(kind for kind, on in (("stale", citation.stale), ("volatile", citation.volatile), ("conflict", citation.conflict)) if on),
        *(["low"] if citation.confidence == "low" else []),
    ]


def source_elements(citation: Citation, base: str, language: str, numbers: Sequence[int] = ()) -> list[Block]:
    """'[1] Guide › Section · Official source: Publisher, title · September 2026 · Changes often'. `numbers`: of all that rest on it."""
    guide, source = citation.guide, citation.source
    marks = "".join(f"[{n}]" for n in numbers or (citation.n,))
    parts: list[Block] = [run(f"{marks} ", bold=True)]
    if guide:
        named = f"{guide.title} › {guide.section}" if guide.section and guide.section != guide.title else guide.title
        parts += [_link(guide_url(citation, base, with_quote=True), shortened(plain(named), 150)), run(" · ")]
    named = f"{source.publisher}: {source.title}" if source.publisher and source.publisher != source.title else source.title
    kind = "ownerPage" if source.link == "owner" else "officialPage" if source.tier == "primary" else "sourcePage"
    if source.url:
        parts.append(run(say(kind, language) + ": "))
    parts.append(_link(web_url(source.url), shortened(plain(named), 150)))
    parts.append(run(f" · {date(citation.as_of, language)}"))
    for badge in badges(citation):
        parts += [run(" · "), run(say(badge, language), bold=True)]
    return parts


def _link(url: str | None, text: str) -> Block:
    return {"type": "link", "url": url, "text": text or url} if url else run(text or "–")


def source_blocks(answer: Answer, base: str, most: int) -> list[Block]:
    if not answer.citations:
        return []
    groups: dict[tuple[Any, ...], list[Citation]] = {}
    for citation in answer.citations:  # several quotes of one section and source are one line
        where = citation.guide.url if citation.guide else ""
        key = (where, citation.source.title, citation.source.url, citation.as_of, *badges(citation))
        groups.setdefault(key, []).append(citation)
    elements: list[Block] = []
    for group in list(groups.values())[:most]:
        numbers = [citation.n for citation in group]
        elements += [*([run("\n")] if elements else []), *source_elements(group[0], base, answer.language, numbers[:20])]
    if (rest := len(groups) - most) > 0:
        elements.append(run(f"\n+ {say('sources', answer.language, n=rest)}", italic=True))
    return [DIVIDER, rich(elements)]


def _warning(kind: str, text: str, numbers: Iterable[int], language: str) -> Block:
    marks = "".join(f"[{n}]" for n in list(numbers)[:12])
    return context(f"{_ICONS[kind]} *{mrkdwn(say(kind, language))}:* {mrkdwn(shortened(plain(text), 900))} {marks}".rstrip())


def _checks(answer: Answer) -> list[Block]:
    said, tongue = [], answer.language
    if answer.checks.sentences:
        said.append(":white_check_mark: " + say("checked", tongue, n=answer.checks.sentences, done=answer.checks.supported))
    if answer.as_of and answer.as_of != "unknown":
        said.append(say("oldest", tongue, date=date(answer.as_of, tongue)))
    if isinstance(answer, Reply) and (own := sum(sentence.kind == "own" for sentence in answer.sentences)):
        said.append(":pencil2: " + say("ownWords", tongue, n=own))
    if answer.profile and answer.profile.used:
        said.append("Went by what you told: " + ", ".join(NAMES.get(name, name) for name in answer.profile.used))
    return [context(" · ".join(mrkdwn(text) for text in said))] if said else []


# Tables


def _table(answer: Answer) -> list[Block]:
    """The first result, folded. Slack takes one table a message: the others are a click away."""
    if not answer.results:
        return []
    result = answer.results[0]
    table = next(iter(tables(result, answer.language, FOLD_ROWS, most_size=4000)), None)
    if table is None:
        return []
    return [rich([run(shortened(plain(result.title), 150), bold=True)]), table, *notes(result, answer.language)]


# Buttons


def _clarify(answer: Answer) -> list[Block]:
    if answer.clarify is None:
        return []
    blocks: list[Block] = []
    if answer.clarify.question not in answer.text:
        blocks.append(rich([run(shortened(plain(answer.clarify.question), 600) or "…", bold=True)]))
    if options := _questions(answer.clarify.options, "option"):
        blocks.append(actions(*options[:20]))
    return blocks


def _questions(texts: Sequence[str], kind: str) -> list[Block]:
    fitting = [text for text in texts if plain(text).strip() and len(text) <= MOST_VALUE]
    return [button(f"{ASK}:{kind}:{at}", text, text) for at, text in enumerate(fitting)]


def _buttons(answer: Answer) -> list[Block]:
    tongue, blocks = answer.language, []
    row: list[Block] = []
    if answer.citations:
        label = "Whole answer and quotes" if folded(answer) else "Quotes"
        original = f", {say('englishOriginal', tongue)}" if any(sentence.original for sentence in answer.sentences) else ""
        row.append(button(WHOLE, label + original, answer.id))
    rows = sum(len(result.rows) for result in answer.results)
    if len(answer.results) > 1 or rows > FOLD_ROWS:
        row.append(button(ROWS, f"All {rows} rows", answer.id))
    if not isinstance(answer, Reply) and (answer.handoff is None or answer.handoff.state == "offered"):
        row.append(button(HANDOFF, say("advisor", tongue), answer.id, "primary" if answer.handoff else None))
    if row:
        blocks.append(actions(*row))
    crisis = answer.status == "handoff" and not answer.citations
    if answer.suggestions and not crisis:
        blocks.append(actions(*_questions(answer.suggestions, "next")[:5]))
    if not crisis and not isinstance(answer, Reply) and answer.status != "clarify":
        blocks.append(feedback(answer.id, tongue))
    return [block for block in blocks if block["elements"]]


def feedback(answer_id: str, language: str = "en") -> Block:
    def half(value: int, key: str) -> Block:
        label = shortened(f"{say('helped', language)} {say(key, language)}", 75)
        return {
            "text": {"type": "plain_text", "text": shortened(say(key, language), 75)}, "value": f"{answer_id} {value}",
            "accessibility_label": label,
        }  # fmt: skip

    buttons = {"type": "feedback_buttons", "action_id": FEEDBACK, "positive_button": half(1, "yes"), "negative_button": half(-1, "no")}
    return {"type": "context_actions", "elements": [buttons]}


# The whole of it, for a modal


def whole(answer: Answer, base: str) -> list[Block]:
    """Everything: the text, each source with the exact words behind it, and what the tools worked out. At most 95 blocks."""
    blocks = [*text_blocks(answer, base, 9000), *_originals(answer)]
    for citation in answer.citations[:40]:
        blocks.append(DIVIDER)
        blocks.append(rich(source_elements(citation, base, answer.language)))
        cells = [cell.strip() for cell in citation.quote.split("|") if cell.strip()]
        shown = shortened(plain(" · ".join(cells) if len(cells) > 1 else citation.quote).strip(), 1200)
        if shown:
            blocks.append(quote(shown))
    return blocks[:94] + _checks(answer)


def _originals(answer: Answer) -> list[Block]:
    """The English sentences that were checked, where the text is their translation."""
    found = [shortened(plain(sentence.original).strip(), 1000) for sentence in answer.sentences if sentence.original]
    items = [{"type": "rich_text_section", "elements": [run(text or "…")]} for text in found[:60]]
    if not items:
        return []
    title = rich([run(say("englishOriginal", answer.language), bold=True)])
    return [DIVIDER, title, {"type": "rich_text", "elements": [{"type": "rich_text_list", "style": "bullet", "elements": items}]}]


def sentence_markdown(text: str, citations: Sequence[int], links: dict[int, str | None]) -> str:
    """A verified sentence for a stream, its numbers linked."""

    def address(url: str) -> str:
        return url.replace("(", "%28").replace(")", "%29")

    marks = "".join(f" [\\[{n}\\]]({address(url)})" if (url := links.get(n)) else f" \\[{n}\\]" for n in citations)
    return markdown(text) + marks


def mrkdwn_source(citation: Citation, base: str, language: str = "en") -> str:
    """A source in one line of mrkdwn, for places that take no rich text."""
    source = citation.source
    named = shortened(plain(f"{source.publisher}: {source.title}" if source.publisher else source.title), 120)
    url = guide_url(citation, base, with_quote=False) or web_url(source.url)
    return f"[{citation.n}] {web_link(url, named) if url else mrkdwn(named)} · {date(citation.as_of, language)}"
