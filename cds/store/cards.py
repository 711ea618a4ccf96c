"""Cards as they were shown, and what clinicians did with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Engine, bindparam, func
from sqlalchemy import select as select_columns
from sqlmodel import Session, SQLModel, col, select

from cds.store.audit import note
from cds.store.database import insert_into
from cds.store.shared_commit import SharedCommit
from cds.store.tables import Feedback, NewCard, ShownCard
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from hooks.earlier_cards import EarlierCard
from hooks.reasoning import Reasoning


@dataclass(frozen=True)
class Accepted:
    """When a suggestion was accepted, and the study whose score it was about."""

    at: datetime
    study_uid: str | None = field(repr=False)


# Made once: to put a statement together takes longer than to run it, and a hook waits.
_KEEP = SQLModel.metadata.tables[str(ShownCard.__tablename__)].insert()
_OVERRIDDEN = (
    (col(Feedback.card) == ShownCard.uuid)
    & (col(Feedback.outcome) == "overridden")
    # As none counts what an EHR's form sends whose fields were left empty.
    & ((func.trim(col(Feedback.override_reason)) != "") | (func.trim(col(Feedback.comment)) != ""))
)
_REFUSAL = "refusal"
_EARLIER = (
    select_columns(
        col(ShownCard.kind),
        col(ShownCard.study_uid),
        func.max(ShownCard.made_at),
        func.max(Feedback.received_at),
        col(Feedback.override_reason),
        col(ShownCard.reasoning)[_REFUSAL].as_string().label(_REFUSAL),
    )
    .join(Feedback, _OVERRIDDEN, isouter=True)
    .where(
        col(ShownCard.ehr) == bindparam("ehr"),
        col(ShownCard.patient_id) == bindparam("patient_id"),
        col(ShownCard.withheld).is_(None),
    )
    # By the label: PostgreSQL takes what is asked of JSON twice, with a parameter each, for two things.
    .group_by(
        col(ShownCard.kind), col(ShownCard.study_uid), _REFUSAL, col(Feedback.card), col(Feedback.override_reason)
    )
)


class CardRecords:
    """The cards and the feedback of one database. Safe for several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shared = SharedCommit(engine)

    def save(self, cards: Sequence[NewCard], answered: AccessEvent) -> None:
        """Keep the cards of one answer, and in the audit trail whom it was given to."""
        rows = [dict(card) for card in cards]
        self._shared.write(lambda connection: rows and connection.execute(_KEEP, rows), answered)

    def find(self, uuid: str, ehr: str) -> ShownCard | None:
        """A card that an EHR was shown; None for one that is not known, is another EHR's, or was withheld."""
        shown = select(ShownCard).where(ShownCard.uuid == uuid, ShownCard.ehr == ehr, col(ShownCard.withheld).is_(None))
        with Session(self._engine) as session:
            return session.exec(shown).one_or_none()

    def newest(self, ehr: str, patient_id: str) -> ShownCard | None:
        """The last card that an EHR was shown for a patient; None where there was none."""
        shown = select(ShownCard).where(
            ShownCard.ehr == ehr, ShownCard.patient_id == patient_id, col(ShownCard.withheld).is_(None)
        )
        # Of two at one moment always the same.
        last = shown.order_by(col(ShownCard.made_at).desc(), col(ShownCard.uuid)).limit(1)
        with Session(self._engine) as session:
            return session.exec(last).one_or_none()

    def earlier(self, ehr: str, patient_id: str, local_day: Callable[[datetime], date]) -> tuple[EarlierCard, ...]:
        """What was shown for a patient before, with the clinic's days of overrides.

        Each card that was overridden is an entry for each reason given, and of the others the last of each kind and
        exam, and of why that cannot be scored. An override counts from when it was received, and only with a reason, in
        a code or in words.
        """
        with self._engine.connect() as connection:
            rows = connection.execute(_EARLIER, {"ehr": ehr, "patient_id": patient_id}).all()
        return tuple(
            EarlierCard(kind, study_uid, shown_at, local_day(answered_at) if answered_at else None, reason, refusal)
            for kind, study_uid, shown_at, answered_at, reason, refusal in rows
        )

    def save_feedback(self, given: Sequence[Feedback], ehr: str | None, call: WebCall) -> int:
        """Keep what was done with cards; what is there already, or names a card that is not, changes nothing.

        A second report of one moment adds to the first what it tells beyond it. A card of another EHR than `ehr` is
        not known either. Each card of which something is new is one entry of the audit trail. Returns how many of the
        cards are known.
        """
        with Session(self._engine) as session:
            named = select(ShownCard).where(col(ShownCard.uuid).in_({one.card for one in given}))
            hers = named if ehr is None else named.where(ShownCard.ehr == ehr)
            known = {card.uuid: card for card in session.exec(hers)}
            # In one order: of two that report the same at once each would wait for what the other has written.
            told_at: dict[str, datetime] = {}
            for one in sorted(given, key=lambda one: (one.card, one.outcome, one.outcome_at)):
                if one.card in known and _is_new(session, one):
                    told_at[one.card] = one.received_at
            for uuid, at in told_at.items():
                card = known[uuid]
                note(session, AccessEvent(Action.FEEDBACK, at, card.ehr, card.patient_id, card.study_uid, call=call))
            session.commit()
            return len(known)

    def acted_on(self, resource_type: str) -> dict[tuple[str, str], Accepted]:
        """The patients, by EHR and id, for whom a suggestion of this resource was accepted, and which was the last."""
        query = (
            select_columns(
                col(ShownCard.ehr),
                col(ShownCard.patient_id),
                col(ShownCard.study_uid),
                col(ShownCard.reasoning),
                col(ShownCard.suggestions),
                col(Feedback.accepted),
                col(Feedback.received_at),
            )
            .join(Feedback, col(Feedback.card) == ShownCard.uuid)
            .where(col(Feedback.outcome) == "accepted")
            .order_by(col(Feedback.received_at))
        )
        with Session(self._engine) as session:
            return {
                (ehr, patient_id): Accepted(when, Reasoning.from_json(reasoning).judged or study_uid)
                for ehr, patient_id, study_uid, reasoning, suggestions, accepted, when in session.execute(query)
                if any(one["uuid"] in accepted and one["resource"] == resource_type for one in suggestions)
            }


def _is_new(session: Session, one: Feedback) -> bool:
    """Keep a report; whether anything of it was not there already."""
    values = one.model_dump(exclude={"id"})
    new = insert_into(session, Feedback).values(values).on_conflict_do_nothing().returning(col(Feedback.id))
    return session.execute(new).first() is not None or _is_added(session, one)


def _is_added(session: Session, one: Feedback) -> bool:
    """Add to the report of the same moment what this one tells beyond it; whether there was anything."""
    same = select(Feedback).where(
        Feedback.card == one.card, Feedback.outcome == one.outcome, Feedback.outcome_at == one.outcome_at
    )
    # Locked: of two that add to it at once, the second must see what the first has added.
    kept = session.exec(same.with_for_update()).one()
    kept.accepted = [*dict.fromkeys((*kept.accepted, *one.accepted))]
    kept.override_reason = kept.override_reason or one.override_reason
    kept.comment = kept.comment or one.comment
    return session.is_modified(kept)
