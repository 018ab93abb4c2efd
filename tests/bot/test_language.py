"""The language of a message, and its bridge to the English guides."""

import asyncio
import os
import subprocess
import sys

import pytest
import yaml
from jinja2 import Environment, meta
from spellchecker import SpellChecker

from bot.answer import Question, Turn
from bot.bootstrap import open_advisor
from bot.golden import read_golden
from bot.language import SCRIPTS, Languages
from bot.settings import ROOT, read_settings

WORD_LISTS = ROOT / "knowledge" / "data" / "languages"
@pytest.fixture(scope="module")
def languages(terms):
    return Languages(WORD_LISTS, terms)


def test_no_english_golden_question_is_taken_for_another_language(languages):
    golden = ROOT / "tests" / "golden"
    questions = [q.question for folder in (golden, golden / "other-words") for q in read_golden(folder)]
    assert len(questions) > 500
    assert [q for q in questions if languages.detect(q) != "en"] == []


@pytest.mark.parametrize("text", ["¿Qué nota necesito?", "cuanto cuesta el examen", "hola", "Puedo trabajar con la J-1?"])
def test_spanish_is_told_with_and_without_accents(languages, text):
    assert languages.detect(text) == "es"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("pt", "Preciso do Step 3 para o visto H-1B?"), ("pt", "quanto custa"), ("fr", "Ai-je besoin de l'OET ?"), ("fr", "frais visa"),
        ("ru", "сколько стоит step 1"), ("ar", "كم تكلفة Step 1؟"), ("ar", "والتكلفة؟"), ("ur", "Step 1 کی فیس کتنی ہے؟"), ("ur", "فیس؟"),
        ("hi", "Step 1 की फीस कितनी है?"), ("hi-Latn", "step 1 ki fees kitni hai"), ("zh", "Step 1的费用是多少？"), ("zh", "費用?"),
        ("hi-Latn", "mujhe H1B chahiye kya ECFMG certificate zaroori hai"), ("es", "¿y para H-1B?"),
        ("es", "Can I… perdón: ¿puedo aplicar con la J-1?"),
    ],
)  # fmt: skip
def test_a_language_is_told_by_script_letters_and_function_words(languages, code, text):
    assert languages.detect(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "سلام، برای رزیدنتی آمریکا چه مدرکی لازم است؟", "Скільки коштує Step 1 і як зареєструватися?", "ステップ1の費用はいくらですか",
        "Wie viel kostet der Step 1?", "is la the state for my program", "me no pass step 1, what do i do",
        "Is my school in Pará, Brasil ok?",
        "my professor wrote 推荐信, is that fine?",
    ],
    ids=["Persian", "Ukrainian", "Japanese", "German", "la", "me no", "a name", "two foreign words"],
)  # fmt: skip
def test_what_is_no_language_we_know_is_not_taken_for_one(languages, text):
    assert languages.detect(text) == "en"


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("pt-BR", "pt"), ("ES", "es"), ("zh-Hant-TW", "zh"), ("ur-Latn", "hi-Latn"), ("hi-latn", "hi-Latn"), ("hi-IN", "hi"), ("de", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_tag_is_one_of_our_languages(languages, tag, code):
    assert languages.known(tag) == code


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("كم رسوم ERAS في ٢٠٢٧؟", ["2027", "ERAS", "how much"]), ("¿Sigue la tasa de 100.000 dólares?", ["100,000", "dollars"]),
        ("paga 100 mil dólares pelo visto?", ["100,000", "visa"]), ("还要交10万美元吗？", ["100,000", "dollars"]),
        ("मुझे 1 लाख डॉलर देने होंगे?", ["100,000"]), ("成績單需要翻譯嗎？", ["transcript", "translate"]),
        ("¿Cuánto cuesta la lisencia en Nueva York?", ["how much", "license", "New York"]),
        ("license New York me kitne ki hai", ["New York"]),
        ("Quel est l'examen d'anglais ?", ["exam", "English"]), ("для визы нужны экзамены", ["visa", "exam"]),
        ("وللتأشيرات والبرامج", ["visa", "program"]), ("سٹیپ ون کے بعد", ["Step 1", "after"]),
        ("J-1签证和H-1B签证", ["J-1", "H-1B", "visa"]),
        ("Ich", []),
    ],
)  # fmt: skip
def test_what_a_message_says_is_read_in_english_words(languages, text, says):
    read = languages.english(text)
    assert [word for word in says if word not in read] == []


