"""From a question to an answer: plan, gather, write, verify, save."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from bot import tools
from bot.answer import (
    Answer,
    AnswerEvent,
    Checks,
    Clarify,
    Event,
    HandoffRef,
    Noted,
    Profile,
    Question,
    Retrieved,
    Sentence,
    Status,
    StatusEvent,
    Trace,
    Turn,
    Usage,
)
from bot.bearing import value_of
from bot.cite import Citations, oldest, warnings
from bot.compose import Draft
from bot.errors import AdvisorError, InputError, NotFound
from bot.field import Looked, foreign, sure
from bot.judge import Judgement, judge
from bot.kinds import (
    CERTAIN,
    FRAGMENTS,
    HONEST,
    OURS,
    OVERRULED,
    PERHAPS,
    PLAIN,
    SURELY,
    SURELY_HONEST,
    Kinds,
    MessageVectors,
    decided,
    doubted,
    says_something,
)
from bot.language import Understood
from bot.memory import UTTERANCES, Memory
from bot.messages import UNSAFE, MessageKind
from bot.passage import Chunk, Passage
from bot.plan import Plan, readable
from bot.profile import Problem, Told, contradictions, merged
from bot.profile import shown as shown_value
from bot.scope import Scope
from bot.spent import Spent
from bot.tools.choose import Call, Unsure
from bot.work import Explained, Search, Work
from bot.writing import Writing

log = logging.getLogger(__name__)
_TOLD_ELSE = frozenset({"legal", "medical", "neighbouring"})
"""Rules that say whom to ask: where the guides do not surely answer an honest question with their words, that is still the best to say."""

MOST_K = 50

MEANT = 1000
"""Characters of a message that its kind is told from."""

_NOTHING_NOTED = frozenset({"refused", "handoff"})
"""Status of messages that are not about an application: nothing is noted of whoever is in need, or wants what is refused."""

_SURE = frozenset({"graduation_year", "step1", "step2ck", "step3", "visa_needed"})
"""What is noted of messages in other languages."""

_STAYS = frozenset({"handoff", "partial"})
"""Status of a rule that stays whatever is answered besides: a human is offered."""


class Answering(Writing):
    """The part of the front door that answers."""

    # -- answering -------------------------------------------------------------------------------------------------

    async def stream(self, question: Question) -> AsyncGenerator[Event, None]:
        """Status events, verified sentences one by one, and the whole Answer last.

        With `question.conversation_id` the history and profile come from the store, and question and answer are saved there; messages of
        one conversation are answered one after the other. Closing the iterator early stops the work.

        Raises:
            InputError: empty or too long a question. UnknownCollection, IndexMissing, IndexMismatch: see bot.errors.
        """
        readable(question.text)
        if question.conversation_id is None:
            async with aclosing(self._answered(question)) as events:
                async for event in events:
                    yield event
            return
        ident = question.conversation_id
        async with self._lock(ident):
            memory, history = await self.store.memory(ident), await self.store.history(ident)
            if memory.standing and len(history) >= UTTERANCES:
                history = [Turn(role="user", text=memory.standing), *history]
            known = question.model_copy(update={"history": history, "profile": question.profile or await self.store.profile(ident)})
            works: list[Work] = []
            message = await self.store.add_question(ident, question.text, question.language)
            async with aclosing(self._answered(known, works.append)) as events:
                async for event in events:
                    if isinstance(event, AnswerEvent):
                        await self._save(ident, message, event.answer)
                        await self.store.remember(ident, self._remembered(memory, works[-1], event.answer))
                    yield event

    async def _save(self, conversation_id: str, message: str, answer: Answer) -> None:
        try:
            await self.store.add_answer(conversation_id, message, answer)
        except NotFound:  # forgotten while the answer was being made: then it must not be kept
            log.info("A conversation was forgotten before its answer was ready.")

    async def answer(self, question: Question) -> Answer:
        """The last event of `stream`."""
        async for event in self.stream(question):
            if isinstance(event, AnswerEvent):
                return event.answer
        raise AssertionError("a stream ends with an answer")

    def _lock(self, conversation_id: str) -> asyncio.Lock:
        lock = self._busy.pop(conversation_id, None) or asyncio.Lock()
        self._busy[conversation_id] = lock
        while len(self._busy) > 2000:
            oldest_id = next(iter(self._busy))
            if self._busy[oldest_id].locked():
                break
            del self._busy[oldest_id]
        return lock

    async def explained(self, question: Question) -> Explained:
        """The answer and how it came about; nothing is stored. For evaluators and for whoever asks why.

        Raises:
            as `stream`.
        """
        readable(question.text)
        works: list[Work] = []
        answer = None
        async for event in self._answered(question.model_copy(update={"conversation_id": None}), works.append):
            if isinstance(event, AnswerEvent):
                answer = event.answer
        assert answer is not None and works, "a stream ends with an answer"
        work = works[-1]
        urgent = work.urgent or work.plan.scope is not None and work.plan.scope.kind == "emergency"
        return Explained(answer, work.plan, work.found, work.judged, work.checked, urgent, work.guess)

    async def _answered(self, question: Question, watch: Callable[[Work], None] = lambda _: None) -> AsyncGenerator[Event, None]:
        began = time.perf_counter()
        language = self._language(question)
        yield StatusEvent(text=self._say("reading", language))
        room = await self._room(question.collection)
        read, history = self._in_english(question.text, question.history)
        at_home = room.index.collection == self._collection
        text, history = read.english or question.text, self._asked(history)
        plan = self._planner.plan(text, history, guides=at_home, said=question.text)
        if plan.scope is not None and plan.scope.kind == "emergency" and language == "en" and not question.language:
            language = self._languages.answered_in(plan.scope.language_of(question.text), question.text)
        work = Work(question, plan, room, Citations(self._today()), began, language=language)
        if read.language != "en":
            work.steps.append(f"read from {self._languages.name(read.language)}: {read.english or 'nothing'}")
        watch(work)
        if plan.scope is not None:
            await self._weighed_against(work, plan.scope, text, history)
            plan = work.plan
        if plan.scope is None or plan.scope.status not in _NOTHING_NOTED:
            await self._note(work)
        asks = read.language != "en" and "?" in read.english
        tells_only = not asks and work.told.anything and self._profiles.tells_only(read.told, work.told)
        if plan.scope is None and tells_only and not self._resumed(work):
            for event in self._ended(work, "clarify"):
                yield event
            return
        if work.plan.scope is None and at_home and not read.enough:
            work.steps.append(f"too little is understood: {', '.join(read.unknown[:12])}")
            scope = await self._hardly_meant(work, text, read)
            if scope is None:
                urgent = self._perhaps_urgent(work)
                self._frame(work, "not_understood")
                if not urgent:  # even so, whoever is in danger may have written just that
                    self._frame(work, "emergency")
                for event in self._ended(work, "no_answer"):
                    yield event
                return
            work.plan = self._planner.scoped(text, history, scope)
            self._perhaps_urgent(work)
        gathered = False
        if work.plan.scope is None:
            yield StatusEvent(text=self._say("searching", language))
            await self._gather(work)
            if scope := await self._decided(work, text, read.language):
                looked_for, work.plan = work.plan.parts, self._planner.scoped(text, history, scope)
                if gathered := scope.goes_on == "all":  # the very questions that were looked for already
                    work.plan = replace(work.plan, parts=looked_for)
            if self._perhaps_urgent(work) and work.plan.scope is None:
                for event in self._shown(work):
                    yield event
                work.opened = len(work.sentences)
                work.breaks.add(work.opened)
        if work.plan.scope is not None:
            await self._worker.run(self._out_of_scope, work, work.plan.scope, text)
            if not gathered:
                work.found, work.judged = [], []
            if not work.plan.parts:
                for event in self._ended(work, work.plan.scope.status):  # type: ignore[arg-type]
                    yield event
                return
            for event in self._shown(work):
                yield event
            work.opened = len(work.sentences)
            work.breaks.add(work.opened)
            if not gathered:
                yield StatusEvent(text=self._say("searching", language))
                await self._gather(work)
        opened = len(work.sentences)
        work.withheld = work.translates and language != "en" and self._translator is not None
        guides = {p.document_id for found, judged in zip(work.found, work.judged, strict=True) if judged.answerable for p in found.passages}
        if guides:
            yield StatusEvent(text=self._say("found", language, guides=len(guides)))
        start = time.perf_counter()
        await self._worker.run(self._because, work)
        await self._worker.run(self._look_up, work)
        work.since("tools", start)
        for event in self._shown(work, work.opened):
            yield event
        start = time.perf_counter()
        if self._writer is not None and (guides or self._agent is not None) and not work.covered:
            async with aclosing(self._write(work)) as written:
                async for said in written:
                    yield said
        shown = len(work.sentences)
        await self._worker.run(self._compose, work)
        if work.closing:
            self._close(work)
        self._acknowledge(work)
        work.since("compose", start)
        for event in self._shown(work, shown):
            yield event
        status = self._status(work)
        if work.asked_back is not None and status in ("answered", "partial", "no_answer"):
            status = "clarify"
        if work.plan.scope is not None and work.plan.scope.status in _STAYS:
            status = work.plan.scope.status  # type: ignore[assignment]
        elif work.plan.scope is not None and work.plan.scope.kind == "not_held" and status == "answered":
            status = "partial"
        if work.withheld:
            yield StatusEvent(text=self._say("translating", language))
            await self._translate(work, opened)
            for event in self._shown(work, opened):
                yield event
        yield AnswerEvent(answer=self._finished(work, status))

    async def _gather(self, work: Work) -> None:
        start = time.perf_counter()
        if self._at_home(work):
            self._put(work)
        work.found = await self._find(work, Search(work.plan.parts))
        work.judged = [judge(found, self._today()) for found in work.found]
        work.since("retrieve", start)

    async def _decided(self, work: Work, text: str, language: str) -> Scope | None:
        """The rule that a message falls under by its meaning, and by what was found for it."""
        looked = [Looked(found, judged) for found, judged in zip(work.found, work.judged, strict=True)]
        surely = sure(looked)
        if scope := await self._meant(work, text, any(each.judged.answerable for each in looked), surely):
            return None if scope.kind == "not_held" and self._lists_programs(work) else scope
        if work.plan.leaning is not None:  # unless the guides are sure to answer, or the meaning is that of a question for them
            return None if surely or work.guess is not None and work.guess["in_scope"] >= HONEST else work.plan.leaning
        ours = work.guess is not None and work.guess["in_scope"] + work.guess["not_held"] >= OURS
        if language == "en" and self._at_home(work) and not work.question.history and not ours and foreign(looked):
            return self._planner.kind("out_of_scope")
        return None

    async def _weighed_against(self, work: Work, scope: Scope, text: str, history: Sequence[Turn]) -> None:
        """What a rule has decided by words, seen by the meaning: danger is never passed over, an honest question with the words of an
        emergency is answered after the urgent help, and one with the words of most other rules as any other; what must not be answered is
        not looked up because it asks for something that nobody here knows."""
        guess = await self._guessed(work, text)
        if guess is None or self._perhaps_urgent(work):
            return
        if scope.kind == "emergency" and guess["in_scope"] >= HONEST:
            work.plan = self._planner.scoped(text, history, replace(scope, goes_on="all"))
        elif scope.kind in OVERRULED and guess["in_scope"] >= SURELY_HONEST and says_something(work.question.text):
            open_plan = self._planner.plan(text, history, said=work.question.text, ruled=False)
            work.plan = replace(open_plan, leaning=scope if scope.kind in _TOLD_ELSE else None)
            work.steps.append(f"meant: an honest question, though it has words of: {scope.id}")
        elif scope.kind == "not_held":
            kind = max(guess, key=lambda each: guess[each])
            if kind in UNSAFE and guess[kind] >= SURELY and (refusal := self._planner.kind(kind)) is not None:
                work.plan = self._planner.scoped(text, history, refusal)
                work.steps.append(f"meant: {kind}, though it has words of: {scope.id}")

    def _perhaps_urgent(self, work: Work) -> bool:
        """Names urgent help first, where something else is likelier but danger may be meant."""
        scope, guess = work.plan.scope, work.guess
        if guess is None or guess["emergency"] < PERHAPS or scope is not None and scope.kind == "emergency":
            return False
        if work.urgent or not says_something(work.question.text):
            return False
        self._frame(work, "emergency")
        work.urgent = True
        work.steps.append("meant: perhaps an emergency")
        return True

    async def _guessed(self, work: Work, text: str) -> dict[MessageKind, float] | None:
        """How likely a message is of each kind; None where that cannot be told."""
        kinds = self._weighed()
        if kinds is None or kinds.embedder != self._embedder.fingerprint or not self._at_home(work):
            return None
        if work.guess is None:
            said, meant = work.question.text[:MEANT], text[:MEANT]
            work.guess = await self._worker.run(self._guess, kinds, said, meant)
        return work.guess

    def _guess(self, kinds: Kinds, said: str, meant: str) -> dict[MessageKind, float]:
        tell = self._embedder.embed_kinds
        meaning, spoken = self._embedder.embed([meant])[0], self._universal.embed([said])[0]
        trained = tell([meant])[0] if tell and kinds.tuned else None
        vectors = MessageVectors(meaning, spoken, trained)
        guess = kinds.guess(vectors, said, meant)
        if kinds.heard is None or said == meant and max(guess.values()) >= CERTAIN:
            return guess
        return kinds.guess(replace(vectors, trained_spoken=self._universal.embed_kinds([said])[0]), said, meant)

    async def _meant(self, work: Work, text: str, answered: bool, surely: bool = False) -> Scope | None:
        guess = await self._guessed(work, text)
        if guess is None or work.question.history and not says_something(work.question.text):
            return None
        kind = decided(guess, answered=answered, surely=surely)
        nothing = not answered and kind is None and work.plan.leaning is None  # that nothing is held will be told
        perhaps = doubted(guess, kind) if answered or nothing else None
        taken = perhaps or kind
        if taken is None or work.question.history and taken not in UNSAFE:
            return None
        work.steps.append(f"meant: {'perhaps ' if perhaps else ''}{taken}")
        scope = self._planner.kind(taken)
        if scope is not None and perhaps:
            return scope.doubted(answered=answered)
        if scope is None or taken != "emergency" or not answered or guess[taken] >= PLAIN:
            return scope
        return replace(scope, goes_on="all", status="answered")  # it may be a question as well: that is answered after the urgent help

    async def _hardly_meant(self, work: Work, text: str, read: Understood) -> Scope | None:
        """`_meant` of a message that is hardly understood; None where that is the best to say."""
        if read.language == "en" and not read.unknown:
            return None  # pictures alone mean too many things
        scope = await self._meant(work, text, answered=False)
        if scope is not None and scope.in_doubt:
            return None
        if scope is None or scope.kind in UNSAFE and scope.kind != "emergency":
            return scope
        if scope.kind == "out_of_scope" and read.language == "en":
            return None  # it may well be of our field, in a language that is not held
        # Danger may wait for more: the reply that too little is understood names urgent help, too.
        return scope if work.guess is None or work.guess[scope.kind] >= FRAGMENTS else None

    def _ended(self, work: Work, status: Status) -> Iterable[Event]:
        """The last events of an answer that rests on nothing looked up."""
        self._acknowledge(work)
        yield from self._shown(work)
        yield AnswerEvent(answer=self._finished(work, status))

    # -- searching -------------------------------------------------------------------------------------------------

    async def search(
        self, query: str, *, history: Sequence[Turn] = (), k: int = 5, collection: str | None = None, filters: dict[str, Any] | None = None
    ) -> list[Passage]:
        """Ranked passages, best first. `filters`: topics, guide (slug or its start), source_tier, as_of_from.

        Raises:
            InputError: an empty query, k outside 1..50, or an unknown filter. UnknownCollection, IndexMissing, IndexMismatch.
        """
        if not 1 <= k <= MOST_K:
            raise InputError(f"k is {k}; choose 1 to {MOST_K}.")
        keep = _filter(filters or {})
        read, history = self._in_english(query, history)
        parts = self._planner.questions(read.english or query, self._asked(history))
        work = Work(Question(text=query, collection=collection), Plan(parts), await self._room(collection), Citations(self._today()), 0.0)
        found = await self._find(work, Search(parts, max(k, 5 if len(parts) == 1 else 8), keep, short=True))
        if len(found) == 1:
            return found[0].passages[:k]
        merged: dict[str, Passage] = {}
        for rank in range(max(k, 8)):
            for each in found:
                if rank < len(each.passages):
                    merged.setdefault(each.passages[rank].chunk_id, each.passages[rank])
        return [_ranked(p, i) for i, p in enumerate(list(merged.values())[:k], 1)]

    # -- the applicant ---------------------------------------------------------------------------------------------

    async def _note(self, work: Work) -> None:
        """What the message tells of the applicant is kept with the conversation and goes into this answer already."""
        question = work.question
        before: list[str] = []
        known = question.profile
        for turn in question.history:
            if turn.role == "user":
                if question.conversation_id is None:
                    known = merged(known, self._told(turn.text, before, known))[0]
                before.append(turn.text)
        work.told = self._told(question.text, before, known)
        profile, changed = merged(known, work.told)
        if changed and question.conversation_id:
            try:
                profile = await self.store.note(question.conversation_id, profile.model_dump(include=set(changed)))
            except NotFound:  # forgotten meanwhile: then nothing is to be kept
                log.info("A conversation was forgotten before its profile was noted.")
        problems = [*work.told.problems, *(contradictions(profile, self._today()) if changed else ())]
        if profile.model_dump(exclude_none=True) or problems:
            work.question = question.model_copy(update={"profile": profile})
            work.noted = Noted(fields=profile, changed=changed, problems=[self._problem(p, work.language) for p in problems])

    def _told(self, text: str, before: Sequence[str], known: Profile | None) -> Told:
        """What a message tells of whoever writes; in other languages only what word lists keep apart from all else."""
        read = self._languages.read(text, before)
        told = self._profiles.read(read.told, known, self._today())
        if read.language == "en":
            return told
        fields = {name: value for name, value in told.fields.items() if name in _SURE}
        spans = told.spans if len(fields) == len(told.fields) else []
        return Told(fields, [problem for problem in told.problems if problem.field in _SURE], spans)

    def _remembered(self, memory: Memory, work: Work, answer: Answer) -> Memory:
        standing = self._planner.standing(self._asked([*work.question.history, Turn(role="user", text=work.question.text)]))
        asked = [part.text for part in work.plan.parts] if work.plan.scope is None and work.found else []
        waits = answer.status == "clarify"
        still = [text for i, text in enumerate(asked) if waits or answer.status in ("partial", "no_answer") and i not in work.answered]
        return memory.after(standing, [text for text in asked if text not in still], still)

    def _asked(self, history: Sequence[Turn]) -> list[Turn]:
        """The history without messages that only tell of the applicant: no follow-up leans on them."""
        return [t for t in history if t.role != "user" or not self._profiles.only_tells(t.text)]

    def _resumed(self, work: Work) -> bool:
        """A message that only tells answers what was asked back, or corrects what an answer went by: that question is asked again."""
        standing = self._planner.standing(self._asked(self._in_english("", work.question.history)[1]))
        before = (work.noted.fields if work.noted else Profile()).model_copy(update=dict.fromkeys(work.noted.changed) if work.noted else {})
        if not standing or self._bearing.lacks(standing, "", before) is None or not (work.noted and work.noted.changed):
            return False
        work.plan = self._planner.plan(standing)
        work.plan = replace(work.plan, steps=("answers what was asked back", *work.plan.steps))
        return work.plan.scope is None

    def _put(self, work: Work) -> None:
        """What was told of the applicant goes into questions that leave it open; what is still open is asked back."""
        profile = work.question.profile
        parts, work.put = self._bearing.put(work.plan.parts, profile)
        work.plan = replace(work.plan, parts=parts)
        work.steps += [f"told: {rule.field} put into the question" for rule in work.put]
        if len(parts) == 1:
            work.asked_back = self._bearing.lacks(parts[0].text, parts[0].about, profile)
        if work.asked_back is not None:
            work.steps.append(f"asks back: {work.asked_back.id}")

    def _because(self, work: Work) -> None:
        """Opens the answer with what holds for this applicant, and says what of them it goes by."""
        profile, today = work.question.profile, self._today()
        if profile is None or work.noted is None or not self._at_home(work):
            return
        for put in work.put:
            work.breaks.add(len(work.sentences))
            self._frame(work, put.say, profile=profile)
            work.noted.used.append(put.field)
        for number, part in enumerate(work.plan.parts):
            for rule in self._bearing.sections(part.text, profile, today):
                items = self._section(work.room, rule.section)
                if rule.naming:
                    name = str(value_of(rule.naming, profile, today)).lower()
                    named = [item for item in items if re.search(rf"\b{re.escape(name)}\b", item.span.said.lower())]
                    items = [*(item for item in items[:1] if item not in named), *named] if named else []
                first = items[: rule.sentences + bool(rule.naming)]
                said = [(item, self._verified(work, Draft(item.span.said, (item,)))) for item in first]
                kept = [(item, sentence) for item, sentence in said if sentence is not None and item not in work.used]
                if not kept:
                    continue
                work.breaks.add(len(work.sentences))
                self._frame(work, rule.say, profile=profile, attempts=value_of("attempts_most", profile, today))
                for item, sentence in kept:
                    self._keep(work, sentence, (item,))
                work.noted.used += [name for name in rule.has if name not in work.noted.used]
                work.steps.append(f"told: {rule.id}")
                work.answered.add(number)

    def _problem(self, problem: Problem, language: str) -> str:
        name = self._say(f"field_{problem.field}", language)
        return self._say(f"profile_{problem.kind}", language, field=name, said=problem.said, allowed=problem.allowed)

    def _acknowledge(self, work: Work) -> None:
        """Says what was noted, and what could not be."""
        if work.noted is None or not (work.noted.changed or work.noted.problems):
            return
        work.breaks.add(len(work.sentences))
        if work.noted.changed:
            fields = [
                (self._say(f"field_{name}", work.language), self._value(getattr(work.noted.fields, name), work.language))
                for name in work.noted.changed
            ]
            self._frame(work, "noted", fields=fields)
        for problem in work.noted.problems:
            work.sentences.append(Sentence(text=problem, support=1.0, kind="frame"))

    def _value(self, value: object, language: str) -> str:
        return self._say("yes" if value else "no", language) if isinstance(value, bool) else shown_value(value)

    # -- looking up ------------------------------------------------------------------------------------------------

    def _chosen(self, work: Work) -> tuple[list[Call], Unsure | None]:
        room = work.room
        if self._chooser is None or not room.tables or room.index.collection != self._collection or work.plan.premises:
            return [], None
        return self._chooser.choose(_as_read(work), work.question.profile, room.tables, self._today())

    def _lists_programs(self, work: Work) -> bool:
        """Whether the table of programs answers a message, however much it sounds like one that nobody can answer."""
        return any(call.tool == "program_finder" and call.covers for call in self._chosen(work)[0])

    def _look_up(self, work: Work) -> None:
        """What tables know better than prose: the main values as sentences, the rest as results. What fails is left to prose."""
        calls, work.unsure = self._chosen(work)
        for call in calls:
            try:
                self._call(work, call)
            except Exception as error:
                known = isinstance(error, AdvisorError)
                if not known:
                    log.exception("The tool %s failed.", call.tool)
                work.steps.append(f"tool: {call.tool} failed: {error if known else type(error).__name__}")
        work.covered = bool(work.results) and all(i in work.answered for i in range(len(work.plan.parts))) and all(c.covers for c in calls)
        if work.unsure is not None:
            work.steps.append(f"no {work.unsure.kind} is called {work.unsure.name}")

    def _call(self, work: Work, call: Call) -> None:
        outcome = tools.find(call.tool, call.arguments, work.room.tables, self._today())
        drafts = [self._verified(work, Draft(item.span.said, (item,))) for item in outcome.said]
        if not self._shown_result(work, call.tool, call.arguments, outcome):
            return
        said = [sentence for sentence in drafts if sentence is not None]
        work.dropped += len(drafts) - len(said)
        if not said or call.covers:
            said.append(Sentence(text=self._say(f"tool_{call.tool}", work.language), support=1.0, kind="frame"))
        if call.leads:
            work.breaks.add(len(work.sentences))
            work.sentences += said
        else:
            work.told_last += said
        work.answered |= set(call.parts)

    # -- the answer object -----------------------------------------------------------------------------------------

    def _status(self, work: Work) -> Status:
        if work.unsure is not None and not work.used:
            return "clarify"
        if not work.answered and not work.used:
            return "no_answer"
        if work.plan.premises and work.used:
            return "corrected_premise"
        return "answered" if len(work.answered) == len(work.plan.parts) else "partial"

    def _finished(self, work: Work, status: Status) -> Answer:
        parts: list[str] = []
        for i, sentence in enumerate(work.sentences):
            marks = "".join(f"[{n}]" for n in sentence.citations)
            glue = "" if not parts else "\n\n" if i in work.breaks else " "
            parts.append(glue + sentence.text + (f" {marks}" if marks else ""))
        claims = [s for s in work.sentences if s.kind in ("fact", "advice")]
        figures = sum(len(s.figures) for s in claims)
        citations = work.citations.all
        work.since("total", work.began)
        unanswered = status in ("no_answer", "partial")
        return Answer(
            id=secrets.token_urlsafe(12),
            conversation_id=work.question.conversation_id,
            created_at=dt.datetime.now(dt.UTC),
            status=status,
            language=work.language,
            text="".join(parts),
            sentences=work.sentences,
            citations=citations,
            checks=Checks(sentences=len(claims), supported=len(claims), figures=figures, figures_supported=figures, dropped=work.dropped),
            as_of=oldest(citations),
            warnings=warnings(citations, self._conflicts(work), self._prompts, work.language),
            clarify=self._clarify(work) if status == "clarify" else None,
            suggestions=self._suggestions(work),
            handoff=HandoffRef(reason=self._prompts.say("handoff_reason", work.language), state="offered")
            if unanswered or status == "handoff" else None,
            tools=work.tools,
            results=work.results,
            profile=work.noted,
            trace=Trace(
                mode="llm" if work.model else "extractive",
                model=work.model,
                knowledge_version=work.room.index.knowledge_version,
                prompt_version=self._prompts.version,
                retrieved=self._retrieved(work),
                timings_ms=work.timings,
                plan=[*work.plan.steps, *work.steps, *(_judged_in_words(i, judged) for i, judged in enumerate(work.judged, 1))],
                usage=_usage(work.spent),
                fallback=work.fallback,
            ),
        )  # fmt: skip

    def _clarify(self, work: Work) -> Clarify:
        if work.asked_back is not None:
            return Clarify(question=self._say(work.asked_back.say, work.language), options=list(work.asked_back.options))
        if work.unsure is not None:
            asked = self._prompts.say("which_name", work.language, kind=work.unsure.kind)
            return Clarify(question=asked, options=list(work.unsure.nearest))
        return Clarify(question=self._prompts.say("greeting_question", work.language), options=self._suggestions(work))

    def _retrieved(self, work: Work) -> list[Retrieved]:
        """Passages of all parts in turn, best first, each once."""
        result: dict[str, Retrieved] = {}
        for rank in range(8):
            for found in work.found:
                if rank < len(found.passages):
                    passage = found.passages[rank]
                    result.setdefault(passage.chunk_id, Retrieved(chunk_id=passage.chunk_id, score=passage.score))
        return list(result.values())

    def _conflicts(self, work: Work) -> list[tuple[dict[str, Any], list[int]]]:
        """Known disagreements that a cited fact takes part in, with the numbers of its citations."""
        concerned: dict[str, list[int]] = {}
        for item in work.used:
            numbers = work.citations.of([item])
            for fact in item.facts:
                for ident in fact.conflicts:
                    concerned.setdefault(ident, []).extend(n for n in numbers if n not in concerned.get(ident, []))
        known = work.room.index.conflicts
        return [(known[ident], numbers) for ident, numbers in list(concerned.items())[:3] if ident in known]

    def _suggestions(self, work: Work) -> list[str]:
        """What the neighbouring sections answer, as their guides put the question."""
        cited = {item.chunk.chunk_id for item in work.used}
        result: list[str] = []
        for found in work.found:
            for passage in found.passages:
                questions = [q for q in passage.chunk.questions if q[:1].isupper()]
                if questions and passage.chunk_id not in cited and passage.score > 0.3 and questions[0] not in result:
                    result.append(questions[0])
        return result[:3]


def _usage(spent: Spent) -> Usage | None:
    if not spent.tokens_in:
        return None
    return Usage(tokens_in=spent.tokens_in, tokens_out=spent.tokens_out, seconds=round(spent.seconds, 2), usd=round(spent.usd, 6))


def _as_read(work: Work) -> list[str]:
    """The questions with what was told around them, misspelt words as the search has read them."""
    texts = []
    for part, found in zip(work.plan.parts, work.found, strict=True):
        text = f"{part.text} {part.context}"
        for word, other in found.query.read_as.items():
            text = re.sub(rf"\b{re.escape(word)}\b", other, text, flags=re.I)
        texts.append(text)
    return texts


def _judged_in_words(part: int, judged: Judgement) -> str:
    return f"part {part}: {'answerable' if judged.answerable else 'not answerable'} ({judged.probability:.2f})"


def _ranked(passage: Passage, rank: int) -> Passage:
    return Passage(passage.chunk, passage.score, rank, passage.span_scores, passage.cosine, passage.coverage, passage.details)


def _filter(filters: dict[str, Any]) -> Callable[[Chunk], bool] | None:
    """
    Raises:
        InputError: an unknown filter.
    """
    known = {"topics", "guide", "source_tier", "as_of_from"}
    wrong = set(filters) - known
    if wrong:
        raise InputError(f"There is no filter '{sorted(wrong)[0][:40]}'. Use {', '.join(sorted(known))}.")
    if not filters:
        return None
    topics = filters.get("topics") or []
    wanted = {topics} if isinstance(topics, str) else set(map(str, topics))
    guide, tier, since = filters.get("guide"), filters.get("source_tier"), filters.get("as_of_from")

    def keep(chunk: Chunk) -> bool:
        return (
            (not wanted or bool(wanted & set(chunk.topics)))
            and (not guide or chunk.document_id.startswith(str(guide)))
            and (not tier or any(f.source.tier == tier for f in chunk.facts.values()) or chunk.source.tier == tier)
            and (not since or (chunk.as_of != "unknown" and chunk.as_of >= str(since)))
        )

    return keep
