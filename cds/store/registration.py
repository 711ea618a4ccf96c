"""Remembering exams as EHRs refer to them, and what becomes of their errands by that."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine, bindparam, delete
from sqlmodel import Session, col, select

from cds.store.assessments import retract
from cds.store.audit import AccessEvent, Action, note
from cds.store.database import insert_into, lock_before_reading
from cds.store.known_exams import KnownExam, StoredExam, by_key, query, read
from cds.store.one_study import as_on_record, is_same, names
from cds.store.queueing import assess_again, bring_forward, comes_forward, queue, reopen
from cds.store.tables import Exam, ExamSource, Priority, Scoring, ScoringState
from fhir_mappings.references import is_dicom_uid

_CORRECTABLE = ("accession_number", "imaging_study", "performed_on", "dicomweb_root", "patient_identifiers", "images")
_SCORING_ASKS_FOR = frozenset({"performed_on", "dicomweb_root", "patient_identifiers"})


@dataclass(frozen=True)
class NewExam:
    """An exam as an EHR refers to it. `patient_identifiers` is what its images may carry as PatientID.

    `key` is its study UID, or what stands for it where the EHR gives none. `of_call` is what a hook's call said: it may
    carry a part only, so it takes no identifier away, and says nothing of `images`.
    """

    ehr: str
    patient_id: str
    key: str
    study_uid: str | None = None
    accession_number: str | None = None
    imaging_study: str | None = None
    performed_on: date | None = None
    dicomweb_root: str | None = None
    patient_identifiers: tuple[str, ...] = field(default=(), repr=False)
    source: ExamSource = ExamSource.EHR
    images: str | None = None
    of_call: bool = False


_SAID = [each.name for each in fields(NewExam) if each.name != "of_call"]
_THESE = query(
    col(Exam.ehr).in_(bindparam("ehrs", expanding=True)) & col(Exam.key).in_(bindparam("keys", expanding=True))
)


def register(engine: Engine, exams: Sequence[NewExam], model: str, now: datetime, *, urgent: bool) -> int:
    """Remember exams, take over what their EHR says better now, queue those that `model` has not seen.

    Returns how many of them were not known before.
    """
    if not exams:
        return 0
    # A look before the write: the usual call finds everything there and takes no lock.
    known = _known(engine, exams, model)
    unknown = [exam for exam in exams if (exam.ehr, exam.key) not in known]
    if unknown and (others := as_on_record(engine, unknown, now)):
        exams = [others.get(exam, exam) for exam in exams]
        known = _known(engine, exams, model)
    news = [exam for exam in exams if is_news(exam, known, now, urgent)]
    if news:
        with Session(engine) as session:
            for row, exam in _locked(session, news, now):
                _put(session, row, exam, model, now, Priority.URGENT if urgent else Priority.NEW)
            session.commit()
        bring_forward(engine, {(exam.ehr, exam.patient_id) for exam in news}, model)
    return len({(exam.ehr, exam.key) for exam in news} - known.keys())


def identify(engine: Engine, ehr: str, patient_id: str, identifiers: Collection[str], now: datetime) -> None:
    """Have what archives brought of a patient bear the identifiers that her EHR gives her now; none says nothing.

    By one that the EHR has taken back an archive may have brought another woman's: its images are compared again.
    """
    brought = select(Exam).where(Exam.ehr == ehr, Exam.patient_id == patient_id, Exam.source == ExamSource.PACS)
    with Session(engine) as session:
        rows = session.exec(brought.order_by(col(Exam.id)).with_for_update(key_share=True)).all() if identifiers else []
        lost = [row.id for row in rows if not set(row.patient_identifiers) <= set(identifiers)]
        if lost:
            reopen(session, col(Scoring.exam_id).in_(lost), list(ScoringState), now)
        for row in rows:
            row.patient_identifiers = sorted(set(identifiers))
        session.commit()


def _locked(session: Session, exams: Sequence[NewExam], now: datetime) -> list[tuple[Exam, NewExam]]:
    """The exams with their rows, which are made where there are none.

    In one order everywhere, or two that write the same exams could wait for each other for ever: rows are made in the
    order of their keys, and locked in that of their ids. With NO KEY, because a new errand refers to its exam, and
    would wait for a whole lock on it.
    """
    for exam in sorted(exams, key=lambda new: (new.ehr, new.key)):
        session.execute(insert_into(session, Exam).values(_values(exam, now)).on_conflict_do_nothing())
    ehrs, keys = {exam.ehr for exam in exams}, {exam.key for exam in exams}
    these = select(Exam).where(col(Exam.ehr).in_(ehrs), col(Exam.key).in_(keys)).order_by(col(Exam.id))
    rows = {(row.ehr, row.key): row for row in session.exec(these.with_for_update(key_share=True)).all()}
    pairs = [(rows[exam.ehr, exam.key], exam) for exam in exams]
    return sorted(pairs, key=lambda pair: pair[0].id or 0)


def _known(engine: Engine, exams: Sequence[NewExam], model: str) -> Mapping[tuple[str, str], KnownExam]:
    ehrs, keys = {exam.ehr for exam in exams}, {exam.key for exam in exams}
    with engine.connect() as connection:
        return by_key(read(connection, _THESE, ehrs=list(ehrs), keys=list(keys), model=model))


def is_news(exam: NewExam, known: Mapping[tuple[str, str], KnownExam], now: datetime, urgent: bool) -> bool:
    """Whether registering the exam would change anything of what is known."""
    if (exam.ehr, exam.key) not in known:
        return True
    row, errand, _ = known[exam.ehr, exam.key]
    if row.patient_id != exam.patient_id or not row.listed:
        return _may_take_over(row, exam)
    if errand is None or _corrections(row, exam):
        return True
    if not urgent or errand.state != ScoringState.QUEUED:
        return False
    return errand.priority != Priority.URGENT or comes_forward(errand, now)


def _put(session: Session, row: Exam, exam: NewExam, model: str, now: datetime, priority: Priority) -> None:
    if not _may_take_over(row, exam) and (row.patient_id != exam.patient_id or not row.listed):
        return  # on record for another patient, or withdrawn by the EHR
    if row.patient_id == exam.patient_id:
        _correct(session, row, exam, now)
    else:
        _move(session, row, exam, now)
    row.listed = True
    session.flush()
    queue(session, [row.id or 0], model, now, priority)


def _may_take_over(row: Exam | StoredExam, exam: NewExam) -> bool:
    """What an EHR no longer lists is another patient's, or hers again, if the EHR says so: an archive cannot know."""
    return not row.listed and exam.source is ExamSource.EHR


