"""The letter around an answer: in every language it says nothing that would need a source."""

import pytest

from bot.answer import Answer, Citation, Sentence, SourceRef
from bot.courtesy import Courtesy
from bot.letter import TONES, Answered, letter
from bot.prompts import Prompts
from bot.reply import read_reply
from bot.settings import ROOT
from bot.terms import Terms

PROMPTS = Prompts(ROOT / "prompts")
LANGUAGES = ["en", *sorted(path.stem for path in (ROOT / "prompts" / "say").glob("*.j2"))]
FACT, ADVICE = "A visa takes 3 weeks.", "Ask early."


def answered(*, volatile: bool = False, missing: tuple[str, ...] = ()) -> Answered:
    sentences = [Sentence(text="Noted: nothing.", kind="frame"), Sentence(text=FACT, citations=[1]), Sentence(text=ADVICE, kind="advice")]
    citation = Citation(n=1, chunk_id="c", quote=FACT, source=SourceRef(title="t"), volatile=volatile)
    answer = Answer(
        id="a", created_at="2026-01-02T03:04:05Z", status="partial", text="", sentences=sentences, citations=[citation]  # type: ignore[arg-type]
    )  # fmt: skip
    return Answered(answer, frozenset(), {FACT: ("e1234567",), ADVICE: ("e7654321",)}, missing)


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_around_the_facts_is_courtesy(language: str, terms: Terms) -> None:
    courtesy = Courtesy(terms, PROMPTS.phrases("say", "letter"))
    for tone in TONES:
        for volatile in (False, True):
            text = letter(PROMPTS, [answered(volatile=volatile)], tone=tone, length="normal", language=language, name="Ana Ruiz")
            pieces = read_reply(text)
            assert [piece.text for piece in pieces if piece.keys] == [FACT, ADVICE]
            rest = [piece.text for piece in pieces if not piece.keys and not courtesy.says_nothing(piece.text, "Ana Ruiz")]
            assert rest == []
    english = letter(PROMPTS, [answered()], tone="formal", length="normal", language="en", name="Ana Ruiz")
    own = letter(PROMPTS, [answered()], tone="formal", length="normal", language=language, name="Ana Ruiz")
    assert language == "en" or not set(english.splitlines()) & set(own.splitlines()) - {"", "Ana Ruiz", f"{FACT} [e1234567]",
                                                                                       f"- {ADVICE} [e7654321]"}  # fmt: skip


def test_advice_is_a_next_step_and_what_is_missing_is_left_to_be_written() -> None:
    text = letter(PROMPTS, [answered(missing=("who pays",))], tone="neutral", length="normal", language="en", name="")
    assert text.index("next:") < text.index(ADVICE) and "[TO DO:" in text and "“who pays”" in text and "Noted" not in text
    empty = letter(PROMPTS, [], tone="neutral", length="full", language="en", name="")
    assert "[TO DO:" in empty and "source" not in empty
