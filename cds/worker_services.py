"""What the process that scores is put together from: worker, night, clerk. `cds.services` has the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial
from threading import Event
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from cds.addresses import Destinations
from cds.delivery.clerk import Clerk
from cds.delivery.outbox import ChartDelivery, Deliver, Outbox
from cds.delivery.report_delivery import ReportDelivery
from cds.delivery.reporting import ReportedEhr, Reporter
from cds.ehr.client import WritableEhr
from cds.errors import ClusterNotUsable
from cds.nightly.arrivals import ArchivePoll, ArchivePriors
from cds.nightly.ehr_changes import EhrChanges, NightEhr
from cds.nightly.lease import holder_name
from cds.nightly.night import Look, Night
from cds.nightly.scheduler import Schedule
from cds.operations.sign_of_life import SignOfLife
from cds.pacs.archive import ImageArchive
from cds.scoring.budget import ByteBudget
from cds.services import Clock, archives, join_by, night_client, site, usable_card, utc_now
from cds.settings import EhrSettings, RetentionSettings, Settings
from cds.store.arrivals import ArrivalRecords
from cds.store.assessments import AssessmentRecords
from cds.store.database import open_database
from cds.store.outbox import OutboxRecords
from cds.store.retention import Kind, Retention
from cds.store.runs import RunRecords
from cds.store.store import Store
from cds.store.tables import Destination
from hooks.site import Mode, Site
from model.card import ModelCard
from model.domain import ExclusionReason

if TYPE_CHECKING:
    from cds.scoring.pipeline import ScoringPipeline


@dataclass(frozen=True)
class WorkerServices:
    """All that the process which scores needs, handed in."""

    pipeline: ScoringPipeline
    clerk: Clerk
    night: Night
    schedule: Schedule
    sign: SignOfLife

    def run(self, stop: Event) -> None:
        """Do all of it until told to stop, or until a part ends by an unforeseen fault, which is raised.

        A worker of which only a part goes on would look well: who started it shall start it again.
        """
        runs = (self.pipeline.run, self.clerk.run, self.sign.run)
        self.schedule.start()
        try:
            with ThreadPoolExecutor(len(runs)) as threads:
                parts = [threads.submit(_then_stop, run, stop) for run in runs]
            for part in parts:
                part.result()
        finally:
            self.schedule.shutdown()


def _then_stop(run: Callable[[Event], None], stop: Event) -> None:
    try:
        run(stop)
    finally:
        stop.set()


def kept_for(days: RetentionSettings) -> dict[Kind, timedelta]:
    """How long each kind is kept that is not kept for ever."""
    told = {
        Kind.CARDS: days.cards_days,
        Kind.ANSWERED_CARDS: days.answered_cards_days,
        Kind.LETTERS: days.letters_days,
        Kind.RUNS: days.runs_days,
        Kind.ARRIVALS: days.arrivals_days,
    }
    return {kind: timedelta(days=count) for kind, count in told.items() if count is not None}


def worker_services(settings: Settings, now: Clock = utc_now, *, writes: bool = True) -> WorkerServices:
    """The parts of a site's worker, with the weights loaded on the best device there is and checked.

    Unless it `writes`, what it concludes stays in the store, and what is new or old enough to go it leaves to others:
    it works with a model that is not the site's yet.
    """
    site = _Site.of(settings, now)
    poll = site.poll()
    night = site.night([poll] if poll else []) if writes else site.rescoring()
    clerk = Clerk(site.reporter(writes), site.outbox())
    schedule = Schedule(night, clerk, settings.night, poll, timedelta(minutes=settings.imaging.poll_minutes))
    # What it says is so once the pipeline is made: its scorer has passed the self-check.
    pipeline, sign = site.pipeline(), SignOfLife(night.runs, site.model, night.holder, now)
    return WorkerServices(pipeline, clerk, night, schedule, sign)


def site_night(settings: Settings, now: Clock = utc_now) -> Night:
    """The nightly run over the site's EHRs, for a process that leaves the scoring to another."""
    return _Site.of(settings, now).night([])


