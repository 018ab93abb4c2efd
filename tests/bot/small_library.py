"""A library of five small guides: enough for every kind of answer."""

from __future__ import annotations

from pathlib import Path

SOURCES = """
usmle-scores: {title: Minimum passing scores, publisher: USMLE, tier: primary, url: https://www.usmle.org/scores, published: 2026-01}
old-page: {title: Score page of 2024, publisher: A blog, tier: secondary, url: https://blog.example/scores, published: 2024-02}
ecfmg-evsp: {title: J-1 sponsorship, publisher: ECFMG, tier: primary, url: https://www.ecfmg.org/evsp, published: 2026-05}
uscis-fees: {title: Fee schedule, publisher: USCIS, tier: primary, url: https://www.uscis.gov/fees, published: 2026-03}
forum: {title: A forum thread, publisher: A forum, tier: secondary, url: https://forum.example/t, published: unknown}
law: {title: 'H-1B for physicians', publisher: A law firm, tier: secondary, url: https://law.example/h1b, published: 2025-06}
"""
FACTS = """
ck-pass: {source: usmle-scores, as_of: 2026-01, volatile: true, conflicts: [ck-pass-conflict]}
ck-scale: {source: usmle-scores, as_of: 2026-01}
ck-old: {source: old-page, as_of: 2024-02, volatile: true, conflicts: [ck-pass-conflict]}
j1-seven: {source: ecfmg-evsp, as_of: 2026-05}
j1-moonlight: {source: ecfmg-evsp, as_of: 2026-05}
j1-fee: {source: uscis-fees, as_of: 2019-03, volatile: true}
h1b-six: {source: law, as_of: 2025-06}
h1b-step3: {source: law, as_of: 2025-06}
h1b-premium: {source: uscis-fees, as_of: 2026-03, volatile: true}
letters: {source: forum, as_of: unknown, confidence: low, volatile: true}
ohio-years: {source: law, as_of: 2025-06}
texas-years: {source: law, as_of: 2025-06}
"""
CONFLICTS = """
ck-pass-conflict:
  topic: usmle
  statement: What is the passing score of Step 2 CK?
  positions:
    - {fact: ck-pass, says: 218 for exams from 1 July 2025, as_of: 2026-01, tier: primary}
    - {fact: ck-old, says: '214', as_of: 2024-02, tier: secondary}
  preferred: ck-pass
  reason: Newer, and from the owner.
"""
PREMISES = r"""
- {id: moonlighting-allowed, when: ['internal moonlight'], section: visas/j1#moonlighting}
"""
SCOPE = r"""
- {id: emergency, everywhere: true, when: ['want to die'], phrase: emergency, section: visas/j1#help, status: handoff}
- {id: steering, when: ['system prompt'], phrase: steering, status: refused}
- {id: greeting, when: ['^\W*hello\W*$'], phrase: greeting, status: clarify}
"""
GUIDES = {
    "usmle/step-2-ck": """---
title: "Step 2 CK: scores"
summary: Passing and scale.
topics: [usmle]
as_of: 2024-02
review_by: '2027-05-31'
questions:
  pass: ["What Step 2 CK score do I need to pass?", "step 2 ck pass mark"]
  scale: ["What is the scale of Step 2 CK?"]
---
## What is the passing score of Step 2 CK? {#pass}

The Step 2 CK passing score is 218 for exams taken on or after 1 July 2025.[^ck-pass] A blog of February 2024 gives 214 as the Step 2 CK
passing score, which was right for its date.[^ck-old]

## What is the scale of Step 2 CK? {#scale}

Step 2 CK is reported on a scale from 1 to 300.[^ck-scale]
""",
    "visas/j1": """---
title: The J-1 visa
summary: Length, work and fees.
topics: [visas]
as_of: 2019-03
review_by: '2027-05-31'
questions:
  length: ["How long can I stay on a J-1?", "j1 maximum years"]
  moonlighting: ["Can I moonlight on a J-1?"]
  fees: ["How much is the J-1 visa fee?", "what do j1 and h1b papers cost"]
  help: ["Who helps in a crisis?"]
---
## How long can I stay on a J-1? {#length}

Clinical J-1 sponsorship is generally limited to seven years.[^j1-seven]

## Can I moonlight on a J-1? {#moonlighting}

A J-1 physician may not moonlight, inside or outside the hospital.[^j1-moonlight]

## What does a J-1 cost? {#fees}

Visa fees by kind are in this table.[^j1-fee]

| Visa | Fee in 2026 | Note |
|---|---|---|
| J-1 visa application | $185 | Paid once[^j1-fee] |
| H-1B premium processing | $2,965 | Optional[^h1b-premium] |

## Who helps in a crisis? {#help}

Speak to someone you trust today.[^advice]
""",
    "visas/h1b": """---
title: The H-1B visa
summary: Length and exams.
topics: [visas]
as_of: 2025-06
review_by: '2026-01-31'
questions:
  length: ["How long can I stay on an H-1B?", "h1b maximum years"]
  step-3: ["Do I need Step 3 for an H-1B?"]
---
## How long can I stay on an H-1B? {#length}

H-1B is generally limited to six years.[^h1b-six]

## Do I need Step 3 for an H-1B? {#step-3}

A foreign graduate needs a pass in Step 3 before an H-1B petition for residency.[^h1b-step3]
""",
    "states/ohio": """---
title: "Ohio: license"
summary: Years.
topics: [licensure]
as_of: 2025-06
review_by: '2027-05-31'
questions:
  years: ["How many years of training does Ohio want?"]
---
## How many years of training does Ohio ask for? {#years}

Ohio asks for two years of training from international graduates.[^ohio-years]
""",
    "states/texas": """---
title: "Texas: license"
summary: Years.
topics: [licensure]
as_of: 2025-06
review_by: '2027-05-31'
questions:
  years: ["How many years of training does Texas want?"]
---
## How many years of training does Texas ask for? {#years}

Texas asks for two years of graduate training before the license.[^texas-years]
""",
    "applying/letters": """---
title: Letters
summary: How many.
topics: [applying]
as_of: unknown
review_by: '2027-05-31'
questions:
  how-many: ["How many letters of recommendation do I need?"]
---
## How many letters of recommendation do I need? {#how-many}

A forum thread that we could not confirm speaks of three letters of recommendation.[^letters]
Ask each program how many letters it wants.[^advice]
""",
}


def write_library(folder: Path) -> Path:
    """Writes the knowledge folder and returns it."""
    (folder / "data").mkdir(parents=True)
    for name, text in {"sources.yaml": SOURCES, "facts.yaml": FACTS, "data/conflicts.yaml": CONFLICTS, "data/premises.yaml": PREMISES,
                       "data/scope.yaml": SCOPE}.items():  # fmt: skip
        (folder / name).write_text(text, encoding="utf-8")
    for slug, text in GUIDES.items():
        path = folder / "guides" / f"{slug}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
