"""The nightly run: find the site's exams and queue what has no score, by the same pipeline that the hook uses."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cds.assessment import Assessor
from cds.ehr.client import Ehr
from cds.errors import EhrError, UntrustedServer
from fhir_mappings.bundles import bundle_resources
from fhir_mappings.elements import Json, counted
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.imaging_studies import read_imaging_studies
from fhir_mappings.patients import read_patient
from fhir_mappings.subjects import subject_id
from model.domain import Assessment

log = logging.getLogger(__name__)

MAMMOGRAMS = "ImagingStudy?modality=MG&_count=200"


@dataclass(frozen=True)
class NightEhr:
    """An EHR with the access of the nightly run."""

    name: str
    client: Ehr


@dataclass(frozen=True)
class NightSummary:
    """What one run found. `problems` are patients or EHRs that could not be looked at, in words without identifiers."""

    patients: int = 0
    scored: int = 0
    refused: int = 0
    pending: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Night:
    """Goes through every EHR; one that fails does not stop the others."""

    ehrs: Sequence[NightEhr]
    assessor: Assessor

    def find_exams(self) -> NightSummary:
        """Queue every exam that has no score yet; the worker does the scoring."""
        assessments: list[Assessment] = []
        problems: list[str] = []
        for ehr in self.ehrs:
            for found in self._look(ehr):
                if isinstance(found, Assessment):
                    assessments.append(found)
                else:
                    problems.append(f"{ehr.name}: {found}")
        for said in problems:
            log.warning("the night could not look at everything: %s", said)
        return _summary(assessments, problems)

    def _look(self, ehr: NightEhr) -> Iterator[Assessment | str]:
        """Every patient's assessment, and in words whatever could not be looked at."""
        try:
            listing = bundle_resources(ehr.client.search(MAMMOGRAMS), "ImagingStudy")
        except (EhrError, UntrustedServer, ResourceProblem) as problem:
            yield str(problem)
            return
        yield from listing.problems
        by_patient, nobodys = _studies_by_patient(listing.resources)
        if nobodys:
            yield counted(nobodys, "study names", "studies name") + " no patient"
        for patient_id, studies in by_patient.items():
            yield from self._look_at_patient(ehr, patient_id, studies)

    def _look_at_patient(self, ehr: NightEhr, patient_id: str, studies: Sequence[Json]) -> Iterator[Assessment | str]:
        try:
            patient = read_patient(ehr.client.read(f"Patient/{patient_id}"), patient_id)
            exams = read_imaging_studies(list(studies), patient_id)
        except (EhrError, UntrustedServer, ResourceProblem) as problem:
            yield f"a patient: {problem}"
            return
        yield self.assessor.assess(ehr.name, patient, exams, wait_s=0, urgent=False)
        yield from (f"a patient: {problem}" for problem in exams.problems)


def _studies_by_patient(studies: Iterable[Json]) -> tuple[dict[str, list[Json]], int]:
    """The studies of each patient, and how many name none."""
    by_patient: dict[str, list[Json]] = defaultdict(list)
    nobodys = 0
    for study in studies:
        patient_id = subject_id(study)
        if patient_id is None:
            nobodys += 1
        else:
            by_patient[patient_id].append(study)
    return by_patient, nobodys


def _summary(assessments: Iterable[Assessment], problems: Sequence[str]) -> NightSummary:
    assessments = list(assessments)
    lines = [assessment.trajectory for assessment in assessments if assessment.trajectory]
    return NightSummary(
        patients=len(assessments),
        scored=sum(len(line.points) + len(line.apart) for line in lines),
        refused=sum(len(assessment.refused) for assessment in assessments),
        pending=sum(len(assessment.pending) for assessment in assessments),
        problems=tuple(problems),
    )
