"""Whom the web service answers: each EHR's own calls, known by their tokens, or in a demonstration anybody's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from sqlalchemy import Engine

from cds.addresses import Destinations, is_this_machine
from cds.errors import CallerKeysUnread, SettingsError
from cds.operations.outside import verify
from cds.settings import CallerSettings, EhrSettings, Settings
from cds.store.seen_tokens import SeenTokens
from cds.trust.clients import Client, ClientTrust
from cds.trust.key_set import PublicKey
from cds.trust.key_sources import keys_at, keys_in
from cds.trust.keys import CallerKeys
from hooks.site import Mode
from model.card import ModelCard

log = logging.getLogger(__name__)


def callers(settings: Settings, engine: Engine, card: ModelCard) -> ClientTrust | None:
    """How callers are told apart; None in a demonstration. Raises SettingsError for what is not safe."""
    service = settings.service
    if service.trust == "demo":
        _check_demonstration(settings, card)
        log.warning("trust = 'demo': every call on %s is answered, whoever makes it", service.host)
        return None
    if service.public_url is None:
        raise SettingsError("service.public_url must be set: the tokens of EHRs name it as their audience")
    if not is_this_machine(service.host):
        log.warning("service.host: %s speaks no TLS; only the site's proxy may reach it", service.host)
    return ClientTrust(
        [_client(ehr, Destinations(settings.private_networks)) for ehr in settings.ehrs],
        SeenTokens(engine),
        timedelta(seconds=service.token_skew_s),
        timedelta(seconds=service.token_lifetime_s),
    )


def _check_demonstration(settings: Settings, card: ModelCard) -> None:
    active = [ehr.name for ehr in settings.ehrs if ehr.mode is Mode.ACTIVE]
    if active or card.clinical:
        raise SettingsError(
            "service.trust = 'demo' is for a demonstration model and no EHR in mode 'active'; set trust = 'jwt'"
        )


def _client(ehr: EhrSettings, destinations: Destinations) -> Client:
    caller = _caller(ehr)
    read = key_reader(ehr, destinations)
    if caller.jwks_file is not None:
        _check_readable(ehr.name, read)
    return Client(ehr.name, caller.issuer, CallerKeys(read), caller.jwks_url, caller.algorithms, caller.tenants)


def key_reader(ehr: EhrSettings, destinations: Destinations) -> Callable[[], Mapping[str, PublicKey]]:
    """What reads the public keys of an EHR's calls, by `kid`; raises SettingsError where none is configured."""
    caller = _caller(ehr)
    if caller.jwks_file is not None:
        return partial(keys_in, caller.jwks_file)
    return partial(keys_at, str(caller.jwks_url), verify(ehr.ca_file), destinations, ehr.timeout_s)


def _caller(ehr: EhrSettings) -> CallerSettings:
    if ehr.caller is None:
        raise SettingsError(
            f"ehrs: {ehr.name!r} has no [ehrs.caller] block, so its calls cannot be told from anybody else's; set its "
            "issuer, and jwks_url or jwks_file"
        )
    return ehr.caller


def _check_readable(name: str, read: Callable[[], object]) -> None:
    """A file that is not there is told at the start, not with the first call."""
    try:
        read()
    except CallerKeysUnread as e:
        raise SettingsError(f"ehrs: jwks_file of {name!r}: {e}") from e
