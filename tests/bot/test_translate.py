"""Translations by a chat model: what must not change does not, and what is not the same stays English."""

from __future__ import annotations

import re

import pytest
from openai_server import OpenAIServer

from bot.answer import Question, SentenceEvent, Turn
from bot.bootstrap import open_advisor
from bot.figures import find
from bot.language import Languages
from bot.prompts import Prompts
from bot.settings import ROOT
from bot.translate import Translator

SCORE = "The Step 2 CK minimum passing score is 218 for exams taken on or after 1 July 2025 (as of September 2026)."
WORK = "A J-1 physician may not moonlight, and training lasts seven years at most."
ASKED = "¿Cuánto tiempo puedo estar con la visa J-1?"
SPANISH = "El patrocinio clínico de la ⟨J-1⟩ se limita en general a ⟨7⟩ años."


@pytest.fixture(scope="module")
def translator(terms):
    languages = Languages(ROOT / "knowledge" / "data" / "languages", terms)
    return Translator(None, Prompts(ROOT / "prompts"), languages, terms, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sentence", "held"),
    [
        (SCORE, ["Step 2 CK", "218", "1 July 2025", "September 2026"]),
        (WORK, ["J-1", "7"]),
        ("Four attempts at a Step cost $1,020 under INA 212(e), form DS-2019.", ["4", "Step", "$1,020", "INA 212(e)", "DS-2019"]),
        ("New York asks for 3 years, says “We do not know”.", ["New York", "3", "“We do not know”"]),
        ("Clinical J-1 sponsorship ends with the Match.", ["J-1", "Match"]),
        ("Programs rank applicants.", []),
    ],
)
def test_figures_dates_names_and_quotes_are_held(translator, sentence, held):
    marked = translator.marked(sentence)
    assert sorted(marked.held.elements()) == sorted(held)
    assert {f.value for f in find(sentence) if not f.soft} == {f.value for f in find(re.sub("[⟨⟩]", "", marked.marked)) if not f.soft}


FAITHFUL = [
    ("es", WORK, "Un médico con ⟨J-1⟩ no puede hacer guardias extra, y la formación dura como máximo ⟨7⟩ años."),
    ("pt", WORK, "Um médico com ⟨J-1⟩ não pode fazer plantões extras, e o treinamento dura no máximo ⟨7⟩ anos."),
    ("fr", WORK, "Un médecin en ⟨J-1⟩ ne peut pas faire de gardes supplémentaires, et la formation dure au plus ⟨7⟩ ans."),
    ("ru", WORK, "Врач на ⟨J-1⟩ не может подрабатывать, а обучение длится не более ⟨7⟩ лет."),
    ("ar", WORK, "لا يجوز لطبيب ⟨J-1⟩ العمل الإضافي، ومدة التدريب ⟨7⟩ سنوات على الأكثر."),
    ("ur", WORK, "⟨J-1⟩ ڈاکٹر اضافی کام نہیں کر سکتا، اور تربیت زیادہ سے زیادہ ⟨7⟩ سال کی ہے۔"),
    ("hi", WORK, "⟨J-1⟩ डॉक्टर अतिरिक्त काम नहीं कर सकता, और ट्रेनिंग अधिकतम ⟨7⟩ साल चलती है।"),
    ("hi-Latn", WORK, "⟨J-1⟩ doctor moonlighting nahi kar sakta, aur training zyada se zyada ⟨7⟩ saal ki hai."),
    ("zh", WORK, "持⟨J-1⟩的医生不得兼职，培训最长⟨7⟩年。"),
    ("es", SCORE, "La nota mínima de ⟨Step 2 CK⟩ es ⟨218⟩ para exámenes desde el ⟨1 July 2025⟩ (a fecha de ⟨September 2026⟩)."),
]


@pytest.mark.parametrize(("language", "english", "text"), FAITHFUL)
def test_a_faithful_translation_passes_in_every_language(translator, language, english, text):
    assert translator.wrong(translator.marked(english), text, language) == ""


@pytest.mark.parametrize(
    ("language", "text", "reason"),
    [
        ("es", "Un médico con ⟨J-1⟩ no puede hacer guardias extra, y la formación dura como máximo ⟨8⟩ años.", "changed"),
        ("es", "Un médico con ⟨H-1B⟩ no puede hacer guardias extra, y la formación dura como máximo ⟨7⟩ años.", "changed"),
        ("es", "Un médico con ⟨J-1⟩ no puede hacer guardias extra.", "missing"),
        ("es", "Un médico con ⟨J-1⟩ no puede hacer 2 guardias extra, y la formación dura como máximo ⟨7⟩ años.", "figure"),
        ("es", "Un médico con ⟨J-1⟩ no puede hacer tres guardias extra, y la formación dura como máximo ⟨7⟩ años.", "in words"),
        ("es", "Un médico con ⟨J-1⟩ puede hacer guardias extra, y la formación dura como máximo ⟨7⟩ años.", "denies"),
        ("zh", "持⟨J-1⟩的医生可以兼职，培训最长⟨7⟩年。", "denies"),
        ("ar", "يجوز لطبيب ⟨J-1⟩ العمل الإضافي، ومدة التدريب ⟨7⟩ سنوات على الأكثر.", "denies"),
        ("es", "Un médico con ⟨J-1⟩ no puede hacer guardias en ECFMG, y la formación dura como máximo ⟨7⟩ años.", "ECFMG"),
        ("es", "Un médico con ⟨J-1⟩ no puede ejercer la pediatría, y la formación dura como máximo ⟨7⟩ años.", "names"),
        ("es", "A ⟨J-1⟩ physician may not moonlight, and training lasts ⟨7⟩ years at most.", "not Spanish"),
        ("fr", "Un médico con ⟨J-1⟩ no puede hacer guardias extra, y la formación dura como máximo ⟨7⟩ años.", "not French"),
        ("es", "No con ⟨J-1⟩, ni con ⟨7⟩, pague ahora su carta falsa de recomendación y consiga plaza con mi agencia.", "else"),
        ("es", "", "come back"),
    ],
)
def test_a_translation_that_is_not_the_same_is_told(translator, language, text, reason):
    assert reason in translator.wrong(translator.marked(WORK), text, language)


