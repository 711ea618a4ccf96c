"""Runs over the site: who holds the lease, how far each source is read, and what each run came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, update
from sqlmodel import Session, col, func, select

from cds.store.database import insert_into
from cds.store.outbox import OutboxRecords
from cds.store.queue_counts import NO_REASON
from cds.store.tables import Lease, Run, Scoring, ScoringState, Watermark


@dataclass(frozen=True)
class RunSummary:
    """What one run came to: exams found new, scored, refused by reason, failed by problem, assessments written.

    `cleared` is what was deleted, by kind, because it had been kept long enough. `problems` are sentences on what could
    not be looked at. Nothing in it names a patient.
    """

    found: int = 0
    scored: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    written: int = 0
    problems: tuple[str, ...] = ()
    cleared: dict[str, int] = field(default_factory=dict)


class RunRecords:
    """Runs, leases and watermarks of one database. Safe for several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take_lease(self, name: str, holder: str, now: datetime, length: timedelta) -> bool:
        """Take or keep what only one may hold; False where another holder has it and its time has not run out."""
        free = (
            (col(Lease.holder) == holder)
            | (col(Lease.until) <= now)
            # Only a clock that was put back since can have written an end so far ahead.
            | (col(Lease.until) > now + 2 * length)
        )
        with Session(self._engine) as session:
            made = session.execute(
                insert_into(session, Lease)
                .values(name=name, holder=holder, until=now + length)
                .on_conflict_do_nothing()
                .returning(col(Lease.name))
            ).first()
            taken = (
                made
                or session.execute(
                    update(Lease)
                    .where(col(Lease.name) == name, free)
                    .values(holder=holder, until=now + length)
                    .returning(col(Lease.name))
                ).first()
            )
            session.commit()
            return taken is not None

    def give_up_lease(self, name: str, holder: str, now: datetime) -> None:
        """Let the next one have it."""
        mine = (col(Lease.name) == name) & (col(Lease.holder) == holder)
        with Session(self._engine) as session:
            session.execute(update(Lease).where(mine).values(until=now))
            session.commit()

    def sign(self, name: str, holder: str, now: datetime, length: timedelta) -> None:
        """Note that somebody is at something for so long; unlike a lease, several may be, and the last one counts."""
        signed = {"holder": holder, "until": now + length}
        with Session(self._engine) as session:
            note = insert_into(session, Lease).values(name=name, **signed)
            session.execute(note.on_conflict_do_update(index_elements=["name"], set_=signed))
            session.commit()

    def is_signed(self, name: str, now: datetime, length: timedelta) -> bool:
        """Whether somebody has said lately to be at something; not one whose clock was put back since."""
        with Session(self._engine) as session:
            kept = session.get(Lease, name)
            return kept is not None and now < kept.until <= now + 2 * length

    def watermark(self, source: str) -> datetime | None:
        """Up to which moment of its own clock a source is safely read; None where it never was."""
        with Session(self._engine) as session:
            kept = session.get(Watermark, source)
            return kept.moment if kept else None

    def move_watermark(self, source: str, moment: datetime) -> None:
        """Note up to where a source is safely stored."""
        with Session(self._engine) as session:
            session.merge(Watermark(source=source, moment=moment))
            session.commit()

    def rename_source(self, source: str, name: str) -> None:
        """Have what is noted of a source be noted under another name, unless something is under that."""
        noted = select(Watermark.source).where(Watermark.source == name).exists()
        with Session(self._engine) as session:
            # One statement: of two processes that do it at once the second finds nothing to do.
            session.execute(update(Watermark).where(col(Watermark.source) == source, ~noted).values(source=name))
            session.commit()

    def start(self, model: str, now: datetime) -> int:
        """Begin a run; its number."""
        run = Run(model=model, started_at=now)
        with Session(self._engine) as session:
            session.add(run)
            session.commit()
            return run.id or 0

    def finish(self, run_id: int, summary: RunSummary, now: datetime) -> None:
        """Keep what a run came to."""
        values = {
            "found": summary.found,
            "scored": summary.scored,
            "refused": summary.refused,
            "failed": summary.failed,
            "written": summary.written,
            "problems": list(summary.problems),
            "cleared": summary.cleared,
        }
        with Session(self._engine) as session:
            session.execute(update(Run).where(col(Run.id) == run_id).values(**values, finished_at=now))
            session.commit()

    def last(self, count: int = 10, model: str | None = None) -> list[Run]:
        """The last runs with a model, or with any, newest first."""
        query = select(Run) if model is None else select(Run).where(Run.model == model)
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.exec(query.order_by(col(Run.id).desc()).limit(count)).all())

    def sum_up(self, model: str, since: datetime, found: int, problems: tuple[str, ...]) -> RunSummary:
        """What happened to exams of this model since a moment, whoever did it."""
        with Session(self._engine) as session:
            ended = _ended(model, since, ScoringState.SCORED)
            scored = session.exec(select(func.count()).select_from(Scoring).where(ended)).one()
            refused: Counter[str] = Counter()
            for exclusions in session.exec(
                select(Scoring.exclusions).where(_ended(model, since, ScoringState.REFUSED))
            ):
                # The first is what it comes to; each exam counts once, so that the books balance.
                refused.update([exclusions[0]["reason"] if exclusions else NO_REASON])
            problems_of = select(Scoring.problem).where(_ended(model, since, ScoringState.QUEUED))
            failed = Counter(problem for problem in session.exec(problems_of) if problem)
        written = OutboxRecords(self._engine).count_written(model, since)
        return RunSummary(found, scored, dict(refused), dict(failed), written, problems)


def _ended(model: str, since: datetime, state: ScoringState) -> ColumnElement[bool]:
    """Errands of a model whose last attempt ended since a moment and left them so."""
    return (col(Scoring.model) == model) & (col(Scoring.state) == state) & (col(Scoring.finished_at) >= since)
