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


class Sentence(Part):
    text: str
    citations: list[int] = []
    figures: list[str] = []
    support: float = Field(1.0, ge=0, le=1)
    kind: Literal["fact", "frame", "advice"] = "fact"


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
    state: Literal["offered", "requested", "assigned", "closed"]


class ToolUse(Part):
    name: str
    arguments: dict[str, Any] = {}
    result_ref: str | None = None


class Retrieved(Part):
    chunk_id: str
    score: float


class Trace(Part):
    mode: Literal["extractive", "llm"] = "extractive"
    model: str | None = None
    knowledge_version: str = ""
    prompt_version: str = ""
    retrieved: list[Retrieved] = []
    timings_ms: dict[str, float] = {}
    plan: list[str] = Field([], description="The steps taken, in words")
    fallback: str | None = Field(None, description="Why the model's text was not used, when it was not")


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
    trace: Trace = Trace()


class Turn(Part):
    """One utterance of a conversation."""

    role: Literal["user", "assistant"]
    text: str


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
