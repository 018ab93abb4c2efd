"""What human advisors do: drafts of replies, the check of what they write, and sending it."""

from __future__ import annotations

import datetime as dt
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.answer import Answer, AnswerEvent, Profile, Question, Reply, Sentence, Turn
from bot.answering import Answering
from bot.cite import Citations
from bot.compose import Draft
from bot.drafts import Draft as ReplyDraft
from bot.drafts import Length, Tone
from bot.errors import IndexMismatch, IndexMissing, InputError, UnknownCollection, Unsupported
from bot.evidence import Evidence
from bot.letter import LENGTHS, Answered, letter
from bot.memory import UTTERANCES
from bot.net import Mark, Marked, Net, doubts, todos, unborne
from bot.passage import Chunk
from bot.plan import Part, Plan
from bot.reply import Piece, read_reply, written
from bot.rewriter import Rewritten
from bot.store import StoredAnswer, StoredMessage, StoredQuestion, StoredReply
from bot.terms import Terms
from bot.urgency import weight
from bot.verify import Verdict
from bot.work import LookedUp, Room, Search, Weighed, Work
from bot.writing import BEARS_ON, OFFERED

log = logging.getLogger(__name__)

REMEMBERED = 2000
"""Sentences of replies whose check is remembered."""

LEAST_KNOWN, MOST_STRANGE = 2, 0.34
"""Of a sentence that a person wrote: so many of its words must be its source's, and no larger share of them may be strange to it."""

MOST_LOOKED_UP = 500
"""Characters."""

MOST_ASKED = 3
"""Messages of the applicant that one draft answers."""

Along = Callable[[AsyncConnection, Reply], Awaitable[None]]


