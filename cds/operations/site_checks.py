"""The checks of every configured part of a site, for `mammotrend check`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from cds.addresses import Destinations
from cds.callers import key_reader
from cds.ehr.signing_key import read_signing_key
from cds.errors import EhrAnswerBroken, EhrError, MammoTrendError, SettingsError, UntrustedServer
from cds.nightly.ehr_changes import changed_since
from cds.operations.checks import Check, NothingToCheck
from cds.operations.outside import capability, greet
from cds.operations.safety import refuse_unsafe
from cds.pages.smart.configuration import PKCE
from cds.services import NIGHT_TIMEOUT_S, Clock, night_client, site_code_sets, smart_client, usable_card
from cds.settings import EhrSettings, PacsSettings, Settings, read_secret
from cds.store.database import connect
from cds.store.database_faults import in_words
from cds.store.upgrade import database_revision, newest_revision
from cds.study.telling.summaries import Summary, summaries_in
from cds.trust.key_sources import keys_at

LEAST_FREE_BYTES = 1 << 30
"""A year of a large site's scores is about as much."""
A_SECOND = timedelta(seconds=1)


class ClockApart(MammoTrendError):
    """The clock of this machine and that of an EHR differ by more than their tokens may."""


class DiskFull(MammoTrendError):
    """Too little room for the database to grow."""


def site_checks(settings: Settings, now: Clock, *, with_model: bool = True) -> Iterator[Check]:
    """The checks of all that the settings name, what is nearest first."""
    yield Check("settings", partial(_settings, settings), "see deploy/mammotrend.toml, which explains every setting")
    yield Check("database", partial(_database, settings), "see database_url, and run `mammotrend db status`")
    yield Check("disk", partial(_disk, settings), "make room, or move the database to another disk")
    for name, read in _secrets(settings):
        yield Check(f"secret {name}", read, "the user of the service must be able to read it")
    for ehr in settings.ehrs:
        yield from _ehr_checks(ehr, settings, now)
    for pacs in settings.pacs or (None,):
        part = f"archive {pacs.name}" if pacs else "archive"
        yield Check(part, partial(_archive, pacs, settings), "see its [[pacs]] block, ca_file, and the firewall")
    yield Check("model card", partial(_card, settings), "see model and models_folder, and run `mammotrend model list`")
    studies = "make the folder, or leave out studies_folder: the user of the service must be able to read it"
    yield Check("studies", partial(_studies, settings), studies)
    device = "see [scoring] device, the GPU's driver, and run `mammotrend model verify`"
    yield Check("GPU", partial(_gpu, settings, with_model), device)
    yield Check("model self-check", partial(_self_check, settings, with_model), device)


def _ehr_checks(ehr: EhrSettings, settings: Settings, now: Clock) -> Iterator[Check]:
    name = f"EHR {ehr.name}"
    server = "see its fhir_server and ca_file, private_networks, and the firewall"
    yield Check(f"{name}: server", partial(_server, ehr, settings), server)
    yield Check(f"{name}: clock", partial(_clock, ehr, settings, now), "have both machines' clocks set by NTP")
    night = "see its client_id and key, or access_token_file, and that it may read ImagingStudy"
    yield Check(f"{name}: night's access", partial(_night_access, ehr, settings, now), night)
    keys = "see its [ehrs.caller], and docs/trust.md"
    yield Check(f"{name}: keys of its calls", partial(_keys, ehr, settings), keys)
    if ehr.smart is not None:
        launch = "see its [ehrs.smart], and docs/connect-ehr.md"
        yield Check(f"{name}: SMART launch", partial(_smart, ehr, settings), launch)


def _settings(settings: Settings) -> str:
    refuse_unsafe(settings)
    site_code_sets(settings)
    if not settings.ehrs:
        raise SettingsError("no EHR is configured; name a settings file with [[ehrs]] by --config")
    return f"safe to start with; EHRs: {len(settings.ehrs)}, archives: {len(settings.pacs)}"


def _database(settings: Settings) -> str:
    file = _sqlite_file(settings)
    if file is not None and _is_free(file):
        return "there is none yet: the first start makes it"
    engine = connect(settings.database_url)
    try:
        with in_words(engine):
            found = database_revision(engine)
    finally:
        engine.dispose()
    if found not in (None, newest_revision()):
        raise SettingsError(f"it has layout {found}, and this program needs {newest_revision()}: mammotrend db upgrade")
    return f"{engine.dialect.name}, {f'layout {found}' if found else 'empty: the first start sets it up'}"


def _is_free(file: Path) -> bool:
    """Whether there is none where one could be made; of a folder that is closed to this user that is not known."""
    try:
        return file.parent.is_dir() and not file.exists()
    except OSError:
        return False


def _disk(settings: Settings) -> str:
    file = _sqlite_file(settings)
    if file is None:
        raise NothingToCheck("the database is not a file on this machine")
    try:
        free = shutil.disk_usage(file.parent).free
    except OSError as e:
        raise SettingsError(f"the folder of the database cannot be looked at ({type(e).__name__})") from e
    if free < LEAST_FREE_BYTES:
        raise DiskFull(f"{free / 2**30:.2f} GiB are free where the database is, and 1 GiB is the least")
    return f"{free / 2**30:.0f} GiB are free"


