"""What a message tells about the applicant: only what they say of themselves, as said; nothing is guessed or worked out.

A question ("do I need a visa?"), a case that is only thought of ("if I score 250") and other people ("my wife graduated in 2015")
tell nothing. What cannot be so (a score of 400) is named with its range and left out; the rest is kept.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from rapidfuzz.process import extractOne

from bot.answer import Profile
from bot.terms import Terms, fold

OLDEST_GRADUATION = 1950
YEARS_AHEAD = 8
"""How far ahead a graduation may lie: a medical school takes no longer."""
SCORES = {"step1": (1, 300), "step2ck": (1, 300), "step3": (1, 300)}
NAMES = {
    "graduation_year": "year of graduation", "medical_school_country": "country of medical school", "citizenship": "citizenship",
    "us_work_authorization": "US work authorization", "visa_needed": "visa needed", "step1": "Step 1", "step2ck": "Step 2 CK",
    "step3": "Step 3", "attempts": "attempts", "usce_months": "months of US clinical experience", "specialties": "specialties",
    "states": "states", "degree_path": "degree",
}  # fmt: skip
_EXAMS = {"step1": "Step 1", "step2ck": "Step 2 CK", "step3": "Step 3"}

# Where one clause ends and another begins. A comma keeps the clause's subject, a full stop does too, a new subject changes it.
_SENTENCE = re.compile(r"[.!?;\n]+(?=\s|$)|\n")
_CLAUSE = re.compile(
    r"[,.!?;()\n]+|\b(?:and|but|so|because|since|as|given that|considering|though|while|whereas)\s+(?=(?:i|i'?m|i'?ve|im|ive|my|we|"
    r"he|she|they|the|his|her|do|does|can|could|is|are|will|would|should|what|which|how)\b)"
)
_SELF = r"i|i'?m|im|i'?ve|ive|i'?d|me|my|mine|myself|am|we"
_OTHERS = (
    r"(?:the|a|this|one|that|their)\s+(?:program|hospital|web ?site|page|school)(?:'?s)?(?=\s+(?:page|say|want|need|require|ask)s?\b)|"
    r"(?<!as )(?<!am )(?:an?|the|every|any)\s+\d{4}\s+grad(?:uate)?|"
    r"(?:my|a|an|his|her|their|our|the|one)\s+(?:\w+\s+){0,2}?(?:wife|husband|spouse|partner|fiancee?|friend|buddy|brother|sister|cousin|"
    r"roommate|room mate|colleague|classmate|senior|junior|uncle|aunt|father|mother|dad|mom|mum|parents|son|daughter|boyfriend|girlfriend|"
    r"mentor|mentee|student|advisor|guy|girl|person|applicant|candidate|img|resident|relative|nephew|niece|teacher|boss)s?|"
    r"(?:programs?|hospitals?|boards?|states?|eras|ecfmg)(?=\s+(?:say|want|need|require|ask|take|accept|prefer|filter|list)s?\b)|he|she|they|his|her|their|them|him|someone|somebody|anyone|anybody|everyone|people|those|imgs|graduates|applicants|candidates|"
    r"residents|who|you|your|wife|husband"
)
_SUBJECT = re.compile(rf"\b(?:(?P<others>{_OTHERS})|(?P<self>{_SELF}))\b")
_OWN = re.compile(rf"\b(?:{_SELF})\b")
_WONDERING = re.compile(r"(?<!\bi )\b(?:would|could|might|should)\b")
_SUPPOSING = re.compile(
    r"\b(?:if|suppose|supposing|imagine|assuming|assume|hypothetical\w*|let'?s say|lets say|say i|what about|unless|in case|whether)\b"
)
_HYPOTHETICAL = re.compile(
    r"\b(?:maybe|perhaps|probably|hope|hoping|want to (?:score|get|pass)|plan(?:ning)? to (?:score|get|take)|aim|aiming|target|"
    r"targeting|expect\w*|goal|dream|wish|practice|nbme|uworld|uwsa\d?|mock|predicted|prediction|someday|should i|able to|trying to (?:get|score)|"
    r"need to (?:score|get|pass)|need at least|at least a|enough|cut ?offs?|minimum|average|mean|median|when i (?:get|pass|score|have)|"
    r"once i|until i|after i (?:get|pass|score)|e\.?g|for example|instead of|rather than)\b"
)
_ASKING = re.compile(
    r"^\W*(?:(?:and|but|so|also|then|ok|okay|hi|hello|please|plz|um|well|sorry|or)\W+)*(?:what|which|who|whom|whose|where|when|why|how|can|"
    r"could|do|does|did|is|are|am|was|were|will|would|should|shall|may|must|have|has|any|tell me|explain)\b"
)
_TURNED = re.compile(r"\b(?:am|can|could|do|did|may|must|shall|should|will|would) i\b")
"""What is asked without a mark, after what is told: "I am a DO from Canada, am I an IMG"."""
_WANTED = re.compile(r"\b(?:fees?|costs?|prices?|deadlines?|requirements?|chances|odds|options|list of|info|information)\b")
"""What is asked for without a verb: "cost of 100 programs, IM and FM"."""
_NOT = re.compile(r"\b(?:not|no|never|without|don'?t|dont|do not|didn'?t|didnt|haven'?t|havent|isn'?t|isnt|aint|won'?t|wont|nor|neither)\b")

_STEP = (
    r"(?P<exam>(?:usmle\s*)?(?:st[ea]*p|stpe|setp|s)\s*-?\s*(?P<number>1|2|3|one|two|three|i{1,3})(?:\b|(?=ck\b))(?:\s*-?\s*(?:ck|c k))?"
    r"|(?:usmle\s*)?(?:\b2\s*-?\s*)?(?<![a-z])ck)"
)
_YEAR = r"(?P<year>[12]\d{3})"
_GRADUATED = (
    r"(?:y\.?o\.?g\.?|yr of grad\w*|year of grad\w*|grad(?:uation)? year|gr(?=[a-z]*d)[aduatiei]{2,9}(?<!grade)(?:ed|d|ing|ion|e)?|gradute?d?|passed out|"
    r"(?:finish|complet|got|earn|receiv|obtain)\w*\s+(?:my\s+|the\s+)?(?:med\w*\s*(?:school|college|degree|studies)?|mbbs|mbchb|md|internship and mbbs)|"
    r"mbbs|mbchb|class of)"
)
_YEARS = (
    re.compile(rf"\b{_GRADUATED}(?:[\s:=,-]|\b(?:in|on|is|was|from|at|of|year|my|the|med\w*|school|college|university|back|it'?s|to be|[a-z]+)\b){{0,18}}?{_YEAR}\b(?!\s*(?:hours|usd|dollars|programs))"),
    re.compile(rf"\b(?:yog)\s*[:=-]?\s*'?{_YEAR}\b"),
    re.compile(rf"\b{_YEAR}\s+(?:med\w*\s+)?(?:grad(?:uate)?|yog|pass ?out|mbbs)\b"),
    re.compile(r"\b(?:graduated|grad|yog|class of|mbbs)\s+(?:in\s+)?'(?P<short>\d{2})\b"),
)  # fmt: skip
_BETWEEN = r"(?:\s|:|=|,|-(?!\d)|(?<=\w)-(?=\d)|\b(?:score[ds]?|scoring|got|with|of|is|was|a|an|my|in|on|at|usmle|result|about|result'?s|has|been|just|came|out|as|ck)\b){0,7}?"
_SCORES = (
    re.compile(rf"(?<![\w/]){_STEP}(?![a-z]){_BETWEEN}(?P<score>(?:(?<!\w)-)?\d{{3}})(?![\d%+]|\s*(?:usd|dollars|programs|hours|\$))"),
    re.compile(rf"(?<![\w$.,/-])(?P<score>\d{{3}})\s+(?:\b(?:on|in|for|at|my|the|usmle)\b\s*){{0,3}}(?<![\w/]){_STEP}(?![a-z])"),
    re.compile(rf"(?<![\w/]){_STEP}(?![a-z])\s*(?:score)?\s*(?:is|was|of|:|=)\s*(?P<score>-\d{{1,4}}|\d{{1,2}})(?![\d%]|\s*(?:attempt|time|year|month|week|day|try|tries))"),
)  # fmt: skip
_PASSED = (
    re.compile(r"\b(?:pass(?:ed)?|cleared|done with)\s+(?:\b(?:my|the|usmle|both)\b\s*)*(?:step|s)\s*-?\s*(?:1|one|i)\b(?!\s*\d)"),
    re.compile(r"\b(?:step|s)\s*-?\s*(?:1|one|i)\s*(?::|=|-|is|was|a|result|score)*\s*(?:pass(?:ed)?|p|cleared|done)\b"),
)
_TIMES = {"one": 1, "once": 1, "first": 1, "1st": 1, "two": 2, "twice": 2, "second": 2, "2nd": 2, "three": 3, "thrice": 3, "third": 3,
          "3rd": 3, "four": 4, "fourth": 4, "4th": 4, "single": 1, "multiple": 0}  # fmt: skip
_COUNT = r"(?P<count>\d+|one|two|three|four|single)"
_ATTEMPTS = (
    re.compile(rf"\b{_COUNT}\s+(?:failed\s+)?(?:attempts?|tries|try|atempts?|attemps?)\s+(?:at|on|in|for|of)\s+(?:\b(?:my|usmle)\b\s*)*{_STEP}"),
    re.compile(rf"(?<![\w/]){_STEP}(?![a-z])\s*[:=-]?\s*(?:\(|in|with|took me|had|after|has)?\s*{_COUNT}\s+(?:attempts?|tries|atempts?)"),
    re.compile(rf"\b(?:passed|cleared)\s+(?:\b(?:my|usmle)\b\s*)*{_STEP}\s+(?:on|in|at)\s+(?:\b(?:my|the)\b\s*)*(?P<count>first|second|third|fourth|1st|2nd|3rd|4th)\s+(?:attempt|try|time|go)"),
    re.compile(rf"(?<![\w/]){_STEP}(?![a-z])\s*(?:passed|pass|cleared)?\s*,?\s*(?:on|in|at)?\s*(?:\b(?:my|the)\b\s*)*(?P<count>first|second|third|fourth|1st|2nd|3rd|4th)\s+(?:attempt|try)"),
    re.compile(rf"\b(?:took|attempted|sat|written|gave)\s+(?:\b(?:my|usmle|for)\b\s*)*{_STEP}\s+(?P<count>once|twice|thrice|\d+ times|three times)"),
    re.compile(rf"\bfailed\s+(?:\b(?:my|usmle)\b\s*)*{_STEP}\s+(?P<failed>once|twice|one time|1 time|2 times|two times)\W+(?:(?:and|but|then|before|i|later)\W+)*(?:passed|passing|cleared)"),
    re.compile(r"\b(?P<count>\d+|two|three|no|zero|one)\s+(?:usmle\s+)?(?P<any>attempts?)\s*(?:in total|overall|total)\b"),
)  # fmt: skip
_EXPERIENCE = r"(?:us\s?ce\b|u\.?s\.?\s*clinical\s*(?:experience|exp|rotations?)|us\s+experience|us\s+rotations?|american clinical experience|hands[- ]on us\w*)"
_MONTHS = (
    re.compile(rf"(?P<months>\d+(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten|twelve)\s*\+?\s*(?P<unit>mo(?:nth)?s?|mnths?|mos|yrs?|years?)\s*(?:'s?)?\s*(?:worth\s+)?(?:of\s+)?(?:hands[- ]on\s+)?{_EXPERIENCE}"),
    re.compile(rf"{_EXPERIENCE}\s*(?:[:=-]|of|is|was|for|about)?\s*(?P<months>\d+(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten|twelve)\s*(?P<unit>mo(?:nth)?s?|mnths?|mos|yrs?|years?)\b"),
)  # fmt: skip
_NO_MONTHS = re.compile(rf"\b(?:no|zero|0|don'?t have(?: any)?|dont have(?: any)?|do not have(?: any)?|without(?: any)?|haven'?t (?:got|had|done)(?: any)?)\s+{_EXPERIENCE}|{_EXPERIENCE}\s*[:=-]?\s*(?:none|nil|zero)\b")  # fmt: skip
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12}

_VISA = r"(?:(?:a|any|the|some)\s+)?(?:us\s+)?(?:work\s+)?(?:visas?\b|visa sponsorship|sponsorship|(?:j-?\s?1|h-?\s?1\s?-?b)(?:\s+visa)?(?:\s+sponsorship)?)(?!\s+(?:interview|appointment|stamp|slot|letter|copy|photo|number))"
_NEED = r"(?:need(?:ed|s|ing)?|nede?d?|require[ds]?|requiring)"
_NO_VISA = (
    re.compile(rf"\b(?:do not|don'?t|dont|no longer|never|not|wont|won'?t|will not|doesn'?t)\s+(?:(?:even|actually|really|rly|currently|have to)\s+)*(?:{_NEED})\s+{_VISA}"),
    re.compile(rf"\bno\s+(?:{_NEED}\s+(?:for|of)\s+(?:a\s+)?)?visa(?:\s+(?:{_NEED}|sponsorship|issues?))?\b(?!\s+(?:yet|interview|appointment))"),
    re.compile(rf"\bvisa\s*(?:sponsorship)?\s*(?:[:=-]|is|status)?\s*(?:not\s+{_NEED}|no\b|none\b)"),
)  # fmt: skip
_WITH_VISA = (
    re.compile(rf"\b{_NEED}\s+{_VISA}"),
    re.compile(rf"\bvisa\s*(?:sponsorship)?\s*(?:[:=-]|is)?\s*(?:{_NEED}|yes)\b"),
    re.compile(r"\bvisa[- ](?:requiring|needing)\b"),
)
_PERMIT = re.compile(
    r"\b(?:(?:have|got|hold|holding|holder of|with|on|am|i'?m|im|as|received|is)\s+(?:\b(?:a|an|my|the|already|us|valid|pending)\b\s*)*(?:green ?cards?|gc|lpr|permanent resident|"
    r"ead|work (?:permit|authorization|authorisation|card))(?:\s+holder)?|(?:green ?card|gc|ead)\s+holder|us permanent resident|gc holder|us work authorization\s*[:=]\s*yes)\b"
)  # fmt: skip
_UNSETTLED = re.compile(r"\b(?:waiting|applied|applying|pending|yet|process|lottery|soon|eventually|getting|get a|after|later|future|won'?t|lost|expired|based)\b")
_US_CITIZEN = re.compile(r"\b(?:us|u\.s\.?|usa|american|united states|u\.s\.a\.?)[- ]?\s*(?:citizen|national|passport)\w*|\b(?:citizen|national) of (?:the )?(?:us|usa|united states|america)\b|\b(?:i'?m|am|as) (?:an )?american\b(?! (?:med|grad|doc|img|school|univ))|(?<!non[- ])(?<!non)\bus[- ]imgs?\b")  # fmt: skip
_CITIZEN_OF = re.compile(r"\b(?:citizen|national|passport(?: holder)?|citizenship|nationality)\s*(?:of|from|is|:|=|-)?\s*(?:the\s+)?(?P<place>[a-z][a-z ]{2,30})")
_OF_ANOTHER = re.compile(
    r"\b(?:marry|marries|marrying|married|marriage|wed|wedding|engaged|engagement|dating|date|with|to|by|than|like|unlike|versus|vs|for|from|between)"
    r"\s+(?:(?:an?|the|another|any|some|one|my)\s+)?(?:(?!am\b|is\b|as\b)[a-z]+\s+)?$"
)
"""Before a citizenship: it is somebody else's ("I will marry a US citizen")."""
_OF_COUNTRY = re.compile(r"(?<![a-z])(?P<place>[a-z]+(?: [a-z]+)?)[- ](?:citizen|national|passport|nationality)(?:ship|s)?\b")
_SCHOOL = (
    re.compile(r"\b(?:med(?:ical)? (?:school|college|university|degree|studies)|mbbs|mbchb|studied medicine|studied (?:my )?med\w*|my (?:school|college|university)|trained)\b[\s:]*(?:(?:in|from|at|is|was|country)[\s:]+){1,2}(?:\d{4}\s+(?:in|from)\s+)?(?:the\s+)?(?P<place>[a-z][a-z ]{2,30})"),
    re.compile(rf"\b(?:{_GRADUATED})\b(?:\s+(?:in|from|at|my|med\w*|school|college|university|year|of|back|{_YEAR[9:-1]}|'?\d\d|mbbs|md|medicine))*\s+(?:in|from|at)\s+(?:\d{{4}}\s*,?\s*(?:in|from)\s+)?(?:the\s+)?(?P<place>[a-z][a-z ]{{2,30}})"),
    re.compile(r"(?<![a-z])(?P<place>[a-z]+(?: [a-z]+)?)\s+(?:med(?:ical)?\s+(?:school|college|university|graduate|grad|student)|mbbs|grad(?:uate)?)\b"),
)  # fmt: skip
_DEGREES = (
    ("Caribbean", re.compile(r"\bcar+ib+ean\b[^.?!]{0,20}\b(?:grad\w*|school|student|img|med\w*|md)|\b(?:graduated|grad|studied|study|student|school|md)\b[^.?!,]{0,24}\bcar+ib+ean\b")),
    ("Canadian", re.compile(r"\bcanadian (?:med\w*\s+)?(?:grad\w*|school|student|md)\b|\b(?:graduated|grad|med(?:ical)? school|studied medicine)\b[^.?!,]{0,16}\b(?:in|from) (?:\d{4} in )?canada\b|\bcmg\b")),
    ("DO", re.compile(r"\b(?:i'?m|im|am|as|being)\s+an?\s+(?:us\s+)?d\.?o\.?\b(?!\s+(?:i|you|we|they))|\bd\.?o\.? (?:student|grad\w*|degree|school)\b|\bosteopathic (?:med\w*\s+)?(?:student|grad\w*|school|degree)\b")),
)  # fmt: skip
_APPLYING = re.compile(
    r"\b(?:apply\w*|aplying|appying|interested in|going (?:for|into)|(?:want|wanna|wish|like|love|hope|plan|planning|hoping|aim|aiming)\w*(?:\s+to)?\s+(?:match|do|pursue|apply|train|go|practi[cs]e|work|live|move|be|get)?\s*(?:\w+\s+){0,2}?|my specialt(?:y|ies)(?: choices?)?(?:\s+of (?:choice|interest))?|"
    r"specialt(?:y|ies)\s*[:=-]|target\w*(?:\s+specialt\w+)?|my (?:first )?choice|pursuing|states?\s*[:=-]|my state|preferred states?)\b"
)
_PLACES = re.compile(r"\b(?:in|to|near|around|of|states?\s*[:=-]|state is)\s+(?P<rest>[^.?!;]{2,60})")
_SHORT = {"im": "internal medicine", "fm": "family medicine", "em": "emergency medicine", "gs": "general surgery", "ob": "obstetrics and gynecology"}
_GLUE = frozenset("img graduat applic yog score visa doctor student year medic appli match residenc pass usmle step1 step2ck step3 year sorri meant".split())
_INSTEAD = (
    re.compile(r"\b(?P<new>\d{3,4})\s*,?\s*(?:and\s+)?(?:not|instead of|rather than)\s+(?P<old>\d{3,4})\b"),
    re.compile(r"\bnot\s+(?P<old>\d{3,4})\s*,?\s*(?:but|it'?s|its|it was|i meant|sorry|rather)?\s*,?\s*(?P<new>\d{3,4})\b"),
)
_CORRECTING = re.compile(r"^\W*(?:(?:no|oops|sorry|wait|actually|correction|typo|my bad|i mean|i meant|pardon|ah|edit)\W+)+(?:(?:i|it|it'?s|its|meant|mean|is|was|that|should|be|a|the)\W+)*(?P<new>\d{3,4})\W*$")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """What was told and cannot be so, or does not go together. `said` is what was told, `allowed` what could be."""

    kind: str  # range, two, contradiction
    field: str
    said: str
    allowed: str = ""


