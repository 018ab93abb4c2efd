"""Answers of every shape, with texts that try what texts can try."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from bot.answer import (
    Answer,
    Checks,
    Citation,
    Clarify,
    Column,
    Computed,
    Given,
    GuideRef,
    HandoffRef,
    Noted,
    Profile,
    Reply,
    ResultRow,
    Sentence,
    SourceRef,
    ToolResult,
    Warning_,
)

BASE = "https://advisor.example"
HOSTILE = [
    "<!channel>",
    "<!here>",
    "<!everyone|now>",
    "<@U1>",
    "<@W012ABCDEF|boss>",
    "<#C1|general>",
    "<!subteam^S1|@all>",
    "<http://evil.example|our guide>",
    "<https://evil.example>",
    "[our guide](https://evil.example)",
    "[x]: https://evil.example",
    "![](https://evil.example/a.png)",
    "@channel",
    "@here",
    "(@everyone)",
    "＜!channel＞",
    "﹤!here﹥",
    "＠channel",
    "&lt;!channel&gt;",
    "&amp;lt;!here&amp;gt;",
    "<!chan\u200bnel>",
    "<\u2060!channel>",
    "\u202e>lennahc!<",
    "\u2066<!here>\u2069",
    "```<!channel>```",
    "`<@U1>`",
    "*<!here>*",
    "<!date^1^{date}|now>",
    "<mailto:a@b.c|me>",
    "\\<!channel>",
    "]( https://evil.example)",
    "|<!here>|",
    "\x00own\x00",
    "\x00<\x00!channel>",
    "<<!channel>>",
    "<!channel",
    "!channel>",
    "\ud83d",
    "\U000e0041",
]

words = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.sampled_from(
        [
            "The passing score is 218.",
            "**bold**",
            "*soft*",
            "\n- one\n- two\n",
            "\n1. first\n2. second\n",
            "\n## Head\n",
            "\n\n",
            "[1]",
            "[2]",
            "[999]",
            "x" * 700,
        ]
    ),
)
texts = st.lists(words, max_size=14).map(" ".join)
short = st.lists(words, max_size=3).map(" ".join)
numbers = st.lists(st.integers(1, 12), max_size=4)
urls = st.one_of(
    st.none(),
    st.sampled_from(
        [
            "https://www.usmle.org/scores",
            "javascript:alert(1)",
            "https://a.example/|<!channel>",
            "https://a.example/ b",
            "https://x.example/" + "y" * 4000,
            "http://z.example/(a)?q=<@U1>",
        ]
    ),
)
sources = st.builds(
    SourceRef,
    title=short,
    publisher=short,
    url=urls,
    tier=st.sampled_from(["primary", "secondary", "advice", "document"]),
    link=st.sampled_from(["source", "owner"]),
)
guides = st.builds(
    GuideRef,
    slug=st.just("visas/j1"),
    title=short,
    section=short,
    url=st.sampled_from(["/guides/visas/j1#length", "/guides/visas/j1", "//evil.example/x", "https://evil.example"]),
)
dates = st.sampled_from(["unknown", "2026", "2026-09", "2026-09-30", "odd", "2026-99"])
citations = st.lists(
    st.builds(
        Citation,
        n=st.integers(1, 12),
        chunk_id=st.just("c"),
        quote=texts,
        guide=st.none() | guides,
        source=sources,
        as_of=dates,
        volatile=st.booleans(),
        stale=st.booleans(),
        conflict=st.booleans(),
        confidence=st.sampled_from(["high", "low"]),
    ),
    max_size=12,
    unique_by=lambda citation: citation.n,
)
warnings = st.lists(
    st.builds(Warning_, kind=st.sampled_from(["stale", "volatile", "conflict", "unverified"]), text=texts, citations=numbers), max_size=8
)


@st.composite
def results(draw: st.DrawFn) -> ToolResult:
    keys = [f"k{at}" for at in range(draw(st.integers(1, 26)))]
    cell = st.one_of(short, st.just("unknown"), st.just(""))
    count = draw(st.sampled_from([0, 1, 3, 9, 40, 130]))
    one = {key: draw(cell) for key in keys}
    computed = [Computed(key=keys[0], rule="difference", formula=draw(short), inputs=[Given(name="a", value=draw(short))])]
    rows = [
        ResultRow(key=str(at), cells=one, reason=draw(st.none() | short) if at < 3 else None, citations=[1, 2], computed=computed)
        for at in range(count)
    ]
    return ToolResult(
        ref="t1",
        tool="licensure_lookup",
        title=draw(short),
        kind="table",
        columns=[Column(key=key, label=draw(short)) for key in keys],
        rows=rows,
        notes=draw(st.lists(texts, max_size=3)),
        unknown=draw(st.lists(short, max_size=3)),
    )


noted = st.builds(
    Noted,
    fields=st.just(Profile(step2ck=243)),
    changed=st.just(["step2ck"]),
    used=st.sampled_from([[], ["step2ck", "visa_needed"]]),
    problems=st.just([]),
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    text = draw(texts)
    values = {
        "id": "a" * 32,
        "conversation_id": "c" * 32,
        "created_at": dt.datetime(2026, 9, 1, tzinfo=dt.UTC),
        "text": text,
        "status": draw(st.sampled_from(["answered", "partial", "no_answer", "clarify", "corrected_premise", "handoff", "refused"])),
        "language": draw(st.sampled_from(["en", "es", "ar", "ru", "zh", "tl", "pt-BR", "xx", "../en"])),
        "sentences": [Sentence(text=text or "x", kind=draw(st.sampled_from(["fact", "own", "frame"])), original=draw(st.none() | texts))],
        "citations": draw(citations),
        "checks": Checks(sentences=draw(st.integers(0, 40)), supported=1),
        "as_of": draw(st.none() | dates),
        "warnings": draw(warnings),
        "clarify": draw(st.none() | st.builds(Clarify, question=texts, options=st.lists(short, max_size=60))),
        "suggestions": draw(st.lists(texts, max_size=4)),
        "results": draw(st.lists(results(), max_size=2)),
        "profile": draw(st.none() | noted),
        "handoff": draw(st.none() | st.builds(HandoffRef, reason=short, state=st.sampled_from(["offered", "requested", "closed"]))),
    }
    if draw(st.booleans()):
        return Answer(**values)
    return Reply(**values, advisor=draw(short), own_words_by=draw(st.none() | short))
