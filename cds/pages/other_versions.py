"""What other versions of the model said of the same exams: apart from the line, and no more of it than can be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cds.assessment import Join
from model.domain import Assessment, ScoredExam, Trajectory


def with_other_versions(known: Assessment, others: Iterable[ScoredExam], join: Join) -> Trajectory | None:
    """The patient's line with these scores apart from it; None without any score.

    `join` makes a line of the model in use alone, so nothing else of the line changes.
    """
    line = known.trajectory or Trajectory(())
    return join([*line.exams, *others])


def drawn(line: Trajectory, in_use: str) -> Trajectory:
    """The line as it is drawn: of versions that are not in use only the one that scored last.

    With every further version each exam would get a further point, at the same day and most often close to the
    others: what moved over time could no more be told from what moved with the model.
    """
    others = (exam for exam in line.apart if exam.comparability.model != in_use)
    last = max(((exam.scored_at, exam.comparability.model) for exam in others), default=None)
    kept = {in_use, last[1]} if last else {in_use}
    return replace(line, apart=tuple(exam for exam in line.apart if exam.comparability.model in kept))
