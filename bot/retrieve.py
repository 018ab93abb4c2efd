"""Question -> ranked passages and the sentences in them that answer it.

First stage: the nearest chunks and stored questions in Chroma, and BM25. Second stage: every candidate is scored again from exact
vectors, sentence by sentence, together with how much of the question's idf mass it covers and whether it names what the question names.

Cosines of different embedders live on different scales (gte-small: unrelated sentences already at 0.75), so they are used as distances
from the mean of unrelated pairs, in standard deviations (`Scale`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from rapidfuzz.distance import OSA
from rapidfuzz.process import extract
from spellchecker import SpellChecker

from bot.coverage import Coverage, Covered
from bot.evidence import Evidence
from bot.index import Index
from bot.orders import gives_orders
from bot.passage import Chunk, Passage
from bot.terms import STOP, Terms, fold, stem
from bot.verify import Polarity

RARE = 0.02
ECHO_FROM = 0.5
CANDIDATES = 48
"""Taken from each of Chroma and BM25; the rest of the work is on their union."""

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

    def one(self, cosine: float) -> float:
        """`of` a single number, in a twentieth of the time."""
        return min(max((cosine - self.mean) / (5 * self.deviation), -0.5), 1.5)


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


class Retriever:
    """Searches one loaded index. Pure CPU work but for Chroma; safe to call from one thread at a time."""

    def __init__(self, index: Index, terms: Terms, embed: Callable[[Sequence[str]], np.ndarray], polarity: Polarity | None = None) -> None:
        self.index = index
        self.terms = terms
        self._synonyms = polarity.synonyms if polarity else {}
        self.embed = embed
        self.scale = self._scale()
        self._coverage = Coverage(index.keywords)
        self._counts, self._names = self._surface_words()
        self._by_initial: dict[str, list[str]] = {}
        for word in self._counts:
            self._by_initial.setdefault(word[0], []).append(word)
        self._asked = lru_cache(maxsize=20_000)(self._asked_words)
        self._has_questions = any(chunk.questions for chunk in index.chunks)
        self._shares = Counter(ident for chunk in index.chunks for ident in chunk.entities)
        self._facets = lru_cache(maxsize=20_000)(lambda row: heading_entities(terms, self.index.chunks[row]))

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

    def _surface_words(self) -> tuple[Counter[str], frozenset[str]]:
        """How often each word stands in the corpus, and those words that only ever stand with a capital inside a sentence: names."""
        small: Counter[str] = Counter()
        capital: Counter[str] = Counter()
        for chunk in self.index.chunks:
            text = " ".join([*chunk.heading, chunk.text, *chunk.questions])
            if not text.isascii():
                text = fold_case(text)
            small.update(_SMALL.findall(text))
            capital.update(word.lower() for word in _CAPITAL.findall(text))
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
        core = {t: self._alternatives(t, text) for t in tokens if not t.isdigit() and "-" not in t and t not in _ASKING}
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

    def _alternatives(self, token: str, text: str) -> tuple[frozenset[int], ...]:
        plain = next(
            (self.terms.spelled_out(w) for w in fold(text).split() if self.terms.is_abbreviation(w.strip(",.?!")) and stem(w) == token), ()
        )
        sets = [(token,), *((other,) for other in self._synonyms.get(token, ())), *((plain,) if plain else ())]
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

    def is_rare(self, ident: str) -> bool:
        """Whether so few passages name a thing that one which does not cannot be about it."""
        return self._shares[ident] < RARE * len(self.index.chunks)

    # -- searching -------------------------------------------------------------------------------------------------

    def find(self, queries: Sequence[Query], k: int = 8, keep: Callable[[Chunk], bool] | None = None) -> list[Found]:
        """One embedding call and one Chroma call for all queries together."""
        if not queries:
            return []
        vectors = self.embed([query.text for query in queries])
        near = self.index.snapshot.query(vectors, CANDIDATES)
        return [self._find(query, vector, ids, k, keep) for query, vector, ids in zip(queries, vectors, near, strict=True)]

    def _find(self, query: Query, vector: np.ndarray, ids: list[str], k: int, keep: Callable[[Chunk], bool] | None) -> Found:
        bm25 = self.index.keywords.scores(query.tokens)
        rows = {self.index.rows[i.partition("#")[0]] for i in ids if i.partition("#")[0] in self.index.rows}
        top: np.ndarray = np.argpartition(-bm25, min(CANDIDATES, len(bm25) - 1))[:CANDIDATES] if len(bm25) else np.empty(0, np.int64)
        rows |= {int(r) for r in top if bm25[r] > 0}
        if keep is not None:
            rows = {row for row in rows if keep(self.index.chunks[row])}
        best = float(bm25.max()) if len(bm25) else 0.0
        weights = {token: self.index.keywords.rarity(token) for token in query.core}
        names = [self.index.keywords.vocabulary.get(name, -1) for name in query.proper]
        covered = self._coverage.of(query.core, weights, names)
        strict, rivals = query.named(STRICT), query.named(RIVALS)
        scored = sorted(
            (self._score(row, query, vector, bm25, best, weights, strict, rivals, covered) for row in sorted(rows)), key=lambda s: -s.raw
        )
        chunks = self.index.chunks
        passages = [
            s.passage(chunks[s.row], rank) for rank, s in enumerate((s for s in scored if not holds_not(chunks[s.row])), 1) if rank <= k
        ]
        lacking = next((s.passage(chunks[s.row], 1) for s in scored if holds_not(chunks[s.row])), None)
        everything = sorted((e for p in passages if not gives_orders(p.text) for e in evidence_of(p)), key=lambda e: -e.score)
        evidence = [e for e in everything if not self._of_another(e, query)]
        left_out = next((e.score for e in everything if self._of_another(e, query)), 0.0)
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

    def _score(
        self, row: int, query: Query, vector: np.ndarray, bm25: np.ndarray, best: float, weights: dict[str, float], strict: frozenset[str],
        rivals: frozenset[str], covered: Covered,
    ) -> _Scored:  # fmt: skip
        index, chunk = self.index, self.index.chunks[row]
        start = index.starts[row]
        cosines = index.vectors[start : index.starts[row + 1]] @ vector
        whole, *rest = cosines.tolist()
        spans = rest[: len(chunk.spans)]
        asked_two = sorted(rest[len(chunk.spans) :], reverse=True)[:2]
        first = int(index.keywords.span_firsts[row])  # type: ignore[index]
        inside = covered.spans[first : first + len(spans)].tolist()
        features = {
            "chunk": self.scale.one(whole),
            "span": self.scale.one(max(spans)) if spans else 0.0,
            "keywords": float(bm25[row]) / best if best else 0.0,
            "coverage": float(covered.chunks[row]),
            "span_coverage": max(inside, default=0.0),
        }
        features["question"] = self._at(asked_two, 0, (features["chunk"] + features["span"]) / 2)
        near = features["question"] > ECHO_FROM  # others cannot hold the same words
        echoes = (len(query.words & words) / len(query.words | words) for words in (self._asked(row) if near else ()))
        features["echo"] = max(echoes, default=0.0) ** 2
        features["question2"] = self._at(asked_two, 1, (features["chunk"] + features["span"]) / 2)
        present = chunk.entities
        features["named"] = len(strict & present) / len(strict) if strict else 0.5
        features["missing"] = len(strict - present) / len(strict) if strict else 0.0
        features["rival"] = self._rival(query, rivals, self._facets(row))
        features["proper"] = float(covered.unnamed_by_chunks[row])
        score = sum(WEIGHTS[name] * value for name, value in features.items())
        passage = _squash(score)
        features["score"] = score / 10

        def each() -> list[float]:  # only of the passages that are kept
            unnamed = covered.unnamed_by_spans[first : first + len(spans)].tolist()
            ready = enumerate(zip(spans, inside, unnamed, strict=True))
            return [
                self._span_score(query, row, i, self.scale.one(cosine), held, features["score"], lacking)
                for i, (cosine, held, lacking) in ready
            ]

        return _Scored(row, passage, each, max(features["span"], features["question"]), features["coverage"], features)

    def _span_score(
        self, query: Query, row: int, number: int, cosine: float, coverage: float, passage: float, unnamed: float
    ) -> float:  # fmt: skip
        """Before squashing, and without the bonus of the best passage."""
        span = self.index.chunks[row].spans[number]
        features = {
            "cosine": cosine,
            "coverage": coverage,
            "passage": passage,
            "rival": self._rival(query, query.named(RIVALS), span.entities),
            "opening": float(number == 0 and span.kind != "row"),
            "second": float(number == 1 and span.kind != "row"),
            "row": float(span.kind == "row"),
            "advice": float(span.facts == ("advice",)),
            "numbers": len(query.numbers & set(_NUMBER.findall(span.said))) / len(query.numbers) if query.numbers else 0.0,
            "proper": unnamed,
        }
        return sum(SPAN_WEIGHTS[name] * value for name, value in features.items())

    def _of_another(self, item: Evidence, query: Query) -> bool:
        """Whether a sentence speaks of another state, exam, visa … than the one asked about, and not of that one."""
        row = self.index.rows[item.chunk.chunk_id]
        for kind in (*TOLD_APART, "country") if item.span.kind == "row" else TOLD_APART:
            asked = {ident for ident, its in query.entities.items() if its == kind}
            there = (
                {ident for ident in item.span.entities if ident in self.terms.entities and self.terms.entities[ident].kind == kind}
                if asked
                else set()
            )
            if there and not asked & there:
                return True
        return bool(query.guarded) and not query.guarded & (item.span.entities | self._facets(row))

    def _at(self, cosines: Sequence[float], i: int, otherwise: float) -> float:
        return self.scale.one(cosines[i]) if i < len(cosines) else otherwise

    def _rival(self, query: Query, asked: frozenset[str], present: frozenset[str]) -> float:
        """1 when the text is about another thing of a kind that the question names, and not about the one named."""
        kinds = {query.entities[ident] for ident in asked if ident not in present} - {
            query.entities[ident] for ident in asked if ident in present
        }
        if not kinds:
            return 0.0
        there = {self.terms.entities[ident].kind for ident in present if ident in self.terms.entities}
        return len(kinds & there) / len(kinds)


@dataclass(frozen=True, slots=True)
class _Scored:
    row: int
    score: float
    spans: Callable[[], list[float]]
    cosine: float
    coverage: float
    features: dict[str, float]

    @property
    def raw(self) -> float:
        return self.features["score"]

    def passage(self, chunk: Chunk, rank: int) -> Passage:
        bonus = SPAN_WEIGHTS["first_passage"] if rank == 1 else 0.0
        spans = tuple(round(_squash(value + bonus, 8.5, 0.5), 4) for value in self.spans())
        return Passage(chunk, round(self.score, 4), rank, spans, round(self.cosine, 4), round(self.coverage, 4), self.features)


def holds_not(chunk: Chunk) -> bool:
    """Whether a chunk only says that the guides do not hold something."""
    return NOT_HELD in chunk.topics


def evidence_of(passage: Passage) -> list[Evidence]:
    return [Evidence(passage.chunk, i, score) for i, score in enumerate(passage.span_scores)]


def heading_entities(terms: Terms, chunk: Chunk) -> frozenset[str]:
    """What the headings name: the subject of everything below them."""
    return frozenset(ident for idents in terms.found(" \n ".join(chunk.heading)).values() for ident in idents)


def _same_letters(word: str, other: str) -> bool:
    """Whether `other` has all letters of `word`: one was left out, or two were exchanged; none was mistaken for another."""
    return not Counter(word) - Counter(other)


def fold_case(text: str) -> str:
    """Accents and odd hyphens off, capitals kept."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


@lru_cache(maxsize=1)
def english() -> SpellChecker:
    """160,000 English words, names among them. Read at the first word that the corpus does not know."""
    return SpellChecker(language="en")


def _squash(score: float, middle: float = 10.0, steepness: float = 0.7) -> float:
    return 1 / (1 + math.exp(-steepness * (score - middle)))


_SMALL = re.compile(r"(?<![A-Za-z'])[a-z]{4,}(?![A-Za-z])")
_CAPITAL = re.compile(r"(?<=[a-z,;(] )[A-Z][a-z]{3,}(?![A-Za-z])")
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
