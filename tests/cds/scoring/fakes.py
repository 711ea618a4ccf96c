"""A scorer that reads no pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from pydicom import Dataset

from model.domain import RefusedExam, ScoredExam
from tests.cds.builders import scored


@dataclass(frozen=True)
class FakePrepared:
    """An exam that is ready for nothing but the fake scorer."""

    study_uid: str
    at: datetime
    bytes_held: int = 1 << 20


class FakeScorer:
    """An ExamScorer that scores every study alike, except those given: as `s1_2_1`, or in `fails` while scoring."""

    def __init__(
        self,
        *,
        fails: Mapping[str, Exception] | None = None,
        batch_exams: int = 1,
        **answers: RefusedExam | Exception,
    ) -> None:
        self.answers, self.fails = answers, fails or {}
        self.batch_exams = batch_exams
        self.asked: list[tuple[str, date | None]] = []
        self.batches: list[int] = []

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> FakePrepared | RefusedExam:
        """The answer given for the study, which is raised if it is an error."""
        study_uid = str(images[0].StudyInstanceUID)
        self.asked.append((study_uid, performed_on))
        answer = self.answers.get("s" + study_uid.replace(".", "_"), FakePrepared(study_uid, at))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def score(self, exams: Sequence[FakePrepared]) -> list[ScoredExam | RefusedExam]:
        """A score for each."""
        self.batches.append(len(exams))
        for exam in exams:
            if exam.study_uid in self.fails:
                raise self.fails[exam.study_uid]
        return [scored(exam.study_uid, scored_at=exam.at) for exam in exams]
