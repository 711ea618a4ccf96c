"""The one place where real things are put together. Nothing connects, loads weights or reads settings at import."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from requests.auth import HTTPBasicAuth

from cds.assessment import Assessor
from cds.ehr.client import Ehr, FhirEhr
from cds.errors import ModelNotUsable, SettingsError
from cds.night import Night, NightEhr
from cds.origins import SameOriginSession, same_origin
from cds.pacs.dicomweb import ArchiveRoot, DicomWebArchive
from cds.settings import CodeSettings, EhrSettings, OrderCodesSettings, PacsSettings, Settings, read_secret
from cds.store.database import open_database
from cds.store.store import Store
from fhir_mappings.codes import Coding
from fhir_mappings.orders import DEFAULT_ORDER_CODES, OrderCodes
from hooks import SERVICES
from hooks.case import MriPolicy
from hooks.contract import Service, Source
from hooks.site import STUDY_URL, Mode, Site
from model.card import ModelCard, read_card
from model.errors import ModelError

if TYPE_CHECKING:
    from cds.scoring.worker import Worker

Clock = Callable[[], datetime]


NIGHT_PAGES = 2_000
"""Of 200 studies each: the night lists a whole site, a hook one patient."""


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class CallingEhr:
    """An EHR that may call: what its cards say, and how its FHIR server is read with a call's access token.

    `open` gives a connection for one call; leaving it closes it.
    """

    name: str
    fhir_server: str
    site: Site
    time_zone: ZoneInfo
    open: Callable[[str | None], AbstractContextManager[Ehr]]

    def today(self, now: datetime) -> date:
        """The clinic's local day."""
        return now.astimezone(self.time_zone).date()


@dataclass(frozen=True)
class WebServices:
    """All that the web application needs, handed in."""

    services: tuple[Service, ...]
    ehrs: tuple[CallingEhr, ...]
    assessor: Assessor
    answer_budget_s: float
    now: Clock = utc_now
    new_uuid: Callable[[], str] = lambda: str(uuid.uuid4())


def web_services(settings: Settings, now: Clock = utc_now) -> WebServices:
    """The hook service of a site. Loads no weights: it only reads the model's card."""
    card = usable_card(settings)
    return WebServices(
        services=SERVICES,
        ehrs=tuple(_calling_ehr(ehr, settings, card) for ehr in settings.ehrs),
        assessor=assessor(settings, card, now),
        answer_budget_s=settings.service.answer_budget_s,
        now=now,
    )


def assessor(settings: Settings, card: ModelCard, now: Clock = utc_now) -> Assessor:
    """The pipeline over the site's store."""
    store = Store(open_database(settings.database_url))
    return Assessor(store, card.version, mri_policy(settings).is_crossed_by, now)


def worker(settings: Settings, now: Clock = utc_now) -> Worker:
    """The scoring worker, with the weights loaded on the best device there is, which must first pass the self-check."""
    # Only here, so that the process which answers hooks never loads torch.
    from cds.scoring.worker import Worker
    from model.scorer import Scorer
    from model.self_check import check

    usable_card(settings)
    if settings.pacs is None:
        raise SettingsError("pacs.dicomweb_root is not set: the worker has nowhere to fetch images from")
    try:
        scorer = Scorer(settings.model_folder, refuse_unvalidated_devices=settings.refuse_unvalidated_devices)
        check(scorer)
    except ModelError as e:
        raise ModelNotUsable(str(e)) from e
    return Worker(
        Store(open_database(settings.database_url)),
        archive(settings.pacs),
        scorer,
        scorer.card.version.key,
        now,
        check_patient_id=settings.pacs.check_patient_id,
    )


def night(settings: Settings, now: Clock = utc_now) -> Night:
    """The nightly run over every EHR of the site."""
    ehrs = tuple(NightEhr(ehr.name, partial(_night_client, ehr)) for ehr in settings.ehrs)
    for ehr in ehrs:
        # A token file that is not there is told now, not in the first night.
        with ehr.open():
            pass
    return Night(ehrs, assessor(settings, usable_card(settings), now))


