"""An exam between its images and its score."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.domain import AcquisitionDevice, ImageType, Provenance, RiskScore, ScoredExam, SourceImage
from model.preprocessing import Windowed

WaitingPicture = NDArray[np.float32] | Tensor | Windowed
"""The network's input, (1, rows, columns), in memory or on its device; or what another machine's GPU makes it from."""


@dataclass(frozen=True, eq=False)
class PreparedExam:
    """Everything of a scored exam but its risks, and the pictures, in the order of STANDARD_VIEWS, to compute them."""

    study_uid: str
    performed_on: date
    scored_at: datetime
    device: AcquisitionDevice
    image_type: ImageType
    warnings: tuple[str, ...]
    images: tuple[SourceImage, ...]
    pictures: tuple[WaitingPicture, ...] = field(repr=False)

    @property
    def bytes_held(self) -> int:
        """How much memory its pictures take."""
        return sum(picture.nbytes for picture in self.pictures)

    def scored(self, score: RiskScore, processor: str, software: str) -> ScoredExam:
        """The exam with its risks, and what computed them."""
        return ScoredExam(
            self.study_uid,
            self.performed_on,
            score,
            self.scored_at,
            self.device,
            self.image_type,
            self.warnings,
            provenance=Provenance(self.images, processor, software),
        )
