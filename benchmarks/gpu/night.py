"""The pipeline with exams in each transfer syntax that never wait for an archive, beside its slowest stage alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset, FileDataset
from pydicom.uid import UID

from benchmarks.decoding import SYNTAXES, in_syntax
from benchmarks.gpu.subject import Subject
from benchmarks.pipeline import BUDGET as SHIPPED
from benchmarks.pipeline import Site, alone
from benchmarks.running_record import Step
from benchmarks.timing import Row
from cds.scoring.pipeline import FETCHERS
from model.accuracy_records import LARGEST_SHIFT, AccuracyRecord, subject_of, write_record
from model.card import read_card
from model.decoding import stored_pixels
from model.phantom import dicom_images, file_bytes
from model.precision import Precision
from model.scorer import Scorer

TWICE = 2
CORES = os.cpu_count() or 1
BUDGET = 12 << 30
"""Bytes in flight: enough for all threads that fetch, and for the batches that wait."""


class InMemory:
    """An archive that has every study at once: its pixels are there, and only headers are read, so nobody waits."""

    def __init__(self, images: Sequence[FileDataset]) -> None:
        self._files = [file_bytes(image) for image in images]
        self._pixels = [pydicom.dcmread(BytesIO(file))["PixelData"] for file in self._files]

    def retrieve_study(self, study_uid: str, *_: object) -> list[Dataset]:
        """The images as that study's."""
        images: list[Dataset] = [pydicom.dcmread(BytesIO(file), stop_before_pixels=True) for file in self._files]
        for image, pixels in zip(images, self._pixels, strict=True):
            image.StudyInstanceUID = study_uid
            image.add(pixels)
        return images

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the pipeline of a benchmark asks for no {name}")


def steps(subject: Subject) -> Iterator[Step]:
    """Every syntax in the precision that ships, then in the fastest: which is limited by what depends on it."""
    # Deflated is the whole file, and nobody stores mammograms so.
    syntaxes = [syntax for syntax in SYNTAXES if not syntax.is_deflated]
    with subject.model() as model:
        nights = _Nights(subject, model)
        for syntax in syntaxes:
            what = f"{subject.name}, {syntax.name}: decoding alone on all {CORES} cores, an exam"
            yield what, partial(nights.decoding, what, syntax)
        for precision in (Precision.FLOAT32, Precision.BF16):
            for syntax in syntaxes:
                name = f"{subject.name}, {syntax.name}, {precision}"
                yield name, partial(nights.pipeline, name, syntax, precision)
        name = f"{subject.name}, {syntaxes[0].name}, {Precision.FLOAT32}"
        yield f"{name}, as shipped", partial(nights.as_shipped, name, syntaxes[0])


class _Nights:
    """Archives and scorers, each made when it is first wanted."""

    def __init__(self, subject: Subject, model: Path) -> None:
        self._subject, self._model = subject, model
        self._originals = [(image, stored_pixels(image)) for image in dicom_images(subject.exam)]
        self._archives: dict[UID, InMemory] = {}
        self._scorers: dict[Precision, Scorer] = {}

    def decoding(self, what: str, syntax: UID) -> Iterator[Row]:
        """What no pipeline on these cores can beat, whatever the card does: each core has a study of its own."""
        studies = [self._archive(syntax).retrieve_study("1.2.3") for _ in range(CORES)]

        def decode(number: int) -> None:
            for image in TWICE * studies[number]:
                stored_pixels(image)

        one = alone(decode, CORES, CORES, exams_each=TWICE)
        yield Row(what, one.alone_s, remark=f"{1000 * one.core_s:.0f} ms of processor")

    def pipeline(self, name: str, syntax: UID, precision: Precision) -> Iterator[Row]:
        """Beside its stages, which have as many threads and as many exams together."""
        with self._fed(self._archive(syntax), self._scorer(precision)) as site:
            yield from site.against_its_stages(self._subject.night, rounds=1).rows(name)

    def as_shipped(self, name: str, syntax: UID) -> Iterator[Row]:
        """With the settings of a site that has changed none, beside those of the other rows."""
        archive, scorer = self._archive(syntax), self._scorer(Precision.FLOAT32)
        with Site(archive, scorer) as shipped, self._fed(archive, scorer) as fed:
            for site in (shipped, fed):
                site.in_the_pipeline(scorer.batch_exams)
            seconds, beside = (site.in_the_pipeline(self._subject.night) for site in (shipped, fed))
        what = f"{name}: the pipeline as shipped, {FETCHERS} fetchers and {SHIPPED >> 30} GB in flight, an exam"
        yield Row(what, seconds, beside, f"{self._subject.threads} fetchers and {BUDGET >> 30} GB in flight")

    def _fed(self, archive: InMemory, scorer: Scorer) -> Site:
        return Site(archive, scorer, fetchers=self._subject.threads, budget_bytes=BUDGET)

    def _archive(self, syntax: UID) -> InMemory:
        if syntax not in self._archives:
            self._archives[syntax] = InMemory([in_syntax(image, pixels, syntax) for image, pixels in self._originals])
        return self._archives[syntax]

    def _scorer(self, precision: Precision) -> Scorer:
        if precision not in self._scorers:
            self._scorers[precision] = _unchecked(self._subject, self._model, precision)
        return self._scorers[precision]


def _unchecked(subject: Subject, model: Path, precision: Precision) -> Scorer:
    """In any precision: weights that are random score nobody, so nothing has to be checked before they are timed."""
    with tempfile.TemporaryDirectory() as folder:
        checked = subject_of(read_card(model), subject.card(precision))
        write_record(AccuracyRecord(checked, 0.0, LARGEST_SHIFT, datetime.now(UTC).isoformat()), Path(folder))
        return Scorer(
            model, subject.device, precision=precision, models_folder=Path(folder), batch_exams=subject.exams_at_once
        )
