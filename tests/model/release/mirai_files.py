"""Files as the published Mirai release has them, of a network of any size: whole modules, saved by torch.save.

The classes stand under the release's names only while a file is written, and only in this process.
"""

from __future__ import annotations

import pickle
import sys
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from model.calibration import PUBLISHED_MIRAI, Calibration
from model.network import RISK_FACTORS, Mirai, NetworkConfig
from model.release.names import original_key

CLASSES = {
    "CustomResnet": "onconet.models.custom_resnet",
    "ResNet": "onconet.models.resnet_base",
    "Downsampler": "onconet.models.resnet_base",
    "BasicBlock": "onconet.models.blocks.basic_block",
    "RiskFactorPool": "onconet.models.pools.risk_factor_pool",
    "GlobalMaxPool": "onconet.models.pools.max_pool",
    "GlobalAvgPool": "onconet.models.pools.avg_pool",
    "Cumulative_Probability_Layer": "onconet.models.cumulative_probability_layer",
    "AllImageTransformer": "onconet.models.hiddens_transfomer",
    "Transformer": "onconet.models.hiddens_transfomer",
    "TransformerLayer": "onconet.models.hiddens_transfomer",
    "MultiHead_Attention": "onconet.models.hiddens_transfomer",
}
_BY_PLACE = {
    "_model": "ResNet",
    "downsampler": "Downsampler",
    "layer": "BasicBlock",
    "pool": "RiskFactorPool",
    "internal_pool": "GlobalMaxPool",
    "prob_of_failure_layer": "Cumulative_Probability_Layer",
    "transformer": "Transformer",
    "transformer_layer": "TransformerLayer",
    "multihead_attention": "MultiHead_Attention",
}


class MiraiCalibrator:
    """One year's curve with the attributes of the release's class."""

    def __init__(self, slope: float, intercept: float) -> None:
        # As scikit-learn left them: the slope an array of one, the others NumPy scalars or floats.
        self.base_estimator_slope = np.array([-slope / 2.0])
        self.base_estimator_offset = np.float64(0.25)
        self.calibrator_slope = 2.0
        self.calibrator_offset = np.float64(-intercept - 0.5)


def random_network(config: NetworkConfig, seed: int = 3) -> Mirai:
    """A network with weights that make every part of it matter, running statistics included."""
    torch.manual_seed(seed)
    network = Mirai(config).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0.0, 0.3)
    return network


def release_modules(network: Mirai) -> tuple[nn.Module, nn.Module]:
    """The release's image encoder and transformer with the weights of `network`, and what else the release holds."""
    config = network.config
    roots = {"image_encoder": _named("CustomResnet"), "transformer": _named("AllImageTransformer")}
    args = Namespace(num_heads=config.heads, num_layers=config.layers, hidden_dim=config.hidden, img_mean=[7047.99])
    for name, module in network.named_modules():
        if not list(module.children()) and list(module.state_dict()):
            _place(roots, original_key(f"{name}.weight").removesuffix(".weight"), module)
    for root in roots.values():
        for part in root.modules():
            if type(part).__module__.startswith("onconet"):
                part.__dict__["args"] = args
    _add_the_unused(roots, config)
    return roots["image_encoder"], roots["transformer"]


def _add_the_unused(roots: dict[str, nn.Module], config: NetworkConfig) -> None:
    transformer, resnet = roots["transformer"], roots["image_encoder"].get_submodule("_model")
    if config.relu_after_pool:
        transformer.add_module("relu", nn.ReLU())
    transformer.add_module("dropout", nn.Dropout(0.1))
    transformer.add_module("fc", nn.Linear(config.hidden, 2))
    transformer.add_module("mask_embedding", nn.Embedding(2, config.widths[-1], padding_idx=1))
    transformer.register_parameter("kept_images_vec", nn.Parameter(torch.ones(1, 4, 1), requires_grad=False))
    mask = torch.triu(torch.ones(5, 5))
    layer = transformer.get_submodule("prob_of_failure_layer")
    layer.register_parameter("upper_triagular_mask", nn.Parameter(mask, requires_grad=False))
    transformer.get_submodule("pool").add_module("internal_pool", _named("GlobalMaxPool"))
    resnet.add_module("fc", nn.Linear(config.widths[-1], 2))
    resnet.add_module("pool", _named("RiskFactorPool"))
    for factor, size in RISK_FACTORS:
        resnet.get_submodule("pool").add_module(f"{factor}_fc", nn.Linear(config.widths[-1], size))


