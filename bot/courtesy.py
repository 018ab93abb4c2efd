"""What of a letter says nothing that could be wrong: greetings, thanks, good wishes, the name under it.

A sentence passes only when every word of it is one of a closed list, none of them a figure or a word of the field, or when it is one of the
fixed sentences of `prompts/letter`. Anything else is a claim, and claims are checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.sentences import split
from bot.terms import Terms

MOST_WORDS = 16
MOST_NAMES = 4

_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*\.?")
_OPENERS = ("dear", "hello", "hi", "good morning", "good afternoon", "good evening", "greetings")
_NAMES = re.compile(rf"^(?:{'|'.join(_OPENERS)})\s+(.+?)\s*[,!.:]?$", re.I)
_DO_NOT = re.compile(r"\b(?:do not|don['’]t) (?=hesitate)")
_PLAIN = frozenset(
    """
    a again ahead all am and any apologies apologise apologize applicant appreciate appreciated are as asking at back be being best by call
    case colleague enjoyed liked
    contacting could day dear delay do doctor dr everyone evening feel following for free from get glad good
    greetings happy have health hear hello help helpful helps here hesitate hi hope i if in is it journey keep kind kindest know let letting
    look looking luck mail many me message miss morning mr mrs ms much my note of on or our out please pleased pleasure
    question questions quickly read reach reaching regards reply respectfully sincere sincerely sir so soon sorry sending sent success team
    thank thanks the there these this time to touch truly trust us very wait
    waiting warm warmest was we week welcome well were when will wish
    wishes wishing with write writing written wrote year you your yours yourself afternoon care applying patience kindly contact
    """.split()
)
_MARKS = frozenset(
    """
    dear hello hi morning afternoon evening thank thanks welcome glad happy pleased pleasure hope hesitate regards sincerely luck wish
    wishes wishing apologies apologise apologize sorry respectfully yours truly greetings care touch liked enjoyed appreciate appreciated
    """.split()
)
"""A courtesy has one of these: "you will be well" has not, and is somebody's word."""


class Courtesy:
    """`phrases`: the fixed sentences of letters."""

    def __init__(self, terms: Terms, phrases: Iterable[str] = ()) -> None:
        self._terms = terms
        self._phrases = frozenset(_plain(sentence) for phrase in phrases for sentence in (phrase, *split(phrase)))

    def says_nothing(self, text: str, name: str = "") -> bool:
        """`name`: of whoever signs."""
        said = _plain(text)
        if name and said.endswith(_plain(name)):
            said = said.removesuffix(_plain(name)).strip(" ,.-–—")
        if not said or said in self._phrases:
            return True
        if any(c.isdigit() for c in said) or len(said.split()) > MOST_WORDS or any(self._terms.found(text).values()):
            return False
        named = _NAMES.match(said)
        if named and _is_name(text, named.group(1)):
            return True
        said = _DO_NOT.sub("", said)
        words = [word.strip(".").replace("’", "'") for word in _WORD.findall(said)]
        if any(word == "will" and before not in ("i", "we") for before, word in zip(["", *words], words, strict=False)):
            return False  # "I will get back to you" is one, "you will have success" a promise
        return bool(words) and all(word in _PLAIN for word in words) and any(word in _MARKS for word in words)

    def is_talk(self, text: str) -> bool:
        """Whether it holds nothing but such words, so that no guide can bear it out, be it courteous or not: "Your question is good"."""
        words = [word.strip(".").replace("’", "'") for word in _WORD.findall(_plain(text))]
        return not any(c.isdigit() for c in text) and all(word in _PLAIN for word in words) and not any(self._terms.found(text).values())


def _is_name(text: str, name: str) -> bool:
    """Whether what follows the greeting is written like a person's name, or is one of the plain words."""
    words = name.split()
    written = text.strip(" ,!.:").split()[-len(words) :] if words else []
    return 0 < len(words) <= MOST_NAMES and all(
        word.strip(".,").lower() in _PLAIN or (word[:1].isupper() and not word.isupper()) for word in written
    )


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold().strip(" ,.!:;")
