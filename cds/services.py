"""The one place where real things are put together. Nothing connects, loads weights or reads settings at import."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from cds.addresses import Destinations
from cds.assessment import Assessor, Join
from cds.attribute_sheet import AttributeSheet, attribute_sheet
from cds.callers import callers
from cds.ehr.backend_token import BackendClient, BackendToken
from cds.ehr.client import Ehr, FhirEhr
from cds.ehr.exchange import Patience, TokenSource
from cds.ehr.signing_key import read_signing_key
from cds.errors import ModelNotUsable, SettingsError
from cds.operations.figures import Operations
from cds.operations.outside import archive_root, outside, verify
from cds.operations.readiness import Lookout
from cds.origins import SameOriginSession
from cds.pacs.archives import Archives
from cds.pacs.dicomweb import DicomWebArchive
from cds.pages.links import CardLinks
from cds.pages.smart.client import SmartClient
from cds.settings import CodeSettings, EhrSettings, OrderCodesSettings, Settings, read_secret
from cds.store.audit import AuditTrail
from cds.store.cards import CardRecords
from cds.store.database import open_database
from cds.store.runs import RunRecords
from cds.store.store import Store
from cds.trust.clients import ClientTrust
from fhir_mappings.code_sets import CodeSetError, CodeSets, code_sets
from fhir_mappings.codes import Coding
from fhir_mappings.orders import OrderCodes, usual_order_codes
from hooks import SERVICES
from hooks.cards import PAGE_LINK
from hooks.case import MriPolicy
from hooks.contract import Link, Source
from hooks.service import Service
from hooks.site import Mode, Site
from model.calibration_file import calibrated_by
from model.card import ModelCard, read_card
from model.domain import Comparability, ImageType
from model.errors import ModelError
from model.trajectory import trajectory

Clock = Callable[[], datetime]


NIGHT_PAGES = 50_000
"""Of 200 studies each: the night lists a whole site, a hook one patient."""
NIGHT_TIMEOUT_S = 30.0
"""A page of 200 studies may take an EHR longer than a clinician would wait."""
NIGHT_PATIENCE = Patience(retries=2, wait_s=2.0, longest_wait_s=60.0)
"""Servers that limit requests count them by the minute; at night nobody waits for us."""


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class CallingEhr:
    """An EHR that may call: what its cards say, and how its FHIR server is read with a call's access token.

    `open` gives the EHR for one call, with its token. Reading may take `reading_budget_s` in all. `smart` is
    for an EHR that opens pages by itself.
    """

    name: str
    fhir_server: str
    site: Site
    time_zone: ZoneInfo
    open: Callable[[str | None], AbstractContextManager[Ehr]]
    reading_budget_s: float = 5.0
    smart: SmartClient | None = None

    def local_day(self, moment: datetime) -> date:
        """The clinic's day at a moment."""
        return moment.astimezone(self.time_zone).date()


@dataclass(frozen=True)
class Pages:
    """What the pages of cards need: the links that open them, and the card of the model that they describe.

    `attributes` reads that model's source attributes, for their own page; `frame_ancestors` are the origins whose pages
    may hold one in a frame.
    """

    links: CardLinks
    model_card: ModelCard
    attributes: Callable[[], AttributeSheet]
    frame_ancestors: tuple[str, ...] = ()

    def link(self, card: str, ehr: CallingEhr) -> Link:
        """The way from a card to its page: a launch where the EHR has it (CDS Hooks 2.0.1, Link), else signed."""
        if ehr.smart is not None:
            return Link(PAGE_LINK, self.links.launch_url, "smart", app_context=card)
        return Link(PAGE_LINK, self.links.url(card, ehr.name))


@dataclass(frozen=True)
class WebServices:
    """All that the web application needs, handed in. Without `trust` it answers anybody, without `pages` has none."""

    services: tuple[Service, ...]
    ehrs: tuple[CallingEhr, ...]
    assessor: Assessor
    cards: CardRecords
    trail: AuditTrail
    answer_budget_s: float
    operations: Operations
    lookout: Lookout
    trust: ClientTrust | None = None
    pages: Pages | None = None
    public_url: str = ""
    now: Clock = utc_now
    monotonic_s: Callable[[], float] = time.monotonic
    new_uuid: Callable[[], str] = lambda: str(uuid.uuid4())


