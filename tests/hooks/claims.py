"""What no card may ever claim, each in the ways it may be put, with a made-up sentence that puts it so."""

from __future__ import annotations

import re
from collections.abc import Mapping

CLAIMS: Mapping[str, Mapping[str, str]] = {
    "cancer is there": {
        r"cancer (is|was|has been|seems) (there|present|detected|found|seen|visible)": "A cancer was detected.",
        r"(cancer|lesion|mass)( is| was)? (suspected|confirmed|likely)": "Breast cancer suspected.",
        r"(detect|show|find|indicat|suggest|reveal)\w* (signs of )?(breast )?cancer": "This shows cancer.",
        r"has (breast )?cancer|tumou?r|suspicious|\bmalignant\b": "The finding is suspicious.",
    },
    "cancer is not there": {
        r"no (sign|evidence|trace|indication|suspicion)s? of": "There is no sign of cancer.",
        r"cancer[- ]free|free of (breast )?cancer|without cancer": "She is cancer-free.",
        r"\bno (breast )?(cancer|malignancy|lesion)\b": "No breast cancer in this exam.",
        r"cancer (is |was )?(not|absent|excluded|ruled out)|rules? out|exclud\w+ cancer": "Cancer ruled out.",
        r"\bnegative\b|\bhealthy\b": "A negative exam.",
    },
    "a slope is a probability": {
        r"probab|\blikel|\bunlikel": "She is likely to get cancer.",
        r"chances? of|\bodds\b|\b1 in \d": "Her chance of cancer is 1 in 20.",
        r"times (more|the) |(double|triple)s? (her|the) risk": "The slope triples her risk.",
    },
    "extrapolation": {
        r"(score|risk|she|change) will\b|\bwill (develop|reach|rise|fall|cross|exceed)\b": "It will reach 10 %.",
        r"expected to|forecast|predict|project(s|ed)\b|extrapolat": "The score is expected to rise.",
        r"\btrends?\b|on track|at this (rate|pace)|continu(es?|ing)\b": "The trend is upwards.",
        r"by 20[3-9]\d|next (year|exam)|soon|years from now": "Over the threshold by 2031.",
    },
    "points of two classes are joined": {
        r"across (models|versions|devices|kinds)|despite (the|another)": "The change across models is 2 points.",
        r"convert(s|ed)|harmoni[sz]ed|equivalent score": "The older score was converted.",
    },
    "noise is a change": {
        r"colou?r|style=|[\u2190-\u21ff\u25b2\u25bc\u2b06\u2b07\U0001f4c8-\U0001f7e2]": "Score \u2191",
        r"(slight|small|minor|mild)(ly)? (rise|rising|higher|increase|change|fall)": "A slight rise.",
    },
    "missing priors are stability": {
        r"\bstable\b|stability|unchanged|\bconstant\b|\bsteady\b": "Stable over six years.",
        r"\bno change\b|has not (moved|changed)|remain(s|ed)\b|same as before": "No change since 2019.",
    },
    "reassurance": {
        r"reassur|\bnormal\b|\bbenign\b|\bsafe(ly)?\b|good news|all clear": "A reassuring score.",
        r"no need|not needed|unnecessary|can be skipped|nothing to worry": "An MRI is not needed.",
        r"(may|can) (wait|be postponed|be delayed)|less screening|screen(ed|ing) less": "Screening can wait.",
        r"no further (screening|imaging|action)|no (cause|reason) for": "No further imaging.",
    },
    "clearance or endorsement": {
        r"\bFDA\b|\bcleared\b|\bapproved\b|authori[sz]ed|certified|\bCE[- ]mark": "An FDA-cleared model.",
        r"NCCN[^.]*\b(recommend|endors|support|requir|approv)": "NCCN recommends this model.",
        r"(recommended|endorsed|required|supported) by|guidelines? (say|require)": "Endorsed by the guideline's panel.",
    },
    "high risk": {
        r"\b(high|higher|highest|elevated|increased|raised|average|low|lower)[- ]risk\b": "A high-risk patient.",
        r"at (high|increased|elevated)|risk is (high|elevated|increased|low)": "Her risk is high.",
    },
}
"""Regular expressions, without regard to case, by the claim that they catch."""

HARMLESS = (
    # What was looked for and not found on record is a fact about the record, not about the breast.
    "No breast cancer, carcinoma in situ or bilateral mastectomy was found on record",
    # Says the opposite of what its words are looked for.
    "A low or flat score is no reason for less screening.",
    # About biopsies in general, and a reason to trust the score less.
    "A breast biopsy is on record: after benign ones image-based scores tend to be higher.",
    # The outcome that a RiskAssessment is of, as SNOMED CT calls it.
    "Malignant neoplasm of breast",
)
"""The only words of ours that may hold such an expression, as they claim nothing."""


def claims_in(text: str) -> tuple[str, ...]:
    """The claims that a text makes, by name, each with the words that make it."""
    for words in HARMLESS:
        text = text.replace(words, "")
    return tuple(
        f"{name}: {match[0]!r}"
        for name, patterns in CLAIMS.items()
        for pattern in patterns
        if (match := re.search(pattern, text, re.IGNORECASE))
    )
