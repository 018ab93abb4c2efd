"""What a message is by its meaning and wording, where no rule has its words. Two classifiers are asked, and the mean of their log
probabilities counts (a logarithmic opinion pool: Genest & Zidek 1986, "Combining Probability Distributions"):

* multinomial logistic regression on its sentence embeddings and on the letters and words it is written with. The weights are data
  (`kinds.npz`), made by `make fit` from the labelled messages that are not held out, the golden questions and the stored questions of the
  guides. They belong to one embedder; with another one only the rules decide. That embedding is of the message as it is understood in
  English. The other (`bot.universal`) is of what was written, in any language, and so are the grams, besides.
* the first layers of the embedder, trained on to tell kinds apart (`kind_encoder.onnx`, and `tuned.npz` what its vectors say), made by
  `make tune` from the same texts. Where it is not there, the regression is asked alone.
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

FILE = Path(__file__).with_name("kinds.npz")
TUNED = Path(__file__).with_name("tuned.npz")
BUCKETS = 1 << 14
"""That grams are hashed into (feature hashing: Weinberger et al. 2009); a power of two."""
LETTERS = range(2, 6)
GRAMS, MEANING, SPOKEN = 12.0, 0.5, 0.22
"""How much the parts weigh: length of the vector of grams, and standard deviation of a dimension of the embeddings."""
TUNED_SHARE, TUNED_SHARE_ABROAD, SHARPER = 0.6, 0.35, 1.3
"""How much the trained encoder's log probabilities count beside the regression's, of messages in English and of those that it is given only
as far as they are understood in English; and what their mean is multiplied by: a mean is less sure than two that agree. Of a few values
the best on messages held out; all of them come within 0.01 of its mean F1."""

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
"""At least, where the guides are sure to answer: an honest question is not overruled."""
PLAIN = 0.75
"""From here on an emergency is one and nothing else."""
FRAGMENTS = 0.5
"""From here on a harmless message, or danger, is one although too little of it is understood to answer it. Below, urgent help is named all
the same, with the reply that too little was understood."""
HONEST = 0.6
"""From here on a message that has the words of an emergency is a question as well, and answered after the urgent help."""
SURELY_HONEST, OVERRULED = 0.9, frozenset({"fraud", "exam_recall", "personal_data", "legal", "medical", "neighbouring"})
"""From here on a message that falls under a rule of these kinds only has its words ("what happens to those who forge a letter?"), and is
answered. Of 1,900 messages that nothing was fitted on by then, none that must be refused came to more than 0.74."""
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
class Tuned:
    """What the vectors of the trained encoder say."""

    bias: np.ndarray  # of the kinds
    meaning: np.ndarray  # kinds x dimensions of the trained encoder
    spoken: np.ndarray  # kinds x dimensions of `bot.universal`


@dataclass(frozen=True, slots=True)
class Kinds:
    embedder: str
    bias: np.ndarray  # of the kinds
    meaning: np.ndarray  # kinds x dimensions
    spoken: np.ndarray  # kinds x dimensions of `bot.universal`
    grams: np.ndarray  # kinds x buckets
    rarity: np.ndarray  # of the buckets: inverse document frequency
    tuned: Tuned | None = None  # None: the regression alone

    def guess(
        self, vector: np.ndarray, spoken: np.ndarray, said: str, english: str = "", trained: np.ndarray | None = None
    ) -> dict[MessageKind, float]:
        """How likely a message is of each kind; they add up to one.

        Args:
            vector: of what it says in English. spoken: of what was written. said: the message. english: as it was understood. trained: the
            trained encoder's vector of what it says in English; None: the regression is asked alone.
        """
        buckets, values = grams(in_both(said, english))
        values = values * self.rarity[buckets]
        length = float(np.linalg.norm(values)) or 1.0
        scores = self.bias + self.meaning @ vector + self.spoken @ spoken
        scores = scores + self.grams[:, buckets].astype(np.float32) @ (values * (GRAMS / length))
        alone = _log_chances(scores)
        if self.tuned is None or trained is None:
            return _named(np.exp(alone))
        second = _log_chances(self.tuned.bias + self.tuned.meaning @ trained + self.tuned.spoken @ spoken)
        abroad = in_both(said, english) != said
        share = TUNED_SHARE_ABROAD if abroad else TUNED_SHARE
        chances = np.exp(_log_chances(SHARPER * ((1 - share) * alone + share * second)))
        danger = float(np.exp(alone[_DANGER]))
        if abroad and danger > chances[_DANGER]:  # danger is heard by the one that reads what was written
            chances *= (1 - danger) / (1 - float(chances[_DANGER]))
            chances[_DANGER] = danger
        return _named(chances)


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


@lru_cache(maxsize=1)
def read_kinds(path: Path = FILE) -> Kinds | None:
    """The weights that come along; None where there are none."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as data:
        kinds = Kinds(str(data["embedder"]), *(data[name] for name in ("bias", "meaning", "spoken", "grams", "rarity")))
    if not (beside := path.with_name(TUNED.name)).is_file():
        return kinds
    with np.load(beside, allow_pickle=False) as data:
        return replace(kinds, tuned=Tuned(*(data[name].astype(np.float32) for name in ("bias", "meaning", "spoken"))))


def write_kinds(kinds: Kinds, path: Path = FILE) -> None:
    """Half precision is enough for weights of grams, and keeps the file small."""
    whole = {name: getattr(kinds, name).astype(np.float32) for name in ("bias", "meaning", "spoken")}
    small = {name: getattr(kinds, name).astype(np.float16) for name in ("grams", "rarity")}
    np.savez_compressed(path, embedder=np.array(kinds.embedder), **whole, **small)