def _place(roots: dict[str, nn.Module], key: str, module: nn.Module) -> None:
    top, *path, last = key.split(".")
    parent = roots[top]
    for part in path:
        if part not in dict(parent.named_children()):
            kind = _BY_PLACE.get(part) or _BY_PLACE.get(part.rsplit("_", 1)[0]) or _BY_PLACE.get(part[:5])
            parent.add_module(part, _named(kind) if kind else nn.Sequential())
        parent = parent.get_submodule(part)
    parent.add_module(last, module)


def _named(name: str) -> nn.Module:
    module: nn.Module = type(name, (nn.Module,), {"__module__": CLASSES[name]})()
    return module


@contextmanager
def _importable(*objects: object) -> Iterator[None]:
    """While a file is written its classes must be found under their names; afterwards nothing of them is left."""
    classes = {type(part) for obj in objects for part in (obj.modules() if isinstance(obj, nn.Module) else [obj])}
    ours = [cls for cls in classes if cls.__module__.startswith(("onconet", "sklearn"))]
    before = dict(sys.modules)
    try:
        for cls in ours:
            for name in _packages(cls.__module__):
                sys.modules.setdefault(name, ModuleType(name))
            setattr(sys.modules[cls.__module__], cls.__name__, cls)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch has no source to save with these classes
            yield
    finally:
        for name in set(sys.modules) - set(before):
            if name.startswith(("onconet", "sklearn")):
                del sys.modules[name]


def _packages(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def save_module(module: nn.Module, file: Path, *, zipped: bool = False, bare: bool = False) -> None:
    """Save as the release does: {'model': DataParallel(module)}, or the module alone."""
    _share_classes(module)
    saved: Any = module if bare else {"model": nn.DataParallel(module)}
    with _importable(module):
        torch.save(saved, file, _use_new_zipfile_serialization=zipped)


def _share_classes(module: nn.Module) -> None:
    """One class for each name: every `_named` makes its own."""
    first: dict[str, type[nn.Module]] = {}
    for part in module.modules():
        if type(part).__module__.startswith("onconet"):
            part.__class__ = first.setdefault(type(part).__name__, type(part))


def save_calibrator(file: Path, calibration: Calibration = PUBLISHED_MIRAI, protocol: int = 4) -> None:
    """The release's calibrator: {0: MiraiCalibrator, ... 4: MiraiCalibrator}."""
    cls = type("MiraiCalibrator", (MiraiCalibrator,), {"__module__": "onconet.models.calibrator"})
    curves = zip(calibration.slopes, calibration.intercepts, strict=True)
    years = {year: cls(slope, intercept) for year, (slope, intercept) in enumerate(curves)}
    with _importable(*years.values()):
        file.write_bytes(pickle.dumps(years, protocol))


def save_old_calibrator(file: Path, protocol: int = 4) -> None:
    """A calibrator of an older release: a scikit-learn object for every year."""
    cls = type("CalibratedClassifierCV", (), {"__module__": "sklearn.calibration"})
    years = {year: cls() for year in range(5)}
    with _importable(*years.values()):
        file.write_bytes(pickle.dumps(years, protocol))


def save_release(folder: Path, network: Mirai, *, zipped: bool = False) -> Path:
    """The three files below names of the release's kind."""
    folder.mkdir(parents=True)
    encoder, transformer = release_modules(network)
    save_module(encoder, folder / "encoder.p", zipped=zipped)
    save_module(transformer, folder / "transformer.p", zipped=zipped)
    save_calibrator(folder / "calibrator.p")
    (folder / "README.txt").write_text("Not one of the three.")
    return folder


def packed(folder: Path, file: Path) -> Path:
    """The folder as one zip archive, as snapshots.zip has it."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, Path("snapshots") / path.relative_to(folder))
    return file
