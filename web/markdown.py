"""A guide's Markdown as HTML: anchors, numbered source notes, and the quoted sentence highlighted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup

from bot.answer import SourceRef
from bot.passage import FactRef
from ingest.load import slugify

_MARK = re.compile(r"\[\^([A-Za-z0-9_.:-]+)\]")
_ANCHOR = re.compile(r"\s*\{#([A-Za-z0-9_.:-]+)\}\s*#*\s*$")


# The quoted sentence ------------------------------------------------------------------------------------------------------


def letters(text: str) -> tuple[str, list[int]]:
    """Letters and digits only, and where each stood. What Markdown, marks, pipes and white space add between them does not count."""
    kept = [(character, at) for at, character in enumerate(text) if character.isalnum()]
    return "".join(character for character, _ in kept), [at for _, at in kept]


def find_quote(text: str, quote: str) -> tuple[int, int] | None:
    """Where `quote` stands in `text`, punctuation at its end included; None when it does not, or only as part of a longer word."""
    wanted, _ = letters(quote)
    hay, places = letters(text)
    if not wanted:
        return None
    at = hay.find(wanted)
    while at >= 0:
        start, end = places[at], places[at + len(wanted) - 1] + 1
        if not (start and text[start - 1].isalnum()) and not text[end : end + 1].isalnum():
            tail = re.sub(r"\s", "", re.split(r"\w(?=\W*$)", quote)[-1])
            while end < len(text) and tail.startswith(text[end]):
                end, tail = end + 1, tail[1:]
            lead = quote.lstrip()[:1]
            if lead and not lead.isalnum() and text[start - 1 : start] == lead:
                start -= 1
            return start, end
        at = hay.find(wanted, at + 1)
    return None


_SPOKEN = {"text", "code_inline", "softbreak", "hardbreak", "image"}  # an image is its words


def _spoken(token: Token) -> str:
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    return token.content if token.type in _SPOKEN else ""


def _highlight(children: list[Token], span: tuple[int, int], first: bool) -> list[Token]:
    """The inline tokens with `span` of their text marked. One <mark> where the nesting allows it, else one around each piece."""
    for wide in (True, False):
        before, inside, after = _split(children, span, wide)
        if _balanced(inside):
            return [*before, _mark_open(first), *inside, _mark_close(), *after]
    pieces: list[Token] = []
    for token in inside:
        if _spoken(token):
            pieces += [_mark_open(first), token, _mark_close()]
            first = False
        else:
            pieces.append(token)
    return [*before, *pieces, *after]


def _split(children: list[Token], span: tuple[int, int], wide: bool) -> tuple[list[Token], list[Token], list[Token]]:
    """The tokens before, in and after `span`. `wide` takes tags in that open right at its start or close right at its end."""
    before: list[Token] = []
    inside: list[Token] = []
    after: list[Token] = []
    at = 0
    for token in children:
        text = _spoken(token)
        start, at = at, at + len(text)
        if not text:  # opening and closing tags, source marks
            on_edge = (at == span[0] and token.nesting == 1) or (at == span[1] and token.nesting == -1)
            within = span[0] < at < span[1] or (wide and on_edge)
            (inside if within else before if at <= span[0] else after).append(token)
            continue
        cuts = [max(start, min(at, place)) - start for place in span]
        for part, target in ((text[: cuts[0]], before), (text[cuts[0] : cuts[1]], inside), (text[cuts[1] :], after)):
            if part:
                target.append(token.copy(content=part))
    return before, inside, after


def _balanced(tokens: list[Token]) -> bool:
    level = 0
    for token in tokens:
        level += token.nesting
        if level < 0:
            return False
    return level == 0


def _mark_open(first: bool) -> Token:
    return Token("quote_open", "mark", 1, attrs={"id": "quote"} if first else {"class": "quote"})


def _mark_close() -> Token:
    return Token("quote_close", "mark", -1)


def mark_quote(tokens: list[Token], quote: str) -> bool:
    """Marks each place where `quote` is said; the first has the id. A table row is marked cell by cell."""
    found = False
    for row in _rows(tokens):
        if letters(" ".join(_text(cell) for cell in row))[0] == letters(quote)[0] != "":
            for cell in row:
                if cell.children and _text(cell).strip():
                    cell.children = _highlight(cell.children, (0, len(_text(cell))), not found)
                    found = True
    if quote.lstrip().startswith("|"):
        return found
    for token in tokens:
        if token.type == "inline" and token.children:
            span = find_quote(_text(token), quote)
            if span is not None:
                token.children = _highlight(token.children, span, not found)
                found = True
    return found


def _text(token: Token) -> str:
    return "".join(_spoken(child) for child in token.children or [])


def _rows(tokens: list[Token]) -> Iterator[list[Token]]:
    cells: list[Token] = []
    inside = False
    for token in tokens:
        if token.type == "tr_open":
            cells, inside = [], True
        elif token.type == "tr_close":
            inside = False
            yield cells
        elif inside and token.type == "inline":
            cells.append(token)


# Markdown -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Note:
    """A source of the guide, as its list names it. `places` is how often it is referred to."""

    number: int
    source: SourceRef
    as_of: str
    volatile: bool
    url: str | None
    places: int


@dataclass(slots=True)
class Rendered:
    html: str
    headings: list[Heading] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    quote_found: bool = False


def _mark_rule(state: StateInline, silent: bool) -> bool:
    match = _MARK.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("source_mark", "", 0).meta = {"fact": match.group(1)}
    state.pos = match.end()
    return True


def _render_mark(self: RendererHTML, tokens: list[Token], at: int, options: Any, env: dict[str, Any]) -> str:
    note, place = tokens[at].meta.get("note"), tokens[at].meta.get("place")
    if note is None:
        return ""
    return f'<sup class="note"><a href="#source-{note}" id="ref-{note}-{place}" aria-label="Source {note}">{note}</a></sup>'


def _render_image(self: RendererHTML, tokens: list[Token], at: int, options: Any, env: dict[str, Any]) -> str:
    return escapeHtml(tokens[at].content)


def _render_table_open(self: RendererHTML, tokens: list[Token], at: int, options: Any, env: dict[str, Any]) -> str:
    return '<div class="table" role="region" aria-label="Table" tabindex="0"><table>\n'


def _render_table_close(self: RendererHTML, tokens: list[Token], at: int, options: Any, env: dict[str, Any]) -> str:
    return "</table></div>\n"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False}).enable("table")
    parser.validateLink = lambda url: True  # type: ignore[method-assign] # links that must not be are taken off below, their words stay
    parser.inline.ruler.before("link", "source_mark", _mark_rule)
    parser.add_render_rule("source_mark", _render_mark)
    parser.add_render_rule("image", _render_image)
    parser.add_render_rule("table_open", _render_table_open)
    parser.add_render_rule("table_close", _render_table_close)
    return parser


_PARSER = _parser()


def render(
    body: str, facts: dict[str, FactRef], quote: str = "", *, figures: Mapping[str, Markup] | None = None,
    under_heading: Callable[[Heading], Markup] = lambda _: Markup(),
) -> Rendered:  # fmt: skip
    """A guide's Markdown as HTML. HTML inside it is shown as text; marks that name no fact of `facts` are left out.

    Args:
        figures: by anchor, what stands behind the first block of that section.
        under_heading: what stands under each heading.
    """
    tokens = _PARSER.parse(body)
    result = Rendered("", headings=_headings(tokens))
    result.quote_found = bool(quote) and mark_quote(tokens, quote)
    result.notes = _number_notes(tokens, facts)
    _secure_links(tokens)
    tokens = list(_with_insets(tokens, {heading.anchor: heading for heading in result.headings}, figures or {}, under_heading))
    result.html = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return result


def _with_insets(
    tokens: list[Token], headings: dict[str, Heading], figures: Mapping[str, Markup], under_heading: Callable[[Heading], Markup]
) -> Iterator[Token]:
    """The tokens with our own blocks between them. `html_block` cannot come from a guide: HTML in guides is shown as text."""
    anchor, waiting = "", None
    for token in tokens:
        if token.type == "heading_open":
            if waiting is not None:  # a section without text
                yield waiting
            anchor = str(token.attrGet("id"))
            waiting = Token("html_block", "", 0, content=str(figures[anchor])) if anchor in figures else None
        yield token
        if token.type == "heading_close":
            yield Token("html_block", "", 0, content=str(under_heading(headings[anchor])))
        elif waiting is not None and token.level == 0 and token.nesting == -1:
            yield waiting
            waiting = None
    if waiting is not None:
        yield waiting


def _headings(tokens: list[Token]) -> list[Heading]:
    """Gives each heading its anchor, by the rule that made the anchors of the index: written as {#id}, else from its words."""
    result: list[Heading] = []
    seen: set[str] = set()
    for opening, inline, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type != "heading_open":
            continue
        last = inline.children[-1] if inline.children else None
        match = _ANCHOR.search(last.content) if last is not None and last.type == "text" else None
        if last is not None and match is not None:
            last.content = last.content[: match.start()]
        text = _text(inline).strip()
        anchor = match.group(1) if match else slugify(text)
        if anchor in seen:
            anchor = f"{anchor}-{(opening.map or [0])[0] + 1}"
        seen.add(anchor)
        opening.attrSet("id", anchor)
        level = int(opening.tag[1])
        if level == 1:  # the page's own title is the only h1
            opening.tag = closing.tag = "h2"
        result.append(Heading(max(level, 2), text, anchor))
    return result


def _number_notes(tokens: list[Token], facts: dict[str, FactRef]) -> list[Note]:
    """Numbers the sources in the order in which they come up. Facts of one source and date share a number."""
    numbers: dict[tuple[str, str, str | None, str], int] = {}
    kept: dict[int, FactRef] = {}
    volatile: set[int] = set()
    places: dict[int, int] = {}
    for token in tokens:
        previous = 0
        for child in token.children or []:
            if child.type != "source_mark":
                previous = 0 if _spoken(child).strip() else previous
                continue
            fact = facts.get(child.meta["fact"])
            if fact is None:
                continue
            key = (fact.source.title, fact.source.publisher, fact.source.url, fact.as_of)
            number = numbers.setdefault(key, len(numbers) + 1)
            kept.setdefault(number, fact)
            if fact.volatile:
                volatile.add(number)
            if number == previous:  # two facts of one source after one sentence: one note says it
                continue
            previous = number
            places[number] = places.get(number, 0) + 1
            child.meta = {"note": number, "place": places[number]}
    return [
        Note(number, fact.source, fact.as_of, number in volatile, web_address(fact.source.url), places.get(number, 0))
        for number, fact in kept.items()
    ]


def web_address(url: str | None) -> str | None:
    """The address when a link may lead there: http or https, nothing else."""
    return url if url and re.match(r"https?://[^\s/]", url, re.I) else None


def _secure_links(tokens: list[Token]) -> None:
    """Links may lead to web addresses and to places on this server; of others only the words are left."""
    for token in tokens:
        kept: list[Token] = []
        dropping = False
        for child in token.children or []:
            if child.type == "link_open":
                target = str(child.attrGet("href") or "")
                outside = web_address(target) is not None
                dropping = not outside and not re.match(r"(/(?!/)|#)", target)
                if outside:
                    child.attrSet("rel", "noopener nofollow")
            if not (dropping and child.type in {"link_open", "link_close"}):
                kept.append(child)
        if token.children:
            token.children = kept
