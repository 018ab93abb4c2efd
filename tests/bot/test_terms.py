"""The field's words, as the shipped list has them."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import SettingsError
from bot.terms import STOP, Forms, any_of, fold, read_terms, stemmer


@pytest.mark.parametrize(
    ("text", "kind", "ident"),
    [
        ("H1B", "visa", "h1b"), ("an h 1b visa", "visa", "h1b"), ("as a J holder", "visa", "j1"), ("H-1B", "visa", "h1b"),
        ("Step two CK", "exam", "step2ck"), ("step-3", "exam", "step3"),
        ("Pathway Six", "pathway", "pathway6"), ("non-U.S. IMGs", "group", "nonusimg"), ("US IMGs", "group", "usimg"),
        ("in TX", "state", "statetx"),
        ("New York City", "state", "stateny"), ("a Pakistani graduate", "country", "countrypakistan"),
        ("Conrad waiver", "waiver", "conrad30"),
        ("the two-year home-residence rule", "waiver", "212e"), ("Intealth", "body", "ecfmg"), ("OB/GYN", "specialty", "obgyn"),
        ("is 241 enough for IM?", "specialty", "internalmedicine"), ("U.S. FM spots", "specialty", "familymedicine"),
        ("im programs", "specialty", "internalmedicine"),
    ],
)  # fmt: skip
def test_one_thing_however_it_is_written(terms, text, kind, ident):
    assert ident in terms.found(text).get(kind, set())


@pytest.mark.parametrize(
    "text", ["in or me", "IM from a village", "im tired", "AND SO IN CAPITALS OR NOT", "the h-10 form", "stepson 3", "Step 3ck"]
)
def test_what_only_looks_like_a_name(terms, text):
    assert not terms.found(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("my rank-list", "rank order list"), ("rank  list", "rank order list"), ("an old\ngrad", "older graduate"),
        ("a sub i", "subinternship"), ("a subi", "subinternship"), ("PGY 1", "first postgraduate year"),
        ("pgy-1", "first postgraduate year"), ("pre match offers", "prematch"),
    ],
)  # fmt: skip
def test_an_abbreviation_is_known_however_it_is_parted(terms, text, plain):
    assert plain in terms.expanded(text)
    assert set(terms.tokens(plain)) <= set(terms.tokens(text, expand=True))


def test_every_process_adds_the_names_in_one_order():
    """Else a question would have another vector at the next start."""
    code = (
        "from bot.settings import ROOT; from bot.terms import read_terms; "
        "print(read_terms(ROOT / 'knowledge/data/terms.yaml').expanded('Emory: J1, H1B, O1 or F1? IM, FM or EM?'))"
    )
    settings = [os.environ | {"PYTHONHASHSEED": seed} for seed in "1234"]
    found = {subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout for env in settings}
    assert len(found) == 1


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_letters_are_folded_as_all_are(text):
    assert fold(text) == fold(text + "é").removesuffix("e")


def test_the_longer_name_wins(terms):
    assert terms.found("H-1B1")["visa"] == {"h1b1"}
    assert terms.found("West Virginia")["state"] == {"statewv"}
    assert terms.found("Step 2 CS")["exam"] == {"step2cs"}


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("did 2 years in Ukraine then moved to Georgia because of the war", False), ("MBBS from Georgia, Tbilisi", False),
        ("medical school in Georgia, will ECFMG accept it?", False), ("years of training for a license in Georgia", True),
        ("residency programs in Georgia and Florida", True),
    ],
)  # fmt: skip
def test_the_country_and_the_state_of_one_name(terms, text, state):
    found = terms.found(text)
    assert ("statega" in found.get("state", ())) == state
    assert ("countrygeorgiacountry" in found.get("country", ())) != state


def test_look_alikes_fold_into_latin_letters():
    assert fold("Stер２") == "step2"
    assert fold("ÉCFMG\u200b") == "ecfmg"


def test_expansion_adds_plain_words_to_questions_only(terms):
    assert "graduat" in terms.tokens("my YOG", expand=True) and "graduat" not in terms.tokens("my YOG")


WORDS = st.lists(
    st.text("ab -", min_size=1, max_size=6).map(str.strip).filter(lambda w: w and not w.startswith("-") and not w.endswith("-")),
    min_size=1,
    max_size=8,
)


@given(WORDS, st.text("ab ", max_size=12))
@settings(max_examples=200, deadline=None)
def test_one_pattern_finds_what_the_phrases_one_by_one_find(phrases, text):
    together = re.compile(rf"(?<!\w)(?:{any_of(phrases)})(?!\w)")
    alone = [re.compile(rf"(?<!\w)(?:{any_of([phrase])})(?!\w)") for phrase in phrases]
    assert bool(together.search(text)) == any(pattern.search(text) for pattern in alone)


def test_a_broken_list_says_what_to_do(tmp_path):
    path = tmp_path / "terms.yaml"
    path.write_text("entities: [", encoding="utf-8")
    with pytest.raises(SettingsError, match="terms.yaml"):
        read_terms(path)


PHRASES = st.text("ab1é .", min_size=1, max_size=6).map(lambda text: " ".join(text.split())).filter(bool)


@given(st.lists(PHRASES, min_size=1, max_size=12), st.text("ab1é -.\n", max_size=40))
def test_phrases_are_found_as_one_pattern_of_all_would(phrases, text):
    whole = re.compile(rf"(?<![a-z0-9])(?:{any_of(sorted(phrases, key=len, reverse=True))})(?![a-z0-9])")
    assert Forms(phrases).replaced(text, "<{}>".format) == whole.sub(lambda m: f"<{m.group()}>", text)


def test_threads_that_stem_side_by_side_do_not_change_each_others_words():
    """The stemmer keeps the word it works on in itself: unguarded, some got another's stem or an IndexError."""
    words = [f"{stem}{ending}" for stem in sorted(STOP) for ending in ("ational", "fulness", "ibilities", "ing", "edly", "ousness")]
    guarded = stemmer("english")
    expected = [guarded(word) for word in words]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: [guarded(word) for word in words], range(12)))
    assert all(each == expected for each in found)
