"""Whose page it is, in words for a person: name and birth date as the EHR has them at the moment of the launch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date

from cds.ehr.client import Ehr
from cds.errors import EhrError, UntrustedServer
from fhir_mappings.dates import parse_partial_date
from fhir_mappings.elements import as_object, text
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.names import shown_name
from fhir_mappings.patients import read_patient
from hooks.ages import age_in_words


@dataclass(frozen=True)
class Banner:
    """The patient as she is shown; without `is_read` the EHR did not tell who she is, which the page then says."""

    is_read: bool = False
    name: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)

    def age_at(self, day: date) -> str:
        """Her age in years on a day; empty where the birth date is not known, or is later than the day."""
        return age_in_words(parse_partial_date(self.birth_date), day)


def read_banner(opened: AbstractContextManager[Ehr], patient_id: str) -> Banner:
    """The banner of a patient, read from her EHR; a failure is a banner, too: the scores are shown in any case."""
    try:
        with opened as ehr:
            resource = as_object(ehr.read(f"Patient/{patient_id}"))
        read_patient(resource, patient_id)
    except (EhrError, UntrustedServer, ResourceProblem):
        return Banner()
    birth_date = text(resource.get("birthDate"))
    return Banner(True, shown_name(resource), birth_date if parse_partial_date(birth_date) else "")
