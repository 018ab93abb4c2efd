"""Question -> ranked passages and the sentences in them that answer it.

First stage: the nearest chunks and stored questions in Chroma, and BM25. Second stage: every candidate is scored again from exact
vectors, sentence by sentence, together with how much of the question's idf mass it covers and whether it names what the question names.

A search is embedded the short way first (`Short`), an answer never; and once more by the embedder of the index where what is found leaves a
doubt.

Cosines of different embedders live on different scales (gte-small: unrelated sentences already at 0.75), so they are used as distances
from the mean of unrelated pairs, in standard deviations (`Scale`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from bot.coverage import Coverage, Covered
from bot.evidence import Evidence
from bot.index import Index
from bot.orders import gives_orders
from bot.passage import Chunk, Passage
from bot.spelling import english
from bot.terms import STOP, Terms, fold, stem
from bot.verify import Polarity

RARE = 0.02
ECHO_FROM = 0.5
CANDIDATES = 32
"""Taken from each of Chroma and BM25; the rest of the work is on their union."""
AGREES, ASKED_FOR_AGREEMENT = 0.96, 20
"""Mean cosine of the vectors of the short way with the embedder's from which on it is used (0.977 over the golden questions, which it was
not learnt from), and over how many stored questions it is taken."""
TOGETHER = 8
"""Queries with one call to the embedder and one to Chroma: more do not make one query cheaper, fewer leave more to be waited for."""
AHEAD = 2
"""So many of these calls at a time, while others are scored: then two processors have always something to do."""

Embed = Callable[[Sequence[str]], np.ndarray]
Rival = Callable[[frozenset[str]], float]
Key = TypeVar("Key")

# What a question names must be named by its evidence, too; the other kinds are only kept from being mixed up.
STRICT = frozenset({"visa", "form", "exam", "pathway", "waiver", "system", "state", "institution", "company"})
NOT_HELD = "not-held"
"""Topic of guides whose sections say what is not held, and who has it."""
TOLD_APART = ("state", "institution", "company", "exam", "visa", "pathway", "specialty")
RIVALS = frozenset({*STRICT, "specialty", "country", "group"})

# Weights of the passage score, fitted on tests/golden by listwise logistic regression (`make fit`); all features are about 0..1. "echo"
# (the words of a stored question come back) is set by hand: the golden questions are worded unlike the stored ones on purpose.
WEIGHTS = {
    "chunk": 2.4, "span": 2.2, "question": 4.2, "question2": 2.7, "keywords": 4.2, "coverage": 1.1, "span_coverage": 0.8, "named": 0.1,
    "missing": -0.2, "rival": -0.1, "proper": -0.8, "echo": 3.0,
}  # fmt: skip
# Of a sentence, row or item; fitted the same way against the sentences that hold what an answer must say.
SPAN_WEIGHTS = {
    "cosine": 3.9, "coverage": 2.4, "passage": 4.2, "first_passage": 1.6, "rival": -0.3, "opening": 1.9, "second": 0.3, "advice": -0.9,
    "numbers": 1.3, "proper": -1.5, "row": 0.5,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of the cosine of unrelated texts."""

    mean: float
    deviation: float

    def of(self, cosine: np.ndarray | float) -> np.ndarray:
        """0 for unrelated, about 1 for the same statement; a paraphrase is some five deviations away."""
        return np.clip((np.asarray(cosine) - self.mean) / (5 * self.deviation), -0.5, 1.5)


# Measured over 20,000 random pairs of sentences of the guides.
SCALES = {"gte-small": Scale(0.80, 0.033), "all-MiniLM-L6-v2": Scale(0.22, 0.125)}


@dataclass(frozen=True, slots=True)
class Query:
    """A standalone question, ready to search with."""

    text: str  # as embedded
    tokens: tuple[str, ...]  # with the plain words of abbreviations
    core: dict[str, tuple[frozenset[int], ...]]  # word that must be covered -> the terms that cover it, any one set
    entities: dict[str, str]  # id -> kind
    proper: frozenset[str] = frozenset()  # words of `core` that are names
    words: frozenset[str] = frozenset()  # all words of the question, those of asking too
    numbers: frozenset[str] = frozenset()
    years: frozenset[str] = frozenset()  # years asked about; not those of the asker's own life
    read_as: dict[str, str] = field(default_factory=dict)  # misspelt word -> word

    @property
    def guarded(self) -> frozenset[str]:
        """What a sentence must name to count at all: the hospital or company asked about, else the state."""
        for kinds in (frozenset({"institution", "company"}), frozenset({"state"})):
            if found := self.named(kinds):
                return found
        return frozenset()

    def named(self, kinds: frozenset[str]) -> frozenset[str]:
        return frozenset(ident for ident, kind in self.entities.items() if kind in kinds)


