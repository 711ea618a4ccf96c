from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from model.errors import DeviceBusy, DeviceLost, DeviceNotUsable
from model.precision import Precision
from model.processor import Processor, computed, processor, starting_on

BACKENDS: Any = torch.backends


def test_a_cpu_takes_one_picture_at_a_time_and_makes_it_with_pillow() -> None:
    cpu = processor("cpu")
    assert (cpu.pictures_at_once, cpu.exams_at_once, cpu.makes_pictures) == (1, 1, False)


@pytest.mark.parametrize(
    ("gigabytes", "pictures", "exams"), [(141, 16, 8), (16, 16, 8), (8, 10, 5), (4, 5, 2), (1, 1, 1), (0.5, 1, 1)]
)
def test_a_gpu_takes_as_many_as_fit_in_half_of_its_memory_and_makes_them_itself(
    gigabytes: float, pictures: int, exams: int
) -> None:
    gpu = Processor(torch.device("cuda"), memory_bytes=int(gigabytes * 2**30))
    assert gpu.makes_pictures
    assert (gpu.pictures_at_once, gpu.exams_at_once) == (pictures, exams)


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "meta:x"])
def test_a_device_that_is_not_there_is_said(name: str) -> None:
    with pytest.raises(DeviceNotUsable, match=r"check the setting `scoring\.device`"):
        processor(name)


def test_without_a_name_cuda_is_taken_where_there_is_one() -> None:
    assert processor().device.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("precision", list(Precision))
def test_only_tf32_lets_cuda_round_to_ten_bits(precision: Precision) -> None:
    processor("cpu", precision).set_rounding()
    rounding = rounding_of_products()
    processor("cpu").set_rounding()
    assert rounding == (("tf32", "tf32") if precision is Precision.TF32 else ("ieee", "ieee"))
    assert rounding_of_products() == ("ieee", "ieee")


def test_whoever_allows_tf32_for_all_of_torch_does_not_allow_it_to_float32(all_of_torch_in_tf32: None) -> None:
    processor("cpu").set_rounding()
    assert rounding_of_products() == ("ieee", "ieee")


@pytest.fixture
def all_of_torch_in_tf32() -> Iterator[None]:
    before = BACKENDS.fp32_precision
    BACKENDS.fp32_precision = "tf32"
    yield
    BACKENDS.fp32_precision = before


def rounding_of_products() -> tuple[str, str]:
    """How torch rounds the factors of float32 products on CUDA: of convolutions, and of matrices."""
    return BACKENDS.cudnn.conv.fp32_precision, BACKENDS.cuda.matmul.fp32_precision


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
FAILED = torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (OUT_OF_MEMORY, DeviceBusy),
        (torch.AcceleratorError("CUDA error: out of memory"), DeviceBusy),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), DeviceBusy),
        (FAILED, DeviceLost),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceLost),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceLost),
    ],
)
def test_what_torch_says_of_the_device_is_told_apart(said: Exception, fault: type[Exception]) -> None:
    with pytest.raises(fault) as found:
        computed(raising(said))
    assert "Tried to allocate" not in str(found.value)


def test_a_device_that_failed_is_told_with_the_first_line_that_it_said() -> None:
    with pytest.raises(DeviceLost, match=r"the GPU has failed \(CUDA error: unspecified launch failure\)"):
        computed(raising(FAILED))


@pytest.mark.parametrize("said", [RuntimeError("sizes do not match"), ValueError("CUDA error: of an exam")])
def test_what_is_not_of_the_device_stays_as_it_is(said: Exception) -> None:
    with pytest.raises(type(said), match=str(said)):
        computed(raising(said))


def test_what_ran_out_of_memory_is_let_go_before_it_is_told() -> None:
    """The frames of what failed hold its tensors: while they are there, nothing is free for another try."""
    held: list[weakref.ref[Tensor]] = []

    def work() -> None:
        activations = torch.empty(1)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(DeviceBusy) as found:
        computed(work)
    assert held[0]() is None
    assert found.value.__context__ is None


@pytest.mark.parametrize(
    ("said", "fault"),
    [(OUT_OF_MEMORY, DeviceBusy), (FAILED, DeviceNotUsable), (AssertionError("not compiled"), DeviceNotUsable)],
)
def test_at_the_start_a_full_device_may_be_free_later_and_any_other_fault_needs_somebody(
    said: Exception, fault: type[Exception]
) -> None:
    with pytest.raises(fault), starting_on("cuda"):
        raise said


def raising(fault: Exception) -> Callable[[], None]:
    def work() -> None:
        raise fault

    return work


def test_only_the_encoder_of_bf16_has_another_number_format() -> None:
    formats = {precision: processor("cpu", precision).encoder_type for precision in Precision}
    assert formats == {
        Precision.FLOAT32: torch.float32,
        Precision.TF32: torch.float32,
        Precision.BF16: torch.bfloat16,
    }
