"""The page of one card, however it is opened: what must be there, what is written down of it, how it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus

from flask import Blueprint, Response, make_response, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import MethodNotAllowed

from cds.assessment import assessment
from cds.errors import LaunchRefused, LinkExpired, LinkRefused
from cds.pages.other_versions import drawn, with_other_versions
from cds.pages.plot import NARROW, WIDE, other_classes, scores_svg
from cds.pages.scores_over_time import scores_over_time, unscored_days
from cds.pages.smart.banner import Banner
from cds.pages.study import CAUTION, DIAGNOSED, UNDIAGNOSED
from cds.services import CallingEhr, Pages, WebServices
from cds.store.tables import ShownCard
from cds.web import errors
from cds.web.limits import SPARE_THREADS, Places
from fhir_mappings.access_events import AccessEvent, Action, Read, ReadFrom, WebCall
from hooks.card_details import NO_LESS_SCREENING
from hooks.exams import exams_newest_first
from hooks.reasoning import Reasoning
from model.domain import Assessment, Trajectory

NAME = "trajectory"
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
MADE_AT_ONCE = SPARE_THREADS // 6
"""As many again wait: whoever opens a page again and again must not keep the threads that answer hooks."""
LONGEST_WAIT_S = 2.0
NoteRefusal = Callable[[WebCall, str], object]
"""Told of every opening that was refused, and why."""


class CardPage:
    """The pages of a site's cards, for every way in."""

    def __init__(self, parts: WebServices, pages: Pages, note_refusal: NoteRefusal) -> None:
        self._parts, self._pages, self._note_refusal = parts, pages, note_refusal
        self.places = Places(MADE_AT_ONCE, LONGEST_WAIT_S)

    def dress(self, routes: Blueprint) -> None:
        """Have everything on these routes sent as a page: what goes wrong is said to a person, not in JSON."""
        errors.register(routes, _problem)
        routes.before_request(_refuse_heads)
        routes.after_request(self._guarded)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Have a refusal in the audit trail before it is told."""
        try:
            yield
        except LinkRefused as refused:
            self._note_refusal(_call(), _WORDS.get(type(refused), "link-refused"))
            raise

    def card(self, uuid: str, ehr_name: str) -> tuple[ShownCard, CallingEhr]:
        """A card that was shown, and its EHR; raises LinkRefused where it is not there any more."""
        card = self._parts.cards.find(uuid, ehr_name)
        ehr = next((ehr for ehr in self._parts.ehrs if ehr.name == ehr_name), None)
        if card is None or ehr is None:
            raise LinkRefused("The card of this link is not on record any more.")
        return card, ehr

    def known(self, card: ShownCard) -> Assessment:
        """What is known of the card's patient now; raises LinkRefused where an exam of it is not hers any more."""
        assessor = self._parts.assessor
        known = assessment(assessor.store.exams_of(card.ehr, card.patient_id, assessor.model.key), assessor.join)
        # What the card says of it would be said of another patient's, once the EHR has moved the study.
        told_of = {card.study_uid, Reasoning.from_json(card.reasoning).judged} - {None}
        if not told_of <= {exam.study_uid for exam in exams_newest_first(known)}:
            raise LinkRefused("The exam of this card is not on record for this patient any more.")
        return known

    def show(
        self,
        card: ShownCard,
        ehr: CallingEhr,
        known: Assessment,
        user_id: str | None = None,
        banner: Banner | None = None,
    ) -> Response:
        """The page, once it is in the audit trail that it was seen, and by whom where that is known."""
        line = self._line(card, known)
        self.note_seen(ehr, card.patient_id, user_id, card.study_uid, banner)
        return html(self._rendered(card, ehr, known, line, banner))

    def note_seen(
        self,
        ehr: CallingEhr,
        patient_id: str,
        user_id: str | None,
        study_uid: str | None = None,
        banner: Banner | None = None,
    ) -> None:
        """Write down that somebody was told what is on record of a patient."""
        call = _call(ehr, _reads(banner))
        seen = AccessEvent(Action.SEEN, self._parts.now(), ehr.name, patient_id, study_uid, user_id=user_id, call=call)
        self._parts.trail.record(seen)

    def _line(self, card: ShownCard, known: Assessment) -> Trajectory | None:
        assessor = self._parts.assessor
        others = assessor.store.scores_of_other_models(card.ehr, card.patient_id, assessor.model.key)
        return with_other_versions(known, others, assessor.join)

    def _rendered(
        self, card: ShownCard, ehr: CallingEhr, known: Assessment, line: Trajectory | None, banner: Banner | None
    ) -> str:
        told_at = card.made_at.astimezone(ehr.time_zone)
        age_at = banner.age_at if banner and banner.is_read else None
        shown = drawn(line, self._parts.assessor.model.key) if line else None
        unscored = unscored_days(known, shown, ehr.local_day(self._parts.now())) if shown else ()
        return render_template(
            "scores_over_time.html",
            page=scores_over_time(card, known, line, ehr.site, self._pages.model_card, told_at, age_at),
            banner=banner,
            drawings=_drawings(shown, unscored, ehr),
            line=shown,
            unscored=unscored,
            others=other_classes(shown) if shown else (),
            is_all_drawn=shown == line,
            groups=(UNDIAGNOSED, DIAGNOSED),
            caution=CAUTION,
            no_less_screening=NO_LESS_SCREENING,
        )

    def _guarded(self, response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy(self._pages.frame_ancestors)
        response.headers["X-Robots-Tag"] = "noindex"
        return response


_WORDS = {LinkExpired: "link-expired", LaunchRefused: "launch-refused"}


def policy(frame_ancestors: tuple[str, ...]) -> str:
    """The Content-Security-Policy of a page that nobody but these origins may hold in a frame."""
    return POLICY + (" ".join(frame_ancestors) or "'none'")


def html(text: str) -> Response:
    """A page as it is sent."""
    return make_response(text, {"Content-Type": "text/html; charset=utf-8"})


def _drawings(line: Trajectory | None, unscored: tuple[date, ...], ehr: CallingEhr) -> dict[str, Markup]:
    """The same drawing for wide and for narrow windows; none where there is no score."""
    if line is None:
        return {}
    sizes = (WIDE, NARROW)
    # Our own drawing, whose texts the library has escaped.
    return {size.name: Markup(scores_svg(line, ehr.site.policy.threshold, size, unscored)) for size in sizes}  # noqa: S704


def _refuse_heads() -> None:
    # Programs that preview the links of a mail ask so: nothing is shown, and the trail would say that it was seen.
    if request.method == "HEAD":
        raise MethodNotAllowed(["GET"])


def _call(ehr: CallingEhr | None = None, reads: tuple[Read, ...] = ()) -> WebCall:
    return WebCall(NAME, request.remote_addr, mode=str(ehr.site.mode) if ehr else None, reads=reads)


def _reads(banner: Banner | None) -> tuple[Read, ...]:
    """The patient, where the page names her or should have."""
    if banner is None:
        return ()
    source = ReadFrom.FHIR_SERVER if banner.is_read else ReadFrom.NOWHERE
    return (Read("Patient/{{context.patientId}}", source),)


def _problem(status: HTTPStatus, words: str) -> Response:
    response = html(render_template("problem.html", words=f"{words[0].upper()}{words[1:]}"))
    response.status_code = status
    return response