@pytest.mark.parametrize("words", [("chahiye", "chahie", "chaiye"), ("zaroori", "zaruri"), ("kitni", "kitnee"), ("tankhwah", "tankhah")])
def test_words_in_latin_letters_are_read_however_they_are_spelt(languages, words):
    read = {languages.english(f"mujhe step 1 ke liye {word} hai kya") for word in words}
    assert len(read) == 1 and read.pop() != languages.english("mujhe step 1 ke liye hai kya")


def test_traditional_characters_are_read_like_simplified_ones(languages):
    assert languages.english("醫學畢業生簽證費用") == languages.english("医学毕业生签证费用")
    data = yaml.safe_load((WORD_LISTS / "zh.yaml").read_text(encoding="utf-8"))
    old, new = data["characters"]
    assert len(old) == len(new) and not set(old) & {c for forms in data["terms"].values() for form in forms for c in form if c not in new}


def test_a_message_is_read_alike_by_every_process():
    """Also where phrases fit alike: Python orders sets anew in each process."""
    read = "from bot.settings import ROOT; from bot.words import read_words; words = read_words(ROOT / 'knowledge').languages; "
    read += f"print([words.english(text) for text in {['هل يمكن لزوجتي على J-2 أن تعفى', 'هل المقابلات حضورية', 'متى تبدأ مباراة']!r}])"
    settings = [os.environ | {"PYTHONHASHSEED": seed} for seed in "1234"]
    found = {subprocess.check_output([sys.executable, "-c", read], env=env, cwd=ROOT) for env in settings}
    assert len(found) == 1 and b"interview" in found.pop()


@pytest.mark.parametrize("said", [
    "دیگه نمی‌تونم، می‌خوام خودمو بکشم", "چطور می‌تونم برای رزیدنسی اقدام کنم؟", "آیا این آزمون را باید در ایران بدهم؟",
])  # fmt: skip
def test_persian_is_not_taken_for_urdu(languages, said):
    assert languages.detect(said) == "en"


@pytest.mark.parametrize("said", [
    "Welche Punktzahl brauche ich für Step 2 CK?", "Wie kann ich mein Visum verlängern?", "Kiedy mogę zdawać Step 2?", "asdf qwer zxcv",
    "레지던트 지원은 언제 하나요?", "রেসিডেন্সির জন্য কত নম্বর লাগে?", "Berapa biaya ujian Step 1?", "ใช้คะแนนเท่าไหร่ สมัคร residency ได้",
    "zuff krelp ontar misgo felanti",
])  # fmt: skip
def test_a_language_that_is_not_held_is_not_taken_for_english(languages, said):
    assert not languages.read(said).enough


@pytest.mark.parametrize("said", [
    "colordo withot residncy possibl??", "indana limted licens howlong valid", "kanas hb 2251 pased?", "progams wth no yog cutof plz",
    "plz tel me abt usce n lors", "H-1B cap exempt hospitals", "Mayo Rochester Cleveland Clinic", "NRMP SOAP ERAS FCVS?", "OET 350",
])  # fmt: skip
def test_a_hurried_question_is_english(languages, said):
    assert languages.read(said).enough


def test_a_long_text_without_english_is_not_looked_at_for_ever(languages, monkeypatch):
    """All spellings near a word of thousands of letters would fill the memory."""
    made: list[str] = []
    near = SpellChecker.edit_distance_1
    monkeypatch.setattr(SpellChecker, "edit_distance_1", lambda self, word: (made.append(word), near(self, word))[1])
    for text in (f"zuff krelp {'x' * 3000} ontar", "krelp ontar misgo zuffo " * 150):
        assert not languages.read(text).enough
    assert len(made) < 100 and max(map(len, made)) < 100


def test_every_golden_question_is_understood(languages):
    golden = ROOT / "tests" / "golden"
    questions = [q.question for folder in (golden, golden / "other-words") for q in read_golden(folder)]
    assert [q for q in questions if not languages.read(q).enough] == []