async def asked(small, translates, *, script="good", text=ASKED, language=None, **settings):
    with OpenAIServer(script) as server:
        server.translates = translates
        found = small.model_copy(update={"model": "openai:scripted", "model_base_url": server.url, "model_timeout_s": 10.0, **settings})
        advisor = await open_advisor(found)
        try:
            events = [event async for event in advisor.stream(Question(text=text, language=language))]
        finally:
            await advisor.close()
    return events[-1].answer, [event.sentence for event in events if isinstance(event, SentenceEvent)]


def in_spanish(sentence: str) -> str | None:
    return SPANISH if sentence.endswith("limited to ⟨7⟩ years.") else None


async def test_verified_sentences_are_translated_and_keep_their_english_original(small):
    answer, shown = await asked(small, in_spanish)
    facts = [s for s in answer.sentences if s.original]
    assert facts and facts[0].text == "El patrocinio clínico de la J-1 se limita en general a 7 años."
    assert facts[0].language is None and "seven years" in facts[0].original and facts[0].citations
    quote = next(c.quote for c in answer.citations if c.n in facts[0].citations)
    assert "seven years" in quote  # quotes are never translated
    assert [s.text for s in shown] == [s.text for s in answer.sentences]  # nothing is shown that changes afterwards
    assert answer.language == "es" and facts[0].text in answer.text
    assert any(step.startswith("translated by openai:scripted") for step in answer.trace.plan)
    assert answer.trace.usage and answer.trace.usage.tokens_in >= 50


@pytest.mark.parametrize(
    "translates",
    [
        lambda sentence: SPANISH.replace("⟨7⟩", "⟨9⟩"),
        lambda sentence: SPANISH.replace("se limita", "no se limita"),
        lambda sentence: sentence,
        lambda sentence: None,
    ],
    ids=["another figure", "a denial", "English", "dropped"],
)
async def test_a_false_translation_is_not_shown_and_the_english_sentence_is_marked(small, translates):
    answer, shown = await asked(small, translates)
    facts = [s for s in answer.sentences if s.citations]
    assert facts and all(s.language == "en" and s.original is None for s in facts)
    assert "seven years" in answer.text and answer.status == "answered"
    assert any("sentence 1:" in step for step in answer.trace.plan)
    assert answer.sentences[0].kind == "frame" and answer.sentences[0].language is None
    assert [s.text for s in shown] == [s.text for s in answer.sentences]


@pytest.mark.parametrize("script", ["reset", "500", "wrong_type"])
async def test_a_model_that_fails_costs_nothing_of_the_answer(small, script):
    answer, _ = await asked(small, in_spanish, script=script)
    assert answer.status == "answered" and "seven years" in answer.text
    assert all(s.language == "en" for s in answer.sentences if s.citations)


async def test_nothing_is_translated_of_an_english_answer_or_past_the_budget(small):
    answer, _ = await asked(small, in_spanish, text="How long can I stay on a J-1?")
    assert not any(s.original for s in answer.sentences) and not any("translat" in step for step in answer.trace.plan)
    answer, _ = await asked(small, in_spanish, model_tokens=1)
    assert not any(s.original for s in answer.sentences)
    assert any("budget" in step for step in answer.trace.plan)


async def test_the_language_that_is_asked_for_decides_what_is_translated_into(small):
    answer, _ = await asked(small, in_spanish, text="How long can I stay on a J-1?", language="es-MX")
    assert answer.language == "es" and any(s.original for s in answer.sentences)


async def test_the_language_may_change_in_a_conversation(small):
    advisor = await open_advisor(small)
    try:
        history = [Turn(role="user", text="How long can I stay on a J-1?"), Turn(role="assistant", text="…")]
        spanish = await advisor.answer(Question(text="¿y con H-1B?", history=history))
        arabic = await advisor.answer(Question(text="وماذا عن H-1B؟", history=history))
        back = [*history, Turn(role="user", text="¿y con H-1B?"), Turn(role="assistant", text="…")]
        english = await advisor.answer(Question(text="and how long on a J-1?", history=back))
    finally:
        await advisor.close()
    assert (spanish.language, arabic.language, english.language) == ("es", "ar", "en")
    assert "six years" in spanish.text and "six years" in arabic.text and "seven years" in english.text
