"""The scorer of a site: its model on its device, checked before it scores anyone. Needs torch."""

from __future__ import annotations

import logging

from cds.errors import ModelNotUsable
from cds.settings import Settings
from model.errors import ModelError
from model.precision import Precision
from model.scorer import Scorer
from model.self_check import check

log = logging.getLogger(__name__)


def site_scorer(settings: Settings, precision: Precision | None = None) -> Scorer:
    """The scorer that the settings ask for, after its self-check; raises ModelNotUsable, and DeviceBusy.

    Every exam of a site is scored by one that was made here. A `precision` that is given goes over the site's.
    """
    scoring = settings.scoring
    try:
        scorer = Scorer(
            settings.model_folder,
            scoring.device or None,
            precision=precision or scoring.precision,
            models_folder=settings.models_folder,
            batch_exams=scoring.batch_exams,
            refuse_unvalidated_devices=settings.refuse_unvalidated_devices,
            calibration=scoring.calibration,
        )
        check(scorer)
    except ModelError as e:
        raise ModelNotUsable(str(e)) from e
    # Without a device in the settings a GPU that is not seen is not missed.
    log.info("scoring on %s, up to %d exams together", scorer.processor, scorer.batch_exams)
    return scorer
