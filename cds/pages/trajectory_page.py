"""The page of one card: who may open it, what is written down of it, and how it is sent."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Flask, Response, make_response, render_template, request
from markupsafe import Markup
from werkzeug.exceptions import ServiceUnavailable

from cds.assessment import assessment
from cds.errors import LinkExpired, LinkRefused
from cds.pages.links import PATH
from cds.pages.plot import NARROW, WIDE, other_classes, scores_svg
from cds.pages.scores_over_time import scores_over_time
from cds.pages.study import CAUTION, DIAGNOSED, UNDIAGNOSED
from cds.services import CallingEhr, Pages, WebServices
from cds.store.tables import ShownCard
from cds.web import errors
from cds.web.limits import SPARE_THREADS, Places
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from hooks.card_details import NO_LESS_SCREENING
from hooks.exams import exams_newest_first
from model.domain import Assessment

NAME = "trajectory"
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
MADE_AT_ONCE = SPARE_THREADS // 2
"""As many again wait: whoever opens a page again and again must not keep the threads that answer hooks."""
LONGEST_WAIT_S = 2.0
NoteRefusal = Callable[[WebCall, str], object]
"""Told of every opening that was refused, and why."""


def register(app: Flask, parts: WebServices, pages: Pages, note_refusal: NoteRefusal) -> None:
    """The page and its style sheet; what goes wrong there is said to a person, not in JSON."""
    routes = Blueprint(NAME, __name__, template_folder="templates", static_folder="static", static_url_path="/pages")
    places = Places(MADE_AT_ONCE, LONGEST_WAIT_S)

    @routes.get(f"{PATH}/<token>")
    def show(token: str) -> Response:
        """The scores over time of the one patient that the card of this link is about."""
        try:
            card, ehr, known = _opened(token, parts, pages)
        except LinkRefused as refused:
            note_refusal(_call(), "link-expired" if isinstance(refused, LinkExpired) else "link-refused")
            raise
        if not places.take():
            raise ServiceUnavailable(retry_after=1)
        try:
            seen = AccessEvent(Action.SEEN, parts.now(), ehr.name, card.patient_id, card.study_uid, call=_call(ehr))
            parts.trail.record(seen)
            return _html(_page(card, ehr, known, pages))
        finally:
            places.leave()

    errors.register(routes, _problem)
    routes.after_request(_guarded)
    app.register_blueprint(routes)


def _opened(token: str, parts: WebServices, pages: Pages) -> tuple[ShownCard, CallingEhr, Assessment]:
    uuid, name = pages.links.opened(token)
    card = parts.cards.find(uuid, name)
    ehr = next((ehr for ehr in parts.ehrs if ehr.name == name), None)
    if card is None or ehr is None:
        raise LinkRefused("The card of this link is not on record any more.")
    assessor = parts.assessor
    known = assessment(assessor.store.exams_of(ehr.name, card.patient_id, assessor.model.key), assessor.join)
    # What the card says of it would be said of another patient's, once the EHR has moved the study.
    if card.study_uid not in (None, *(exam.study_uid for exam in exams_newest_first(known))):
        raise LinkRefused("The exam of this card is not on record for this patient any more.")
    return card, ehr, known


def _page(card: ShownCard, ehr: CallingEhr, known: Assessment, pages: Pages) -> str:
    told_at = card.made_at.astimezone(ehr.time_zone)
    return render_template(
        "scores_over_time.html",
        page=scores_over_time(card, known, ehr.site, pages.model_card, told_at),
        drawings=_drawings(known, ehr),
        line=known.trajectory,
        others=other_classes(known.trajectory) if known.trajectory else (),
        groups=(UNDIAGNOSED, DIAGNOSED),
        caution=CAUTION,
        no_less_screening=NO_LESS_SCREENING,
    )


def _drawings(known: Assessment, ehr: CallingEhr) -> dict[str, Markup]:
    """The same drawing for wide and for narrow windows; none where there is no score."""
    line = known.trajectory
    if line is None:
        return {}
    sizes = (WIDE, NARROW)
    # Our own drawing, whose texts the library has escaped.
    return {size.name: Markup(scores_svg(line, ehr.site.policy.threshold, size)) for size in sizes}  # noqa: S704


def _call(ehr: CallingEhr | None = None) -> WebCall:
    return WebCall(NAME, request.remote_addr, mode=str(ehr.site.mode) if ehr else None)


def _problem(status: HTTPStatus, words: str) -> Response:
    response = _html(render_template("problem.html", words=f"{words[0].upper()}{words[1:]}"))
    response.status_code = status
    return response


def _html(text: str) -> Response:
    return make_response(text, {"Content-Type": "text/html; charset=utf-8"})


def _guarded(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Robots-Tag"] = "noindex"
    return response