@dataclass(slots=True)
class Told:
    fields: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)  # where it was told

    @property
    def anything(self) -> bool:
        return bool(self.fields or self.problems)


@dataclass(frozen=True, slots=True)
class _Clause:
    text: str
    start: int
    own: bool  # whether it speaks of the applicant
    asks: bool
    supposed: bool  # hoped for or thought of, not told


class ProfileReader:
    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._countries = {fold(e.name): e.name for e in terms.entities.values() if e.kind == "country"}

    def read(self, text: str, known: Profile | None, today: dt.date) -> Told:
        """What the message tells. `known`: what was told before; a bare correction ("sorry, 234 not 243") is read by it."""
        told, folded = Told(), _plain(text)
        values: dict[str, list[Any]] = {}
        every = list(self._all(folded))
        permit = any(name == "us_work_authorization" for name, _, _ in every)
        for name, value, span in every:
            if permit and name == "citizenship" and "img" in folded[slice(*span)]:
                continue  # a green card makes nobody a US IMG: NRMP counts citizens only
            values.setdefault(name, []).append(value)
            told.spans.append(span)
        before = (known or Profile()).model_dump(exclude_none=True)
        self._corrected(folded, before, values, told)
        for name, found in values.items():
            self._take(told, name, found, before, today)
        return told

    def only_tells(self, text: str) -> bool:
        """As `tells_only`, for a message read anew."""
        if "?" in text or len(text) > 600:
            return False
        told = Told(spans=[span for _, _, span in self._all(_plain(text))])
        return bool(told.spans) and self.tells_only(text, told)

    def tells_only(self, text: str, told: Told) -> bool:
        """Whether there is nothing in the message besides what was noted: no question to answer."""
        folded = _plain(text)
        if "?" in text or _WANTED.search(folded) or _TURNED.search(folded) or any(_ASKING.match(s) for s in _SENTENCE.split(folded)):
            return False
        rest = list(folded)
        for start, end in told.spans:
            rest[start:end] = " " * (end - start)
        return len([t for t in self._terms.tokens("".join(rest)) if t not in _GLUE]) <= 1

    def _take(self, told: Told, name: str, found: list[Any], before: dict[str, Any], today: dt.date) -> None:
        if name in ("specialties", "states"):
            told.fields[name] = list(dict.fromkeys(v for some in found for v in some))
        elif name == "attempts":
            merged: dict[str, int] | int = {k: v for some in found if isinstance(some, dict) for k, v in some.items()}
            if not merged:
                merged = next(v for v in found if not isinstance(v, dict))
            elif isinstance(before.get("attempts"), dict):
                merged = before["attempts"] | merged
            told.fields[name] = merged
        else:
            fit = [v for v in dict.fromkeys(found) if not self._wrong(told, name, v, today)]
            if len(fit) > 1 and name != "step1":
                told.problems.append(Problem("two", name, " / ".join(map(shown, fit))))
            elif fit:
                told.fields[name] = fit[-1]

    @staticmethod
    def _wrong(told: Told, name: str, value: Any, today: dt.date) -> bool:
        low, high = (OLDEST_GRADUATION, today.year + YEARS_AHEAD) if name == "graduation_year" else SCORES.get(name, (0, 0))
        if name == "usce_months":
            low, high = 0, 240
        if not high or not isinstance(value, int | float) or isinstance(value, bool) or low <= value <= high:
            return False
        told.problems.append(Problem("range", name, shown(value), f"{low} to {high}"))
        return True

    # -- clauses ---------------------------------------------------------------------------------------------------

    def _clauses(self, text: str) -> Iterator[_Clause]:
        """Clauses with whether they tell of the applicant; who is spoken of stays from clause to clause until someone else is named."""
        others = False
        at = 0
        for sentence in [*(m.end() for m in _SENTENCE.finditer(text)), len(text)]:
            whole, start = text[at:sentence], at
            at = sentence
            if not whole.strip():
                continue
            supposed = False
            cuts = [0, *(m.end() for m in _CLAUSE.finditer(whole)), len(whole)]
            for a, b in zip(cuts, cuts[1:], strict=False):
                clause = whole[a:b]
                if not clause.strip():
                    continue
                subjects = [bool(m["others"]) for m in _SUBJECT.finditer(clause)]
                if subjects:
                    others = subjects[0] if len(subjects) == 1 or subjects[0] else others and not any(not s for s in subjects)
                supposed = supposed or bool(_SUPPOSING.search(clause))
                hoped = supposed or bool(_HYPOTHETICAL.search(clause))
                bare = b == len(whole) and clause.rstrip().endswith("?") and not _OWN.search(clause)  # "YOG 2015?"
                asks = bare or bool(_ASKING.match(clause) or _WONDERING.search(clause))
                yield _Clause(clause, start + a, not others and not supposed, asks, hoped)

    def _all(self, text: str) -> Iterator[tuple[str, Any, tuple[int, int]]]:
        for clause in self._clauses(text):
            if not clause.own:
                continue
            if not clause.supposed:
                yield from self._numbers(clause)
            if not clause.asks:
                if not clause.supposed:
                    yield from self._standing(clause)
                yield from self._wishes(clause)

    # -- one kind each ---------------------------------------------------------------------------------------------

    def _numbers(self, clause: _Clause) -> Iterator[tuple[str, Any, tuple[int, int]]]:
        """Scores, attempts, years, months. In a question only what is called one's own ("with my CK of 243")."""
        text, at = clause.text, clause.start

        def said(match: re.Match[str]) -> bool:
            return not clause.asks or bool(re.search(r"\b(?:my|i have|i had|i got|i'?ve)\b[^,]{0,16}$", text[: match.start()]))

        for pattern in _YEARS:
            if (m := pattern.search(text)) and said(m) and not _NOT.search(text[max(0, m.start() - 12) : m.start()]):
                groups = m.groupdict()
                short = groups.get("short")
                year = int(groups["year"]) if groups.get("year") else (1900 if int(short or 0) > 50 else 2000) + int(short or 0)
                yield "graduation_year", year, _at(m, at)
                break
        taken: set[tuple[int, int]] = set()
        for pattern in _SCORES:
            for m in pattern.finditer(text):
                if said(m) and m.span("score") not in taken and not 1940 <= int(m["score"]) <= 2040:
                    taken.add(m.span("score"))
                    yield _exam(m), int(m["score"]), _at(m, at)
        for pattern in _PASSED:
            if (m := pattern.search(text)) and not clause.asks and not _NOT.search(text[max(0, m.start() - 16) : m.start()]):
                yield "step1", "pass", _at(m, at)
                break
        for pattern in _ATTEMPTS:
            for m in pattern.finditer(text):
                if said(m):
                    groups = m.groupdict()
                    if groups.get("failed"):
                        count = {"once": 1, "one": 1, "1": 1}.get(groups["failed"].split()[0], 2) + 1
                    else:
                        count = _number(groups["count"])
                    yield "attempts", count if groups.get("any") else {_exam(m): count}, _at(m, at)
        if not clause.asks and (m := _NO_MONTHS.search(text)):
            yield "usce_months", 0, _at(m, at)
            return
        for pattern in _MONTHS:
            if (m := pattern.search(text)) and said(m):
                months = _WORDS.get(m["months"]) or float(m["months"])
                yield "usce_months", _whole(months * (12 if m["unit"].startswith("y") else 1)), _at(m, at)
                break

    def _standing(self, clause: _Clause) -> Iterator[tuple[str, Any, tuple[int, int]]]:
        """Visa, citizenship, school, degree."""
        text, at = clause.text, clause.start
        if m := next((m for p in _NO_VISA if (m := p.search(text))), None):
            yield "visa_needed", False, _at(m, at)
        elif (m := next((m for p in _WITH_VISA if (m := p.search(text))), None)) and not _NOT.search(text[: m.start()]):
            yield "visa_needed", True, _at(m, at)
        if (m := _US_CITIZEN.search(text)) and not _NOT.search(text[max(0, m.start() - 14) : m.start()]) and not _UNSETTLED.search(text):
            if not _OF_ANOTHER.search(text[: m.start()]):
                yield "citizenship", "United States", _at(m, at)
        elif (place := self._place(text, (_CITIZEN_OF, _OF_COUNTRY))) and not _NOT.search(text) and not _OF_ANOTHER.search(text[: place[1]]):
            yield "citizenship", place[0], (at + place[1], at + place[2])
        if (m := _PERMIT.search(text)) and not _NOT.search(text[: m.end()]) and not _UNSETTLED.search(text):
            yield "us_work_authorization", True, _at(m, at)
        if (place := self._place(text, _SCHOOL)) and not _NOT.search(text):
            yield "medical_school_country", place[0], (at + place[1], at + place[2])
        for name, pattern in _DEGREES:
            if (m := pattern.search(text)) and not _NOT.search(text[: m.end()]):
                yield "degree_path", name, _at(m, at)
                break

    def _wishes(self, clause: _Clause) -> Iterator[tuple[str, Any, tuple[int, int]]]:
        """Specialties and states that one applies to."""
        text, at = clause.text, clause.start
        m = _APPLYING.search(text)
        if m is None or _NOT.search(text[: m.end()]):
            return
        rest = re.split(r"\b(?:not|after|before|from|currently)\b", text[m.start() :])[0]
        specialties = self._named("specialty", re.sub(r"\b(?:im|fm|em|gs|ob)\b", lambda s: _SHORT[s[0]], rest))
        if specialties:
            yield "specialties", specialties, (at + m.start(), at + m.start() + len(rest))
        states = self._named("state", " ".join(p["rest"] for p in _PLACES.finditer(rest)))
        if states:
            yield "states", states, (at + m.start(), at + m.start() + len(rest))

    def _named(self, kind: str, text: str) -> list[str]:
        canonical = self._terms.canonical(text)
        return [self._terms.name(i) for i in sorted(self._terms.found(text).get(kind, ()), key=canonical.find)]

    def _place(self, text: str, patterns: tuple[re.Pattern[str], ...]) -> tuple[str, int, int] | None:
        for pattern in patterns:
            for m in pattern.finditer(text):
                words = re.split(r"\b(?:in|and|but|with|for|on|at|by|yog|ck|need|so|year|class)\b|\d", m["place"])[0].strip()
                if country := self._country(words):
                    return country, *m.span()
        return None

    def _country(self, words: str) -> str | None:
        if not words:
            return None
        found = self._terms.found(words).get("country", set())
        if len(found) == 1:
            return self._terms.name(next(iter(found)))
        if found or any(self._terms.found(words).values()) or len(words) < 5:
            return None
        near = extractOne(words.split()[0] if len(words.split()) > 2 else words, list(self._countries), score_cutoff=86)
        return self._countries[near[0]] if near else None

    def _corrected(self, text: str, before: dict[str, Any], values: dict[str, list[Any]], told: Told) -> None:
        """ "sorry, 234 not 243": the field that holds the old value, told before or in the same message."""
        for pattern in _INSTEAD:
            for m in pattern.finditer(text):
                new, old = int(m["new"]), int(m["old"])
                for name in ("graduation_year", *SCORES):
                    if old in (before.get(name), *values.get(name, ())) or new in values.get(name, ()):
                        values[name] = [new]
                        told.spans.append(m.span())
        bare = _CORRECTING.match(text)
        if bare and not values:
            new = int(bare["new"])
            fits = [n for n in ("graduation_year", *SCORES) if isinstance(before.get(n), int) and (n == "graduation_year") == (new > 1000)]
            if len(fits) == 1:
                values[fits[0]] = [new]
                told.spans.append(bare.span())


