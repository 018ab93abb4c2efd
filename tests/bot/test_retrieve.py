"""Reading and ranking on the whole library: misspelt words, names, years, and what an index of other documents gives."""

import asyncio

import pytest
from bot_day import TODAY

from bot.bootstrap import open_advisor
from bot.judge import judge
from bot.retrieve import Retriever, Short, Wanted, _same_letters
from bot.settings import read_settings
from ingest.run import run


@pytest.fixture(scope="module")
def retriever(library) -> Retriever:
    async def opened():
        advisor = await open_advisor(read_settings(data=library))
        room = await advisor._room(None)
        await advisor.close()
        return room.retriever

    return asyncio.run(opened())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("residncy", "residency"),
        ("licens", "license"),
        ("certifcate", "certificate"),
        ("stpe", "step"),
        ("pediatics", "pediatrics"),
        ("intervew", "interview"),
    ],
)
def test_a_slip_is_read_as_the_word_of_the_library(retriever, text, read):
    assert retriever.query(f"what about {text} rules").read_as.get(text) == read


@pytest.mark.parametrize("text", ["weather", "whether", "Emory", "mine", "DACA", "uworld", "there", "wish"])
def test_real_words_and_names_are_left_alone(retriever, text):
    assert not retriever.query(f"is {text} so").read_as


def test_letters_left_out_or_exchanged():
    assert _same_letters("wich", "which") and _same_letters("stpe", "step")
    assert not _same_letters("wich", "wish")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("application fee in 2029", {"2029"}),
        ("I graduated in 2015, can I apply", set()),
        ("yog 2016", set()),
        ("match results 2026 and 2025", {"2026", "2025"}),
    ],
)
def test_years_of_ones_own_life_are_not_asked_about(retriever, text, asked):
    assert retriever.query(text).years == asked


def test_places_of_ones_own_life_are_not_asked_about(retriever):
    own = retriever.query("I studied in Texas, do I need ECFMG certification?")
    assert "statetx" not in own.entities
    assert "statetx" in retriever.query("How many years does Texas want?").entities


@pytest.mark.parametrize(
    "text",
    [
        "does Maimonides sponsor H-1B?",
        "price of UWorld for Step 2 CK",
        "What is the ERAS fee in 2029?",
        "passing score of COMLEX level 2",
        "who won the world cup",
    ],
)
def test_what_is_not_held_is_not_answered(retriever, text):
    found = retriever.find([retriever.query(text)])[0]
    assert not judge(found, TODAY).answerable, found.passages[0].text


@pytest.mark.parametrize(
    "text",
    ["Do I need Step 3 for an H-1B?", "do i need step3 b4 h1b", "how many tries at step 1", "can J-1 doctors moonlight",
     "is a no objection letter possible",
     "what years does california want for img licence"],
)  # fmt: skip
def test_what_is_held_is_answered(retriever, text):
    found = retriever.find([retriever.query(text)])[0]
    assert judge(found, TODAY).answerable
    assert [p.rank for p in found.passages] == list(range(1, len(found.passages) + 1))
    assert all(0 <= e.score <= 1 for e in found.evidence)
    assert found.evidence == sorted(found.evidence, key=lambda e: -e.score)


def test_a_state_is_only_answered_from_what_names_it(retriever):
    found = retriever.find([retriever.query("How many years of training does Nevada want?")])[0]
    assert found.evidence and all("nevada" in " ".join([*e.chunk.heading, e.span.said]).lower() for e in found.evidence)


TEXTS = [
    "Do I need Step 3 for H-1B?", "how much is ECFMG certification", "SOAP rules", "Conrad 30 slots per state", "who won the world cup",
    "can i match with a low step 2 score", "texas license years of training", "what is the ERAS fee in 2029", "is moonlighting allowed",
    "do program directors look at the year of graduation", "how do I get a J-1 visa", "fee for step 1", "am i too old",
]  # fmt: skip