def _sqlite_file(settings: Settings) -> Path | None:
    try:
        url = make_url(settings.database_url)
    except ArgumentError:
        return None
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _secrets(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each secret that is kept in a file or a variable, by its setting; what is read of it is not told."""
    for ehr in settings.ehrs:
        if ehr.access_token_file is not None:
            yield f"access_token_file of {ehr.name}", partial(_is_read, partial(read_secret, ehr.access_token_file))
        if ehr.private_key_file is not None:
            read = partial(read_signing_key, ehr.private_key_file, ehr.signing_algorithm, ehr.key_id)
            yield f"private_key_file of {ehr.name}", partial(_is_read, read)
        if ehr.smart is not None and (ehr.smart.secret_file or ehr.smart.secret_variable):
            yield f"of [ehrs.smart] of {ehr.name}", partial(_is_read, ehr.smart.secret)
    for pacs in settings.pacs:
        if pacs.username is not None:
            yield f"password of archive {pacs.name}", partial(_is_read, pacs.secret)
    for part in ("operations", "pages"):
        block = getattr(settings, part)
        if block.secret_file is not None or block.secret_variable is not None:
            yield f"of [{part}]", partial(_is_read, block.secret)


def _is_read(read: Callable[[], object]) -> str:
    if read() is None:
        raise NothingToCheck("none is set")
    return "can be read"


def _server(ehr: EhrSettings, settings: Settings) -> str:
    return f"answers, FHIR {capability(ehr, settings, NIGHT_TIMEOUT_S).fhir_version}"


def _clock(ehr: EhrSettings, settings: Settings, now: Clock) -> str:
    asked = now()
    try:
        theirs = capability(ehr, settings, NIGHT_TIMEOUT_S).clock
    except (EhrError, UntrustedServer) as problem:
        raise NothingToCheck("its server could not be asked") from problem
    if theirs is None:
        raise EhrAnswerBroken("its answers have no Date, so its clock is not known")
    apart_s = round(_apart(theirs, asked, now()).total_seconds())
    allowed_s = settings.service.token_skew_s
    if apart_s > allowed_s:
        raise ClockApart(f"its clock and ours are {apart_s} s apart, and token_skew_s allows {allowed_s}")
    return f"{apart_s} s apart at most, {allowed_s} allowed"


def _apart(theirs: datetime, asked: datetime, answered: datetime) -> timedelta:
    """How far two clocks are apart at least: theirs tells whole seconds, of a moment between question and answer."""
    return max(asked - (theirs + A_SECOND), theirs - answered, timedelta(0))


def _night_access(ehr: EhrSettings, settings: Settings, now: Clock) -> str:
    if ehr.client_id is None and ehr.access_token_file is None:
        raise NothingToCheck("no access_token_file and no client_id is set: the night presents no token")
    with night_client(ehr, Destinations(settings.private_networks)) as client:
        # What the night asks for, of studies changed after this moment: as few patients as may be.
        next(client.pages(changed_since(now() + timedelta(hours=1))))
    return "its token is good, and ImagingStudy may be searched"


def _keys(ehr: EhrSettings, settings: Settings) -> str:
    if settings.service.trust == "demo":
        raise NothingToCheck("trust = 'demo': calls bring no token")
    keys = key_reader(ehr, Destinations(settings.private_networks))()
    if not keys:
        raise SettingsError("its key set has no key that a signature could be held against")
    return f"keys: {len(keys)}"


def _smart(ehr: EhrSettings, settings: Settings) -> str:
    client = smart_client(ehr, settings)
    if client is None:
        raise NothingToCheck("no [ehrs.smart] is set")
    told = client.configuration()
    keys = keys_at(told.jwks_uri, client.verify, client.destinations, ehr.timeout_s)
    if not keys:
        raise EhrAnswerBroken("its key set has no key that an id_token could be held against")
    return f"offers PKCE with {PKCE}, keys: {len(keys)}; whether it knows our addresses, only a launch tells"


def _archive(pacs: PacsSettings | None, settings: Settings) -> str:
    if pacs is None:
        raise SettingsError("no [[pacs]] block is set: there is no archive to fetch images from")
    greet(pacs, settings, pacs.read_timeout_s)
    return "answers a search (QIDO-RS)"


def _card(settings: Settings) -> str:
    card = usable_card(settings)
    return f"{card.name}, {'clinical' if card.clinical else 'not for clinical use'}"


def _studies(settings: Settings) -> str:
    folder = settings.operations.studies_folder
    if folder is None:
        raise NothingToCheck("no operations.studies_folder is set: none is told of")
    read = [isinstance(found, Summary) for _, found in summaries_in(folder)]
    return f"studies in their folder: {len(read)}, of which can be read: {sum(read)}"


def _gpu(settings: Settings, with_model: bool) -> str:
    _is_wanted(with_model)
    import torch

    wanted = settings.scoring.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cpu":
        raise NothingToCheck("none is wanted, or there is none: the worker scores on the CPU")
    if torch.device(wanted).index not in (None, *range(torch.cuda.device_count())) or not torch.cuda.is_available():
        raise SettingsError(f"scoring.device is {wanted!r}, and torch sees {torch.cuda.device_count()} CUDA GPUs")
    return f"{torch.cuda.get_device_name(wanted)}, {torch.cuda.device_count()} in all"


def _self_check(settings: Settings, with_model: bool) -> str:
    _is_wanted(with_model)
    from cds.scoring.site_scorer import site_scorer

    processor = site_scorer(settings).processor
    return f"passed on {processor}"


def _is_wanted(with_model: bool) -> None:
    if not with_model:
        raise NothingToCheck("left out by --no-model")
