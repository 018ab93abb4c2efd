"""What a message is by its meaning and wording, where no rule has its words. Three classifiers are asked, and the mean of their log
probabilities counts (a logarithmic opinion pool: Genest & Zidek 1986, "Combining Probability Distributions"):

* multinomial logistic regression on its sentence embeddings and on the letters and words it is written with. The weights are data
  (`kinds.npz`), made by `make fit` from the labelled messages that are not held out, the golden questions and the stored questions of the
  guides. They belong to one embedder; with another one only the rules decide. That embedding is of the message as it is understood in
  English. The other (`bot.universal`) is of what was written, in any language, and so are the grams, besides;
* the first layers of the embedder, trained on to tell kinds apart (`kind_encoder.onnx`, and `tuned.npz` what its vectors say), which read
  what is understood in English;
* the layers of `bot.universal`, trained on for the same (`kind_layers.npz`), which read what was written, in any language.

Both are made by `make tune` from the same texts as the regression. Where they are not there, the regression is asked alone.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np

from bot.messages import KINDS, MessageKind
from bot.terms import fold
from bot.universal import KINDS as HEARD

FILE = Path(__file__).with_name("kinds.npz")
TUNED = Path(__file__).with_name("tuned.npz")
BUCKETS = 1 << 14
"""That grams are hashed into (feature hashing: Weinberger et al. 2009); a power of two."""
LETTERS = range(2, 6)
GRAMS, MEANING, SPOKEN = 12.0, 0.5, 0.22
"""How much the parts weigh: length of the vector of grams, and standard deviation of a dimension of the embeddings."""
SHARES, SHARES_ABROAD, SHARPER = (0.25, 0.45, 0.3), (0.3, 0.35, 0.35), 1.3
"""How much the log probabilities of the three count, of messages in English and of others; and what their mean is multiplied by: a mean is
less sure than those that agree. Of a few values the best on messages held out; all of them come within 0.01 of its mean F1."""

CERTAIN = 0.98
"""From here on the first two are believed of a message in English: of 518 held out of which they were as sure, the third changed nothing
that is decided. It takes five milliseconds of a message's time."""

FROM: dict[MessageKind, float] = {
    "emergency": 0.25, "fraud": 0.5, "exam_recall": 0.25, "personal_data": 0.35, "steering": 0.35, "legal": 0.35, "medical": 0.4,
    "neighbouring": 0.45, "small_talk": 0.4,
}  # fmt: skip
"""How likely a kind must be to be acted on where the guides do not seem to answer, set on messages of writers that the weights were fitted
without; the rest is left to what the search finds."""
FROM_ANSWERED: dict[MessageKind, float] = {
    "emergency": 0.25, "fraud": 0.6, "exam_recall": 0.5, "personal_data": 0.4, "steering": 0.4, "legal": 0.35, "medical": 0.45,
    "neighbouring": 0.65, "small_talk": 0.45, "out_of_scope": 0.55, "not_held": 0.7,
}  # fmt: skip
"""The same where they seem to."""
SURELY = 0.75
"""At least, where the guides are sure to answer: an honest question is not overruled. And from here on what must not be answered is
refused, though it has the words of what nobody knows ("the private number of the director")."""
PERHAPS, ALONE = 0.05, 0.5
"""From here on urgent help is named first, and the message then taken for what it is likelier to be; and from here on for one classifier
alone, whatever the others say. Of 340 honest questions that nothing was fitted on, 17 read it before their answer."""
PLAIN = 0.75
"""From here on an emergency is one and nothing else."""
FRAGMENTS = 0.5
"""From here on a harmless message, or danger, is one although too little of it is understood to answer it. Below, urgent help is named all
the same, with the reply that too little was understood."""
HONEST = 0.6
"""From here on a message that has the words of an emergency is a question as well, and answered after the urgent help; and one that names
another country's licence is asked of the guides nevertheless."""
SURELY_HONEST, OVERRULED = 0.9, frozenset({"fraud", "exam_recall", "personal_data", "legal", "medical", "neighbouring"})
"""From here on a message that falls under a rule of these kinds only has its words ("what happens to those who forge a letter?"), and is
answered. Of 1,900 messages that nothing was fitted on by then, none that must be refused came to more than 0.74."""
IN_DOUBT, NAMED = 0.25, 0.1
"""From here on (likely to be honest) a message that the guides seem to answer is answered although something else is likelier, after it was
said what is not helped with; and from here on (likely not to be) it is told that first although an honest question is likelier, or although
nothing is held on it. Of 87 messages of deceit that were held out and refused, one was as likely to be honest. Of 340 honest
questions that were held out 11 are told either way before their answer and 5 before they are told that nothing is held; of 583 golden
questions 13 in all. With 0.05 no more deceit is met among the messages that lie between kinds."""
REFUSED: tuple[MessageKind, ...] = ("fraud", "exam_recall", "personal_data")
"""What is not helped with, and may sound like an honest question."""
OURS = 0.6
"""From here on a message is of our field, whatever little was found for it."""

