"""The settings of order codes: what orders mean, and which order a card offers."""

from __future__ import annotations

from itertools import combinations
from typing import Self

from pydantic import field_validator, model_validator

from cds.settings.fields import Display, FhirCode, Section, Uri
from fhir_mappings.codes import DEFAULT_MRI_ORDER
from fhir_mappings.mri_orders import INTENTS


class CodeSettings(Section):
    """One code of the site's own."""

    system: Uri
    code: FhirCode


class OrderSettings(Section):
    """The breast MRI order that a card offers, in the site's own code where it has one."""

    code: FhirCode = DEFAULT_MRI_ORDER.code
    system: Uri = DEFAULT_MRI_ORDER.system
    display: Display = ""
    equivalents: tuple[CodeSettings, ...] = ()
    """Standard codes that mean the same, offered beside it."""
    intent: str = "order"

    @field_validator("intent")
    @classmethod
    def _is_an_intent(cls, value: str) -> str:
        if value not in INTENTS:
            raise ValueError(f"must be one of {', '.join(sorted(INTENTS))}")
        return value


class OrderCodesSettings(Section):
    """What orders of the site's own codes are for, beside the usual codes; that of `mri_order` is known already."""

    screening_mammography: tuple[CodeSettings, ...] = ()
    other_mammography: tuple[CodeSettings, ...] = ()
    unspecified_mammography: tuple[CodeSettings, ...] = ()
    """Orders that may be for either: one whose reason is among `screening_reasons` screens."""
    breast_mri: tuple[CodeSettings, ...] = ()
    screening_reasons: tuple[CodeSettings, ...] = ()
    """Not of orders, but of the reasons for them."""

    @model_validator(mode="after")
    def _mean_one_thing(self) -> Self:
        lists = [set(codes) for _, codes in self]
        if any(one & other for one, other in combinations(lists, 2)):
            raise ValueError("a code can be in one of the lists only")
        return self
