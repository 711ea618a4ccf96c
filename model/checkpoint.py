"""Weights as safetensors beside a model card: verified by checksum, loaded once, never a pickle."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from model.card import WEIGHTS_NAME, ModelCard, read_card, write_card
from model.errors import CheckpointBroken
from model.network import Mirai, NetworkConfig
from model.preprocessing import VERSION


def load_network(folder: Path, device: torch.device) -> tuple[Mirai, ModelCard]:
    """The network of the model in `folder`, ready to infer on `device`; raises CheckpointBroken."""
    card = read_card(folder)
    if card.preprocessing != VERSION:
        raise CheckpointBroken(f"{card.name!r} was made for preprocessing {card.preprocessing!r}, this is {VERSION!r}")
    weights = _verified_weights(folder, card)
    try:
        network = Mirai(NetworkConfig(**card.network))
        network.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError, TypeError, ValueError) as e:
        raise CheckpointBroken(f"the weights of {card.name!r} do not fit the network that its card describes") from e
    # Not a number would pass the checksum and come out as no score at all for every exam of the site.
    if not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
        raise CheckpointBroken(f"the weights of {card.name!r} hold values that are not finite numbers")
    return network.to(device).eval().requires_grad_(False), card


def _verified_weights(folder: Path, card: ModelCard) -> bytes:
    try:
        weights = (folder / WEIGHTS_NAME).read_bytes()
    except OSError as e:
        raise CheckpointBroken(f"{WEIGHTS_NAME} of {card.name!r} cannot be read: {type(e).__name__}") from e
    found = hashlib.sha256(weights).hexdigest()
    if found != card.weights_sha256:
        raise CheckpointBroken(
            f"the weights of {card.name!r} have SHA-256 {found[:12]}..., its card says {card.weights_sha256[:12]}...; "
            "install the model again"
        )
    return weights


def save_network(network: Mirai, card: ModelCard, folder: Path) -> ModelCard:
    """Write weights and card; returns the card with the checksum of what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    (folder / WEIGHTS_NAME).write_bytes(weights)
    card = replace(card, weights_sha256=hashlib.sha256(weights).hexdigest())
    write_card(card, folder)
    return card
