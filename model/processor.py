"""Where the network runs, and everything that is decided by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import torch

from model.errors import DeviceBusy, DeviceFault, DeviceLost, DeviceNotUsable
from model.precision import Precision

T = TypeVar("T")

PICTURES_ENOUGH: Final = 16
"""Of full size, that keep a GPU busy when they go through the encoder together."""

PICTURE_BYTES: Final = 400 << 20
"""What the encoder takes for one of full size, in float32."""

OF_A_DEVICE: Final = ("CUDA error", "CUDA driver error", "cuDNN error")
"""How torch begins what CUDA and its libraries say."""

FULL: Final = ("out of memory", "ALLOC_FAILED")
"""What CUDA and its libraries say where memory is taken and torch's own allocator was not asked."""


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
        allowed = self.precision is Precision.TF32
        if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
            # From 2.9 on. The older switch, when off, only leaves it to one above it, which may be on.
            torch.backends.cudnn.conv.fp32_precision = "tf32" if allowed else "ieee"  # type: ignore[attr-defined]
            torch.backends.cuda.matmul.fp32_precision = "tf32" if allowed else "ieee"
        else:
            torch.backends.cudnn.allow_tf32 = allowed
            torch.backends.cuda.matmul.allow_tf32 = allowed


def processor(device: str | None = None, precision: Precision = Precision.FLOAT32) -> Processor:
    """The named device, such as "cpu" or "cuda:1"; without a name CUDA where there is one.

    Raises DeviceNotUsable and DeviceBusy.
    """
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with starting_on(wanted):
        torch.empty(1, device=wanted)
        found = torch.device(wanted)
        # Not what is free at the moment: what was checked together at one start is then the same at every other.
        memory_bytes = torch.cuda.get_device_properties(found).total_memory if found.type == "cuda" else 0
    return Processor(found, precision, memory_bytes)


@contextmanager
def starting_on(device: str) -> Iterator[None]:
    """While a device is begun to be used: raises DeviceBusy where its memory is taken, else DeviceNotUsable."""
    try:
        yield
    except (RuntimeError, AssertionError) as e:  # torch without CUDA fails an assertion
        fault = _fault(e)
        if isinstance(fault, DeviceBusy):
            raise fault from e
        raise DeviceNotUsable(
            f"the device {device!r} cannot be used on this machine ({type(e).__name__}); check the setting "
            "`scoring.device` and the GPU driver"
        ) from e


def computed(work: Callable[[], T]) -> T:
    """What `work` gives; raises DeviceLost and DeviceBusy instead of what torch says of the device.

    No GPU was at hand: how torch says it is taken from its documentation and its source.
    """
    try:
        return work()
    except RuntimeError as e:
        fault = _fault(e)
        if fault is None:
            raise
    # Only here: within the block above the traceback holds all that the failed work had made on the device.
    if isinstance(fault, DeviceBusy):
        torch.cuda.empty_cache()
    raise fault


def _fault(said: Exception) -> DeviceFault | None:
    """What torch says of a device, as ours; None where it speaks of something else."""
    words = str(said).partition("\n")[0]
    of_device = type(said).__name__ == "AcceleratorError" or words.startswith(OF_A_DEVICE)  # torch has it from 2.8 on
    if isinstance(said, torch.OutOfMemoryError) or (of_device and any(full in words for full in FULL)):
        return DeviceBusy("the GPU has not enough free memory; see `nvidia-smi` for what else is on it")
    return DeviceLost(f"the GPU has failed ({words}); see the kernel's log for Xid") if of_device else None
