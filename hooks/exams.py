"""Which of a patient's exams is the newest, whether or not it has a score."""

from __future__ import annotations

from datetime import date

from model.domain import Assessment, PendingExam, RefusedExam, ScoredExam, Trajectory

Exam = ScoredExam | RefusedExam | PendingExam


def exams_newest_first(assessment: Assessment) -> tuple[Exam, ...]:
    """Every exam, newest first; of an exam that two models have scored only the comparable score.

    One without a date may be the newest, so it comes first. Of two on one day the one with a score comes first, as the
    other is most often an extra set of views; of two scores the one that counts.
    """
    trajectory = assessment.trajectory or Trajectory(())
    counted: list[Exam] = [*apart(trajectory), *trajectory.comparable]
    ascending = [*assessment.refused, *assessment.pending, *counted]
    return tuple(sorted(ascending, key=lambda exam: exam.performed_on or date.max))[::-1]


def apart(trajectory: Trajectory) -> tuple[ScoredExam, ...]:
    """The exams that have a score, but none that may be joined to the line or to what came before it."""
    if not trajectory.apart:
        return ()
    comparable = {exam.study_uid for exam in trajectory.comparable}
    return tuple(exam for exam in trajectory.apart if exam.study_uid not in comparable)


def newest_exam(assessment: Assessment) -> Exam | None:
    """The newest exam, or None where there is no exam at all."""
    return next(iter(exams_newest_first(assessment)), None)


def latest_scored(assessment: Assessment) -> ScoredExam | None:
    """The exam whose score the rule is applied to: the latest of the comparable ones."""
    trajectory = assessment.trajectory
    return trajectory.latest if trajectory and trajectory.points else None


def is_being_scored(exam: Exam) -> bool:
    """Whether a score may be there any moment: queued, and nothing holds it."""
    return isinstance(exam, PendingExam) and not exam.problem


def without_usable_score(exam: Exam) -> str:
    """An exam and why its score cannot be used, as a sentence without its full stop."""
    words = exam_words(exam)
    if is_being_scored(exam):
        return f"Scoring of {words} is under way"
    if isinstance(exam, RefusedExam):
        why = "cannot be scored"
    elif isinstance(exam, PendingExam):
        why = "is not scored yet"
    else:
        why = "was scored by another model version or from another kind of image"
    return f"{words[0].upper()}{words[1:]} {why}"


def exam_words(exam: Exam) -> str:
    """An exam as a sentence names it: `the exam of 2026-05-03`, `an exam without a date`."""
    return f"the exam of {exam.performed_on.isoformat()}" if exam.performed_on else "an exam without a date"