SOME = 4
_DANGER = KINDS.index("emergency")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff]")  # Thai, Lao, Burmese, Japanese, Chinese
_SPACE, _TOKEN = re.compile(r"\s+"), re.compile(r"\w\w+")


def grams(said: str) -> tuple[np.ndarray, np.ndarray]:
    """(buckets, signed counts dampened by their logarithm) of the letters and words of a text: 2 to 5 letters within a word, words and
    pairs of words."""
    text = fold(said)
    counted: Counter[str] = Counter()
    for word in _SPACE.split(text):
        padded = f" {word} "
        for size in LETTERS:
            if size >= len(padded):
                counted[padded] += 1
                break
            counted.update(padded[i : i + size] for i in range(len(padded) - size + 1))
    words = _TOKEN.findall(text)
    counted.update(f"1 {word}" for word in words)
    counted.update(f"2 {a} {b}" for a, b in zip(words, words[1:], strict=False))
    found: dict[int, float] = {}
    for gram, count in counted.items():
        code = zlib.crc32(gram.encode(errors="replace"))
        bucket = code & (BUCKETS - 1)
        found[bucket] = found.get(bucket, 0.0) + (count if code >> 31 else -count)
    values = np.array(list(found.values()), np.float32)
    return np.array(list(found), np.int64), np.sign(values) * np.log1p(np.abs(values))


@dataclass(frozen=True, slots=True)
class MessageVectors:
    """Of one message: `meaning` of what it says in English, `spoken` of what was written; and of the same the vectors of the two that were
    trained to tell kinds apart, where they are there."""

    meaning: np.ndarray
    spoken: np.ndarray
    trained_meaning: np.ndarray | None = None
    trained_spoken: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """What two vectors of a message say, one of what it says in English and one of what was written, of which one was trained for it."""

    bias: np.ndarray  # of the kinds
    meaning: np.ndarray  # kinds x dimensions
    spoken: np.ndarray  # kinds x dimensions

    def log_chances(self, meaning: np.ndarray, spoken: np.ndarray) -> np.ndarray:
        return _log_chances(self.bias + self.meaning @ meaning + self.spoken @ spoken)


@dataclass(frozen=True, slots=True)
class Kinds:
    embedder: str
    bias: np.ndarray  # of the kinds
    meaning: np.ndarray  # kinds x dimensions
    spoken: np.ndarray  # kinds x dimensions of `bot.universal`
    grams: np.ndarray  # kinds x buckets
    rarity: np.ndarray  # of the buckets: inverse document frequency
    tuned: Tuned | None = None  # with a trained vector of the meaning; None: there is none
    heard: Tuned | None = None  # with one of what was written

    def guess(self, vectors: MessageVectors, said: str, english: str = "") -> dict[MessageKind, float]:
        """How likely a message is of each kind; they add up to one.

        Args:
            said: the message. english: as it was understood.
        """
        buckets, values = grams(in_both(said, english))
        values = values * self.rarity[buckets]
        length = float(np.linalg.norm(values)) or 1.0
        scores = self.bias + self.meaning @ vectors.meaning + self.spoken @ vectors.spoken
        scores = scores + self.grams[:, buckets].astype(np.float32) @ (values * (GRAMS / length))
        told: list[np.ndarray | None] = [_log_chances(scores), None, None]
        if self.tuned is not None and vectors.trained_meaning is not None:
            told[1] = self.tuned.log_chances(vectors.trained_meaning, vectors.spoken)
        if self.heard is not None and vectors.trained_spoken is not None:
            told[2] = self.heard.log_chances(vectors.meaning, vectors.trained_spoken)
        abroad = in_both(said, english) != said
        return _named(_pooled(told, abroad=abroad))


