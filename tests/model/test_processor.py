from __future__ import annotations

import pytest
import torch

from model.errors import DeviceNotUsable
from model.precision import Precision
from model.processor import Processor, processor


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
    allowed = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    processor("cpu").set_rounding()
    assert allowed == ((True, True) if precision is Precision.TF32 else (False, False))
    assert not torch.backends.cudnn.allow_tf32


def test_only_the_encoder_of_bf16_has_another_number_format() -> None:
    formats = {precision: processor("cpu", precision).encoder_type for precision in Precision}
    assert formats == {
        Precision.FLOAT32: torch.float32,
        Precision.TF32: torch.float32,
        Precision.BF16: torch.bfloat16,
    }
