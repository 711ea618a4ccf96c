"""The pickled modules of the Mirai release, read as data -> our network, filled and checked.

Module and attribute names are those of onconet 0.14.1 and of torch.nn.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

import torch
from torch import Tensor, nn

from model.errors import ReleaseRefused
from model.network import RISK_FACTORS, Mirai, NetworkConfig
from model.release.inert_pickle import Inert
from model.release.names import original_key
from model.release.torch_files import TensorView, TorchFile

ENCODER: Final = "image_encoder"
TRANSFORMER: Final = "transformer"

MAX_PARTS: Final = 5000
LONGEST_PATH: Final = 500
MAX_LAYERS: Final = 16
MIRAI: Final = NetworkConfig()
MAX_WIDER: Final = 2
"""How many times as wide as Mirai's a layer may be: it costs the square of that for every exam."""
MAX_NUMBERS: Final = 2**28
"""Ten times those of the release: 1 GiB as float32."""

UNUSED: Final = (
    "image_encoder._model.pool.",
    "image_encoder._model.fc.",
    "image_encoder._model.prob_of_failure_layer.",
    "transformer.kept_images_vec",
    "transformer.mask_embedding.",
    "transformer.pred_masked_img_fc.",
    "transformer.fc.",
    "transformer.prob_of_failure_layer.upper_triagular_mask",
)
"""What the release holds and scoring does not use: heads of the training of the encoder, and of masked views."""


def module_of(file: TorchFile) -> Inert | None:
    """The pickled module, out of {'model': ...} and of DataParallel; None where the file holds something else."""
    found = file.root
    if isinstance(found, dict):
        found = found.get("model")
    if isinstance(found, Inert) and found.name.endswith(".DataParallel"):
        found = children(found).get("module")
    return found if isinstance(found, Inert) and isinstance(_attributes(found).get("_modules"), dict) else None


def children(module: Inert) -> dict[str, Inert]:
    """The submodules by name."""
    modules = _attributes(module).get("_modules")
    if not isinstance(modules, dict):
        raise ReleaseRefused("a module of the release does not list its submodules")
    return {name: child for name, child in modules.items() if isinstance(name, str) and isinstance(child, Inert)}


def _attributes(module: Inert) -> dict[Any, Any]:
    return module.state if isinstance(module.state, dict) else {}


def is_encoder(module: Inert) -> bool:
    """Whether this is the release's image encoder."""
    return "_model" in children(module)


def is_transformer(module: Inert) -> bool:
    """Whether this is the release's transformer over the views."""
    return {"projection_layer", "transformer"} <= set(children(module))


def tensors(module: Inert, prefix: str) -> dict[str, TensorView]:
    """Every parameter and buffer below a module, by its key in the state dict."""
    found: dict[str, TensorView] = {}
    waiting, seen = [(prefix, module)], 0
    while waiting:
        path, part = waiting.pop()
        for table in ("_parameters", "_buffers"):
            entries = _attributes(part).get(table)
            held = entries if isinstance(entries, dict) else {}
            seen += len(held)
            found |= {f"{path}.{name}": view for name, view in held.items() if isinstance(view, TensorView)}
        waiting += [(f"{path}.{name}", child) for name, child in children(part).items()]
        seen += 1
        # A module may hold itself, or one module many times over: without a limit this would not end.
        if seen + len(waiting) > MAX_PARTS or len(path) > LONGEST_PATH:
            raise ReleaseRefused("the release has more modules and weights, or deeper ones, than any Mirai")
    return found


def network_from(encoder: TorchFile, transformer: TorchFile, *, extra_weights: bool = False) -> Mirai:
    """The whole network with the release's weights as float32; raises ReleaseRefused with what does not fit.

    Weights that this network has no place for would make it another one, so only files that are known for certain, by
    their checksums, may have `extra_weights`.
    """
    modules = {ENCODER: _module(encoder, ENCODER), TRANSFORMER: _module(transformer, TRANSFORMER)}
    views = {key: view for name, module in modules.items() for key, view in tensors(module, name).items()}
    config = _config(modules[TRANSFORMER], views)
    with torch.device("meta"):
        network = Mirai(config)
    _check_tables(modules, network)
    _check_risk_factors(modules[TRANSFORMER])
    files = {ENCODER: encoder, TRANSFORMER: transformer}
    keys = _keys(network, views)
    network.load_state_dict({ours: _weight(files, views, key) for ours, key in keys.items()}, assign=True)
    if not extra_weights:
        _check_unused(views, set(keys.values()))
    _fold_mask(network, files[TRANSFORMER], views)
    if not all(tensor.isfinite().all() for tensor in network.state_dict().values()):
        raise ReleaseRefused("the release holds weights that are not finite numbers")
    return network.eval().requires_grad_(False)


def _module(file: TorchFile, name: str) -> Inert:
    module = module_of(file)
    if module is None:
        raise ReleaseRefused(f"the file of the {name} does not hold a torch module")
    return module