def _plain(text: str) -> str:
    """Folded, keeping what tells a clause's end; the length may differ from `text`."""
    return re.sub(r"[ \t]+", " ", fold(text).replace("u.s.", "us ").replace("united states of america", "us"))


def _exam(m: re.Match[str]) -> str:
    number = m["number"] or "2"
    return {"1": "step1", "one": "step1", "i": "step1", "3": "step3", "three": "step3", "iii": "step3"}.get(number, "step2ck")


def _number(word: str) -> int:
    word = word.split()[0]
    return int(word) if word.isdigit() else _TIMES.get(word, 0)


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


def _at(m: re.Match[str], start: int) -> tuple[int, int]:
    return start + m.start(), start + m.end()


def shown(value: Any) -> str:
    """A value for people."""
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{_EXAMS.get(k, k)}: {v}" for k, v in value.items())
    return str(value)


def merged(known: Profile | None, told: Told) -> tuple[Profile, list[str]]:
    """(the profile with what was told, names of the fields that changed). What Profile does not take becomes a problem; nothing is lost."""
    values = (known or Profile()).model_dump(exclude_none=True)
    changed = []
    for name, value in told.fields.items():
        if values.get(name) == value:
            continue
        try:
            Profile(**{name: value})
        except ValidationError:
            told.problems.append(Problem("range", name, shown(value)))
            continue
        values[name] = value
        changed.append(name)
    return Profile(**values), changed


