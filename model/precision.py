"""How exactly the network computes. Needs no torch, so that settings can name it."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """float32 is what every model was checked in; the others score patients only after `model.accuracy` has passed.

    TF32 rounds the factors of products to 10 bits and is known to NVIDIA GPUs only: a CPU computes as in float32.
    """

    FLOAT32 = "float32"
    TF32 = "tf32"
    BF16 = "bf16"
