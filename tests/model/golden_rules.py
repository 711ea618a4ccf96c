"""The deterministic weights and pictures behind `golden/mirai.json`, which hold the original model's answers.

Its inputs come from `model.accuracy.noise_pictures`.
Recorded from the original code (onconet 0.14.1, torch 2.13.0 CPU, NumPy 1.26.4, Pillow 9.5.0).
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network import Mirai, NetworkConfig
from model.release.names import original_key

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "mirai.json").read_text())


def golden_network(heads: int = 8, relu_after_pool: bool = True) -> Mirai:
    """The network filled with the weights that the golden logits were computed with."""
    network = Mirai(NetworkConfig(heads=heads, relu_after_pool=relu_after_pool))
    state = network.state_dict()
    for ours in state:
        if not ours.endswith("num_batches_tracked"):
            state[ours] = _weight(original_key(ours), tuple(state[ours].shape))
    network.load_state_dict(state)
    return network.eval()


def golden_mammogram(rows: int, columns: int, side: str) -> NDArray[np.uint16]:
    """A breast-shaped integer pattern, (rows, columns), 12 bits."""
    r, c = np.mgrid[0:rows, 0:columns].astype(np.int64)
    depth = c if side == "L" else columns - 1 - c
    values = (r * 37 + depth * 101 + (r * depth) % 977) % 3000 + 500
    inside = 4 * depth**2 + (r - rows // 2) ** 2 < rows**2 // 5
    return np.where(inside, values, 0).astype(np.uint16)


def _weight(key: str, shape: tuple[int, ...]) -> Tensor:
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    weight = _scaled(key, z)
    if key.rsplit(".", 2)[-2] in {"time_embed", "view_embed", "side_embed"}:
        weight[-1] = 0
    return torch.from_numpy(weight.astype(np.float32))


def _scaled(key: str, z: NDArray[np.float64]) -> NDArray[np.float64]:
    if key.endswith("running_var"):
        return 1 + 0.1 * np.abs(z)
    if key.endswith("running_mean"):
        return 0.1 * z
    if z.ndim == 1 and key.endswith("weight"):
        return 1 + 0.1 * z
    if key.endswith("bias"):
        return 0.05 * z
    if key.endswith("embed.weight"):
        return z
    if z.ndim == 4:
        return np.asarray(z * np.sqrt(2 / (z.shape[1] * z.shape[2] * z.shape[3])))
    return np.asarray(z / np.sqrt(z.shape[1]))
