"""Whether an answer turns a question aside: it says, in some way, that it does not know.

The judgement is by forms of English and not by the corpus's own sentences, so that an honest answer
in other words counts, and an answer that only sounds like talk does not. Pure; called by
`evaluate`.
"""

from __future__ import annotations

import re

# Not able, not knowing, not having learned; each within a few words of its verb.
_NOT_KNOWING = re.compile(
    r"""
      (?<!\byou\ )\b(?:don['’]t|do\ not|didn['’]t|wouldn['’]t|would\ not)
        \ (?:\w+\ ){0,2}(?:know|understand)\b
    | \b(?:can['’]t|cannot|can\ not|couldn['’]t|could\ not|won['’]t)\ (?:\w+\ ){0,3}
        (?:know|say|tell|help|answer|explain|pretend|understand)\b
    | \bnever\ (?:\w+\ ){0,2}(?:heard|knew|known|learn(?:ed|t)|understood|studied|taught)\b
    | \b(?:know|hears?|understand)\ (?:\w+\ ){0,1}(?:little|nothing)\b
    | \bI\ know\ nothing\b | \bwho\ knows\b | \b(?:wish|if)\ I\ knew\b | \bknow\ more\ about\b
    | \bno\ (?:\w+\ )?(?:idea|clue|expert|scholar|knowledge)\b | \b(?:faintest|foggiest)\b
    | \bnot\ (?:an?\ )?(?:expert|encyclopa?edia|something|for\ me)\b
    | \bbeyond\ (?:me|my|us|an?)\b | \bover\ my\ head\b | \ba\ mystery\ to\ me\b
    | \b(?:means|mean)\ nothing\ to\ me\b
    | \bheard\ of\b(?=.*(?:that['’]s\ (?:about\ )?all|never|don['’]t|forgot))
    | \b(?:nobody|no\ one)\ (?:\w+\ ){0,2}(?:taught|told|speaks|knows|seen|talks|has)\b(?!\ this)
    | \bonly\ know\b | \blost\ me\b | \bgot\ me\ there\b | \bcleverer\b | \bnot\ friends\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SMALL = r"(?:of|on|about|a|an|the)"
_BROKEN = re.compile(
    rf"""
      \b((?:\w+\ )?{_SMALL})\ \1\b    # "no expert on expert on", "about about"
    | \b(\w+(?:\ \w+){{1,5}})(?:\ \2){{2}}\b
    | \b(\w+)(?:\ \3){{3}}\b
    """,
    re.VERBOSE,
)


def turns_aside(text: str) -> bool:
    """Whether `text` says that it does not know or cannot help, in a sentence that is whole."""
    plain = " ".join(re.findall(r"\w+", text.lower()))
    return bool(_NOT_KNOWING.search(text)) and not _BROKEN.search(plain)