def test_searching_together_or_alone_is_the_same(retriever):
    together = retriever.find(retriever.query(text) for text in TEXTS)
    assert [found.query.text for found in together] == [retriever.query(text).text for text in TEXTS]
    for text, found in zip(TEXTS, together, strict=True):
        alone = retriever.find([retriever.query(text)])[0]
        assert [(p.chunk_id, p.score) for p in alone.passages] == [(p.chunk_id, pytest.approx(p.score, abs=1e-3)) for p in found.passages]


def test_each_is_told_as_soon_as_it_is_found(retriever):
    """And what comes while others are looked for joins in."""
    waiting, taken, told = list(enumerate(TEXTS * 3)), 0, []

    def more(most):
        nonlocal taken
        if len(told) == len(waiting) == 3 * len(TEXTS):
            waiting.append((len(waiting), "Who pays for malpractice insurance?"))
        some = waiting[taken : taken + most]
        taken += len(some)
        return [(number, Wanted(retriever.query(text), k=1)) for number, text in some]

    retriever.serve(more, lambda number, found: told.append((number, taken, len(found.passages))))
    assert sorted(number for number, _, _ in told) == list(range(3 * len(TEXTS) + 1))
    assert told[0][1] < 3 * len(TEXTS), "the first was told only after the others were taken"
    assert {passages for _, _, passages in told} == {1}


def scores(found):
    return [(p.chunk_id, p.score) for p in found.passages]


def test_what_the_short_way_leaves_in_doubt_is_looked_for_again(retriever):
    """Whatever vectors the short way gives to these questions: in doubt it is as if there were none."""
    queries = [retriever.query(text) for text in TEXTS]
    stored = {question for chunk in retriever.index.chunks for question in chunk.questions}

    def short(texts):
        return retriever.embed(texts if stored.issuperset(texts) else ["the weather"] * len(texts))

    def found(in_doubt):
        return Retriever(retriever.index, retriever.terms, retriever.embed, short=Short(short, in_doubt)).find(queries)

    whole = Retriever(retriever.index, retriever.terms, retriever.embed).find(queries)
    assert [scores(each) for each in found(lambda _: True)] == [scores(each) for each in whole]
    doubtful = {query.text for query in queries[::2]}
    some = found(lambda each: each.query.text in doubtful)
    assert [scores(one) == scores(other) for one, other in zip(some, whole, strict=True)] == [n % 2 == 0 for n in range(len(TEXTS))]


def test_a_short_way_that_was_made_for_other_documents_is_not_used(retriever):
    far = Short(lambda texts: retriever.embed(["the weather"] * len(texts)), lambda _: pytest.fail("it was used"))
    found = Retriever(retriever.index, retriever.terms, retriever.embed, short=far).find([retriever.query(TEXTS[0])])
    assert scores(found[0]) == scores(Retriever(retriever.index, retriever.terms, retriever.embed).find([retriever.query(TEXTS[0])])[0])


def test_the_guides_are_searched_the_short_way(retriever):
    assert retriever._short is not None


async def test_a_collection_of_other_documents_is_searched_beside_the_guides(small, tmp_path):
    lines = ['{"id": "d1", "title": "Bees", "text": "A queen bee lays up to two thousand eggs a day."}',
             '{"id": "d2", "title": "Rivers", "text": "The Nile flows north into the Mediterranean Sea."}']  # fmt: skip
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(lines))
    await run(small, [path], collection="nature")
    advisor = await open_advisor(small)
    try:
        assert [p.document_id for p in await advisor.search("how many eggs does a queen lay", collection="nature")][0] == "d1"
        assert (await advisor.search("how long may a J-1 stay"))[0].document_id == "visas/j1"
        from bot.answer import Question

        answer = await advisor.answer(Question(text="Where does the Nile flow?", collection="nature"))
        assert answer.status == "answered" and "north" in answer.text
        assert (await advisor.answer(Question(text="recipe for lasagna", collection="nature"))).status == "no_answer"
        assert (await advisor.answer(Question(text="I want to die", collection="nature"))).status == "handoff"
        assert (await advisor.answer(Question(text="hello", collection="nature"))).status == "no_answer"  # a rule of the guides only
        assert answer.citations[0].guide is None and answer.citations[0].source.title == "Rivers"
    finally:
        await advisor.close()