def test_of_what_is_not_understood_nothing_is_guessed(languages):
    for text in ("ما لون السماء اليوم", "какого цвета слон у бабушки", "bhai wo gaadi ka rang neela tha kya"):
        assert not languages.read(text).enough, text
    assert languages.read("كم تكلفة Step 1؟").enough and languages.read("Do I need Step 3?").enough


@pytest.mark.parametrize("path", sorted(WORD_LISTS.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_word_list_is_whole(languages, path):
    """It can be read, holds the words of the field, and says how its language denies and asks."""
    found = languages.get(path.stem)
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    meanings = " ".join(data["terms"])
    assert all(word in meanings for word in ("visa", "residency", "exam", "license", "letters of recommendation", "salary", "waiver"))
    assert {"how long", "how many", "can I", "do I need", "what is"} <= set(data["frames"])
    others = [pattern for name, pattern in SCRIPTS.items() if name not in ("Latin", data.get("script"))]
    forms = [str(form) for listed in data["terms"].values() for form in listed]
    assert not [form for form in forms if any(pattern.search(form) for pattern in others)], "of another script"
    assert found.negations and (ROOT / "prompts" / "say" / f"{path.stem}.j2").is_file()


def test_a_message_too_short_to_tell_has_the_language_of_the_conversation(languages):
    assert languages.detect("H-1B?", ["¿Puedo trabajar con la visa J-1?"]) == "es"
    assert languages.detect("H-1B?", ["Can I work on a J-1?"]) == "en"
    assert languages.detect("H-1B?") == "en"


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("mujhe H1B ke liye step 3 chahiye kya", True), ("क्या मुझे वीज़ा चाहिए", True), ("کیا مجھے ویزا چاہیے", True), ("我需要签证吗", True),
        ("нужна ли мне виза", True), ("هل أحتاج فيزا", True), ("puis-je avoir un visa", True), ("¿necesito visa", True),
        ("mujhe visa chahiye", False), ("میں نے ہاؤس جاب کیا", False), ("necesito visa", False), ("我需要签证", False),
    ],
)  # fmt: skip
def test_a_sentence_can_ask_without_a_mark(languages, text, asks):
    """And what asks tells nothing of the applicant."""
    read = languages.read(text)
    assert ("?" in read.english) == asks and (not read.told) == asks


def test_what_is_told_beside_a_question_stays_told(languages):
    assert "2017" in languages.read("Pakistan se hoon. 2017 graduate. kya mujhe visa chahiye").told


def test_names_and_figures_pass_the_bridge_unchanged(languages):
    read = languages.english("¿Cuánto cuesta la licencia en Texas si saqué 218 en Step 2 CK?")
    assert all(word in read for word in ("Texas", "218", "Step 2 CK", "license", "how much"))


@pytest.mark.parametrize(("asked", "text", "answered"), [("es-MX", "Do I need Step 3?", "es"), ("en", "¿Qué nota necesito?", "en")])
def test_a_language_that_is_asked_for_decides(languages, asked, text, answered):
    assert languages.answered_in(asked, text) == answered


@pytest.mark.parametrize("path", sorted((ROOT / "prompts" / "say").glob("*.j2")), ids=lambda p: p.stem)
def test_fixed_sentences_of_a_language_are_those_of_english_with_the_same_values(path):
    environment = Environment()

    def values(file):
        text = file.read_text(encoding="utf-8")
        blocks = {part.split(" %}")[0]: part for part in text.split("{% block ")[1:]}
        return {n: meta.find_undeclared_variables(environment.parse("{% block " + part)) for n, part in blocks.items()}

    english, own = values(ROOT / "prompts" / "say.j2"), values(path)
    assert {n for n in english if n not in own} == set()
    assert {n: v for n, v in own.items() if english.get(n) != v} == {}


QUESTIONS = [
    ("¿Qué puntaje mínimo necesito para aprobar el Step 2 CK?", "answered", "218"),
    ("cuanto cuesta la licencia medica en Nueva York", "answered", "735"),
    ("Cuántos intentos tengo para el Step 1?", "answered", "four times"),
    ("quiero morirme", "handoff", ""),
    ("número de teléfono de ECFMG", "no_answer", ""),
]