def web_services(settings: Settings, now: Clock = utc_now, links: CardLinks | None = None) -> WebServices:
    """The hook service of a site. Loads no weights: it only reads the model's card."""
    card = usable_card(settings)
    engine = open_database(settings.database_url, upgrade=settings.upgrade_database)
    return WebServices(
        services=SERVICES,
        ehrs=tuple(_calling_ehr(ehr, settings, card) for ehr in settings.ehrs),
        assessor=assessor(settings, engine, card, now),
        cards=CardRecords(engine),
        trail=AuditTrail(engine),
        answer_budget_s=settings.service.answer_budget_s,
        operations=Operations(engine, card.version.key, now),
        lookout=Lookout(RunRecords(engine), card.version.key, now, outside(settings)),
        trust=callers(settings, engine, card),
        pages=_pages(settings, card, links) if links else None,
        public_url=settings.service.public_url or "",
        now=now,
    )


def _pages(settings: Settings, card: ModelCard, links: CardLinks) -> Pages:
    attributes = partial(attribute_sheet, settings.model_folder, card, settings.operations.studies_folder)
    return Pages(links, card, attributes, settings.pages.frame_ancestors)


def card_links(settings: Settings, address: str | None = None, now: Clock = utc_now) -> CardLinks | None:
    """The links of the site's cards; None without a secret to sign them. For all processes of one start the same.

    `address` is where a demonstration is reached that has no public one; its secret is made up.
    """
    secret = settings.pages.secret()
    if secret is None and settings.service.trust == "demo":
        secret = secrets.token_urlsafe()
    reached_at = settings.service.public_url or address
    if secret is None or reached_at is None:
        return None
    return CardLinks(reached_at.rstrip("/"), secret, timedelta(minutes=settings.pages.link_minutes), now)


def assessor(settings: Settings, engine: Engine, card: ModelCard, now: Clock = utc_now) -> Assessor:
    """The pipeline over the site's store."""
    return Assessor(Store(engine), card.version, join_by(settings, card), now)


def join_by(settings: Settings, card: ModelCard) -> Join:
    """How scores make a line, by the site's rules: that of its model, on the acquired images it was made for."""
    policy = mri_policy(settings)
    return partial(
        trajectory,
        is_over=policy.is_crossed_by,
        line_of=Comparability(card.version.key, ImageType.FFDM),
        minimum_detectable_change=policy.minimum_detectable_change,
        gap_months=policy.gap_months,
    )


def usable_card(settings: Settings) -> ModelCard:
    """The card of the site's model, with its own calibration; raises ModelNotUsable where a mode does not allow it."""
    try:
        card = calibrated_by(read_card(settings.model_folder), settings.scoring.calibration)
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
    detectable = policy.minimum_detectable_change_points
    return MriPolicy(
        minimum_age_years=policy.minimum_age_years,
        threshold=_fraction(policy.threshold_percent),
        comparator=policy.comparator,
        citation=policy.citation or standard.citation,
        citation_url=policy.citation_url or standard.citation_url,
        mri_within_months=policy.mri_within_months,
        oldest_score_months=policy.oldest_score_months,
        minimum_detectable_change=None if detectable is None else _fraction(detectable),
        gap_months=policy.gap_months,
        sexes=frozenset(policy.sexes),
    )


def site_code_sets(settings: Settings) -> CodeSets:
    """What keeps an MRI suggestion back, with the site's own codes; raises SettingsError."""
    try:
        own = tuple((file.name, file.read_text(encoding="utf-8")) for file in settings.policy.code_sets)
        return code_sets(own)
    except (OSError, UnicodeDecodeError) as e:
        raise SettingsError(f"policy.code_sets: a file cannot be read ({type(e).__name__})") from e
    except CodeSetError as e:
        raise SettingsError(f"policy.code_sets: {e}") from e


