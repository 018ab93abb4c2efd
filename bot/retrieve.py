"""Question -> ranked passages and the sentences in them that answer it.

First stage: the nearest chunks and stored questions in Chroma, and BM25. Second stage: every candidate is scored again from exact
vectors, sentence by sentence, together with how much of the question's idf mass it covers and whether it names what the question names.

Cosines of different embedders live on different scales (gte-small: unrelated sentences already at 0.75), so they are used as distances
from the mean of unrelated pairs, in standard deviations (`Scale`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from rapidfuzz.distance import OSA
from rapidfuzz.process import extractOne

from bot.evidence import Evidence
from bot.index import Index
from bot.passage import Chunk, Passage
from bot.terms import STOP, Terms, fold, stem
from bot.verify import Polarity

CANDIDATES = 48
"""Taken from each of Chroma and BM25; the rest of the work is on their union."""

# What a question names must be named by its evidence, too; the other kinds are only kept from being mixed up.
STRICT = frozenset({"visa", "form", "exam", "pathway", "waiver", "system", "state"})
RIVALS = frozenset({*STRICT, "specialty", "country", "group"})

# Weights of the passage score, fitted on tests/golden (random search, five folds); all features are about 0..1.
WEIGHTS = {"chunk": 0.9, "span": 0.9, "question": 1.1, "keywords": 1.0, "coverage": 1.3, "named": 0.7, "missing": -0.9, "rival": -0.7}
SPAN_WEIGHTS = {"cosine": 1.0, "coverage": 1.0, "passage": 1.0, "named": 0.35, "rival": -0.9, "opening": 0.25}


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
    core: dict[str, tuple[frozenset[str], ...]]  # word that must be covered -> the words that cover it, any one set
    entities: dict[str, str]  # id -> kind
    read_as: dict[str, str] = field(default_factory=dict)  # misspelt word -> word

    def named(self, kinds: frozenset[str]) -> frozenset[str]:
        return frozenset(ident for ident, kind in self.entities.items() if kind in kinds)


@dataclass(frozen=True, slots=True)
class Found:
    """What the index holds on a query. `evidence` is ordered by score; `unknown` are words of the question no document has."""

    query: Query
    passages: list[Passage]
    evidence: list[Evidence]
    unknown: tuple[str, ...] = ()


class Retriever:
    """Searches one loaded index. Pure CPU work but for Chroma; safe to call from one thread at a time."""

    def __init__(self, index: Index, terms: Terms, embed: Callable[[Sequence[str]], np.ndarray], polarity: Polarity | None = None) -> None:
        self.index = index
        self.terms = terms
        self._synonyms = polarity.synonyms if polarity else {}
        self._embed = embed
        self.scale = self._scale()
        self._words = self._surface_words()
        self._span_tokens = lru_cache(maxsize=50_000)(self._tokens_of_span)
        self._chunk_tokens = lru_cache(maxsize=20_000)(self._tokens_of_chunk)
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

    def _surface_words(self) -> list[str]:
        words: dict[str, int] = {}
        for chunk in self.index.chunks:
            for word in _SURFACE.findall(fold(" ".join([*chunk.heading, chunk.text, *chunk.questions]))):
                words[word] = words.get(word, 0) + 1
        return list(words)

    # -- reading the question --------------------------------------------------------------------------------------

    def query(self, text: str, *, context: str = "") -> Query:
        """`context`: what the conversation was about; it helps the search but need not be covered."""
        text, read_as = self._spelt(text)
        whole = f"{text} {context}".strip()
        entities = {ident: kind for kind, idents in self.terms.found(whole).items() for ident in idents}
        core = {t: self._alternatives(t, text) for t in self.terms.tokens(text) if not t.isdigit() and "-" not in t and t not in _ASKING}
        return Query(self.terms.expanded(whole), tuple(self.terms.tokens(whole, expand=True)), core, entities, read_as)

    def _alternatives(self, token: str, text: str) -> tuple[frozenset[str], ...]:
        plain = next((self.terms.spelled_out(w) for w in fold(text).split() if self.terms.is_abbreviation(w.strip(",.?!")) and stem(w) == token), ())
        return (frozenset({token}), *(frozenset({other}) for other in self._synonyms.get(token, ())), *((frozenset(plain),) if plain else ()))

    def _spelt(self, text: str) -> tuple[str, dict[str, str]]:
        """Words that no document has, read as the nearest word that one has: one slip, or two in a word of eight letters and more."""
        known = self._known
        read_as: dict[str, str] = {}

        def nearest(match: re.Match[str]) -> str:
            word = fold(match.group())
            if len(word) < 4 or word in known or word in STOP or self.terms.is_abbreviation(word) or not word.isalpha() or not word.isascii():
                return match.group()
            if any(self.terms.found(word).values()) or self._stem_known(word):
                return match.group()
            slips = 1 if len(word) < 8 else 2
            pool = self._by_initial.get(word[0], [])
            best = extractOne(word, pool, scorer=OSA.distance, score_cutoff=slips)
            if best is None or len(best[0]) < 4:
                return match.group()
            read_as[match.group()] = best[0]
            return best[0]

        return re.sub(r"(?<![\w'-])[^\W\d_]{4,}(?![\w'-])", nearest, text), read_as

    def _stem_known(self, word: str) -> bool:
        return any(token in self.index.keywords.vocabulary for token in self.terms.tokens(word))

    @property
    def _known(self) -> set[str]:
        cached = self.__dict__.get("_known_words")
        if cached is None:
            cached = self.__dict__["_known_words"] = set(self._words)
            by_initial: dict[str, list[str]] = {}
            for word in self._words:
                by_initial.setdefault(word[0], []).append(word)
            self.__dict__["_by_initial"] = by_initial
        return cached

    # -- searching -------------------------------------------------------------------------------------------------

    def find(self, queries: Sequence[Query], k: int = 8, keep: Callable[[Chunk], bool] | None = None) -> list[Found]:
        """One embedding call and one Chroma call for all queries together."""
        if not queries:
            return []
        vectors = self._embed([query.text for query in queries])
        near = self.index.snapshot.query(vectors, CANDIDATES)
        return [self._find(query, vector, ids, k, keep) for query, vector, ids in zip(queries, vectors, near, strict=True)]

    def _find(self, query: Query, vector: np.ndarray, ids: list[str], k: int, keep: Callable[[Chunk], bool] | None) -> Found:
        bm25 = self.index.keywords.scores(query.tokens)
        rows = {self.index.rows[i.partition("#")[0]] for i in ids if i.partition("#")[0] in self.index.rows}
        top = np.argpartition(-bm25, min(CANDIDATES, len(bm25) - 1))[:CANDIDATES] if len(bm25) else []
        rows |= {int(r) for r in top if bm25[r] > 0}
        if keep is not None:
            rows = {row for row in rows if keep(self.index.chunks[row])}
        best = float(bm25.max()) if len(bm25) else 0.0
        weights = {token: self.index.keywords.rarity(token) for token in query.core}
        strict, rivals = query.named(STRICT), query.named(RIVALS)
        scored = sorted((self._score(row, query, vector, bm25, best, weights, strict, rivals) for row in sorted(rows)), key=lambda s: -s.score)[:k]
        passages = [s.passage(self.index.chunks[s.row], rank) for rank, s in enumerate(scored, 1)]
        evidence = sorted((e for p in passages for e in evidence_of(p)), key=lambda e: -e.score)
        unknown = tuple(t for t in query.core if t not in self.index.keywords.vocabulary and t not in query.entities)
        return Found(query, passages, evidence, unknown)

    def _score(
        self, row: int, query: Query, vector: np.ndarray, bm25: np.ndarray, best: float, weights: dict[str, float], strict: frozenset[str],
        rivals: frozenset[str],
    ) -> _Scored:  # fmt: skip
        index, chunk = self.index, self.index.chunks[row]
        start = index.starts[row]
        cosines = index.vectors[start : index.starts[row + 1]] @ vector
        spans = cosines[1 : 1 + len(chunk.spans)]
        asked = cosines[1 + len(chunk.spans) :]
        features = {
            "chunk": float(self.scale.of(cosines[0])),
            "span": float(self.scale.of(spans.max())) if len(spans) else 0.0,
            "keywords": float(bm25[row]) / best if best else 0.0,
            "coverage": covered(query, weights, self._chunk_tokens(row)),
        }
        features["question"] = float(self.scale.of(asked.max())) if len(asked) else (features["chunk"] + features["span"]) / 2
        present = chunk.entities
        features["named"] = len(strict & present) / len(strict) if strict else 0.5
        features["missing"] = len(strict - present) / len(strict) if strict else 0.0
        features["rival"] = self._rival(query, rivals, self._facets(row))
        score = sum(WEIGHTS[name] * value for name, value in features.items())
        passage = _squash(score)
        each = []
        for i, span in enumerate(chunk.spans):
            here = covered(query, weights, self._span_tokens(row, i))
            named = len((strict | rivals) & (span.entities | self._facets(row))) / len(strict | rivals) if strict | rivals else 0.5
            value = (
                SPAN_WEIGHTS["cosine"] * float(self.scale.of(spans[i])) + SPAN_WEIGHTS["coverage"] * here + SPAN_WEIGHTS["passage"] * passage
                + SPAN_WEIGHTS["named"] * named + SPAN_WEIGHTS["rival"] * self._rival(query, rivals, span.entities)
                + (SPAN_WEIGHTS["opening"] if i == 0 and span.kind != "row" else 0.0)
            )  # fmt: skip
            each.append(round(_squash(value, 1.9), 4))
        cosine = float(self.scale.of(max(spans.max() if len(spans) else -1.0, asked.max() if len(asked) else -1.0)))
        return _Scored(row, passage, tuple(each), cosine, features["coverage"], features)

    def _rival(self, query: Query, asked: frozenset[str], present: frozenset[str]) -> float:
        """1 when the text is about another thing of a kind that the question names, and not about the one named."""
        kinds = {query.entities[ident] for ident in asked if ident not in present} - {query.entities[ident] for ident in asked if ident in present}
        if not kinds:
            return 0.0
        there = {self.terms.entities[ident].kind for ident in present if ident in self.terms.entities}
        return len(kinds & there) / len(kinds)

    def _tokens_of_chunk(self, row: int) -> frozenset[str]:
        chunk = self.index.chunks[row]
        return frozenset(self.terms.tokens(" \n ".join([*chunk.heading, chunk.text])))

    def _tokens_of_span(self, row: int, number: int) -> frozenset[str]:
        chunk = self.index.chunks[row]
        return frozenset(self.terms.tokens(f"{chunk.heading[0]} \n {chunk.spans[number].said}"))


@dataclass(frozen=True, slots=True)
class _Scored:
    row: int
    score: float
    spans: tuple[float, ...]
    cosine: float
    coverage: float
    features: dict[str, float]

    def passage(self, chunk: Chunk, rank: int) -> Passage:
        return Passage(chunk, round(self.score, 4), rank, self.spans, round(self.cosine, 4), round(self.coverage, 4), self.features)


def evidence_of(passage: Passage) -> list[Evidence]:
    return [Evidence(passage.chunk, i, score) for i, score in enumerate(passage.span_scores)]


def heading_entities(terms: Terms, chunk: Chunk) -> frozenset[str]:
    """What the headings name: the subject of everything below them."""
    return frozenset(ident for idents in terms.found(" \n ".join(chunk.heading)).values() for ident in idents)


def covered(query: Query, weights: dict[str, float], tokens: frozenset[str]) -> float:
    """Share of the question's idf mass that `tokens` hold, in its words or in words that stand for them."""
    total = sum(weights.values())
    got = sum(weight for token, weight in weights.items() if any(len(words & tokens) * 2 >= len(words) for words in query.core[token]))
    return got / total if total else 0.0


def _squash(score: float, middle: float = 2.6) -> float:
    return float(1 / (1 + np.exp(-2 * (score - middle))))


_SURFACE = re.compile(r"[a-z]{4,}")
# Words of asking: they say how something is asked, not what.
_ASKING = frozenset("question ask answer want wonder know anybody possible possibl help pleas guy sir madam currently current now today".split())