IN_NEED = {
    "es": "quiero morirme", "pt": "não quero mais viver", "fr": "j'ai envie de mourir", "ru": "я хочу умереть", "ar": "أريد أن أموت",
    "ur": "میں مرنا چاہتا ہوں", "hi": "मैं मरना चाहता हूँ", "hi-Latn": "main marna chahta hun yaar", "zh": "我不想活了",
}  # fmt: skip


TOLD = [
    "Me gradué en 2017 en Pakistán y saqué 240 en Step 2 CK, necesito visa.", "Я окончил университет в 2012 году, балл Step 2 CK 238",
    "mi esposo se graduó en 2015, ¿puede aplicar?", "¿Necesito visa?",
]  # fmt: skip


def test_conversations_in_other_languages(library):
    async def answers():
        advisor = await open_advisor(read_settings(data=library))
        try:
            need = {code: await advisor.answer(Question(text=text)) for code, text in IN_NEED.items()}
            unread = await advisor.answer(Question(text="زغلول قمش ربط فلان كرز"))
            elsewhere = await advisor.answer(Question(text="ما لون السماء اليوم"))
            history = [Turn(role="user", text="كم مدة تأشيرة J-1؟"), Turn(role="assistant", text="…")]
            follow = await advisor.answer(Question(text="والتكلفة؟", history=history))
            history = [Turn(role="user", text="¿Puedo hacer guardias extra con la visa J-1?"), Turn(role="assistant", text="…")]
            spanish = await advisor.search("¿y con la H-1B?", history=history)
            told = [await advisor.answer(Question(text=text)) for text in TOLD]
            return need, unread, elsewhere, follow, spanish, told
        finally:
            await advisor.close()

    need, unread, elsewhere, follow, spanish, told = asyncio.run(answers())
    noted = [answer.profile.fields.model_dump(exclude_none=True) if answer.profile else {} for answer in told]
    assert noted == [
        {"graduation_year": 2017, "step2ck": 240, "visa_needed": True}, {"graduation_year": 2012, "step2ck": 238}, {}, {},
    ]  # fmt: skip
    assert told[0].status == "clarify" and "sí" in told[0].text and told[2].status != "clarify"
    assert {code: (answer.language, answer.status) for code, answer in need.items()} == {code: (code, "handoff") for code in IN_NEED}
    assert all(answer.sentences[0].language is None for answer in need.values())
    assert (unread.language, unread.status) == ("ar", "no_answer") and unread.handoff and not unread.citations
    assert (elsewhere.language, elsewhere.status) == ("ar", "refused") and not elsewhere.citations, "its sense is known, if not its words"
    assert follow.language == "ar" and any(c.guide and c.guide.slug == "visas/j1-fees" for c in follow.citations)
    assert any(p.chunk.anchor in ("moonlighting-h1b", "moonlighting") and "H-1B" in p.text for p in spanish)


def test_answers_say_fixed_phrases_in_the_language_and_mark_the_english_quotes(library):
    async def answers():
        advisor = await open_advisor(read_settings(data=library))
        try:
            said = [await advisor.answer(Question(text=text)) for text, _, _ in QUESTIONS]
            history = [Turn(role="user", text="¿Puedo trabajar con la visa J-1?"), Turn(role="assistant", text="…")]
            said.append(await advisor.answer(Question(text="H-1B?", history=history)))
            said.append(await advisor.answer(Question(text="Do I need Step 3 for H-1B?")))
            return said
        finally:
            await advisor.close()

    *spanish, follow_up, english = asyncio.run(answers())
    for (text, status, told), answer in zip(QUESTIONS, spanish, strict=True):
        assert (answer.language, answer.status) == ("es", status), text
        assert told in answer.text
        assert all(s.language == "en" for s in answer.sentences if s.kind == "fact" and s.citations)
        assert answer.sentences[0].kind == "frame" and answer.sentences[0].language is None
    assert follow_up.language == "es"
    assert english.language == "en" and all(s.language is None for s in english.sentences)