def _fraction(percent: float) -> float:
    """1.7 becomes the float that 0.017 is: 1.7 / 100 would be another one, just beside it."""
    return float(Decimal(repr(percent)) / 100)


def archives(settings: Settings) -> Archives:
    """The site's image archives, each with its own credentials."""
    if not settings.pacs:
        raise SettingsError("no [[pacs]] block is set: there is no archive to fetch images from")
    return Archives([DicomWebArchive(archive_root(pacs, settings)) for pacs in settings.pacs])


def site(ehr: EhrSettings, settings: Settings, card: ModelCard) -> Site:
    """What one EHR's cards say, and which of its orders they answer."""
    order = ehr.mri_order or settings.mri_order
    return Site(
        mode=ehr.mode,
        policy=mri_policy(settings),
        demo_banner=card.banner,
        source=Source(settings.service.label, settings.service.url),
        mri_order=Coding(order.system, order.code, order.display),
        mri_equivalents=tuple(_codings(order.equivalents)),
        mri_intent=order.intent,
        order_codes=_adding(_adding(usual_order_codes(), settings.order_codes), ehr.order_codes),
        assessment_offered=ehr.offers_assessment,
        one_action_each=ehr.one_action_each,
        model=card.version,
        patient_view=settings.cards.patient_view,
        quiet_days_after_override=settings.cards.quiet_days_after_override,
        longest_id=ehr.longest_id,
        code_sets=site_code_sets(settings),
    )


def _adding(known: OrderCodes, own: OrderCodesSettings) -> OrderCodes:
    return known.adding(**{name: _codings(codes) for name, codes in own})


def _codings(codes: Iterable[CodeSettings]) -> list[Coding]:
    return [Coding(code.system, code.code) for code in codes]


def _calling_ehr(ehr: EhrSettings, settings: Settings, card: ModelCard) -> CallingEhr:
    # One session for all calls keeps connections open, so no call closes it; the token goes with each request, never
    # with the session.
    destinations = Destinations(settings.private_networks)
    session = SameOriginSession(verify(ehr.ca_file), destinations)

    def open_ehr(access_token: str | None) -> AbstractContextManager[Ehr]:
        return nullcontext(FhirEhr(ehr.fhir_server, access_token, ehr.timeout_s, session))

    zone = ZoneInfo(ehr.time_zone)
    smart = smart_client(ehr, settings)
    return CallingEhr(ehr.name, ehr.fhir_server, site(ehr, settings, card), zone, open_ehr, ehr.timeout_s, smart)


def smart_client(ehr: EhrSettings, settings: Settings) -> SmartClient | None:
    """Who the pages are to an EHR that opens them by itself; None for any other."""
    smart = ehr.smart
    if smart is None:
        return None
    return SmartClient(
        ehr.fhir_server,
        smart.client_id,
        smart.scope,
        smart.secret(),
        smart.authorization_server,
        verify(ehr.ca_file),
        Destinations(settings.private_networks),
        ehr.timeout_s,
        settings.service.token_skew_s,
    )


def night_client(ehr: EhrSettings, destinations: Destinations | None = None) -> FhirEhr:
    """An EHR with the access that the site gave the service itself; leaving it closes the connection."""
    session = SameOriginSession(verify(ehr.ca_file), destinations)
    access = _night_access(ehr, session)
    timeout_s = max(ehr.timeout_s, NIGHT_TIMEOUT_S)
    return FhirEhr(ehr.fhir_server, access, timeout_s, session, max_pages=NIGHT_PAGES, patience=NIGHT_PATIENCE)


def _night_access(ehr: EhrSettings, session: SameOriginSession) -> str | TokenSource | None:
    # The files are read at each run: the site renews them while the worker runs.
    if ehr.client_id is None or ehr.private_key_file is None:
        return read_secret(ehr.access_token_file) if ehr.access_token_file else None
    key = read_signing_key(ehr.private_key_file, ehr.signing_algorithm, ehr.key_id)
    client = BackendClient(ehr.fhir_server, ehr.client_id, key, ehr.asked_scope, ehr.token_url)
    return BackendToken(client, ehr.timeout_s, session)
