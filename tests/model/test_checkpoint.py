from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from model.card import CARD_NAME, WEIGHTS_NAME
from model.checkpoint import load_network, save_network
from model.errors import CheckpointBroken
from model.network import Mirai
from tests.model.tiny_model import TINY, install_tiny_model, tiny_card

CPU = torch.device("cpu")


def with_weights(folder: Path, weights: bytes, **fields: Any) -> Path:
    """A model whose weights were replaced and whose card agrees with the replacement."""
    install_tiny_model(folder)
    (folder / WEIGHTS_NAME).write_bytes(weights)
    card = json.loads((folder / CARD_NAME).read_text())
    fields = {"weights_sha256": hashlib.sha256(weights).hexdigest(), **fields}
    (folder / CARD_NAME).write_text(json.dumps({**card, **fields}))
    return folder


def test_a_model_comes_back_with_the_weights_that_were_saved(tmp_path: Path) -> None:
    torch.manual_seed(1)
    saved = Mirai(TINY)
    card = save_network(saved, tiny_card(), tmp_path)
    network, read = load_network(tmp_path, CPU)
    assert read == card
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, saved.state_dict()[name]), name


def test_a_loaded_model_only_infers(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    network, _ = load_network(tmp_path, CPU)
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("at", [0, 100, -1])
def test_weights_with_one_byte_altered_are_refused(at: int, tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    weights = bytearray((tmp_path / WEIGHTS_NAME).read_bytes())
    weights[at] ^= 1
    (tmp_path / WEIGHTS_NAME).write_bytes(bytes(weights))
    with pytest.raises(CheckpointBroken, match="SHA-256"):
        load_network(tmp_path, CPU)


def test_weights_that_stop_short_are_refused(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    weights = (tmp_path / WEIGHTS_NAME).read_bytes()
    (tmp_path / WEIGHTS_NAME).write_bytes(weights[:-100])
    with pytest.raises(CheckpointBroken, match="SHA-256"):
        load_network(tmp_path, CPU)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    (tmp_path / WEIGHTS_NAME).unlink()
    with pytest.raises(CheckpointBroken, match=r"model\.safetensors"):
        load_network(tmp_path, CPU)


def test_a_model_made_for_other_pictures_is_refused(tmp_path: Path) -> None:
    install_tiny_model(tmp_path, preprocessing="another-v7")
    with pytest.raises(CheckpointBroken, match="another-v7"):
        load_network(tmp_path, CPU)


@pytest.mark.parametrize(
    "network",
    [
        {"hidden": 16},
        {"hidden": 7},
        {"heads": 3},
        {"layers": 2},
        {"widths": [4, 4, 8]},
        {"widths": 4},
        {"widths": [4, 4, 8, "8"]},
        {"depth": 1},
    ],
)
def test_a_card_that_describes_another_network_is_refused(network: dict[str, Any], tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    weights = (tmp_path / WEIGHTS_NAME).read_bytes()
    sizes = {"widths": [4, 4, 8, 8], "hidden": 8, "embedding": 2, "heads": 2, **network}
    with pytest.raises(CheckpointBroken, match=r"do not fit|does not describe"):
        load_network(with_weights(tmp_path, weights, network=sizes), CPU)


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    state = Mirai(TINY).state_dict()
    state["risk.base.bias"][0] = float("nan")
    with pytest.raises(CheckpointBroken, match="finite"):
        load_network(with_weights(tmp_path, save(state)), CPU)


class _Tripwire:
    """Pickled, it leaves a file behind where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.trace,)


def test_a_pickle_in_the_place_of_the_weights_is_refused_and_never_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pickled = pickle.dumps(_Tripwire(trace))
    with pytest.raises(CheckpointBroken, match="do not fit"):
        load_network(with_weights(tmp_path / "model", pickled), CPU)
    assert not trace.exists()
    pickle.loads(pickled)  # noqa: S301 - shows that the wire would have tripped
    assert trace.exists()
