"""What comes in and goes out over the API, where it is not one of the answer's own types."""

from __future__ import annotations

import datetime as dt
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from bot.answer import Answer, GuideRef, HandoffRef, Profile, Question, Reply, SourceRef, Turn
from bot.passage import Passage
from bot.store import Handoff

MAX_TEXT = 8000
MAX_HISTORY = 100


def check_text(text: str) -> str:
    """Refuses what no keyboard writes. Bidi and zero-width characters stay: Arabic, Persian and Hindi need them."""
    for character in text:
        if unicodedata.category(character) == "Cc" and character not in "\n\r\t":
            raise ValueError(f"holds a control character (U+{ord(character):04X}); remove it")
    return text


def check_visible(text: str) -> str:
    if not any(unicodedata.category(c)[0] not in "CZ" for c in text):
        raise ValueError("is empty; write something")
    return text


Said = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT),
    AfterValidator(check_text),
    AfterValidator(check_visible),
]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), AfterValidator(check_text)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(check_text)]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
ListOrOne = BeforeValidator(lambda value: [value] if isinstance(value, str) else value)


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Utterance(Body):
    """One earlier utterance, oldest first."""

    role: Literal["user", "assistant"]
    text: Annotated[str, StringConstraints(max_length=32_000), AfterValidator(check_text)]


History = Annotated[list[Utterance] | None, Field(max_length=MAX_HISTORY, description="Earlier utterances, oldest first")]


def turns(history: list[Utterance] | None) -> list[Turn]:
    return [Turn(role=said.role, text=said.text) for said in history or [] if said.text.strip()]


class AskBody(Body):
    question: Said = Field(description="1 to 8000 characters", examples=["What Step 2 CK score do I need?"])
    history: History = None
    profile: Profile | None = Field(None, description="What the applicant told about themselves")
    collection: Name | None = Field(None, description="The collection to ask; absent: the default one")
    language: Language | None = Field(None, description="Language of the answer; absent: detected", examples=["en"])

    def asked(self) -> Question:
        return Question(
            text=self.question, history=turns(self.history), profile=self.profile, collection=self.collection, language=self.language
        )


class Filters(Body):
    topics: Annotated[list[Name], ListOrOne] | None = Field(None, description="Only guides with one of these topics")
    guide: Name | None = Field(None, description="A guide's slug, or the start of one", examples=["visas/"])
    source_tier: Literal["primary", "secondary", "advice", "document"] | None = None
    as_of_from: Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d{2}){0,2}$")] | None = Field(None, description="Not older than this")


class SearchBody(Body):
    query: Said = Field(description="1 to 8000 characters", examples=["J-1 waiver after residency"])
    history: History = None
    k: int = Field(5, ge=1, le=50, description="How many passages")
    collection: Name | None = None
    filters: Filters | None = None


class PassageOut(BaseModel):
    chunk_id: str
    document_id: str
    text: str
    score: float = Field(description="0 to 1, higher is better")
    guide: GuideRef | None
    source: SourceRef
    as_of: str

    @classmethod
    def of(cls, passage: Passage) -> PassageOut:
        return cls(
            chunk_id=passage.chunk_id, document_id=passage.document_id, text=passage.text, score=passage.score, guide=passage.guide,
            source=passage.source, as_of=passage.as_of,
        )  # fmt: skip


class ChunkOut(BaseModel):
    """The passage that a citation quotes from."""

    chunk_id: str
    text: str = Field(description="The quote of a citation is an exact part of it")
    heading: list[str] = Field(description="Title of the guide, then its headings down to the passage")


class SearchResult(BaseModel):
    passages: list[PassageOut] = Field(description="Best first")


class Started(BaseModel):
    id: str
    token: str = Field(description="Opens this conversation and no other: `Authorization: Bearer …`. It cannot be had again")


class MessageBody(Body):
    text: Said = Field(description="1 to 8000 characters")
    language: Language | None = None

    def question(self, conversation_id: str) -> Question:
        return Question(text=self.text, language=self.language, conversation_id=conversation_id)


class UserTurn(BaseModel):
    role: Literal["user"]
    id: str
    text: str
    created_at: dt.datetime


class AssistantTurn(BaseModel):
    role: Literal["assistant"]
    id: str
    answer: Answer = Field(description="Byte for byte as it was first sent")


class AdvisorTurn(BaseModel):
    role: Literal["advisor"]
    id: str
    advisor: str = Field(description="Who wrote it")
    answer: Reply = Field(description="Checked and cited like any answer; sentences of kind 'own' are the advisor's own words")


class HandoffOut(HandoffRef):
    """The wish for a human advisor, and what came of it."""

    advisor: str | None = Field(None, description="Who took it on")
    reply_within: str | None = Field(None, description="How soon an advisor replies, in words; null: nothing is promised")
    created_at: dt.datetime
    updated_at: dt.datetime

    @classmethod
    def of(cls, handoff: Handoff, reply_within: str) -> HandoffOut:
        return cls(
            reason=handoff.reason, state=handoff.state, advisor=handoff.advisor_name, reply_within=reply_within or None,
            created_at=handoff.created_at, updated_at=handoff.updated_at,
        )  # fmt: skip


class ConversationOut(BaseModel):
    id: str
    created_at: dt.datetime
    profile: Profile | None
    handoff: HandoffOut | None
    turns: list[UserTurn | AssistantTurn | AdvisorTurn] = Field(description="Oldest first")


class FeedbackBody(Body):
    value: Literal[1, -1] = Field(description="1: helpful, -1: not helpful")
    reason: Note | None = Field(None, description="In one word or line", examples=["outdated"])
    comment: Note | None = None


class FeedbackOut(BaseModel):
    answer_id: str
    value: Literal[1, -1]
    reason: str | None = None
    comment: str | None = None


class HandoffBody(Body):
    reason: Note | None = Field(None, description="Why, in the visitor's words")


class Healthy(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether questions can be answered, and from what."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ready"] = "ready"
    knowledge_version: str | None = None
    documents: int | None = None
    chunks: int | None = None
    collection: str | None = None
    embedder: str | None = None
    model: str | None = None


def plain_filters(filters: Filters | None) -> dict[str, Any] | None:
    return filters.model_dump(exclude_none=True) if filters else None
