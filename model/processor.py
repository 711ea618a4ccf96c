"""Where the network runs, and everything that is decided by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from model.errors import DeviceNotUsable
from model.precision import Precision

PICTURES_ENOUGH: Final = 16
"""Of full size, that keep a GPU busy when they go through the encoder together."""

PICTURE_BYTES: Final = 400 << 20
"""What the encoder takes for one of full size, in float32."""


@dataclass(frozen=True)
class Processor:
    """A device and how exactly it computes. The choices for CUDA follow from arithmetic: no GPU was measured.

    `memory_bytes` is the device's own memory, 0 where it computes in that of the machine.
    """

    device: torch.device
    precision: Precision = Precision.FLOAT32
    memory_bytes: int = 0

    @property
    def name(self) -> str:
        """The device in words: the same for every precision."""
        if self.device.type != "cuda":
            return self.device.type
        return f"{self.device.type} {torch.cuda.get_device_name(self.device)}"

    def __str__(self) -> str:
        return self.name if self.precision is Precision.FLOAT32 else f"{self.name}, {self.precision}"

    @property
    def makes_pictures(self) -> bool:
        """Whether pictures are windowed and resized on the device; on a CPU Pillow takes a sixth of torch's time."""
        return self.device.type == "cuda"

    @property
    def pictures_at_once(self) -> int:
        """How many pictures go through the encoder together: one fills a CPU; a GPU's may take half of its memory."""
        return max(1, min(PICTURES_ENOUGH, self.memory_bytes // 2 // PICTURE_BYTES))

    @property
    def exams_at_once(self) -> int:
        """How many exams to score together where they are there: their pictures wait on the device."""
        return max(1, self.pictures_at_once // 2)

    @property
    def encoder_type(self) -> torch.dtype:
        """The number format of the encoder, which does nearly all of the arithmetic."""
        return torch.bfloat16 if self.precision is Precision.BF16 else torch.float32

    def set_rounding(self) -> None:
        """Allow or forbid TF32. It is one switch for the whole process, so it is set before every forward."""
        # Torch lets convolutions on CUDA round to 10 bits unless told otherwise.
        torch.backends.cudnn.allow_tf32 = self.precision is Precision.TF32
        torch.backends.cuda.matmul.allow_tf32 = self.precision is Precision.TF32


def processor(device: str | None = None, precision: Precision = Precision.FLOAT32) -> Processor:
    """The named device, such as "cpu" or "cuda:1"; without a name CUDA where there is one. Raises DeviceNotUsable."""
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as e:  # torch without CUDA fails an assertion
        raise DeviceNotUsable(
            f"the device {wanted!r} cannot be used on this machine ({type(e).__name__}); check the setting "
            "`scoring.device` and the GPU driver"
        ) from e
    found = torch.device(wanted)
    memory_bytes = torch.cuda.get_device_properties(found).total_memory if found.type == "cuda" else 0
    return Processor(found, precision, memory_bytes)
