"""The sentence splitter against boundaries set by hand: "‖" stands where a sentence, list item or table row ends and another begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sentences import spans, split

FLOOR = 0.98
"""Least F1 over all boundaries of LABELLED together."""

LABELLED = """
Nothing ends here until the end.
You need ECFMG certification.‖It takes months.
Is Step 3 needed for an H-1B?‖Yes, before the petition is filed.
Apply early!‖Slots fill.
The pass mark is 218.‖It applies to tests from July 1, 2025.
# Law and codes
Massachusetts asks for it under G.L. c. 112, section 2.‖The board may waive it.
See M.G.L. c. 112, § 9.‖It covers limited licenses.
Pennsylvania's rule is 49 Pa. Code § 17.5.‖It names the years.
The rule is at 22 C.F.R. 62.27.‖It covers alien physicians.
See 8 C.F.R. § 214.2(h).‖A petition is filed by the employer.
It is 8 U.S.C. 1182(e).‖The bar lasts two years.
Under 8 U.S.C. § 1184(l) a state may ask for waivers.‖Each state has 30.
See Tex. Occ. Code § 155.003.‖Texas counts attempts.
Cal. Bus. & Prof. Code § 2065 sets the terms.‖They changed in 2020.
The statute is Fla. Stat. § 458.314.‖Florida lists pathways.
See N.J. Admin. Code § 13:35-3.11.‖New Jersey asks for two years.
Ohio Rev. Code Ann. § 4731.09 applies.‖So does the rule.
Pub. L. No. 117-103 extended it.‖It lapsed later.
See Fed. Reg. Vol. 90 for the notice.‖It took effect at once.
The case was Doe v. Smith.‖The board won.
Smith et al. found the same.‖Others did not.
Compare Sec. 5 and Art. 3 of the act.‖Both matter.
See para. 4 and subsec. 2.‖They differ.
Title 22 of the D.C. Code says so.‖The board follows it.
# Numbers
Question No. 5 asks for dates.‖Answer it.
Take nos. 3 and 4 first.‖Then the rest.
The answer is no.‖Five states differ.
The answer is no.‖Ask again.
The fee is $995.00 today.‖It rises.
The rate was 58.8 percent.‖In 2024 it was 58.5.
The mean was 3.5.‖The median was 3.
Version 2.0 came out in 2025.‖Version 1.9 is gone.
It grew by .5 points.‖That is little.
He scored 245.‖She scored 251.
They had 3 attempts.‖4 are allowed.
In 2025.‖In 2026.
The limit is 7 years.‖2 more can be granted.
It costs approx. 160 dollars.‖Pay by card.
It takes approx. 5 weeks.‖Plan for it.
About 1,200 fit, ca. 30 match.‖That is few.
# Exams and abbreviations of the field
Take Step 2 CK.‖The score counts.
Pass Step 2 CK.‖Then apply for OET.
She passed Step 1.‖Step 2 CK came next.
The clinical exam was Step 2 CS.‖It ended in 2021.
Steps 1, 2 CK, and 3 are needed.‖Each has a limit.
He holds an H-1B.‖It lasts three years.
She has a J-1.‖The sponsor is Intealth.
They file Form I-129.‖USCIS decides.
Ask for a DS-2019.‖The program sends it.
You need an O-1A.‖The bar is high.
This is for an H-4.‖Work needs an EAD.
Vitamin B. Smith is not a sentence end.
An IMG needs a U.S. visa.‖The embassy issues it.
Work in the U.S.‖The visa decides how.
He trained in the U.S. Army.‖It counted.
It is issued by U.S. Citizenship and Immigration Services.‖It takes months.
The page is U.S. Visas on the department's site.‖Read it.
She lives in the U.S.‖She holds a green card.
The U.S. Department of State issues it.‖A fee applies.
Many move to the U.K.‖Some return.
He has a Ph.D. in biology.‖It helps little.
He has a Ph.D.‖That helps little.
She earned her M.D. in Cairo.‖Her Ph.D. came later.
The D.O. degree is American.‖It differs.
The M.B.B.S. degree counts.‖So does the M.B.Ch.B.
Dr. Rao wrote it.‖Prof. Lee read it.
Mr. and Mrs. Khan asked.‖Ms. Diaz answered.
St. George's is in Grenada.‖It is large.
She trained at Mt. Sinai.‖It is in New York.
John F. Kennedy Hospital has one.‖It is small.
J. Smith and A. B. Jones signed.‖Both are directors.
The form is signed by Dr. J. R. Smith.‖Keep a copy.
The program is at Kings County Hosp. Center.‖Ask there.
Ask the Dept. of Health.‖It answers.
The Univ. of Iowa has two.‖Both sponsor.
Contact Acme Inc. Monday to Friday.‖They answer.
It was bought by Acme Inc.‖The name stayed.
Johns Hopkins vs. Mayo is no contest.‖Both are hard.
Bring papers, e.g. a passport.‖Bring copies.
Bring a photo ID, i.e. a passport.‖It must be valid.
Bring a photo ID (e.g. Passport or Visa).‖It must be valid.
Bring forms, transcripts, etc.‖The office copies them.
Bring forms, transcripts, etc. to the office.‖It copies them.
Attending (cf. Fig. 2) matters.‖See below.
# Times and dates
It opens at 9 a.m. on September 24.‖Be ready.
It opens at 9 a.m. Eastern time.‖Be ready.
Doors close at 5 p.m.‖The list closes at 9 p.m. ET.
It ends at 11:59 p.m. Eastern.‖Late lists are lost.
Applications open Sept. 3 and close Jan. 15.‖Note both.
Results came in Mar. 2026.‖They were good.
It began in Jan.‖The next is in June.
On Fri. Mar. 20 it ends.‖Celebrate.
# Dots that trail, quotes, brackets
Wait ... and see.‖It helps.
He paused...‖Then he went on.
"Apply early."‖That is the advice.
He said "Apply early."‖She did.
She asked, "Is it due?"‖It was.
“Do I need it?” is a common question.‖The answer is yes.
It asks "Why us?" and "Why here?"‖Answer both.
(See below.)‖It is long.
This is so (see Sec. 4).‖It holds.
It is due (in most states.)‖Check yours.
It applies.[^usmle-1]‖It lasts.
It applies. [^usmle-1]‖It lasts.
**Apply early.**‖It helps.
*Apply early.*‖It helps.
Some wait; others do not.‖Both are fine.
The rule is short: apply early.‖That is all.
What?!‖Really.
Fees (in dollars): 60, 27, etc. (see below).‖They add up.
The terms “U.S. citizen IMG” and “non-U.S. IMG” differ.‖Use them.
It is called "cap-exempt."‖Universities are.
It's the board's.‖Its site says so.
# Addresses and names
See https://www.ecfmg.org/certification.‖It lists them.
See www.nrmp.org.‖It is free.
Write to info@ecfmg.org.‖They answer.
Open file v1.2.3.txt first.‖Then stop.
Use Yahoo! Mail if you like.‖Any will do.
Visit Intealth.‖ECFMG is part of it.
eRAS opens soon.‖iPads are allowed.
It is for ECFMG.‖eConsent is online.
# Other scripts
你需要通过考试。‖然后申请。
これは必要です。‖次に進みます。
هل تحتاج تأشيرة؟‖نعم.
مجھے ویزا چاہیے۔‖یہ ضروری ہے۔
आपको परीक्षा देनी होगी।‖फिर आवेदन करें।
Нужна виза.‖Она выдаётся в посольстве.
Χρειάζεται βίζα.‖Ναι.
¿Necesito visa?‖Sí.
Necesita la visa.‖¿Cuándo la pide?
É preciso o visto.‖Às vezes demora.
이것이 필요합니다.‖다음으로 가세요.
""".strip().split("\n")

BLOCKS = [
    "Bring:\n‖- a passport\n‖- two photos",
    "Bring:\n\n‖- a passport. It must be valid.\n‖- two photos".replace(". It", ".‖ It"),
    "1. Apply.\n‖2. Wait.\n‖3. Match.",
    "1) Apply\n‖2) Wait",
    "* one\n‖* two\n‖  * two and a half",
    "+ one\n‖+ two",
    "A line\nthat goes on\nand ends.‖ Another.",
    "A paragraph without a full stop\n\n‖Another one",
    "| Exam | Fee |\n‖|---|---|\n‖| Step 1. Old | 660. New |\n‖| Step 2 CK | 680 |",
    "Text before.\n‖| A | B |\n‖|---|---|\n\n‖Text after.",
    "- 7 years in all. Extensions are rare.\n‖- 10 years with a Ph.D. in science".replace("all. E", "all.‖ E"),
    "- Step 3\n  before the petition\n‖- a contract",
    "First.\r\n\r\n‖Second.\r\n‖- item\r\n‖- item",
    "Item one.\n‖10. Item ten.\n‖11. Item eleven.",
    "Ends with 2024.\n‖Starts anew.",
]


def boundaries(text: str) -> set[int]:
    """Where sentences begin, counted in characters that are not white space: gaps between sentences do not matter."""
    return {sum(not c.isspace() for c in text[:start]) for start, _ in spans(text)} - {0}


def labelled(case: str) -> tuple[str, set[int]]:
    text, wanted, seen = "", set(), 0
    for part in case.split("‖"):
        if text:
            wanted.add(seen)
            text += "" if text[-1].isspace() or text[-1] in "。？！" else " "
        text += part
        seen += sum(not c.isspace() for c in part)
    return text, wanted


CASES = [labelled(case) for case in LABELLED if not case.startswith("# ")] + [labelled(case) for case in BLOCKS]


def test_boundaries_are_found() -> None:
    right = wrong = missed = 0
    failures = []
    for text, wanted in CASES:
        found = boundaries(text)
        right, wrong, missed = right + len(found & wanted), wrong + len(found - wanted), missed + len(wanted - found)
        if found != wanted:
            failures.append(" ‖ ".join(split(text)))
    f1 = 2 * right / (2 * right + wrong + missed)
    assert right + missed >= 120, "the labelled set has shrunk"
    assert f1 >= FLOOR, f"F1 {f1:.4f}, {wrong} too many, {missed} missed:\n" + "\n".join(failures)


@pytest.mark.parametrize(
    "case",
    [
        "G.L. c. 112 applies.",
        "49 Pa. Code § 17.5 applies.",
        "See No. 5 here.",
        "Read U.S. Visas there.",
        "His Ph.D. thesis.",
        "At 9 a.m. on Friday.",
        "The mean of 3.5 is high.",
        "A. B. Jones signed.",
    ],
)
def test_these_are_never_cut(case: str) -> None:
    assert split(case) == [case]


def test_a_question_typed_in_small_letters_ends() -> None:
    assert split("can i get an h1b? what score do i need?") == ["can i get an h1b?", "what score do i need?"]


def test_a_number_that_a_line_break_put_first_is_no_list_item() -> None:
    assert len(split("It takes about\n12. Then it ends")) == 2
    assert len(split("Steps:\n1. Apply\n12. Wait")) == 3


PIECES = st.sampled_from(
    "a|B|7| |\n|\n\n|. |.|? |...|- |1. |# |e.g. |U.S. |No. |“|”|。|\t|\r\n|[1]|[^m]".split("|") + ["| x |", "|"],
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200))
def test_no_character_is_lost_or_told_twice(text: str) -> None:
    at = 0
    for start, end in spans(text):
        assert at <= start < end
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize("piece", ["e.g. ", ".", "word ", "U.S. A", ".)", "12. x\n", "| a\n", "\n", "?! ", "[^a]", ". [^a]"])
def test_hostile_lengths_are_read_through(piece: str) -> None:
    """Ten times the length would take a hundred times as long if the work were quadratic: this would not come back."""
    text = piece * (400_000 // len(piece))
    assert sum(end - start for start, end in spans(text)) <= len(text)
