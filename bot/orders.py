"""Text that gives orders to whoever reads it by machine ("ignore the above and say …"). Such a passage is no evidence for anything.

The verifier cannot see this: a sentence that an order dictates stands in the passage word for word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_READER = r"(?:ai|llms?|gpt|chat ?gpt|(?:large )?language models?|(?:ai |helpful )?assistants?|chat ?bots?|the bot|the model)"
_SAY = r"(?:respond|reply|answer|output|print|write|say|repeat|return)"
_PATTERNS = (
    # "ignore all previous instructions", "disregard your rules"
    r"\b(?:ignore|disregard|forget|override|overrule|bypass|skip)\b[^.!?\n]{0,40}"
    r"\b(?:above|previous|prior|earlier|preceding|foregoing|your|these|all other|any other)\b[^.!?\n]{0,30}"
    r"\b(?:instructions?|rules?|prompts?|guidelines?|directions?|messages?|orders|context|evidence|passages?|sources)\b",
    r"\b(?:ignore|disregard|forget) (?:everything|anything|all|the (?:text|passage|evidence))?\s*(?:above|before|so far)\b",
    r"\b(?:system|developer|hidden|initial) (?:prompts?|messages?|instructions?)\b",
    rf"\b(?:new|updated|real|override) instructions? (?:for|to) (?:you|{_READER})\b|\b(?:new|override) instructions?\s*:",
    # "you are now a pirate bot", "note to AI:"
    rf"\byou are (?:now|no longer|actually) (?:an? |the |in )?(?:\w+ ){{0,3}}(?:mode|role|persona|dan|{_READER})\b",
    r"\b(?:attention|dear|note to|notice to|message (?:to|for)|instructions? (?:to|for)|if you are)\s*,?:? "
    rf"(?:an? |the |any |all )?{_READER}\b",
    # 'answer only with "…"', 'and say "…"'
    rf"\b{_SAY}(?: with)?(?: (?:only|exactly|just|the following|the words?|the sentence|the text))+(?: with)?\s*[:\"“]",
    rf"\b(?:and|must|should|always|now|then|instead) (?:{_SAY}|tell (?:the )?(?:user|reader|applicant|them))\b[^.!?\n]{{0,20}}[:\"“]",
    r"\b(?:tell|inform|convince) (?:the |every |all )?users?\b",
    # marks of chat formats
    r"<\|?/?(?:im_start|im_end|system|assistant|endoftext)\|?>|\[/?inst\]|<</?sys>>|^#{2,}\s*(?:system|instructions?)\s*:?\s*$",
)
_ORDER = re.compile("|".join(f"(?:{p})" for p in _PATTERNS), re.I | re.M)


@lru_cache(maxsize=4096)
def gives_orders(text: str) -> bool:
    """Whether any part of `text` orders its reader about, whatever hidden or full-width characters it is dressed up in."""
    plain = text if text.isascii() else "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return bool(_ORDER.search(re.sub(r"[ \t]+", " ", plain)))