def _config(transformer: Inert, views: Mapping[str, TensorView]) -> NetworkConfig:
    """Widths from the shapes; heads, layers and the ReLU from what the modules themselves were made with."""
    layers = _setting(transformer, "transformer", "num_layers")
    heads = _setting(transformer, "transformer.transformer_layer_0.multihead_attention", "num_heads")
    if layers > MAX_LAYERS:
        raise ReleaseRefused(f"the release's transformer has {layers} layers")
    conv = [_size(views, f"image_encoder._model.layer{n}_0.conv1.weight", 4)[0] for n in range(1, 5)]
    hidden = _size(views, "transformer.projection_layer.weight", 2)[0]
    embedding = _size(views, "transformer.transformer.view_embed.weight", 2)[1]
    wide = zip((*conv, hidden, embedding), (*MIRAI.widths, MIRAI.hidden, MIRAI.embedding), strict=True)
    if any(width > MAX_WIDER * mirai for width, mirai in wide):
        raise ReleaseRefused("the release's network is far wider than Mirai")
    try:
        return NetworkConfig((conv[0], conv[1], conv[2], conv[3]), hidden, embedding, heads, layers, _relu(transformer))
    except ValueError as e:
        raise ReleaseRefused(f"the release does not describe a network: {e}") from e


def _setting(root: Inert, path: str, name: str) -> int:
    """A number of the `args` that the module at `path` was made with, or else one of the modules around it."""
    around = [root]
    for part in path.split("."):
        child = children(around[-1]).get(part)
        if child is None:
            raise ReleaseRefused(f"the release has no module transformer.{path}")
        around.append(child)
    for module in reversed(around):
        arguments = _attributes(module).get("args")
        value = _attributes(arguments).get(name) if isinstance(arguments, Inert) else None
        if type(value) is int and value > 0:
            return value
    raise ReleaseRefused(f"the release does not say its {name}, which the weights alone do not show")


def _relu(transformer: Inert) -> bool:
    """Whether `relu` stands after the pool. The original passes over a missing one in silence, and so scores without.

    A table of modules that is missing altogether is refused by `children`.
    """
    relu = children(transformer).get("relu")
    if relu is not None and relu.name != "torch.nn.modules.activation.ReLU":
        raise ReleaseRefused("the release has something other than a ReLU after its pool")
    return relu is not None


def _size(views: Mapping[str, TensorView], key: str, dimensions: int) -> tuple[int, ...]:
    size = views[key].size if key in views else ()
    if not isinstance(size, tuple) or len(size) != dimensions or not all(type(n) is int and n > 0 for n in size):
        raise ReleaseRefused(f"the release has no weight {key} of {dimensions} dimensions")
    return size


def _keys(network: Mirai, views: Mapping[str, TensorView]) -> dict[str, str]:
    """Our names -> the release's keys, every one of them present in the shape that the network has."""
    keys = {}
    for ours, tensor in network.state_dict().items():
        key = original_key(ours)
        # Only training counts batches; torch before 0.4.1 did not.
        if key not in views and ours.endswith("num_batches_tracked"):
            key = ""
        elif key not in views or views[key].size != tuple(tensor.shape):
            raise ReleaseRefused(f"the release has no weight {key} of shape {tuple(tensor.shape)}")
        keys[ours] = key
    if sum(prod(tensor.shape) for tensor in network.state_dict().values()) > MAX_NUMBERS:
        raise ReleaseRefused("the release's network is far larger than Mirai")
    return keys


def _weight(files: Mapping[str, TorchFile], views: Mapping[str, TensorView], key: str) -> Tensor:
    if not key:
        return torch.zeros((), dtype=torch.int64)
    tensor = files[key.partition(".")[0]].tensor(views[key])
    return tensor.float() if tensor.is_floating_point() else tensor


def _check_unused(views: Mapping[str, TensorView], used: set[str]) -> None:
    strange = [key for key in views if key not in used and not key.startswith(UNUSED)]
    if strange:
        raise ReleaseRefused(f"the release has {len(strange)} weights that this network does not have")


def _fold_mask(network: Mirai, file: TorchFile, views: Mapping[str, TensorView]) -> None:
    """The original adds row 1 of its mask embedding to every view that is not masked, before the projection.

    The row is the embedding's padding, and so zero unless someone set it; here it goes into the projection's bias.
    """
    view = views.get("transformer.mask_embedding.weight")
    if view is None:
        return
    mask, projection = file.tensor(view).float(), network.transformer.projection
    if mask.shape != (2, projection.in_features):
        raise ReleaseRefused("the release's mask embedding is not of two rows as wide as its encoder")
    if mask[1].any():
        projection.bias = nn.Parameter(projection.bias + projection.weight @ mask[1])


def _check_tables(modules: Mapping[str, Inert], network: Mirai) -> None:
    """Numbers of a layer that its weights do not show: strides, paddings and the eps of a normalisation."""
    for name, ours in network.named_modules():
        if not isinstance(ours, nn.Conv2d | nn.BatchNorm2d | nn.LayerNorm):
            continue
        key = original_key(f"{name}.weight").removesuffix(".weight")
        top, *path = key.split(".")
        theirs: Inert | None = modules[top]
        for part in path:
            theirs = children(theirs).get(part) if theirs else None
        for attribute in ("stride", "padding", "padding_mode", "dilation", "groups", "eps"):
            said = _attributes(theirs).get(attribute) if theirs else None
            if said is not None and said != getattr(ours, attribute, said):
                raise ReleaseRefused(f"the release's {key} has another {attribute} than this network")


def _check_risk_factors(transformer: Inert) -> None:
    """The heads are concatenated in the order in which they were made, after a maximum over the views."""
    pool = children(transformer).get("pool")
    names = [name for name in children(pool) if name.endswith("_fc")] if pool else []
    if names != [f"{factor}_fc" for factor, _ in RISK_FACTORS]:
        raise ReleaseRefused("the release predicts other risk factors, or in another order")
    inner = children(pool).get("internal_pool") if pool else None
    if inner is not None and not inner.name.endswith(".GlobalMaxPool"):
        raise ReleaseRefused("the release pools the views by something other than the maximum")
