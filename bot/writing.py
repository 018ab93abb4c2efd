"""How an answer is written: composed of the guides' sentences or by a chat model, and verified sentence by sentence."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from bot.answer import Event, Question, Sentence, SentenceEvent, StatusEvent, ToolUse, Turn
from bot.compose import LEAST_WORDS, Draft, compose
from bot.errors import ModelFailed
from bot.evidence import Evidence
from bot.judge import judge
from bot.language import Understood
from bot.owners import owner_of
from bot.parts import Parts
from bot.plan import Part
from bot.retrieve import Found, evidence_of
from bot.rows import Tables
from bot.scope import Scope
from bot.spent import Spent
from bot.tools.langchain import as_langchain
from bot.tools.result import Outcome, given_texts, numbered
from bot.verify import Verdict
from bot.work import Checked, Room, Search, Work
from bot.writer import FailedSentence

OFFERED = 14
"""Sentences of evidence given to a chat model for each part of a question."""

THIN = 0.8
"""A part whose evidence is judged less likely than this to answer it is looked up further by the chat model."""

LATER_SEASONS = "start/what-we-do-not-hold#future-seasons"
"""The section that says who announces seasons to come."""

BEARS_ON = 4
"""A part counts as answered by what others wrote when one of its best few sentences is cited."""


class Writing(Parts):
    """The part of the front door that writes."""

    async def _write(self, work: Work) -> AsyncGenerator[Event, None]:
        """The chat model's sentences, each shown as soon as it is verified. What it leaves open is left to the composer.

        Where the evidence is thin it looks further first; what it wrote and could not be verified it may mend once.
        """
        assert self._writer is not None
        ident = work.question.conversation_id
        before = await self.store.spent(ident) if ident else Spent()
        if limit := self._budget.used_up(before):
            work.fallback = f"the conversation's budget of {limit} is used up"
            return
        began = time.perf_counter()
        offered = self._offered(work)
        if self._agent is not None and any(judged.probability < THIN for judged in work.judged):
            yield StatusEvent(text=self._say("looking_further", work.language))
            await self._look_further(work, offered, before)
            offered = [*offered, *(item for item in work.looked_up if item.key not in {o.key for o in offered})]
        shown = len(work.sentences)
        if work.plan.premises and offered:
            await self._worker.run(self._correct, work)
        own = len(work.sentences)
        for again in (False, True):
            if not offered or again and (not work.failed or work.fallback or self._budget.used_up(before + work.spent)):
                break
            mend, work.failed = (work.failed if again else []), []
            async for _ in self._written(work, offered, mend):
                for event in self._shown(work, shown):
                    yield event
                shown = len(work.sentences)
        work.dropped += len(work.failed)
        for event in self._shown(work, shown):
            yield event
        work.spent += Spent(seconds=time.perf_counter() - began - work.spent.seconds)
        if ident:
            await self.store.spend(ident, work.spent)
        written = len(work.sentences) - own
        if not work.fallback:
            if not written:
                work.fallback = "nothing it wrote could be verified" if work.dropped else "it found no answer"
            elif work.dropped > written:
                work.fallback = "most of what it wrote could not be verified"
        work.model = self._model if written else None
        if written and (work.fallback is None or written >= 2):
            work.answered |= {i for i in range(len(work.judged)) if self._touched(work, i)}

    async def _written(
        self, work: Work, offered: Sequence[Evidence], mend: Sequence[FailedSentence]
    ) -> AsyncGenerator[Sentence, None]:
        """One reply of the chat model, verified; what fails is kept in `work.failed`."""
        assert self._writer is not None
        keys = {item.key: item for item in offered}
        said = {sentence.text for sentence in work.sentences}

        def count(tokens_in: int, tokens_out: int) -> None:
            work.spent += self._budget.spent(tokens_in, tokens_out)

        try:
            async with aclosing(
                self._writer.write(
                    " ".join(part.text for part in work.plan.parts), offered, history=work.question.history, profile=work.question.profile,
                    failed=mend, count=count,
                )
            ) as drafts:  # fmt: skip
                async for draft in drafts:
                    evidence = tuple(keys[key] for key in draft.keys if key in keys)
                    sentence = await self._worker.run(self._verified, work, Draft(draft.text, evidence, draft.kind))
                    if sentence is None:
                        reasons = work.checked[-1].verdict.reasons if evidence else ("it names no evidence",)
                        work.failed.append(FailedSentence(draft.text, draft.keys, reasons))
                    elif sentence.text not in said:
                        self._keep(work, sentence, evidence)
                        yield sentence
        except ModelFailed as error:
            if not mend:
                work.fallback = error.reason

    async def _look_further(self, work: Work, offered: Sequence[Evidence], before: Spent) -> None:
        assert self._agent is not None

        async def search(query: str) -> list[Evidence]:
            """Sentences on the model's query; none where what was found does not answer even that."""
            found = (await self._find(work, Search((Part(query),))))[0]
            return found.evidence if judge(found, self._today()).answerable else []

        found_in_tables: list[tuple[str, dict[str, Any], Outcome]] = []
        own = work.room.tables if work.room.index.collection == self._collection else Tables([], self._terms)
        gathered = await self._agent.gather(
            " ".join(part.text for part in work.plan.parts), offered, search, history=work.question.history,
            tools=as_langchain(own, self._today(), lambda *found: found_in_tables.append(found)),
            profile=work.question.profile, spent=before,
        )  # fmt: skip
        work.looked_up = gathered.evidence
        for name, arguments, outcome in found_in_tables[:3]:
            if all(use.name != name for use in work.tools) and self._shown_result(work, name, arguments, outcome):
                work.looked_up += outcome.said
        work.steps += gathered.steps
        work.spent += gathered.spent
        if gathered.failed:
            work.steps.append(f"the model could not look further: {gathered.failed}")

    def _offered(self, work: Work) -> list[Evidence]:
        result: dict[str, Evidence] = {}
        for found, judged in zip(work.found, work.judged, strict=True):
            if judged.answerable:
                for item in found.evidence[:OFFERED]:
                    result.setdefault(item.key, item)
        return list(result.values())

    def _touched(self, work: Work, part: int) -> bool:
        """Whether something said so far rests on the evidence of a part, or on what was looked up for want of it."""
        found = work.found[part]
        if work.judged[part].answerable:
            own = {item.key for item in found.evidence[:BEARS_ON]}
            return any(item.key in own for item in work.used)
        looked_up = {item.key for item in work.looked_up}
        return any(item.key in looked_up and set(found.query.guarded) <= item.chunk.entities for item in work.used)

    def _compose(self, work: Work) -> None:
        """What no model has answered, from the guides' own sentences; then which parts stay open."""
        if work.plan.premises and len(work.sentences) == work.opened:
            self._correct(work)
        looked_up = {i for i in work.answered if not work.model}  # prose says what the tables do not
        open_parts = [i for i, judged in enumerate(work.judged) if judged.answerable and (i not in work.answered or i in looked_up)]
        if work.covered:
            open_parts = []
        words = max(min(LEAST_WORDS, work.words), work.words // max(1, len(open_parts))) - 12 * bool(work.sentences)
        for i in open_parts:
            work.breaks.add(len(work.sentences))
            for draft in compose(work.found[i], work.room.vector, words=words, taken=work.used, most=work.most):
                sentence = self._verified(work, draft)
                if sentence is None:
                    work.dropped += 1
                    continue
                self._keep(work, sentence, draft.evidence)
                work.answered.add(i)
            if i not in work.answered and self._touched(work, i):
                work.answered.add(i)
        said = [set(sentence.figures) for sentence in work.sentences]
        fresh = [s for s in work.told_last if not (s.figures and any(set(s.figures) <= figures for figures in said))]
        work.breaks.add(len(work.sentences))
        work.sentences += fresh
        if work.unsure is not None:
            self._frame(work, "no_such_name", kind=work.unsure.kind, called=work.unsure.name, nearest=work.unsure.nearest)
        elif work.answered or work.used:
            for i, part in enumerate(work.plan.parts):
                if i not in work.answered and not (work.plan.premises and len(work.plan.parts) == 1):
                    names = [self._terms.name(n) for n in work.judged[i].missing]
                    named = part.text if len(work.plan.parts) > 1 or work.language == "en" else work.question.text
                    self._frame(work, "part_missing_name" if names else "part_missing", part=named.strip(" ?."), names=names)
        else:
            self._nothing(work)

    def _correct(self, work: Work) -> None:
        """The correction of a widespread error, from the section that holds it."""
        for premise in work.plan.premises[:2]:
            for item in self._section(work.room, premise.section)[:2]:
                draft = compose(Found(work.found[0].query, [], [item]), work.room.vector, first=item)
                sentence = self._verified(work, draft[0]) if draft else None
                if sentence is not None:
                    self._keep(work, sentence, (item,))

    def _section(self, room: Room, section: str) -> list[Evidence]:
        slug, _, anchor = section.partition("#")
        chunks = [c for c in room.index.chunks if c.document_id == slug and c.anchor == anchor]
        return [Evidence(c, i, 1.0) for c in chunks for i in range(len(c.spans))]

    def _nothing(self, work: Work) -> None:
        if work.asked_back is not None:  # the question that is asked back is the answer
            self._frame(work, "depends")
            return
        asked = " ".join(part.text for part in work.plan.parts)
        if self._season_to_come(work):
            self._quote(work, [LATER_SEASONS])
            self._official_page(work, asked)
            self._frame(work, "ask_human")
            return
        names = [self._terms.name(n) for n in (work.judged[0].missing if work.judged else ())]
        self._frame(work, "no_answer_name" if names else "no_answer", names=names)
        if work.found and not names and self._say_what_is_not_held(work, work.found[0]):
            self._official_page(work, asked)
            self._frame(work, "ask_human")
            return
        titles = list(dict.fromkeys(p.chunk.heading[0] for found in work.found for p in found.passages[:3] if p.score > 0.2))[:3]
        if titles:
            self._frame(work, "nearest", guides=titles)
        self._frame(work, "ask_human")

    def _season_to_come(self, work: Work) -> bool:
        """Whether a year after the last season of our tables is asked about; says so."""
        seasons = [row.cells.season for row in work.room.tables.calendar if row.cells.season.isdigit()]
        years = sorted({year for found in work.found for year in found.query.years if seasons and int(year) > int(max(seasons))})
        if years and self._at_home(work):
            self._frame(work, "no_season", years=years, latest=max(seasons))
        return bool(years)

    def _say_what_is_not_held(self, work: Work, found: Found) -> bool:
        """The section that names what the guides lack and who has it, where it fits the question better than what they hold."""
        if found.not_held is None or (found.passages and found.not_held.score < found.passages[0].score):
            return False
        for item in evidence_of(found.not_held)[:2]:
            sentence = self._verified(work, Draft(item.span.said, (item,), "advice"))
            if sentence is not None:
                work.sentences.append(sentence)
        return True

    def _out_of_scope(self, work: Work, scope: Scope, text: str) -> None:
        for name in scope.phrase.split():
            self._frame(work, name)
        self._quote(work, _nearest(scope, work.found))
        if scope.kind == "not_held":
            self._official_page(work, text)
        work.closing = scope.closing
        if scope.closing and not work.plan.parts:  # else it is said after what else is answered
            self._close(work)

    def _close(self, work: Work) -> None:
        """The last sentence of a rule, where what was answered besides does not end with it."""
        if all(sentence.text != self._say(work.closing, work.language) for sentence in work.sentences[work.opened :]):
            self._frame(work, work.closing)

    def _quote(self, work: Work, sections: Sequence[str]) -> None:
        for section in sections:
            for item in self._section(work.room, section)[:3]:
                sentence = self._verified(work, Draft(item.span.said, (item,), "advice" if item.span.facts == ("advice",) else "fact"))
                if sentence is not None:
                    self._keep(work, sentence, ())  # it answers nothing

    def _official_page(self, work: Work, text: str) -> None:
        if owner := owner_of(self._planner.owners, self._terms, text):
            self._frame(work, "official_page", office=owner.name, url=owner.url)

    def _verified(self, work: Work, draft: Draft) -> Sentence | None:
        """The sentence with its citations, or None when neither it nor its evidence's own words are borne out."""
        if not draft.evidence:
            return None
        verdict = self._check(work, draft.text, draft.evidence)
        if not verdict.supported:
            plain = draft.evidence[0].span.said
            if len(draft.evidence) > 1 or plain == draft.text or draft.text.split(" (as of ")[0].rstrip(".") != plain.rstrip("."):
                return None
            return self._verified(work, Draft(plain, draft.evidence, draft.kind))
        return self._sentence(work, draft, verdict)

    def _check(self, work: Work, text: str, evidence: tuple[Evidence, ...]) -> Verdict:
        context = tuple(dict.fromkeys(line for item in evidence for line in item.context))
        as_of = [fact.as_of for item in evidence for fact in item.cited]
        verdict = self._verifier.check(text, [item.quote for item in evidence], context=context, as_of=as_of)
        work.checked.append(Checked(text, evidence, verdict))
        return verdict

    def _sentence(self, work: Work, draft: Draft, verdict: Verdict) -> Sentence:
        return Sentence(
            language="en" if work.language != "en" else None,
            text=draft.text, citations=work.citations.of(draft.evidence), figures=list(verdict.figures), support=verdict.support,
            kind="advice" if all(item.span.facts == ("advice",) for item in draft.evidence) else "fact",
        )  # fmt: skip

    def _in_english(self, text: str, history: Sequence[Turn]) -> tuple[Understood, list[Turn]]:
        """Message and history in English words, as far as the word lists of their languages go."""
        turns: list[Turn] = []
        said: list[str] = []
        for turn in history:
            if turn.role == "user":
                turn, own = turn.model_copy(update={"text": self._languages.read(turn.text, said).english or turn.text}), turn.text
                said.append(own)
            turns.append(turn)
        return self._languages.read(text, said), turns

    def _language(self, question: Question) -> str:
        return self._languages.answered_in(question.language, question.text, [t.text for t in question.history if t.role == "user"])

    def _keep(self, work: Work, sentence: Sentence, evidence: Sequence[Evidence]) -> None:
        if not work.withheld and sentence.language == "en" and not any(s.language == "en" for s in work.sentences):
            self._frame(work, "quoted")
        work.sentences.append(sentence)
        work.used.extend(evidence)

    def _frame(self, work: Work, name: str, **values: object) -> None:
        work.sentences.append(Sentence(text=self._prompts.say(name, work.language, **values), support=1.0, kind="frame"))

    def _say(self, name: str, language: str, /, **values: object) -> str:
        return self._prompts.say(name, language, **values)

    async def _translate(self, work: Work, since: int) -> None:
        """Says verified English sentences in the language of the answer, where that is faithful. What is not stays English, and marked."""
        assert self._translator is not None
        work.withheld = False
        places = [i for i, sentence in enumerate(work.sentences) if i >= since and sentence.language == "en"]
        if not places:
            return
        ident, spent = work.question.conversation_id, [Spent()]
        began = time.perf_counter()

        def count(tokens_in: int, tokens_out: int) -> None:
            spent.append(self._budget.spent(tokens_in, tokens_out, time.perf_counter() - began))

        if limit := self._budget.used_up(await self.store.spent(ident) if ident else work.spent):
            work.steps.append(f"not translated: the conversation's budget of {limit} is used up")
        else:
            done = await self._translator.translated([work.sentences[i].text for i in places], work.language, count)
            for i, text in zip(places, done.texts, strict=True):
                if text is not None:
                    sentence = work.sentences[i]
                    work.sentences[i] = sentence.model_copy(update={"text": text, "original": sentence.text, "language": None})
            translated = sum(text is not None for text in done.texts)
            work.steps += [f"translated by {self._model}: {translated} of {len(places)} sentences", *done.reasons]
            if done.failed:
                work.steps.append(f"the model could not translate: {done.failed}")
            work.spent += spent[-1]
            if ident:
                await self.store.spend(ident, spent[-1])
        name = "translated" if any(sentence.original for sentence in work.sentences) else "quoted"
        work.sentences.insert(places[0], Sentence(text=self._say(name, work.language), support=1.0, kind="frame"))
        work.breaks = {place + (place > places[0]) for place in work.breaks}

    def _at_home(self, work: Work) -> bool:
        """Whether the guides are asked: rules on the applicant hold for no other documents."""
        return work.room.index.collection == self._collection and not work.plan.premises

    def _shown(self, work: Work, since: int = 0) -> Iterable[SentenceEvent]:
        for sentence in () if work.withheld else work.sentences[since:]:
            yield SentenceEvent(sentence=sentence, citations=work.citations.get(sentence.citations))

    def _shown_result(self, work: Work, name: str, arguments: dict[str, Any], outcome: Outcome) -> bool:
        """Adds what a tool found to the answer; not where no row stands its check."""
        ref = f"r{len(work.results) + 1}"
        result, wrong = numbered(name, outcome, ref, work.citations, given_texts(arguments, self._today().isoformat()))
        work.steps += [f"tool: {name} {json.dumps(arguments, ensure_ascii=False)}", *(f"not shown: {reason}" for reason in wrong)]
        if result.rows:
            work.tools.append(ToolUse(name=name, arguments=arguments, result_ref=ref))
            work.results.append(result)
        return bool(result.rows)


def _nearest(scope: Scope, found: Sequence[Found]) -> list[str]:
    """The sections that a rule quotes."""
    sections = scope.section.split()
    if not scope.nearest:
        return sections
    lacking = [f"{each.not_held.document_id}#{each.not_held.chunk.anchor}" for each in found if each.not_held is not None]
    return [next((section for section in lacking if section in sections), sections[0])]
