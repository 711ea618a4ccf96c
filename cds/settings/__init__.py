"""Everything that a site decides, checked before anything starts."""

from __future__ import annotations

from cds.settings.archives import ImagingSettings, PacsSettings
from cds.settings.ehrs import CallerSettings, EhrSettings, RiskAssessmentBy, SmartSettings
from cds.settings.operations import OperationsSettings
from cds.settings.orders import CodeSettings, OrderCodesSettings, OrderSettings
from cds.settings.pages import PagesSettings
from cds.settings.policy import CardsSettings, PolicySettings
from cds.settings.processes import ClusterSettings, NightSettings, ScoringSettings, ServiceSettings
from cds.settings.retention import RetentionSettings
from cds.settings.secret_values import read_secret, read_secret_variable
from cds.settings.site import Settings, read_settings

__all__ = [
    "CallerSettings",
    "CardsSettings",
    "ClusterSettings",
    "CodeSettings",
    "EhrSettings",
    "ImagingSettings",
    "NightSettings",
    "OperationsSettings",
    "OrderCodesSettings",
    "OrderSettings",
    "PacsSettings",
    "PagesSettings",
    "PolicySettings",
    "RetentionSettings",
    "RiskAssessmentBy",
    "ScoringSettings",
    "ServiceSettings",
    "Settings",
    "SmartSettings",
    "read_secret",
    "read_secret_variable",
    "read_settings",
]
