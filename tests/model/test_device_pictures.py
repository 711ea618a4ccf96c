"""The same torch code that a GPU runs, here on the CPU, against the path of NumPy and Pillow."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from model.card import DEMO_MODEL
from model.device_pictures import DevicePictures, _finished, _table, _words, finished_on
from model.phantom import BOREALIS, PhantomExam, dicom_images
from model.prepared import PreparedExam
from model.preparer import Finish, Preparer, left_to_the_scorer
from model.preprocessing import PictureFormat, finished, windowed
from model.scorer import Scorer
from tests.model.golden_rules import GOLDEN, golden_mammogram
from tests.model.test_preprocessing import PUBLISHED, SMALL, header, sha256, table

CPU = torch.device("cpu")
STORED = golden_mammogram(90, 70, "L")


@pytest.mark.parametrize("name", list(GOLDEN["pixels"]))
def test_the_pictures_have_the_original_s_numbers_bit_for_bit(name: str) -> None:
    golden = GOLDEN["pixels"][name]
    stored = golden_mammogram(golden["rows"], golden["cols"], golden["side"])
    rescale = {"RescaleSlope": "1", "RescaleIntercept": "0"} if golden["slope"] else {}
    picture = finished_on(CPU, windowed(stored, header(**rescale)), PUBLISHED)
    assert picture.shape == (1, 2048, 1664)
    assert sha256(picture.numpy(), "<f4") == golden["tensor_sha256_f32le"]


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"VOILUTFunction": "SIGMOID"},
        {"Manufacturer": "GE", "VOILUTSequence": table(0, 12, [5, 4000, 17, 4095, 300])},
        {"ModalityLUTSequence": table(0, 16, [10, 60000, 0, 20], ModalityLUTType="US")},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"RescaleSlope": "-0.5", "RescaleIntercept": "7"},
    ],
    ids=["linear", "sigmoid", "VOI table", "modality table", "MONOCHROME1", "falling rescale"],
)
@pytest.mark.parametrize(
    "stored",
    [
        STORED,
        STORED.astype(np.int16) - np.int16(1500),
        (STORED.astype(np.int32) * 18).astype(np.uint16),
        (STORED.astype(np.int32) * 18 - 32768).astype(np.int16),
        (STORED // 16).astype(np.uint8),
        (STORED // 16).astype(np.int16).astype(np.int8),
        STORED.astype(">u2"),
        STORED[:, ::-1],
    ],
    ids=["12 bits", "signed", "16 bits", "16 bits signed", "8 bits", "8 bits signed", "big endian", "mirrored"],
)
def test_every_kind_of_picture_is_the_same_on_both_paths(stored: NDArray[np.integer], elements: dict[str, Any]) -> None:
    view = windowed(stored, header(**elements))
    expected = finished(view, SMALL)
    assert np.ptp(expected) > 0
    assert np.array_equal(finished_on(CPU, view, SMALL).numpy(), expected)


@settings(max_examples=150)
@given(
    before=st.tuples(st.integers(1, 150), st.integers(4, 150)),
    after=st.tuples(st.integers(1, 150), st.integers(4, 150)),
    seed=st.integers(0, 10_000),
)
def test_any_size_becomes_any_other_with_the_same_numbers_on_both_paths(
    before: tuple[int, int], after: tuple[int, int], seed: int
) -> None:
    stored = np.random.default_rng(seed).integers(0, 65536, before).astype(np.uint16)
    view, form = windowed(stored, header()), PictureFormat(*after)
    assert np.array_equal(finished_on(CPU, view, form).numpy(), finished(view, form))


def test_pixels_that_may_not_be_written_to_are_read_all_the_same() -> None:
    frozen = STORED.copy()
    frozen.setflags(write=False)
    view = windowed(frozen, header())
    assert np.array_equal(finished_on(CPU, view, SMALL).numpy(), finished(view, SMALL))


def test_a_table_that_may_not_be_written_to_is_read_without_a_warning() -> None:
    view = windowed(STORED, header())
    view.table.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(finished_on(CPU, view, SMALL).numpy(), finished(view, SMALL))


class CopiesToDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every copy from the machine's memory to that of the device `meta`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        made = operation(*arguments, **(options or {}))
        given = {each.device.type for each in arguments if isinstance(each, torch.Tensor)}
        from_a_number = operation is torch.ops.aten.detach_.default  # of `torch.tensor`, which hides its copy
        if isinstance(made, torch.Tensor) and made.device.type == "meta" and ("cpu" in given or from_a_number):
            self.seen.append(str(operation))
        return made


def test_once_the_sizes_of_a_site_are_known_a_picture_is_made_without_a_copy_that_would_wait() -> None:
    view = windowed(STORED, header())
    words, grey_levels = (there.to("meta") for there in (_words(view), _table(view)))
    copies = []
    for _ in range(2):
        with CopiesToDevice() as to_device:
            _finished(words, grey_levels, view, SMALL)
        copies.append(len(to_device.seen))
    assert copies == [4, 0]  # columns and weights of both passes


@pytest.mark.parametrize("finish", [DevicePictures(CPU), left_to_the_scorer], ids=["on the device", "by the scorer"])
def test_an_exam_has_the_very_same_score_whichever_path_its_pictures_take(finish: Finish) -> None:
    images = list(dicom_images(PhantomExam(7, date(2025, 6, 2), 0.4, vendor=BOREALIS, rows=300, columns=200)))
    scorer, at = Scorer(DEMO_MODEL, "cpu"), datetime(2026, 1, 6, 3, 15, tzinfo=UTC)
    exam, as_for_a_gpu = scorer.prepare(images, at=at), Preparer(scorer.card, finish).prepare(images, at=at)
    assert isinstance(exam, PreparedExam)
    assert isinstance(as_for_a_gpu, PreparedExam)
    assert {type(picture) for picture in exam.pictures}.isdisjoint(map(type, as_for_a_gpu.pictures))
    assert scorer.score([as_for_a_gpu]) == scorer.score([exam])
    assert as_for_a_gpu.bytes_held >= 4 * 128 * 104 * 4
