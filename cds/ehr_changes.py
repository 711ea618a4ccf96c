"""The nightly run: find the site's exams and queue what has no score, by the same pipeline that the hook uses."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from cds.assessment import Assessor
from cds.ehr.client import Ehr
from cds.errors import EhrError, SettingsError, UntrustedServer
from fhir_mappings.bundles import bundle_resources
from fhir_mappings.elements import Json, counted
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.imaging_studies import ImagingHistory, read_imaging_studies
from fhir_mappings.patients import read_patient
from fhir_mappings.subjects import subject_id
from model.domain import Assessment

log = logging.getLogger(__name__)

MAMMOGRAMS = "ImagingStudy?modality=MG&_count=200"


@dataclass(frozen=True)
class NightEhr:
    """An EHR with the access of the nightly run. `open` gives a connection for one run; leaving it closes it."""

    name: str
    open: Callable[[], AbstractContextManager[Ehr]]


@dataclass(frozen=True)
class NightSummary:
    """What one run found. `problems` are patients or EHRs that could not be looked at, in words without identifiers.

    `held` counts the pending exams by what their last attempt met, None for those not tried yet.
    """

    patients: int = 0
    scored: int = 0
    refused: int = 0
    pending: int = 0
    problems: tuple[str, ...] = ()
    held: Mapping[str | None, int] = field(default_factory=dict)


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
            with ehr.open() as client:
                listing = bundle_resources(client.search(MAMMOGRAMS), "ImagingStudy")
                yield from listing.problems
                yield from self._look_at_patients(ehr.name, client, listing.resources)
        except (EhrError, UntrustedServer, ResourceProblem, SettingsError) as problem:
            yield str(problem)

    def _look_at_patients(self, ehr: str, client: Ehr, studies: Sequence[Json]) -> Iterator[Assessment | str]:
        by_patient, nobodys = _studies_by_patient(studies)
        if nobodys:
            yield counted(nobodys, "study names", "studies name") + " no patient"
        histories = {patient_id: read_imaging_studies(hers, patient_id) for patient_id, hers in by_patient.items()}
        shared = _shared(histories.values())
        if shared:
            yield (
                counted(len(shared), "study is", "studies are") + " filed under more than one patient; correct the EHR"
            )
        for patient_id, exams in histories.items():
            yield from self._look_at_patient(ehr, client, patient_id, exams, shared)

    def _look_at_patient(
        self, ehr: str, client: Ehr, patient_id: str, exams: ImagingHistory, shared: Set[str]
    ) -> Iterator[Assessment | str]:
        try:
            patient = read_patient(client.read(f"Patient/{patient_id}"), patient_id)
        except (EhrError, UntrustedServer, ResourceProblem) as problem:
            yield f"a patient: {problem}"
            return
        hers_alone = {exam.study_uid for exam in exams.exams if exam.study_uid} - shared
        yield self.assessor.assess(ehr, patient, exams, wait_s=0, urgent=False, hers_alone=hers_alone)
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


def _shared(histories: Iterable[ImagingHistory]) -> set[str]:
    """The studies that the EHR files under more than one patient: whose they are, it does not know itself."""
    # A history lists each study once, so a study counted twice has two patients.
    patients = Counter(exam.study_uid for history in histories for exam in history.exams if exam.study_uid)
    return {study_uid for study_uid, count in patients.items() if count > 1}


def _summary(assessments: Iterable[Assessment], problems: Sequence[str]) -> NightSummary:
    assessments = list(assessments)
    lines = [assessment.trajectory for assessment in assessments if assessment.trajectory]
    pending = [exam for assessment in assessments for exam in assessment.pending]
    return NightSummary(
        patients=len(assessments),
        scored=sum(len(line.points) + len(line.apart) for line in lines),
        refused=sum(len(assessment.refused) for assessment in assessments),
        pending=len(pending),
        problems=tuple(problems),
        held=Counter(exam.problem for exam in pending),
    )
