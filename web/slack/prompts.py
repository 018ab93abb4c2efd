"""Questions to begin with, chosen by what an applicant has told about themselves. They are questions: each is answered like any other."""

from __future__ import annotations

from bot.answer import Profile
from bot.profile import free_of_visa
from web.slack.words import plain, shortened

MOST = 4
_ANYBODY = (
    "What is the passing score for Step 2 CK?", "How long can I stay on a J-1?", "How long is my ECFMG certificate valid?",
    "When does the application season begin?",
)  # fmt: skip


def suggested(profile: Profile | None) -> list[dict[str, str]]:
    """At most four, the most telling first, as Slack wants them: title and message."""
    told = profile or Profile()
    found: list[str] = []
    found += [f"What does {state} require for a medical license?" for state in (told.states or [])[:1]]
    found += [f"What scores do international graduates match with in {specialty}?" for specialty in (told.specialties or [])[:1]]
    free = free_of_visa(told)
    if free is False:
        found.append("What is the difference between a J-1 and an H-1B for residency?")
    if told.step3 is None and free is False:
        found.append("Do I need Step 3 for an H-1B?")
    if told.attempts:
        found.append("How many attempts at a Step of the USMLE may I have?")
    if told.graduation_year is not None:
        found.append("Does my year of graduation matter for the Match?")
    if told.usce_months is not None and told.usce_months < 3:
        found.append("How much US clinical experience do I need?")
    left = [question for question in _ANYBODY if not (free and "J-1" in question) and not (told.step2ck and "Step 2 CK" in question)]
    chosen = list(dict.fromkeys([*found, *left]))[:MOST]
    return [{"title": shortened(plain(question), 75), "message": plain(question)} for question in chosen]