class Desk(Answering):
    """The part of the front door that advisors use."""

    async def check_reply(self, handoff_id: str, advisor: str, text: str, *, own_words_by: str | None = None) -> Reply:
        """What would be sent: each sentence with the citations that bear it out, or marked as own words that somebody stands for.

        Raises:
            InputError: nothing is written, or too much, or nobody's name is given. Unsupported: a sentence that no guide bears out is
            nobody's own words. NotFound: there is no such hand-off.
        """
        net = await self.net(handoff_id, advisor, text, own_words_by=own_words_by)
        if net.todo:
            raise InputError(f"Something is left to be done in the reply: {net.todo[0]} Fill it or take it out.")
        if net.own and own_words_by is None:
            raise Unsupported(net.own)
        return net.reply

    async def net(self, handoff_id: str, advisor: str, text: str, *, own_words_by: str | None = None) -> Net:
        """A reply as it would be sent, with what is wrong with each of its sentences, where, and why.

        Raises:
            InputError: nothing is written, or too much, or nobody's name is given. NotFound: there is no such hand-off.
        """
        if not advisor.strip() or len(advisor) > 200 or not (own_words_by or advisor).strip():
            raise InputError("An advisor has a name of 1 to 200 characters; give one.")
        handoff = await self.store.handoff_of(handoff_id)
        pieces = read_reply(text)
        question = Question(text=text, conversation_id=handoff.conversation_id)
        work = Work(question, Plan(()), await self._room(None), Citations(self._today()), time.perf_counter())
        work.language = self._languages.detect(text)
        said = await self._framed(handoff.conversation_id)
        left = todos(text)
        marked = [await self._marked(work, piece, advisor, said, left) for piece in pieces]
        work.sentences = [each.sentence for each in marked]
        made = self._finished(work, "answered")
        values = {
            **{name: getattr(made, name) for name in Answer.model_fields},
            "text": written(pieces, work.sentences),
            "trace": made.trace.model_copy(update={"mode": "advisor"}),
        }
        own = any(sentence.kind == "own" for sentence in work.sentences)
        reply = Reply(**values, advisor=advisor.strip(), own_words_by=own_words_by.strip() if own and own_words_by else None)
        return Net(reply, tuple(marked))

    async def unborne(self, text: str) -> list[str]:
        """The sentences of a snippet that no guide bears out and that are no courtesies.

        Raises:
            InputError: nothing is written, or too much.
        """
        work = Work(Question(text=text), Plan(()), await self._room(None), Citations(self._today()), time.perf_counter())
        marked = [await self._marked(work, piece, "", frozenset(), todos(text)) for piece in read_reply(text)]
        return [each.sentence.text for each in marked if each.sentence.kind == "own"]

    async def reply(
        self, handoff_id: str, advisor: str, text: str, *, own_words_by: str | None = None, by: str | None = None,
        along: Along | None = None,
    ) -> Reply:
        """Checks an advisor's reply and puts it into the conversation.

        Args:
            advisor: the name that the applicant sees.
            by: who has the hand-off, where that is not the name: the id of an account.
            along: done in the transaction that stores the reply, with the reply; what it raises leaves nothing stored.
        Raises:
            See check_reply. Conflict: somebody else has the hand-off, or it is closed.
        """
        made = await self.check_reply(handoff_id, advisor, text, own_words_by=own_words_by)
        await self.store.add_reply(handoff_id, made, by=by, along=(lambda connection: along(connection, made)) if along else None)
        if made.own_words_by:
            own = sum(sentence.kind == "own" for sentence in made.sentences)
            log.info("Reply %s: %d of %d sentences are own words of %s.", made.id, own, len(made.sentences), made.own_words_by)
        return made

    async def weigh_items(self) -> None:
        """Works out how much those items of the inbox press that came in or were added to since the last call."""
        while items := await self.inbox.unweighed():
            try:
                calendar = (await self._room(None)).tables.calendar
            except (IndexMissing, IndexMismatch, UnknownCollection):  # people can be answered without guides, too
                calendar = []
            for item in items:
                found = weight(item.texts, calendar, self._terms, self._planner, self._today())
                await self.inbox.weigh(item, found)

    async def _framed(self, conversation_id: str) -> frozenset[str]:
        """What our answers to this applicant said around the facts ("Because you said …"): it may be said again."""
        found = [m for m in await self.store.messages(conversation_id) if isinstance(m, StoredAnswer)]
        answers = [Answer.model_validate_json(each.json) for each in found[-8:]]
        return frozenset(sentence.text for answer in answers for sentence in answer.sentences if sentence.kind == "frame")

    async def _marked(self, work: Work, piece: Piece, advisor: str, said: frozenset[str], left: Sequence[Mark]) -> Marked:
        """The sentence with its citations, or as somebody's own words; and its marks."""
        if here := [todo for todo in left if todo.start < piece.end and piece.start < todo.end]:
            opens = tuple(todo for todo in here if todo.start >= piece.start)  # the rest of it has no mark of its own
            return Marked(piece.start, piece.end, Sentence(text=piece.text, support=0.0, kind="own"), (), opens)
        if not piece.keys and (piece.text in said or self._courtesy.says_nothing(piece.text, advisor)):
            return Marked(piece.start, piece.end, Sentence(text=piece.text, support=1.0, kind="frame"), ())
        talk = not piece.keys and self._courtesy.is_talk(piece.text)
        weighed = Weighed((), None, None) if talk else await self._weigh(work, piece)
        if not weighed.evidence:
            near = weighed.nearest
            marks = unborne(
                piece, weighed.verdict, near.quote if near else "", near.key if near else "",
                near.chunk.guide.url if near and near.chunk.guide else "",
            )  # fmt: skip
            return Marked(piece.start, piece.end, Sentence(text=piece.text, support=0.0, kind="own"), (), tuple(marks))
        assert weighed.verdict is not None
        sentence = self._sentence(work, Draft(piece.text, weighed.evidence), weighed.verdict)
        work.used.extend(weighed.evidence)
        known = work.room.index.conflicts
        conflicts = dict.fromkeys(
            known[ident]["statement"] for item in weighed.evidence for fact in item.facts for ident in fact.conflicts if ident in known
        )
        cited = work.citations.get(sentence.citations)
        return Marked(
            piece.start, piece.end, sentence, tuple(item.key for item in weighed.evidence), tuple(doubts(piece, cited, list(conflicts)))
        )

    async def _weigh(self, work: Work, piece: Piece) -> Weighed:
        """The first evidence that bears a sentence out: what its keys name, else what the guides hold on it. What was weighed lately is
        remembered: whoever types is checked again and again."""
        key = (piece.text, piece.keys)
        found = work.room.weighed.pop(key, None)
        if found is None:
            if piece.keys:
                named = [work.room.evidence(each) for each in piece.keys]
                tried: list[tuple[Evidence, ...]] = [tuple(item for item in named if item is not None)]
            else:
                (looked,) = await self._find(work, Search((Part(piece.text),)))
                tried = [(item,) for item in looked.evidence[:OFFERED]] + list(combinations(looked.evidence[:BEARS_ON], 2))
            found = await self._worker.run(self._first_borne_out, work, piece.text, tried)
        work.room.weighed[key] = found
        while len(work.room.weighed) > REMEMBERED:
            work.room.weighed.popitem(last=False)
        return found

    def _first_borne_out(self, work: Work, text: str, tried: Iterable[tuple[Evidence, ...]]) -> Weighed:
        nearest = Weighed()
        for evidence in tried:
            if not evidence:
                continue
            verdict = self._check(work, text, evidence)
            if verdict.supported and verdict.support < 1.0:
                verdict = self._written_by_hand(text, evidence, verdict)
            if verdict.supported:
                return Weighed(evidence, verdict)
            if nearest.verdict is None or _nearness(verdict) > _nearness(nearest.verdict):
                nearest = Weighed((), verdict, evidence[0])
        return nearest

    def _written_by_hand(self, text: str, evidence: tuple[Evidence, ...], verdict: Verdict) -> Verdict:
        """What people write has not been made from the evidence: it must share more with it than one word and a likeness."""
        context = tuple(dict.fromkeys(line for item in evidence for line in item.context))
        known, strange = self._verifier.strange(text, [item.quote for item in evidence], context)
        if known >= LEAST_KNOWN and len(strange) <= MOST_STRANGE * (known + len(strange)):
            return verdict
        reasons = tuple(f"'{word}' is not in the quote" for word in strange[:4]) or ("meaning too far",)
        return replace(verdict, supported=False, support=min(verdict.support, 0.49), reasons=reasons)

    async def draft(
        self, handoff_id: str, *, author: str, name: str = "", tone: Tone = "neutral", length: Length = "normal",
        language: str | None = None,
    ) -> ReplyDraft:
        """Drafts a reply the way answers are made, from the conversation and the profile, and keeps it as the hand-off's open draft.

        Args:
            author: the account that asks for it; name: signs it.
            language: None: the applicant's.
        Raises:
            NotFound. IndexMissing, IndexMismatch.
        """
        handoff = await self.store.handoff_of(handoff_id)
        seen = await self.drafts.last_asked(handoff_id)
        messages = await self.store.messages(handoff.conversation_id)
        profile = await self.store.profile(handoff.conversation_id)
        answered, language_of = [], language or "en"
        for question in _unanswered(messages, profile):
            each, work = await self._answered_for_letter(question.model_copy(update={"language": language}), length)
            answered.append(each)
            language_of = work.language
        text = letter(self._prompts, answered, tone=tone, length=length, language=language_of, name=name)
        return await self.drafts.propose(
            handoff_id, text, author=author, tone=tone, length=length, language=language_of, seen=seen
        )  # fmt: skip

    async def _answered_for_letter(self, question: Question, length: Length) -> tuple[Answered, Work]:
        works: list[Work] = []

        def begin(work: Work) -> None:
            work.words, work.most = LENGTHS[length]
            work.translates = False  # an advisor edits what is checked against its English source
            works.append(work)

        answer = None
        async for event in self._answered(question, begin):
            if isinstance(event, AnswerEvent):
                answer = event.answer
        assert answer is not None, "a stream ends with an answer"
        work = works[-1]
        keys = {each.text: tuple(item.key for item in each.evidence) for each in work.checked if each.verdict.supported}
        asked = work.plan.parts if work.plan.scope is None and answer.status != "clarify" else ()
        missing = tuple(part.text.strip(" ?.") for i, part in enumerate(asked) if i not in work.answered and not work.plan.premises)
        return Answered(answer, frozenset(work.breaks), keys, missing), work

    async def send_draft(
        self, draft_id: str, number: int, *, by: str, name: str, seen: int = 0, own_words_by: str | None = None
    ) -> Reply:
        """Approves a version of a draft and sends it: both, or nothing.

        Args:
            by: the account that approves; name: what the applicant sees.
            seen: the last message of the applicant that `by` has read, where it is later than the draft's.
        Raises:
            Unsupported, InputError: see check_reply. WroteAgain. Conflict: another version holds, the draft is over, or somebody else has
            the hand-off. NotFound.
        """
        draft = await self.drafts.get(draft_id)
        version = await self.drafts.version(draft_id, number)

        async def along(connection: AsyncConnection, made: Reply) -> None:
            own = sum(sentence.kind == "own" for sentence in made.sentences)
            await self.drafts.sent(connection, draft_id, number, by=by, seen=seen, reply_id=made.id, own=own)

        return await self.reply(draft.handoff_id, name, version.text, own_words_by=own_words_by, by=by, along=along)

    @property
    def can_rewrite(self) -> bool:
        """Whether there is a model that puts letters into other words. Without one they can be made shorter all the same."""
        return self._rewriter.has_model

    async def rewrite(self, handoff_id: str, text: str, way: str, *, name: str, language: str = "en") -> Rewritten:
        """A letter in other words. `language`: the code of the one to translate into.

        Raises:
            InputError: no such way, or it needs a model. ModelFailed. NotFound.
        """
        net = await self.net(handoff_id, name, text)
        kinds = [each.sentence.kind for each in net.sentences]
        return await self._rewriter.rewrite(
            text, way, language=language, terms=self._terms, verifier=self._verifier, courtesy=self._courtesy, kinds=kinds
        )

    def today(self) -> dt.date:
        return self._today()

    async def look_up(self, text: str) -> LookedUp:
        """What the guides and tables hold on something, sentence by sentence, each to be cited by its key. Nothing where `text` is empty.

        Raises:
            IndexMissing, IndexMismatch.
        """
        if not text.strip():
            return LookedUp([], [])
        room = await self._room(None)
        query = self._languages.english(text[:MOST_LOOKED_UP])
        work = Work(Question(text=query), Plan(()), room, Citations(self._today()), 0.0)
        (found,) = await self._find(work, Search((Part(query),)))
        passages = [[Evidence(p.chunk, i) for i in range(len(p.chunk.spans))] for p in found.passages[:6]]
        rows = await self._worker.run(_rows_on, room, self._terms, query)
        return LookedUp(passages, [[Evidence(row, i) for i in range(len(row.spans))] for row in rows])

    @property
    def languages(self) -> list[tuple[str, str]]:
        """Code and name of the languages that letters can be framed in."""
        return [("en", "English"), *((code, self._languages.name(code)) for code in self._languages.codes if code != "en")]


