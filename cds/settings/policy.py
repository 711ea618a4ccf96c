"""The settings of the MRI policy and of when cards are shown."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from cds.settings.fields import HttpUrl, Section, Text
from fhir_mappings.patients import Sex
from hooks.case import Comparator
from hooks.site import PatientView
from model.domain import GAP_MONTHS


class PolicySettings(Section):
    """When a breast MRI is suggested. Defaults: NCCN 2026 as reported, from 35, strictly over 1.7 %."""

    minimum_age_years: int = Field(default=35, ge=0, le=120)
    threshold_percent: float = Field(default=1.7, gt=0, lt=100)
    comparator: Comparator = Comparator.OVER
    mri_within_months: int = Field(default=12, ge=0)
    oldest_score_months: int = Field(default=24, ge=0)
    minimum_detectable_change_points: float | None = None
    """In percentage points, as measured at this site: a smaller difference of two scores is no measurable change."""
    sexes: tuple[Sex, ...] = (Sex.FEMALE,)
    """For whom a breast MRI is suggested at all; the model was made for women."""
    code_sets: tuple[Path, ...] = ()
    """Files with codes of the site's own for what keeps a suggestion back, in the form of the program's own files."""
    gap_months: int = Field(default=GAP_MONTHS, ge=1)
    """Two scores further apart are shown with a gap between them."""
    citation: Text | None = None
    citation_url: HttpUrl | None = None

    @field_validator("threshold_percent")
    @classmethod
    def _is_in_percent(cls, value: float) -> float:
        if value < 0.1:
            raise ValueError("is in percent: write 1.7 for 1.7 %, not the fraction 0.017; the least is 0.1")
        return value

    @field_validator("minimum_detectable_change_points")
    @classmethod
    def _is_in_points(cls, value: float | None) -> float | None:
        # The least is also the last decimal of a shown change: a site that measured less loses nothing by 0.1.
        if value is not None and not 0.1 <= value < 100:
            raise ValueError(
                "is in percentage points, from 0.1 to under 100: write 0.5 for half a point, not the fraction 0.005"
            )
        return value


class CardsSettings(Section):
    """When a card that could be shown is not."""

    patient_view: PatientView = PatientView.NEW_OR_OVER
    """What patient-view speaks of; that something could not be looked at is always said."""
    quiet_days_after_override: int = Field(default=90, ge=0)
    """How long a card that was overridden with a reason is not shown again for the same patient and exam.

    One that is to be decided later is shown again the next day.
    """
