"""What an answer is made with: the index in use, and what one question has come to so far."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from bot.answer import Answer, Noted, Question, Sentence, ToolResult, ToolUse
from bot.bearing import Missing, Puts
from bot.cite import Citations
from bot.compose import MAX_SENTENCES, WORDS
from bot.evidence import Evidence
from bot.index import Index
from bot.judge import Judgement
from bot.messages import MessageKind
from bot.passage import Chunk, FactRef
from bot.plan import Part, Plan
from bot.profile import Told
from bot.retrieve import Found, Retriever
from bot.rows import Tables
from bot.spent import Spent
from bot.tools.choose import Unsure
from bot.verify import Verdict
from bot.worker import Batch
from bot.writer import FailedSentence


@dataclass(frozen=True, slots=True)
class GuidePage:
    """A guide as indexed, for its page: Markdown with `{#anchor}` after headings and `[^fact-id]` marks after sentences."""

    slug: str
    title: str
    summary: str
    audience: tuple[str, ...]
    topics: tuple[str, ...]
    as_of: str
    review_by: str
    body: str
    facts: dict[str, FactRef]
    charts: dict[str, str]  # anchor of a section -> name of the chart it shows


@dataclass(slots=True)
class Room:
    """A collection in use: its index, and the queue of questions to it."""

    index: Index
    retriever: Retriever
    batch: Batch[Search, list[Found]]
    tables: Tables
    looked_at: float = 0.0
    weighed: OrderedDict[tuple[str, tuple[str, ...]], Weighed] = field(default_factory=OrderedDict)  # sentences of replies, the latest
    keyed: dict[str, Evidence] = field(default_factory=dict)
    row_words: dict[str, set[str]] = field(default_factory=dict)

    def evidence(self, key: str) -> Evidence | None:
        """What a key stands for: a sentence of a guide, or a statement of a table's row."""
        if not self.keyed:
            chunks = (*self.index.chunks, *self.index.table_rows)
            self.keyed.update((item.key, item) for chunk in chunks for item in map(Evidence, repeat(chunk), range(len(chunk.spans))))
        return self.keyed.get(key)

    def vector(self, item: Evidence) -> np.ndarray:
        """Of a row of a table nothing but zeros: it is looked up, never compared."""
        row = self.index.rows.get(item.chunk.chunk_id)
        return np.zeros(self.index.vectors.shape[1], np.float32) if row is None else self.index.span_vectors(row)[item.number]


@dataclass(frozen=True, slots=True)
class Search:
    parts: tuple[Part, ...]
    k: int = 8
    keep: Callable[[Chunk], bool] | None = None
    short: bool = False  # whether the short way to embed a question is tried first: only where no answer rests on it


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Sections of guides and rows of tables, the best first, each as the sentences it is made of."""

    sections: list[list[Evidence]]
    rows: list[list[Evidence]]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A sentence of a reply. `evidence` bears it out; where none does, `nearest` comes nearest to it, and `verdict` is on that."""

    evidence: tuple[Evidence, ...] = ()
    verdict: Verdict | None = None
    nearest: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A sentence as it was written, and what its check said."""

    text: str
    evidence: tuple[Evidence, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Explained:
    """An answer with what led to it: one entry of `found` and `judged` for each question of the message."""

    answer: Answer
    plan: Plan
    found: list[Found]
    judged: list[Judgement]
    checked: list[Checked]
    urgent: bool = False  # urgent help is named first
    guess: dict[MessageKind, float] | None = None  # what the message is by its meaning


@dataclass(slots=True)
class Work:
    """An answer in the making."""

    question: Question
    plan: Plan
    room: Room
    citations: Citations
    began: float
    found: list[Found] = field(default_factory=list)
    judged: list[Judgement] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    translates: bool = True
    withheld: bool = False  # sentences wait for their translation
    breaks: set[int] = field(default_factory=set)  # numbers of sentences that open a paragraph
    used: list[Evidence] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    checked: list[Checked] = field(default_factory=list)
    dropped: int = 0
    steps: list[str] = field(default_factory=list)  # taken after the plan
    tools: list[ToolUse] = field(default_factory=list)
    results: list[ToolResult] = field(default_factory=list)
    guess: dict[MessageKind, float] | None = None  # what the message is by its meaning
    urgent: bool = False  # urgent help is named first
    unsure: Unsure | None = None
    noted: Noted | None = None
    told: Told = field(default_factory=Told)
    put: list[Puts] = field(default_factory=list)  # what was told and put into the questions
    asked_back: Missing | None = None
    opened: int = 0  # sentences said before anything is looked up
    closing: str = ""  # the template said last
    covered: bool = False  # by the tools: nothing is to be said besides
    told_last: list[Sentence] = field(default_factory=list)  # what the tools add to the prose
    looked_up: list[Evidence] = field(default_factory=list)  # what the model found besides
    failed: list[FailedSentence] = field(default_factory=list)  # what it wrote and could not be verified
    spent: Spent = Spent()
    model: str | None = None
    fallback: str | None = None
    timings: dict[str, float] = field(default_factory=dict)
    language: str = "en"
    words: int = WORDS  # of the composer
    most: int = MAX_SENTENCES

    def since(self, name: str, start: float) -> None:
        self.timings[name] = round(1000 * (time.perf_counter() - start), 2)