def _said(exam: NewExam) -> dict[str, Any]:
    """What the EHR says of an exam, identifiers in one order: EHRs list them now so, now so."""
    # Not `asdict`, which copies deeply what needs no copy: this is done for every exam of every call.
    said = {name: getattr(exam, name) for name in _SAID}
    return said | {"patient_identifiers": sorted(set(exam.patient_identifiers))}


def _values(exam: NewExam, now: datetime) -> dict[str, Any]:
    return {**_said(exam), "listed": True, "first_seen_at": now}


def _corrections(row: Exam | StoredExam, exam: NewExam) -> dict[str, Any]:
    """What is said now and was not said before; that nothing is said now takes nothing away.

    What an archive brought is the EHR's once its own list has it; never the other way, or the two would correct each
    other every night.
    """
    is_ehrs, was_ehrs = exam.source is ExamSource.EHR, row.source == ExamSource.EHR
    said, known = _said(exam), {name: getattr(row, name) for name in _CORRECTABLE}
    if exam.of_call:
        said["patient_identifiers"] = sorted({*said["patient_identifiers"], *known["patient_identifiers"]})
    free = [name for name in _CORRECTABLE if is_ehrs or not was_ehrs or not known[name]]
    corrections = {name: said[name] for name in free if said[name] and said[name] != known[name]}
    return corrections | ({"source": ExamSource.EHR} if is_ehrs and not was_ehrs else {})


def _correct(session: Session, row: Exam, exam: NewExam, now: datetime) -> None:
    """Take over corrections; a queued, held or refused exam is tried again at once with what scoring asks for.

    A score is looked at again only where images came or were replaced, and where its images could not be compared
    with the patient at the time.
    """
    corrections = _corrections(row, exam)
    states = [ScoringState.QUEUED, ScoringState.REFUSED]
    changed = "images" in corrections and row.images is not None
    if changed or ("patient_identifiers" in corrections and not row.patient_identifiers):
        states.append(ScoringState.SCORED)
    if changed or corrections.keys() & _SCORING_ASKS_FOR:
        reopen(session, col(Scoring.exam_id) == row.id, states, now)
    for name, value in corrections.items():
        setattr(row, name, value)


