"""The letter an advisor starts from: greeting, answer, next steps, sign-off, around the sentences of an answer.

Every sentence of the answer carries the keys of its evidence, so that whoever edits it keeps its source. What the guides do not answer is a
place to be filled: the letter does not go before somebody has done so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.answer import Answer, Sentence
from bot.compose import MAX_SENTENCES, WORDS
from bot.drafts import Length, Tone
from bot.prompts import Prompts

TONES: tuple[Tone, ...] = ("warm", "neutral", "formal")
LENGTHS: Mapping[Length, tuple[int, int]] = {"short": (60, 2), "normal": (WORDS, MAX_SENTENCES), "full": (320, 12)}
"""Words and sentences of an answer to one message."""

_COLONS = (":", "：")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to one message of the applicant, for a letter."""

    answer: Answer
    breaks: frozenset[int]  # numbers of the sentences that open a paragraph
    keys: Mapping[str, tuple[str, ...]]  # text of a sentence -> keys of its evidence
    missing: tuple[str, ...]  # questions, or parts of one, that stay open


def letter(prompts: Prompts, answered: Sequence[Answered], *, tone: Tone, length: Length, language: str, name: str) -> str:
    def say(block: str, **values: object) -> str:
        return prompts.say(block, language, "letter", **values)

    body: list[str] = []
    advice: list[str] = []
    for each in answered:
        body += _paragraphs(each, advice, length)
        if each.answer.clarify and each.answer.status == "clarify":
            body.append(each.answer.clarify.question)
        body += [say("todo_part", part=part) for part in each.missing]
    if not body:
        body = [say("todo_answer")]
    facts = any(each.keys for each in answered)
    changing = any(citation.volatile or citation.stale for each in answered for citation in each.answer.citations)
    steps = [*advice, say("check_volatile" if changing else "check_source")] if facts else []
    if length != "short" or not facts:
        steps.append(say(f"write_again_{tone}"))
    parts = [say(f"greeting_{tone}")]
    if facts:
        parts.append(say(f"opening_{tone}"))
    parts += body
    if len(steps) > 1:
        parts.append(say("next_steps") + "\n\n" + "\n".join(f"- {step}" for step in steps))
    else:
        parts += steps
    parts.append(say(f"sign_off_{tone}") + (f"\n{name}" if name else ""))
    return "\n\n".join(parts)


def _paragraphs(answered: Answered, advice: list[str], length: Length) -> list[str]:
    """The answer's paragraphs; what it advises goes into `advice`, for the next steps."""
    answer = answered.answer
    whole = answer.status in ("refused", "handoff")  # what it says then is all in its frames
    paragraphs: list[list[str]] = []
    left = LENGTHS[length][1]
    for number, sentence in enumerate(answer.sentences):
        keys = answered.keys.get(sentence.text, ())
        if sentence.kind == "frame" and not whole and not (left > 0 and _leads_on(answer.sentences, number)):
            continue
        if sentence.kind != "frame" and (not keys or left <= 0):
            continue
        text = sentence.text + "".join(f" [{key}]" for key in keys)
        if sentence.kind == "advice" and not whole:
            advice.append(text)
            continue
        if number in answered.breaks or not paragraphs or paragraphs[-1][-1].endswith(_COLONS):  # a colon ends no sentence, a line does
            paragraphs.append([])
        paragraphs[-1].append(text)
        left -= sentence.kind != "frame"
    return [" ".join(paragraph) for paragraph in paragraphs]


def _leads_on(sentences: Sequence[Sentence], number: int) -> bool:
    """ "Because you said that you need a visa:" """
    following = sentences[number + 1 : number + 2]
    return sentences[number].text.endswith(_COLONS) and bool(following) and following[0].kind == "fact"