@dataclass(frozen=True)
class _Site:
    """What the parts share, and how each is made."""

    settings: Settings
    engine: Engine
    card: ModelCard
    ehrs: Mapping[str, Callable[[], AbstractContextManager[WritableEhr]]]
    now: Clock

    @classmethod
    def of(cls, settings: Settings, now: Clock) -> _Site:
        card = usable_card(settings)
        ehrs = {ehr.name: partial(night_client, ehr, Destinations(settings.private_networks)) for ehr in settings.ehrs}
        for open_ehr in ehrs.values():
            # A token or key file that is not there is told now, not in the first night.
            with open_ehr():
                pass
        engine = open_database(settings.database_url, upgrade=settings.upgrade_database)
        return cls(settings, engine, card, ehrs, now)

    @cached_property
    def archive(self) -> ImageArchive:
        return archives(self.settings)

    @property
    def model(self) -> str:
        return self.card.version.key

    @property
    def sites(self) -> dict[str, Site]:
        return {ehr.name: site(ehr, self.settings, self.card) for ehr in self.settings.ehrs}

    @property
    def store(self) -> Store:
        return Store(self.engine)

    @property
    def night_ehrs(self) -> list[NightEhr]:
        return [
            NightEhr(ehr.name, self.ehrs[ehr.name], ZoneInfo(ehr.time_zone), ehr.fhir_server)
            for ehr in self.settings.ehrs
        ]

    def night(self, further: Sequence[Look]) -> Night:
        changes = EhrChanges(self.night_ehrs, self.store, RunRecords(self.engine), self.model, self.now)
        clear = Retention(self.engine, kept_for(self.settings.retention), self.now).clear
        return replace(self.rescoring(), looks=[changes, *further], clear=clear)

    def rescoring(self) -> Night:
        """The run of another model: it looks nowhere, or the site's own would not see what it has found."""
        # On a cluster each node refuses by its own settings: queued again, they might be refused again every night.
        may_refuse = self.settings.refuse_unvalidated_devices or self.settings.scoring.engine == "ray"
        permitted = () if may_refuse else (ExclusionReason.DEVICE_NOT_VALIDATED,)
        return Night([], self.store, RunRecords(self.engine), self.model, self.now, holder_name(), permitted=permitted)

    def poll(self) -> ArchivePoll | None:
        imaging = self.settings.imaging
        if not imaging.poll:
            return None
        return ArchivePoll(
            self.archive,
            self.night_ehrs,
            self.store,
            RunRecords(self.engine),
            ArrivalRecords(self.engine),
            self.model,
            self.now,
            timedelta(minutes=imaging.stable_minutes),
            imaging.poll_days,
        )

    def pipeline(self) -> ScoringPipeline:
        # Only here, so that the process which answers hooks never loads torch, nor Ray who has no use for it.
        if self.settings.scoring.engine == "ray":
            return _on_cluster(self.settings, self.store, self.model, self.now)
        from cds.scoring.in_process import in_process
        from cds.scoring.site_scorer import site_scorer

        imaging = self.settings.imaging
        return in_process(
            self.store,
            self.archive,
            site_scorer(self.settings),
            self.model,
            self.now,
            ByteBudget(imaging.in_flight_megabytes << 20),
            check_patient_id=imaging.check_patient_id,
            fetchers=imaging.fetchers,
        )

    def reporter(self, writes: bool) -> Reporter:
        settings = self.settings
        told = {
            ehr.name: ReportedEhr(self.sites[ehr.name], _destinations(ehr, settings) if writes else frozenset())
            for ehr in settings.ehrs
        }
        finds = settings.imaging.find_priors and writes
        priors = ArchivePriors(self.archive, self.store, self.model, self.now) if finds else None
        join = join_by(settings, self.card)
        return Reporter(AssessmentRecords(self.engine), self.card.version, join, told, self.now, priors)

    def outbox(self) -> Outbox:
        writable = {ehr.name: self.ehrs[ehr.name] for ehr in self.settings.ehrs if ehr.write_back}
        deliver: dict[Destination, Deliver] = {Destination.CHART: ChartDelivery(writable)}
        name = self.settings.imaging.report_to
        if name:
            root = next(pacs.dicomweb_root for pacs in self.settings.pacs if pacs.name == name)
            deliver[Destination.REPORT] = ReportDelivery(self.archive, self.store, root, self.sites)
        return Outbox(OutboxRecords(self.engine), deliver, self.now)


def _on_cluster(settings: Settings, store: Store, model: str, now: Clock) -> ScoringPipeline:
    try:
        from cds.scoring.cluster import on_cluster
    except ModuleNotFoundError as missing:
        raise ClusterNotUsable(
            f"scoring.engine = 'ray' needs the extra `cluster` ({missing.name} is not installed): "
            "pip install 'mammotrend[cluster]'"
        ) from None
    return on_cluster(settings.cluster, store, model, now)


def _destinations(ehr: EhrSettings, settings: Settings) -> frozenset[Destination]:
    if ehr.mode is Mode.SILENT:
        return frozenset()
    wanted = {Destination.CHART: ehr.write_back, Destination.REPORT: bool(settings.imaging.report_to)}
    return frozenset(destination for destination, is_wanted in wanted.items() if is_wanted)
