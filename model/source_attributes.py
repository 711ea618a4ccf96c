"""The 31 source attributes of a predictive decision support intervention, and what a model's own file tells of them.

45 CFR 170.315(b)(11)(iv)(B) (ONC, HTI-1 final rule, 89 FR 1192). Needs no torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from model.errors import AttributesBroken

FILE_NAME: Final = "attributes.toml"
REGULATION: Final = "45 CFR 170.315(b)(11)(iv)(B)"
_LARGEST_FILE: Final = 1 << 18
_LONGEST_LINE: Final = 4000


@dataclass(frozen=True)
class Attribute:
    """One attribute in the words of the regulation; `key` is its place in a file, `paragraph` its place below (B)."""

    key: str
    paragraph: str
    title: str


@dataclass(frozen=True)
class Group:
    """Attributes that the regulation keeps together."""

    name: str
    title: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class Told:
    """What is told of one attribute, and from where it is known: a citation, or a file of this project."""

    text: str
    source: str


_PARAGRAPHS: Final = ("i", "ii", "iii", "iv", "v")


def _group(number: int, name: str, title: str, **titles: str) -> Group:
    listed = zip(titles.items(), _PARAGRAPHS, strict=False)
    return Group(
        name,
        title,
        tuple(Attribute(f"{name}.{one}", f"({number})({place})", words) for (one, words), place in listed),
    )


GROUPS: Final = (
    _group(
        1,
        "details",
        "Details and output of the intervention",
        developer="Name and contact information for the intervention developer",
        funding="Funding source of the technical implementation for the intervention(s) development",
        output="Description of value that the intervention produces as an output",
        output_kind="Whether the intervention output is a prediction, classification, recommendation, evaluation, "
        "analysis, or other type of output",
    ),
    _group(
        2,
        "purpose",
        "Purpose of the intervention",
        use="Intended use of the intervention",
        patients="Intended patient population(s) for the intervention's use",
        users="Intended user(s)",
        role="Intended decision-making role for which the intervention was designed to be used/for (e.g., informs, "
        "augments, replaces clinical management)",
    ),
    _group(
        3,
        "cautions",
        "Cautioned out-of-scope use of the intervention",
        situations="Description of tasks, situations, or populations where a user is cautioned against applying the "
        "intervention",
        risks="Known risks, inappropriate settings, inappropriate uses, or known limitations",
    ),
    _group(
        4,
        "development",
        "Intervention development details and input features",
        criteria="Exclusion and inclusion criteria that influenced the training data set",
        inputs="Use of variables in paragraph (b)(11)(iv)(A)(5)-(13) as input features",
        representativeness="Description of demographic representativeness according to variables in paragraph "
        "(b)(11)(iv)(A)(5)-(13) including, at a minimum, those used as input features in the intervention",
        relevance="Description of relevance of training data to intended deployed setting",
    ),
    _group(
        5,
        "fairness",
        "Process used to ensure fairness in development of the intervention",
        approach="Description of the approach the intervention developer has taken to ensure that the intervention's "
        "output is fair",
        bias="Description of approaches to manage, reduce, or eliminate bias",
    ),
    _group(
        6,
        "external",
        "External validation process",
        data="Description of the data source, clinical setting, or environment where an intervention's validity and "
        "fairness has been assessed, other than the source of training and testing data",
        party="Party that conducted the external testing",
        representativeness="Description of demographic representativeness of external data according to variables in "
        "paragraph (b)(11)(iv)(A)(5)-(13) including, at a minimum, those used as input features in the intervention",
        process="Description of external validation process",
    ),
    _group(
        7,
        "performance",
        "Quantitative measures of performance",
        validity="Validity of intervention in test data derived from the same source as the initial training data",
        fairness="Fairness of intervention in test data derived from the same source as the initial training data",
        external_validity="Validity of intervention in data external to or from a different source than the initial "
        "training data",
        external_fairness="Fairness of intervention in data external to or from a different source than the initial "
        "training data",
        outcomes="References to evaluation of use of the intervention on outcomes, including, bibliographic citations "
        "or hyperlinks to evaluations of how well the intervention reduced morbidity, mortality, length of stay, or "
        "other outcomes",
    ),
    _group(
        8,
        "maintenance",
        "Ongoing maintenance of intervention implementation and use",
        validity_watch="Description of process and frequency by which the intervention's validity is monitored over "
        "time",
        local_validity="Validity of intervention in local data",
        fairness_watch="Description of the process and frequency by which the intervention's fairness is monitored "
        "over time",
        local_fairness="Fairness of intervention in local data",
    ),
    _group(
        9,
        "update",
        "Update and continued validation or fairness assessment schedule",
        process="Description of process and frequency by which the intervention is updated",
        correction="Description of frequency by which the intervention's performance is corrected when risks related "
        "to validity and fairness are identified",
    ),
)
ATTRIBUTES: Final = MappingProxyType({one.key: one for group in GROUPS for one in group.attributes})
"""By key, in the order of the regulation."""


def read_source_attributes(folder: Path, model: str) -> Mapping[str, Told]:
    """What the file in a model's folder tells, by key; an attribute that is not in it is not available.

    Without a file that is every one. Raises AttributesBroken where a file is there and is not that of `model`,
    or leaves out an attribute without saying `absent = true`.
    """
    said = _read(folder / FILE_NAME)
    if said is None:
        return {}
    if (named := said.pop("model", None)) != model:
        raise AttributesBroken(f"{FILE_NAME} is of the model {named!r}, and the model's card says {model!r}")
    blocks = dict(_blocks(said))
    if unknown := sorted(blocks.keys() - ATTRIBUTES.keys()):
        raise AttributesBroken(f"{FILE_NAME} of {model!r}: no such attribute: {', '.join(unknown)}")
    if missing := [key for key in ATTRIBUTES if key not in blocks]:
        raise AttributesBroken(
            f"{FILE_NAME} of {model!r} lacks {', '.join(missing)}; write absent = true where nothing is known"
        )
    told = {key: _told(blocks[key], key) for key in ATTRIBUTES}
    return {key: one for key, one in told.items() if one is not None}


def _read(file: Path) -> dict[str, Any] | None:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise AttributesBroken(f"{FILE_NAME} is too large for 31 attributes")
        return tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, RecursionError, ValueError) as e:
        problem = str(e) if isinstance(e, tomllib.TOMLDecodeError) else type(e).__name__
        raise AttributesBroken(f"{FILE_NAME} of the model cannot be read: {problem}") from e


def _blocks(said: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, group in said.items():
        if not isinstance(group, dict):
            yield name, group
            continue
        for one, block in group.items():
            yield f"{name}.{one}", block


def _told(block: Any, key: str) -> Told | None:
    """An attribute with a text and its source, or None where the file says that there is nothing to tell."""
    if block == {"absent": True}:
        return None
    if not isinstance(block, dict) or block.keys() != {"text", "source"} or not all(map(_is_line, block.values())):
        raise AttributesBroken(
            f"{FILE_NAME}: {key} must have text and source, a line each, or absent = true and nothing else"
        )
    return Told(block["text"], block["source"])


def _is_line(words: Any) -> bool:
    return isinstance(words, str) and words.isprintable() and 0 < len(words) <= _LONGEST_LINE and not words.isspace()
