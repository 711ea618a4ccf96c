"""Our names of the network's parameters -> the keys of the published Mirai release (onconet 0.14.1)."""

from __future__ import annotations

from typing import Final

from model.network import RISK_FACTORS


def original_key(ours: str) -> str:
    """Our parameter's name -> the key of the published release, after `image_encoder.` or `transformer.`."""
    part, _, rest = ours.partition(".")
    return {"encoder": _encoder_key, "transformer": _transformer_key, "pool": _pool_key, "risk": _risk_key}[part](rest)


def _encoder_key(rest: str) -> str:
    if not rest.startswith("layers."):
        return f"image_encoder._model.downsampler.{rest}"
    _, layer, block, name = rest.split(".", 3)
    return f"image_encoder._model.layer{int(layer) + 1}_{block}.{name.replace('shortcut', 'downsample')}"


_TRANSFORMER: Final = {
    "projection": "projection_layer",
    "view_embedding": "transformer.view_embed",
    "time_embedding": "transformer.time_embed",
    "side_embedding": "transformer.side_embed",
    "scale": "transformer.embed_scale_fc",
    "add": "transformer.embed_add_fc",
}
_TRANSFORMER_LAYER: Final = (
    ("attention.aggregate", "multihead_attention.aggregate_fc"),
    ("norm_attention", "layernorm_attn"),
    ("norm_fc", "layernorm_fc"),
    ("attention.", "multihead_attention."),
)
"""Beginnings of names, the first that fits."""


def _transformer_key(rest: str) -> str:
    module, _, name = rest.partition(".")
    if module != "layers":
        return f"transformer.{_TRANSFORMER[module]}.{name}"
    number, _, name = name.partition(".")
    ours, theirs = next((pair for pair in _TRANSFORMER_LAYER if name.startswith(pair[0])), ("", ""))
    return f"transformer.transformer.transformer_layer_{number}.{theirs}{name.removeprefix(ours)}"


def _pool_key(rest: str) -> str:
    _, number, name = rest.split(".")
    return f"transformer.pool.{RISK_FACTORS[int(number)][0]}_fc.{name}"


def _risk_key(rest: str) -> str:
    module, name = rest.split(".")
    names = {"hazard": "hazard_fc", "base": "base_hazard_fc"}
    return f"transformer.prob_of_failure_layer.{names[module]}.{name}"