def _rows_on(room: Room, terms: Terms, query: str, most: int = 5) -> list[Chunk]:
    """Rows that share the rarest words with the query; at least two words, or all there are."""
    wanted = set(terms.tokens(query))
    if not wanted:
        return []
    holds = [(row, wanted & _words_of(room, terms, row)) for row in room.index.table_rows]
    common = {word: sum(word in words for _, words in holds) for word in wanted}
    enough = [(row, words) for row, words in holds if len(words) >= min(2, len(wanted))]
    return [row for row, _ in sorted(enough, key=lambda each: -sum(1 / common[word] for word in each[1]))[:most]]


def _words_of(room: Room, terms: Terms, row: Chunk) -> set[str]:
    if row.chunk_id not in room.row_words:
        room.row_words[row.chunk_id] = set(terms.tokens(" ".join((*row.heading, row.text))))
    return room.row_words[row.chunk_id]


def _nearness(verdict: Verdict) -> tuple[float, int]:
    return verdict.support, -len(verdict.reasons)


def _unanswered(messages: Sequence[StoredMessage], profile: Profile | None) -> list[Question]:
    """What the applicant asked since an advisor last replied and our answers left open; where they left nothing open, the last question."""
    since = max((i for i, message in enumerate(messages) if isinstance(message, StoredReply)), default=-1) + 1
    answers = {m.question_id: Answer.model_validate_json(m.json) for m in messages if isinstance(m, StoredAnswer)}
    asked = [i for i, message in enumerate(messages) if isinstance(message, StoredQuestion)]
    # A greeting, and what only tells of the applicant, was never looked up: there is nothing to answer in it.
    real = [i for i in asked if messages[i].id not in answers or _looked_up(answers[messages[i].id])] or asked[-1:]
    fresh = [i for i in real if i >= since] or real[-1:]
    left = [i for i in fresh if messages[i].id not in answers or answers[messages[i].id].status not in ("answered", "corrected_premise")]
    chosen = (left or fresh[-1:])[-MOST_ASKED:]
    return [
        Question(text=_text(messages[i]), history=[_turn(m) for m in messages[max(0, i - UTTERANCES) : i]], profile=profile) for i in chosen
    ]  # fmt: skip


def _looked_up(answer: Answer) -> bool:
    return answer.status != "clarify" or bool(answer.trace.retrieved)


def _text(message: StoredMessage) -> str:
    return message.text if isinstance(message, StoredQuestion) else str(json.loads(message.json)["text"])


def _turn(message: StoredMessage) -> Turn:
    return Turn(role="user" if isinstance(message, StoredQuestion) else "assistant", text=_text(message))
