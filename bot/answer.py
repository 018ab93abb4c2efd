"""The one answer object. The widget, the console, Slack and the terminal all render this and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["answered", "partial", "no_answer", "clarify", "corrected_premise", "handoff", "refused"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GuideRef(Part):
    slug: str
    title: str
    section: str = ""
    url: str = Field(description="Path on this server, with the anchor of the section")


class SourceRef(Part):
    title: str
    publisher: str = ""
    url: str | None = Field(None, description="Public https address of the source, or of the owner's page to check")
    tier: Literal["primary", "secondary", "advice", "document"] = "secondary"
    link: Literal["source", "owner"] = Field("source", description="'owner': url is the owner's page to check, not the page that was read")


class Citation(Part):
    n: int = Field(ge=1)
    chunk_id: str
    quote: str = Field(description="Exact substring of the chunk's text")
    guide: GuideRef | None = None
    source: SourceRef
    as_of: str = Field("unknown", description="YYYY, YYYY-MM or YYYY-MM-DD, or 'unknown'")
    volatile: bool = False
    stale: bool = False
    confidence: Literal["high", "medium", "low"] = "high"
    conflict: bool = False
    fact: str = Field("", description="Id of the fact in the guides; empty for a document without marks")


class Sentence(Part):
    text: str
    citations: list[int] = []
    figures: list[str] = []
    support: float = Field(1.0, ge=0, le=1)
    language: str | None = Field(None, description="Of this sentence, where it is not the answer's")
    original: str | None = Field(None, description="The English sentence that was checked, where `text` is its machine translation")
    kind: Literal["fact", "frame", "advice", "own"] = Field("fact", description="'own': an advisor's own words, without a source")


class Checks(Part):
    sentences: int = Field(0, description="Sentences shown that state a fact or advice")
    supported: int = 0
    figures: int = 0
    figures_supported: int = 0
    dropped: int = Field(0, description="Sentences written but not shown, because their check failed")


class Warning_(Part):
    kind: Literal["stale", "volatile", "conflict", "unverified"]
    text: str
    citations: list[int] = []


class Clarify(Part):
    question: str
    options: list[str] = []


class HandoffRef(Part):
    reason: str
    state: Literal["offered", "requested", "assigned", "answered", "closed"]


class ToolUse(Part):
    name: str
    arguments: dict[str, Any] = {}
    result_ref: str | None = None


class Column(Part):
    key: str
    label: str


class Given(Part):
    """What a computed cell was worked out from: a cited value, or one that the applicant or the calendar gave."""

    name: str
    value: str
    citation: int | None = Field(None, description="The citation that holds the value; null where it was given, not quoted")


class Computed(Part):
    """A cell that no source says: worked out from `inputs` by `rule`. Whoever repeats it with the same inputs gets the same value."""

    key: str = Field(description="The cell of the row")
    rule: Literal["sum of products", "difference", "add years", "add days", "years between", "latest", "points", "position"]
    formula: str = Field(description="In words and figures, for people")
    inputs: list[Given]


class ResultRow(Part):
    """`key` names the row within its result. Each figure of its cells stands in a quote of its citations, was given, or is `computed`."""

    key: str
    cells: dict[str, str] = Field(description="By column key; 'unknown' where our sources do not tell")
    reason: str | None = Field(None, description="Why the row is here, or where it is placed")
    citations: list[int] = []
    as_of: str = Field("unknown", description="The oldest date of what the row cites")
    computed: list[Computed] = []
    after: list[str] = Field([], description="Checklists: keys of the rows that come first")
    date: str | None = Field(None, description="Checklists: YYYY-MM-DD, where the task has a date")


class ToolResult(Part):
    """What a look-up in the tables found, for a table, checklist or cards beside the text. Citations are those of the answer."""

    ref: str
    tool: str
    title: str
    kind: Literal["table", "checklist", "cards", "numbers"]
    columns: list[Column]
    rows: list[ResultRow]
    notes: list[str] = Field([], description="What one has to know to read it: population, definition, what it does not say")
    unknown: list[str] = Field([], description="What was looked for and is not held")
    exports: list[Literal["md", "ics", "html"]] = []


class Retrieved(Part):
    chunk_id: str
    score: float


class Usage(Part):
    """What the chat model cost for this answer; tokens are estimated where the provider does not count them."""

    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0
    usd: float = 0


class Trace(Part):
    mode: Literal["extractive", "llm", "advisor"] = Field("extractive", description="Who wrote: the composer, a chat model, an advisor")
    model: str | None = None
    knowledge_version: str = ""
    prompt_version: str = ""
    retrieved: list[Retrieved] = []
    timings_ms: dict[str, float] = {}
    plan: list[str] = Field([], description="The steps taken, in words")
    usage: Usage | None = None
    fallback: str | None = Field(None, description="Why the model's text was not used, when it was not")


class Profile(Part):
    """What the applicant told us about themselves; every field is optional and never guessed."""

    model_config = ConfigDict(extra="forbid")

    graduation_year: int | None = Field(None, ge=1950, le=2040)
    medical_school_country: str | None = Field(None, max_length=80)
    citizenship: str | None = Field(None, max_length=80)
    us_work_authorization: bool | None = None
    visa_needed: bool | None = None
    step1: str | int | None = None
    step2ck: int | None = Field(None, ge=1, le=300)
    step3: int | None = Field(None, ge=1, le=300)
    attempts: dict[str, int] | int | None = None
    usce_months: float | None = Field(None, ge=0, le=240)
    specialties: list[str] | None = Field(None, max_length=20)
    states: list[str] | None = Field(None, max_length=56)
    degree_path: str | None = Field(None, max_length=80)


class Noted(Part):
    """What the answer went by about the applicant, to be shown and corrected."""

    fields: Profile = Field(description="Everything told so far")
    changed: list[str] = Field([], description="Names of the fields that this message told or corrected")
    used: list[str] = Field([], description="Names of the fields that made this answer differ")
    problems: list[str] = Field([], description="What was told and cannot be so, or does not go together, with what could be")


class Answer(Part):
    id: str
    conversation_id: str | None = None
    created_at: dt.datetime
    status: Status
    language: str = "en"
    text: str
    sentences: list[Sentence] = []
    citations: list[Citation] = []
    checks: Checks = Checks()
    as_of: str | None = None
    warnings: list[Warning_] = []
    clarify: Clarify | None = None
    suggestions: list[str] = []
    handoff: HandoffRef | None = None
    tools: list[ToolUse] = []
    results: list[ToolResult] = Field([], description="What the tools found; `tools[i].result_ref` names one by its `ref`")
    profile: Noted | None = Field(None, description="What is known of the applicant; null where nothing was told")
    trace: Trace = Trace()


class Reply(Answer):
    """What a human advisor wrote: each sentence is verified like any other, or marked as own words that somebody stands for."""

    advisor: str
    own_words_by: str | None = Field(None, description="Who stands for the sentences of kind 'own'")


class Turn(Part):
    """One utterance of a conversation."""

    role: Literal["user", "assistant"]
    text: str


class Question(Part):
    """What a door hands in. `language` None means: detect."""

    text: str
    history: list[Turn] = []
    profile: Profile | None = None
    collection: str | None = None
    language: str | None = None
    conversation_id: str | None = None


class StatusEvent(Part):
    """What is happening, in words for people."""

    type: Literal["status"] = "status"
    text: str


class SentenceEvent(Part):
    """One verified sentence with the citations it needs (numbers agree with the final answer)."""

    type: Literal["sentence"] = "sentence"
    sentence: Sentence
    citations: list[Citation]


class AnswerEvent(Part):
    type: Literal["answer"] = "answer"
    answer: Answer


Event = StatusEvent | SentenceEvent | AnswerEvent