def _pooled(told: list[np.ndarray | None], *, abroad: bool) -> np.ndarray:
    """Chances of the kinds, by the log chances that each classifier tells; the first always does."""
    some = [(share, each) for share, each in zip(SHARES_ABROAD if abroad else SHARES, told, strict=True) if each is not None]
    alone = some[0][1]
    if len(some) == 1:
        return np.exp(alone)
    whole = sum(share for share, _ in some)
    chances = np.exp(_log_chances(SHARPER / whole * sum((share * each for share, each in some), np.zeros_like(alone))))
    danger = float(np.exp(alone[_DANGER]))
    if abroad and danger > chances[_DANGER]:  # danger is heard by the one that reads what was written
        chances = _raised(chances, danger)
    if chances[_DANGER] < PERHAPS and any(each[_DANGER] >= np.log(ALONE) for _, each in some):
        chances = _raised(chances, PERHAPS)
    return chances


def _raised(chances: np.ndarray, danger: float) -> np.ndarray:
    """With danger so likely, the rest in proportion."""
    rest = chances * ((1 - danger) / (1 - float(chances[_DANGER])))
    rest[_DANGER] = danger
    return rest


def _named(chances: np.ndarray) -> dict[MessageKind, float]:
    return {kind: round(float(p), 4) for kind, p in zip(KINDS, chances, strict=True)}


def _log_chances(scores: np.ndarray) -> np.ndarray:
    scores = scores - scores.max()
    return cast(np.ndarray, scores - np.log(np.exp(scores).sum()))


def says_something(said: str) -> bool:
    """Whether a message is more than a courtesy or a cue: four words, or twice as many signs of a script that writes no spaces. The meaning
    of less ("goodbye", "and the fee?") is not asked against a rule, or within a conversation."""
    return len(said.split()) >= SOME or len(_UNSPACED.findall(said)) >= 2 * SOME


def in_both(said: str, english: str) -> str:
    """What grams are taken from: a message, and how it was understood where that is not the same."""
    return said if not english or english == said else f"{said} || {english}"


def decided(guess: dict[MessageKind, float], *, answered: bool, surely: bool = False) -> MessageKind | None:
    """The kind to act on: the likeliest, where it is likely enough; an emergency also where something else is likelier.

    Args:
        answered: the guides seem to answer the message. surely: they are sure to.
    """
    limits = FROM_ANSWERED if answered else FROM
    if guess["emergency"] >= limits["emergency"]:
        return "emergency"
    kind = max(guess, key=lambda each: guess[each])
    if guess[kind] >= max(limits.get(kind, 2), SURELY if surely else 0):
        return kind
    # Nothing is found for it: then at least the right reason is told.
    return "out_of_scope" if not answered and guess["out_of_scope"] > max(guess["in_scope"], guess["not_held"]) else None


def doubted(guess: dict[MessageKind, float], kind: MessageKind | None) -> MessageKind | None:
    """What is to be named first, before a message is answered, or told that nothing is held: it may be honest though it was taken for
    something else (`kind`, as `decided`), or not be honest though it was not. None: there is no such doubt."""
    if kind is not None:
        return kind if kind in (*REFUSED, "neighbouring") and guess["in_scope"] >= IN_DOUBT else None
    likeliest = max(REFUSED, key=lambda each: guess[each])
    return likeliest if guess[likeliest] >= NAMED else None


@lru_cache(maxsize=1)
def read_kinds(path: Path = FILE) -> Kinds | None:
    """The weights that come along; None where there are none."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as data:
        kinds = Kinds(str(data["embedder"]), *(data[name] for name in ("bias", "meaning", "spoken", "grams", "rarity")))
    return replace(kinds, tuned=read_tuned(path.with_name(TUNED.name)), heard=read_tuned(path.with_name(HEARD.name)))


def read_tuned(path: Path) -> Tuned | None:
    """What one of the two trained encoders' vectors say; None where the file is not there."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as data:
        return Tuned(*(data[name].astype(np.float32) for name in ("bias", "meaning", "spoken")))


def write_kinds(kinds: Kinds, path: Path = FILE) -> None:
    """Half precision is enough for weights of grams, and keeps the file small."""
    whole = {name: getattr(kinds, name).astype(np.float32) for name in ("bias", "meaning", "spoken")}
    small = {name: getattr(kinds, name).astype(np.float16) for name in ("grams", "rarity")}
    np.savez_compressed(path, embedder=np.array(kinds.embedder), **whole, **small)