@dataclass(frozen=True, slots=True)
class Found:
    """What the index holds on a query. `evidence` is ordered by score; `unknown` are words of the question no document has.

    `not_held`: the best section that says what the guides do not hold (topic "not-held"); it competes with the passages, and is none.
    """

    query: Query
    passages: list[Passage]
    evidence: list[Evidence]
    unknown: tuple[str, ...] = ()
    not_held: Passage | None = None
    has_questions: bool = True  # whether the documents say which questions they answer
    rare: frozenset[str] = frozenset()  # things asked about that few passages name: one that does not cannot be about them
    dropped: float = 0.0  # score of the best sentence that was left out, because it speaks of something else by name


@dataclass(frozen=True, slots=True)
class Wanted:
    """`keep`: which chunks may be found. `short`: whether the short way to embed may be tried first."""

    query: Query
    k: int = 8
    keep: Callable[[Chunk], bool] | None = None
    short: bool = True


@dataclass(frozen=True, slots=True)
class Short:
    """A quicker, less exact way to embed questions, and whether what was found with it is to be looked for again with the embedder."""

    embed: Embed
    in_doubt: Callable[[Found], bool]


class Retriever:
    """Searches one loaded index. Pure CPU work but for Chroma; safe to call from one thread at a time."""

    def __init__(self, index: Index, terms: Terms, embed: Embed, polarity: Polarity | None = None, short: Short | None = None) -> None:
        """
        Args:
            embed: the embedder of the index. short: tried first, where it agrees with it.
        """
        self.index = index
        self.terms = terms
        self._synonyms = polarity.synonyms if polarity else {}
        self.embed = embed
        self.scale = self._scale()
        self._coverage = Coverage(index.keywords)
        self._spans = np.array([len(chunk.spans) for chunk in index.chunks], np.int64)
        self._say_not = np.array([holds_not(chunk) for chunk in index.chunks], bool)
        self._firsts = np.asarray(index.keywords.span_firsts)  # among the spans of all chunks
        self._counts, self._names = self._surface_words()
        self._by_initial: dict[str, list[str]] = {}
        for word in self._counts:
            self._by_initial.setdefault(word[0], []).append(word)
        self._asked = lru_cache(maxsize=20_000)(self._asked_words)
        self._short = short if short is not None and self._agrees(short) else None
        self._ahead = ThreadPoolExecutor(AHEAD, thread_name_prefix="nearest")  # its threads end when nobody refers to this retriever
        self._has_questions = any(chunk.questions for chunk in index.chunks)
        self._shares = Counter(ident for chunk in index.chunks for ident in chunk.entities)
        self._facets = lru_cache(maxsize=20_000)(lambda row: heading_entities(terms, self.index.chunks[row]))
        self._kinds = lru_cache(maxsize=20_000)(self._kinds_of)
        self._standing = lru_cache(maxsize=20_000)(self._standing_of)

    def _scale(self) -> Scale:
        name = self.index.meta["embedder"].partition("@")[0]
        if name in SCALES:
            return SCALES[name]
        vectors = self.index.vectors
        if len(vectors) < 50:
            return Scale(0.3, 0.12)
        rng = np.random.default_rng(7)
        a, b = rng.integers(0, len(vectors), (2, 4000))
        cosines = np.einsum("ij,ij->i", vectors[a], vectors[b])[a != b]
        return Scale(float(cosines.mean()), max(float(cosines.std()), 0.01))

    def _agrees(self, short: Short) -> bool:
        """Whether a short way gives nearly the vectors of the questions that these documents answer, which the index has. It was made for
        other documents, maybe."""
        asked = [
            (question, int(self.index.starts[row]) + 1 + len(chunk.spans) + n)
            for row, chunk in enumerate(self.index.chunks) for n, question in enumerate(chunk.questions)
        ]  # fmt: skip
        some = asked[:: max(1, len(asked) // ASKED_FOR_AGREEMENT)][:ASKED_FOR_AGREEMENT]
        if not some:
            return False
        vectors = short.embed([question for question, _ in some])
        return float((vectors * self.index.vectors[[at for _, at in some]]).sum(1).mean()) >= AGREES

    def _surface_words(self) -> tuple[Counter[str], frozenset[str]]:
        """How often each word stands in the corpus, and those words that only ever stand with a capital inside a sentence: names."""
        texts = (" ".join([*chunk.heading, chunk.text, *chunk.questions]) for chunk in self.index.chunks)
        text = "\n".join(text if text.isascii() else fold_case(text) for text in texts)
        runs = Counter(text.encode("ascii", "replace").translate(_APART).split())  # a pattern takes three times as long
        small: Counter[str] = Counter()
        for run, count in runs.items():
            word = run.partition(b"'")[0].decode()
            if len(word) > 3 and word.islower():
                small[word] += count
        capital = Counter(word.lower() for word in _CAPITAL.findall(text))
        return small + capital, frozenset(capital.keys() - small.keys())

    # -- reading the question --------------------------------------------------------------------------------------

    def query(self, text: str, *, about: str = "", context: str = "") -> Query:
        """`about`: the earlier question that this one leans on; `context`: what was told besides. Both help the search and need not be
        covered; only `text` and `about` ask for things by name.
        """
        text, read_as = self._spelt(text)
        whole = f"{text} {about} {context}".strip()
        asked = f"{text} {about}"
        own = set(_OWN_LIFE.findall(self.terms.canonical(asked)))
        entities = {ident: kind for kind, idents in self.terms.found(asked).items() for ident in idents if ident not in own}
        tokens = self.terms.tokens(text)
        plain = self._plain(text)
        core = {t: self._alternatives(t, plain) for t in tokens if not t.isdigit() and "-" not in t and t not in _ASKING}
        proper = frozenset(stem(w) for w in _WORD.findall(fold(text)) if w in self._names and w not in STOP) & set(core) - set(entities)
        years = frozenset(_YEAR.findall(_OWN_YEAR.sub("", fold(text))))
        return Query(
            self.terms.expanded(whole),
            tuple(self.terms.tokens(whole, expand=True)),
            core,
            entities,
            proper,
            self._all_words(text),
            frozenset(_NUMBER.findall(text)),
            years,
            read_as,
        )

    def _plain(self, text: str) -> dict[str, tuple[str, ...]]:
        """Of each abbreviation in a text, by its stem, the tokens of the plain words it stands for."""
        words = [word for word in fold(text).split() if self.terms.is_abbreviation(word.strip(",.?!"))]
        return {stem(word): self.terms.spelled_out(word) for word in reversed(words)}

    def _alternatives(self, token: str, plain: Mapping[str, tuple[str, ...]]) -> tuple[frozenset[int], ...]:
        sets = [(token,), *((other,) for other in self._synonyms.get(token, ())), *((plain[token],) if plain.get(token) else ())]
        return tuple(self.index.keywords.term_ids(words) for words in sets)

    def _spelt(self, text: str) -> tuple[str, dict[str, str]]:
        """Words that neither the corpus nor English has, read as its nearest word: one slip, or two in nine letters and more."""
        read_as: dict[str, str] = {}

        def nearest(match: re.Match[str]) -> str:
            word = fold(match.group())
            if word in self._counts or word in STOP or not (word.isalpha() and word.isascii()) or self.terms.is_abbreviation(word):
                return match.group()
            if any(self.terms.found(word).values()) or self._stem_known(word) or word in english():
                return match.group()
            near = extract(word, self._by_initial.get(word[0], ()), scorer=OSA.distance, score_cutoff=1 if len(word) < 9 else 2, limit=5)
            if len(word) == 4:  # so short a word is only trusted with a letter left out or two exchanged
                near = [found for found in near if _same_letters(word, found[0])]
            best = min(near, key=lambda found: (found[1], not _same_letters(word, found[0]), -self._counts[found[0]]), default=None)
            if best is None or match.group().isupper():
                return match.group()
            read_as[match.group()] = best[0]
            return best[0]

        return re.sub(r"(?<![\w'-])[^\W\d_]{4,}(?![\w'-])", nearest, text), read_as

    def _stem_known(self, word: str) -> bool:
        return any(token in self.index.keywords.vocabulary for token in self.terms.tokens(word))

    def _asked_words(self, row: int) -> tuple[frozenset[str], ...]:
        """Of the questions that a chunk answers; its own heading is often one."""
        chunk = self.index.chunks[row]
        return tuple(self._all_words(question) for question in (*chunk.questions, chunk.heading[-1]))

    def _all_words(self, text: str) -> frozenset[str]:
        return frozenset(_EVERY_WORD.findall(self.terms.canonical(text)))

    def prepare(self) -> None:
        """Reads of every chunk what searches would else read of it one by one. Any thread may call it."""
        for row, chunk in enumerate(self.index.chunks):
            self._asked(row)
            self._facets(row)
            self._standing(row)
            gives_orders(chunk.text)

    def is_rare(self, ident: str) -> bool:
        """Whether so few passages name a thing that one which does not cannot be about it."""
        return self._shares[ident] < RARE * len(self.index.chunks)

    # -- searching -------------------------------------------------------------------------------------------------

    def find(
        self, queries: Iterable[Query], k: int = 8, keep: Callable[[Chunk], bool] | None = None, *, short: bool = True
    ) -> list[Found]:  # fmt: skip
        asked = enumerate(Wanted(query, k, keep, short) for query in queries)
        result: dict[int, Found] = {}
        self.serve(lambda most: list(islice(asked, most)), result.__setitem__)
        return [result[number] for number in range(len(result))]

    def serve(self, more: Callable[[int], Sequence[tuple[Key, Wanted]]], found: Callable[[Key, Found], None]) -> None:
        """Finds for as long as there is something to find, and tells of each as soon as it can: some queries are embedded and looked for in
        Chroma while others are read and scored.

        Args:
            more: up to so many queries that wait by now, each under a key. found: told what was found, not in the order of `more`.
        """
        exact = deque[tuple[Key, Wanted]]()

        def following() -> _Batch[Key] | None:
            """Those that are looked for again go first: somebody has waited for them already."""
            if not exact:
                waiting = more(TOGETHER)
                quick = [(key, wanted) for key, wanted in waiting if self._short and wanted.short]
                exact.extend((key, wanted) for key, wanted in waiting if not (self._short and wanted.short))
                if quick:
                    assert self._short
                    return _Batch(quick, self._short.embed)
            part = [exact.popleft() for _ in range(min(len(exact), TOGETHER))]
            return _Batch(part, self.embed) if part else None

        running = deque[tuple[_Batch[Key], Future[list[tuple[np.ndarray, list[str]]]]]]()

        def started() -> bool:
            while len(running) < AHEAD and (batch := following()):
                running.append((batch, self._ahead.submit(self._nearest, batch)))
            return bool(running)

        while started():
            batch, near = running.popleft()
            weighed = [self._weigh(wanted.query) for _, wanted in batch.wanted]
            nearest = near.result()
            started()
            for (key, wanted), words, (vector, ids) in zip(batch.wanted, weighed, nearest, strict=True):
                result = self._find(wanted, words, vector, ids)
                if self._short and batch.embed is not self.embed and self._short.in_doubt(result):
                    exact.append((key, wanted))
                else:
                    found(key, result)

    def _nearest(self, batch: _Batch[Any]) -> list[tuple[np.ndarray, list[str]]]:
        """The vector of each query and the entries of the index that are nearest to it: work outside of Python."""
        vectors = batch.embed([wanted.query.text for _, wanted in batch.wanted])
        return list(zip(vectors, self.index.snapshot.query(vectors, CANDIDATES), strict=True))

    def _weigh(self, query: Query) -> _Words:
        """What the words of a query tell, before its vector is there."""
        keywords = self.index.keywords
        bm25 = keywords.scores(query.tokens)
        top: np.ndarray = np.argpartition(-bm25, min(CANDIDATES, len(bm25) - 1))[:CANDIDATES] if len(bm25) else np.empty(0, np.int64)
        weights = {token: keywords.rarity(token) for token in query.core}
        names = [keywords.vocabulary.get(name, -1) for name in query.proper]
        return _Words(bm25, top[bm25[top] > 0].tolist(), self._coverage.of(query.core, weights, names), self._rivals(query))

    def _find(self, wanted: Wanted, words: _Words, vector: np.ndarray, ids: list[str]) -> Found:
        query = wanted.query
        rows = self.index.rows
        near = {row for row in map(rows.get, {ident.partition("#")[0] for ident in ids}) if row is not None}
        near.update(words.top)
        if wanted.keep is not None:
            near = {row for row in near if wanted.keep(self.index.chunks[row])}
        scored = self._scored(np.array(sorted(near), np.int64), query, vector, words)
        best = np.argsort(-scored.scores, kind="stable")
        say_not = self._say_not[np.array(scored.rows, np.int64)[best]]
        passages = [self._passage(scored, i, rank, query, words) for rank, i in enumerate(best[~say_not][: wanted.k].tolist(), 1)]
        lacking = next((self._passage(scored, i, 1, query, words) for i in best[say_not][:1].tolist()), None)
        everything = sorted((e for p in passages if not gives_orders(p.text) for e in evidence_of(p)), key=lambda e: -e.score)
        of_another = self._of_another(everything, query)
        evidence = [e for e, other in zip(everything, of_another, strict=True) if not other]
        left_out = next((e.score for e, other in zip(everything, of_another, strict=True) if other), 0.0)
        unknown = tuple(t for t in query.core if t not in self.index.keywords.vocabulary and t not in query.entities)
        return Found(
            query,
            passages,
            evidence,
            unknown,
            lacking,
            self._has_questions,
            frozenset(i for i, kind in query.entities.items() if kind != "pathway" and self.is_rare(i)),
            left_out,
        )

    def _scored(self, rows: np.ndarray, query: Query, vector: np.ndarray, words: _Words) -> _Scored:
        """The features of all candidates at once: one by one, some seventy of them took a quarter of a search."""
        index, count, bm25, covered = self.index, len(rows), words.bm25, words.covered
        starts, spans = index.starts[rows], self._spans[rows]
        lengths = index.starts[rows + 1] - starts
        at = np.cumsum(lengths) - lengths  # where the vectors of a candidate begin among those of all
        cosines = index.vectors[np.repeat(starts - at, lengths) + np.arange(int(lengths.sum()))] @ vector
        of_spans = _padded(cosines, at + 1, spans)
        asked = np.sort(_padded(cosines, at + 1 + spans, lengths - 1 - spans, least=2), axis=1)
        chunk = self.scale.of(cosines[at])
        of_spans = self.scale.of(of_spans)
        span = np.where(spans > 0, of_spans.max(axis=1, initial=-0.5), 0.0)
        otherwise = (chunk + span) / 2
        question, question2 = (np.where(np.isfinite(asked[:, -n]), self.scale.of(asked[:, -n]), otherwise) for n in (1, 2))
        strict, rival = query.named(STRICT), words.rival
        present = [index.chunks[row].entities for row in rows.tolist()] if strict else []
        named = np.array([len(strict & there) / len(strict) for there in present]) if strict else np.full(count, 0.5)
        best = float(bm25.max()) if len(bm25) else 0.0
        features = {
            "chunk": chunk,
            "span": span,
            "keywords": bm25[rows] / best if best else np.zeros(count),
            "coverage": covered.chunks[rows],
            "span_coverage": _padded(covered.spans, self._firsts[rows], spans).max(axis=1, initial=0.0),
            "question": question,
            "echo": self._echoes(rows, question, query),
            "question2": question2,
            "named": named,
            "missing": 1 - named if strict else np.zeros(count),
            "rival": np.array([rival(self._facets(row)) for row in rows.tolist()]) if rival else np.zeros(count),
            "proper": covered.unnamed_by_chunks[rows],
        }
        scores = sum((WEIGHTS[name] * values for name, values in features.items()), np.zeros(count))
        return _Scored(rows.tolist(), scores, features, of_spans)

    def _echoes(self, rows: np.ndarray, question: np.ndarray, query: Query) -> np.ndarray:
        result = np.zeros(len(rows))
        for i in np.flatnonzero(question > ECHO_FROM).tolist():  # others cannot hold the same words
            asked = self._asked(int(rows[i]))
            result[i] = max((_jaccard(query.words, words) for words in asked), default=0.0) ** 2
        return result

    def _passage(self, scored: _Scored, i: int, rank: int, query: Query, words: _Words) -> Passage:
        row = scored.rows[i]
        details = {name: float(values[i]) for name, values in scored.features.items()} | {"score": float(scored.scores[i]) / 10}
        first, count = int(self._firsts[row]), int(self._spans[row])
        held, lacking = (shares[first : first + count].tolist() for shares in (words.covered.spans, words.covered.unnamed_by_spans))
        cosines = scored.spans[i, :count].tolist()
        same = SPAN_WEIGHTS["passage"] * details["score"] + (SPAN_WEIGHTS["first_passage"] if rank == 1 else 0.0)
        spans = tuple(
            round(_squash(same + standing + self._span_score(query, words.rival, row, n, cosine, coverage, unnamed), 8.5, 0.5), 4)
            for n, (standing, cosine, coverage, unnamed) in enumerate(zip(self._standing(row), cosines, held, lacking, strict=True))
        )
        score, cosine = round(_squash(scored.scores[i]), 4), round(max(details["span"], details["question"]), 4)
        return Passage(self.index.chunks[row], score, rank, spans, cosine, round(details["coverage"], 4), details)

    def _standing_of(self, row: int) -> tuple[float, ...]:
        """What the spans of a chunk score whatever is asked."""
        return tuple(
            SPAN_WEIGHTS["row"] * (span.kind == "row")
            + SPAN_WEIGHTS["opening"] * (number == 0 and span.kind != "row")
            + SPAN_WEIGHTS["second"] * (number == 1 and span.kind != "row")
            + SPAN_WEIGHTS["advice"] * (span.facts == ("advice",))
            for number, span in enumerate(self.index.chunks[row].spans)
        )

    def _span_score(
        self, query: Query, rival: Rival | None, row: int, number: int, cosine: float, coverage: float, unnamed: float
    ) -> float:  # fmt: skip
        """Of what a span says on this question, before squashing."""
        span = self.index.chunks[row].spans[number]
        score = SPAN_WEIGHTS["cosine"] * cosine + SPAN_WEIGHTS["coverage"] * coverage + SPAN_WEIGHTS["proper"] * unnamed
        if rival:
            score += SPAN_WEIGHTS["rival"] * rival(span.entities)
        if query.numbers:
            score += SPAN_WEIGHTS["numbers"] * len(query.numbers & set(_NUMBER.findall(span.said))) / len(query.numbers)
        return score

    def _of_another(self, items: Sequence[Evidence], query: Query) -> list[bool]:
        """Whether each sentence speaks of another state, exam, visa … than the one asked about, and not of that one."""
        asked = {kind: query.named(frozenset({kind})) for kind in (*TOLD_APART, "country")}
        asked = {kind: idents for kind, idents in asked.items() if idents}
        guarded = query.guarded
        if not asked and not guarded:
            return [False] * len(items)

        def another(item: Evidence) -> bool:
            for kind, idents in asked.items():
                if kind != "country" or item.span.kind == "row":
                    there = {i for i in item.span.entities if i in self.terms.entities and self.terms.entities[i].kind == kind}
                    if there and not idents & there:
                        return True
            return bool(guarded) and not guarded & (item.span.entities | self._facets(self.index.rows[item.chunk.chunk_id]))

        return [another(item) for item in items]

    def _rivals(self, query: Query) -> Rival | None:
        """Tells of what a text names how far it is about another thing of a kind that the question names, and not about the one named:
        0..1. None where the question names nothing of the kind."""
        asked: dict[str, set[str]] = {}
        for ident in query.named(RIVALS):
            asked.setdefault(query.entities[ident], set()).add(ident)
        if not asked:
            return None
        told: dict[frozenset[str], float] = {}

        def rival(present: frozenset[str]) -> float:
            share = told.get(present)
            if share is None:
                kinds = [kind for kind, idents in asked.items() if idents.isdisjoint(present)]
                others = self._kinds(present) if kinds else frozenset()
                share = told[present] = sum(kind in others for kind in kinds) / len(kinds) if kinds else 0.0
            return share

        return rival

    def _kinds_of(self, present: frozenset[str]) -> frozenset[str]:
        return frozenset(self.terms.entities[ident].kind for ident in present if ident in self.terms.entities)


@dataclass(frozen=True, slots=True)
class _Batch(Generic[Key]):
    """Queries that are embedded together."""

    wanted: list[tuple[Key, Wanted]]
    embed: Embed


@dataclass(frozen=True, slots=True)
class _Words:
    """`top`: the rows of the index that share most with a query, by BM25."""

    bm25: np.ndarray
    top: list[int]
    covered: Covered
    rival: Rival | None


@dataclass(frozen=True, slots=True)
class _Scored:
    """All candidates of a query: their rows in the index, scores and features, and how near their spans are, a row a candidate."""

    rows: list[int]
    scores: np.ndarray
    features: dict[str, np.ndarray]
    spans: np.ndarray


def _padded(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, least: int = 0) -> np.ndarray:
    """Each run of `values` as a row; what is missing to the longest run, or to `least`, is minus infinity."""
    width = max(int(lengths.max(initial=0)), least)
    places = np.arange(width)
    inside = places < lengths[:, None]
    result = np.full((len(lengths), width), -np.inf)
    result[inside] = values[(starts[:, None] + places)[inside]]
    return result


def holds_not(chunk: Chunk) -> bool:
    """Whether a chunk only says that the guides do not hold something."""
    return NOT_HELD in chunk.topics


def evidence_of(passage: Passage) -> list[Evidence]:
    return [Evidence(passage.chunk, i, score) for i, score in enumerate(passage.span_scores)]


def heading_entities(terms: Terms, chunk: Chunk) -> frozenset[str]:
    """What the headings name: the subject of everything below them."""
    return frozenset(ident for idents in terms.found(" \n ".join(chunk.heading)).values() for ident in idents)


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    both = len(a & b)
    return both / (len(a) + len(b) - both) if both else 0.0


def _same_letters(word: str, other: str) -> bool:
    """Whether `other` has all letters of `word`: one was left out, or two were exchanged; none was mistaken for another."""
    return not Counter(word) - Counter(other)


def fold_case(text: str) -> str:
    """Accents and odd hyphens off, capitals kept."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _squash(score: float, middle: float = 10.0, steepness: float = 0.7) -> float:
    return 1 / (1 + math.exp(-steepness * (score - middle)))


_APART = bytes(byte if chr(byte).isalpha() and byte < 128 or byte == ord("'") else ord(" ") for byte in range(256))
_CAPITAL = re.compile(r"[A-Z](?<=[a-z,;(] [A-Z])[a-z]{3,}(?![A-Za-z])")
_WORD = re.compile(r"[a-z]{4,}")
_EVERY_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d+")
_YEAR = re.compile(r"(?<![\d-])20\d\d(?![\d])")
# "graduated in 2015", "yog 2016", "passed step 1 in 2019": told of oneself, not asked about.
_OWN_YEAR = re.compile(
    r"\b(?:graduat\w*|grad|yog|class|batch|passed|failed|took|taken|sat|matched|born|since|from|finish\w*|certified|moved|came|dated|got)"
    r"(?: (?:of|in|on|med|school|step|ck|my|from|at|the|\w+)){0,4}? ?20\d\d|\b20\d\d (?:grad\w*|yog|batch)"
)
# "I studied at …", "born in …", "a … citizen": of one's own life, not asked about.
_OWN_LIFE = re.compile(
    r"\b(?:graduat\w*|grad|stud(?:y|ied|ying|ent)|born|alum\w*|degree|diploma|mbbs|live|living|citizen|passport|moved|came|"
    r"grew up|transferred)"
    r"\s+(?:\w+\s+){0,2}?((?:inst|state|country|city)[a-z]+)\b"
)
# Words of asking: they say how something is asked, not what.
_ASKING = frozenset(
    "question ask answer want wonder know anybody possible possibl help pleas guy sir madam currently current now today".split()
)