def contradictions(profile: Profile, today: dt.date) -> list[Problem]:
    """What was told and does not go together. Both sides stay as they were told.

    A Canadian degree is one from a school in Canada, a DO degree one from a US school; Step 3 comes after the degree (USMLE Bulletin).
    """
    found = []

    def against(name: str, other: str) -> None:
        found.append(Problem("contradiction", name, shown(getattr(profile, name)), f"{NAMES[other]}: {shown(getattr(profile, other))}"))

    if profile.visa_needed and (profile.us_work_authorization or _american(profile.citizenship)):
        against("visa_needed", "us_work_authorization" if profile.us_work_authorization else "citizenship")
    school, degree = profile.medical_school_country, profile.degree_path
    if school and (degree == "Canadian" and fold(school) != "canada" or degree == "DO" and not _american(school)):
        against("degree_path", "medical_school_country")
    if profile.step3 is not None and profile.graduation_year is not None and profile.graduation_year > today.year:
        against("step3", "graduation_year")
    return found


def _american(country: str | None) -> bool:
    return country is not None and fold(country) in ("united states", "usa", "us")


def free_of_visa(profile: Profile) -> bool | None:
    """Whether the applicant trains without a visa, as far as told; None where nothing was."""
    if profile.us_work_authorization or _american(profile.citizenship):
        return True
    return None if profile.visa_needed is None else not profile.visa_needed
