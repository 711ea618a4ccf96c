"""Images of an exam -> its risk: gate, pictures, network, calibration, with the weights loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
import torch
from pydicom import Dataset
from torch import Tensor

from model.accuracy_records import require_checked
from model.calibration_file import calibrated_by
from model.checkpoint import load_network
from model.device_pictures import DevicePictures
from model.domain import STANDARD_VIEWS, RefusedExam, RiskScore, ScoredExam
from model.inference import RiskNetwork
from model.precision import Precision
from model.prepared import PreparedExam, WaitingPicture
from model.preparer import Preparer
from model.preprocessing import Windowed, finished
from model.processor import computed, processor, starting_on
from model.provenance import software


class Scorer:
    """One model on one device. `prepare` is for any thread; `score` for one at a time."""

    def __init__(
        self,
        model_folder: Path,
        device: str | None = None,
        *,
        precision: Precision = Precision.FLOAT32,
        models_folder: Path | None = None,
        batch_exams: int | None = None,
        refuse_unvalidated_devices: bool = False,
        calibration: Path | None = None,
    ) -> None:
        """Load the model in `model_folder`; without a `device` on CUDA where there is one.

        Raises ModelError, and DeviceBusy where the device has no memory for it. A lower `precision` than float32 needs
        a passing record of its accuracy check in `models_folder`. `batch_exams` is how many exams to give to `score`
        together; without it, what suits the device. A mammography unit that the model was not validated on is a
        warning on the score, or, if asked, a refusal. `calibration` is a site's own, the file of it, which goes over
        the model's.
        """
        self.processor = processor(device, precision)
        self.batch_exams = batch_exams or self.processor.exams_at_once
        with starting_on(str(self.processor.device)):
            network, card = load_network(model_folder, self.processor.device)
            self._network = RiskNetwork(network, self.processor)
            self.on_device = DevicePictures(self.processor.device)
        self.card = calibrated_by(card, calibration)
        require_checked(self.card, self.processor, models_folder)
        self._software = software()
        finish = self.on_device if self.processor.makes_pictures else finished
        self._preparer = Preparer(self.card, finish, refuse_unvalidated_devices=refuse_unvalidated_devices)

    def score_exam(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> ScoredExam | RefusedExam:
        """`prepare` and `score` of a single exam."""
        exam = self.prepare(images, at=at, performed_on=performed_on, gate=gate)
        return exam if isinstance(exam, RefusedExam) else self.score([exam])[0]

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> PreparedExam | RefusedExam:
        """As `Preparer.prepare`; raises DeviceFault."""
        return computed(lambda: self._preparer.prepare(images, at=at, performed_on=performed_on, gate=gate))

    def score(self, exams: Sequence[PreparedExam]) -> list[ScoredExam | RefusedExam]:
        """Score a batch of prepared exams, in their order; raises DeviceFault."""
        return computed(lambda: self._scored(exams)) if exams else []

    def _scored(self, exams: Sequence[PreparedExam]) -> list[ScoredExam | RefusedExam]:
        pictures = [self._input(picture) for exam in exams for picture in exam.pictures]
        batch = torch.stack(pictures).view(len(exams), len(STANDARD_VIEWS), *pictures[0].shape)
        scores = [self._calibrated(raw) for raw in self._network.raw_risks(batch)]
        made_by = str(self.processor), self._software
        return [exam.scored(score, *made_by) for exam, score in zip(exams, scores, strict=True)]

    def _input(self, picture: WaitingPicture) -> Tensor:
        """The network's input of one view, (1, rows, columns), on its device."""
        if isinstance(picture, Tensor):
            return picture
        if isinstance(picture, Windowed):
            return self.on_device(picture, self._preparer.format)
        # Pictures that came from another machine are in memory that nobody may write to, which torch will not have.
        return torch.from_numpy(np.require(picture, requirements="W")).to(self.processor.device)

    def _calibrated(self, raw: tuple[float, ...]) -> RiskScore:
        return RiskScore(self.card.calibration.risks(raw), raw, self.card.version)