def _move(session: Session, row: Exam, exam: NewExam, now: datetime) -> None:
    """Give a study that its EHR no longer lists under one patient to the one under whom it does.

    Nothing said of the first one's stays. It is queued whatever it was: a score shows for her only once the worker
    has compared the images with her.
    """
    reopen(session, col(Scoring.exam_id) == row.id, list(ScoringState), now)
    note(session, AccessEvent(Action.MOVED, now, row.ehr, row.patient_id, row.study_uid))
    said = _said(exam)
    for name in ("patient_id", "study_uid", "source", *_CORRECTABLE):
        setattr(row, name, said[name])


def unlist(
    engine: Engine, ehr: str, patient_id: str, listed: Collection[str] | None, now: datetime, gone: Collection[str] = ()
) -> int:
    """Note which of a patient's exams her EHR no longer lists; what was concluded from them is retracted.

    What an archive brought goes only if it is `gone`: listed as withdrawn, or under another patient. So does everything
    where it is not known what is `listed`.
    """
    hers = select(Exam).where(Exam.ehr == ehr, Exam.patient_id == patient_id).order_by(col(Exam.id))
    with Session(engine) as session:
        lock_before_reading(session)
        known = session.exec(hers.with_for_update(key_share=True)).all()
        rows = [row for row in known if row.listed and _is_gone(row, listed, gone)]
        brought = [row for row in known if row.listed and row.source == ExamSource.PACS and row not in rows]
        rows += [row for row in brought if any(is_same(row, one) for one in rows)]
        if rows:
            assess_again(session, ehr, patient_id)  # before one is deleted: it locks all of them, in their order
        standing = {row.study_uid for row in known if row.listed and row not in rows}
        for row in rows:
            row.listed = False
            # Nobody waits for it any more; where it is listed again, it is queued again.
            waiting = (col(Scoring.exam_id) == row.id) & (col(Scoring.state) == ScoringState.QUEUED)
            session.execute(delete(Scoring).where(waiting))
            note(session, AccessEvent(Action.UNLISTED, now, ehr, patient_id, row.study_uid))
            if row.study_uid and row.study_uid not in standing:
                retract(session, ehr, patient_id, row.study_uid, now)
        session.commit()
        return len(rows)


def _is_gone(row: Exam, listed: Collection[str] | None, gone: Collection[str]) -> bool:
    """What an archive brought need not be in the EHR's list; it may be gone under whatever it is known by."""
    if row.source == ExamSource.PACS:
        return not names(row).isdisjoint(gone)
    return row.key in gone or (listed is not None and row.key not in listed)


def withdraw(engine: Engine, ehr: str, patient_id: str, keys: Collection[str], now: datetime) -> None:
    """Remember studies that are not on record as ones that the EHR does not list: no archive brings them."""
    with Session(engine) as session:
        for key in sorted(keys):
            uid = key if is_dicom_uid(key) else None
            unlisted = {**_values(NewExam(ehr, patient_id, key, uid), now), "listed": False}
            session.execute(insert_into(session, Exam).values(unlisted).on_conflict_do_nothing())
        session.commit()


def reopen_study(engine: Engine, study_uid: str, now: datetime) -> int:
    """Queue a study again for every EHR and model: its images in the archive changed. Returns how many errands."""
    these = select(Exam.id).where(Exam.study_uid == study_uid, col(Exam.listed)).order_by(col(Exam.id))
    exams = these.with_for_update(key_share=True)
    with Session(engine) as session:
        count = reopen(session, col(Scoring.exam_id).in_(exams), list(ScoringState), now)
        session.commit()
        whose = select(Exam.ehr, Exam.patient_id, Scoring.model).join(Scoring, col(Scoring.exam_id) == Exam.id)
        owners = session.exec(whose.where(Exam.study_uid == study_uid, col(Exam.listed))).all()
    for ehr, patient_id, model in sorted(owners):
        bring_forward(engine, [(ehr, patient_id)], model)
    return count