def usable_card(settings: Settings) -> ModelCard:
    """The card of the site's model; raises ModelNotUsable where a mode does not allow it."""
    try:
        card = read_card(settings.model_folder)
    except ModelError as e:
        raise ModelNotUsable(str(e)) from e
    active = [ehr.name for ehr in settings.ehrs if ehr.mode is Mode.ACTIVE]
    if active and not card.clinical:
        raise ModelNotUsable(
            f"the model {card.name!r} is not for clinical use, so mode = 'active' is refused for {', '.join(active)}; "
            "install a clinical model, or set the mode to 'research' or 'silent'"
        )
    return card


def mri_policy(settings: Settings) -> MriPolicy:
    """The MRI rule with the site's numbers; percent becomes a fraction here and nowhere else."""
    policy = settings.policy
    standard = MriPolicy()
    return MriPolicy(
        minimum_age_years=policy.minimum_age_years,
        threshold=_fraction(policy.threshold_percent),
        comparator=policy.comparator,
        citation=policy.citation or standard.citation,
        citation_url=policy.citation_url or standard.citation_url,
        mri_within_months=policy.mri_within_months,
        oldest_score_months=policy.oldest_score_months,
    )


def _fraction(percent: float) -> float:
    """1.7 becomes the float that 0.017 is: 1.7 / 100 would be another one, just beside it."""
    return float(Decimal(repr(percent)) / 100)


def archive(settings: PacsSettings) -> DicomWebArchive:
    """The site's image archive with its credentials."""
    secret = settings.secret()
    auth = HTTPBasicAuth(settings.username, secret or "") if settings.username else None
    main = settings.dicomweb_root
    others = [ArchiveRoot(root, auth if same_origin(root, main) else None) for root in settings.other_roots]
    return DicomWebArchive(
        ArchiveRoot(main, auth), others, read_timeout_s=settings.read_timeout_s, verify=_verify(settings.ca_file)
    )


def _verify(ca_file: Path | None) -> bool | str:
    """What requests calls `verify`: the site's own certificate authorities, or the public ones."""
    return str(ca_file) if ca_file else True


def site(ehr: EhrSettings, settings: Settings, card: ModelCard) -> Site:
    """What one EHR's cards say, and which of its orders they answer."""
    order = settings.mri_order
    return Site(
        mode=ehr.mode,
        policy=mri_policy(settings),
        demo_banner=card.banner,
        source=Source(settings.service.label, settings.service.url or STUDY_URL),
        mri_order=Coding(order.system, order.code, order.display),
        mri_intent=order.intent,
        order_codes=_order_codes(settings.order_codes),
    )


def _order_codes(own: OrderCodesSettings) -> OrderCodes:
    return DEFAULT_ORDER_CODES.adding(
        screening_mammography=_codings(own.screening_mammography),
        other_mammography=_codings(own.other_mammography),
        breast_mri=_codings(own.breast_mri),
    )


def _codings(codes: Iterable[CodeSettings]) -> list[Coding]:
    return [Coding(code.system, code.code) for code in codes]


def _calling_ehr(ehr: EhrSettings, settings: Settings, card: ModelCard) -> CallingEhr:
    # One session for all calls keeps connections open; the token goes with each request, never with the session.
    session = SameOriginSession(_verify(ehr.ca_file))

    def open_ehr(access_token: str | None) -> AbstractContextManager[Ehr]:
        return FhirEhr(ehr.fhir_server, access_token, ehr.timeout_s, session)

    return CallingEhr(ehr.name, ehr.fhir_server, site(ehr, settings, card), ZoneInfo(ehr.time_zone), open_ehr)


def _night_client(ehr: EhrSettings) -> FhirEhr:
    # At each run: the site renews the token while the worker runs.
    token = read_secret(ehr.access_token_file) if ehr.access_token_file else None
    session = SameOriginSession(_verify(ehr.ca_file))
    return FhirEhr(ehr.fhir_server, token, ehr.timeout_s, session, max_pages=NIGHT_PAGES)
