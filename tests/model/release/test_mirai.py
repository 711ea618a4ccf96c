from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import sys
import zipfile
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from model.accuracy import noise_pictures
from model.calibration import PUBLISHED_MIRAI, Calibration
from model.card import CARD_NAME, ModelCard, read_card
from model.checkpoint import load_network
from model.errors import ReleaseRefused
from model.network import Mirai, NetworkConfig
from model.preprocessing import PictureFormat
from model.release.files import find_release
from model.release.inert_pickle import Budget
from model.release.mirai import import_release
from model.release.modules import UNUSED
from model.release.names import original_key
from model.release.published import PUBLISHED, ROLES
from model.source_attributes import read_source_attributes
from tests.model.golden_rules import GOLDEN, golden_network
from tests.model.release.mirai_files import (
    packed,
    random_network,
    release_modules,
    save_calibrator,
    save_module,
    save_old_calibrator,
    save_release,
)

TINY = NetworkConfig(widths=(4, 4, 8, 8), hidden=16, embedding=2, heads=8)
FORM = PictureFormat(64, 52)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of a tiny network, in the legacy format."""
    return save_release(tmp_path_factory.mktemp("release") / "snapshots", random_network(TINY))


@pytest.fixture
def folder(release: Path, tmp_path: Path) -> Path:
    """A copy of it to alter."""
    return Path(shutil.copytree(release, tmp_path / "snapshots"))


def taken(source: Path, into: Path, **options: Any) -> ModelCard:
    """The card of an import that accepts any checksum."""
    return import_release(source, into.parent, into=into, accept_checksum=True, form=FORM, **options)[0]


@torch.inference_mode()
def logits(network: Mirai) -> torch.Tensor:
    pictures = torch.randn(2, 4, 1, 64, 52, generator=torch.Generator().manual_seed(4))
    return network(pictures)  # type: ignore[no-any-return]


@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
@pytest.mark.parametrize(
    "changes", [{}, {"heads": 16}, {"heads": 1}, {"layers": 2}, {"relu_after_pool": False}], ids=str
)
def test_an_imported_network_gives_the_logits_of_the_original(
    changes: dict[str, Any], zipped: bool, tmp_path: Path
) -> None:
    network = random_network(replace(TINY, **changes))
    card = taken(save_release(tmp_path / "snapshots", network, zipped=zipped), tmp_path / "model")
    imported, read = load_network(tmp_path / "model", torch.device("cpu"))
    assert imported.config == network.config
    assert torch.equal(logits(imported), logits(network))
    assert read == card


@pytest.mark.slow
@torch.inference_mode()
def test_an_imported_network_of_full_width_gives_the_golden_logits(tmp_path: Path) -> None:
    taken(save_release(tmp_path / "snapshots", golden_network()), tmp_path / "model")
    imported, _ = load_network(tmp_path / "model", torch.device("cpu"))
    found = imported(noise_pictures("input.small", 256, 208))[0].tolist()
    assert found == pytest.approx(GOLDEN["small_256x208_heads8"]["logits"], abs=1e-5)


def test_every_key_of_the_release_is_one_of_ours_in_the_same_shape_or_known_to_be_unused() -> None:
    shapes = json.loads((Path(__file__).parent / "golden" / "mirai_state_dict.json").read_text())
    ours = {original_key(name): list(tensor.shape) for name, tensor in Mirai(NetworkConfig()).state_dict().items()}
    assert {key: shape for key, shape in shapes.items() if not key.startswith(UNUSED)} == ours
    assert len(shapes) == 299


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_calibration_is_read_from_the_pickled_coefficients(protocol: int, folder: Path, tmp_path: Path) -> None:
    save_calibrator(folder / "calibrator.p", protocol=protocol)
    calibration = taken(folder, tmp_path / "model").calibration
    for raw in (0.0, 0.185, 1.0):
        expected = PUBLISHED_MIRAI.risks([raw] * 5)
        assert calibration.risks([raw] * 5) == pytest.approx(expected, abs=1e-12)
    assert calibration.version != PUBLISHED_MIRAI.version


def test_an_archive_gives_the_same_model_as_its_folder(release: Path, tmp_path: Path) -> None:
    from_folder = taken(release, tmp_path / "a")
    from_archive = taken(packed(release, tmp_path / "snapshots.zip"), tmp_path / "b")
    assert from_archive.version == from_folder.version
    assert from_archive.self_check == from_folder.self_check


def test_a_module_saved_without_its_wrappers_is_read_too(folder: Path, tmp_path: Path) -> None:
    encoder, transformer = release_modules(random_network(TINY))
    save_module(encoder, folder / "encoder.p", bare=True)
    save_module(transformer, folder / "transformer.p", bare=True, zipped=True)
    taken(folder, tmp_path / "model")
    imported, _ = load_network(tmp_path / "model", torch.device("cpu"))
    assert torch.equal(logits(imported), logits(random_network(TINY)))


def test_weights_of_half_precision_are_read_as_float32(folder: Path, tmp_path: Path) -> None:
    encoder, transformer = release_modules(random_network(TINY).half())
    save_module(encoder, folder / "encoder.p")
    save_module(transformer, folder / "transformer.p")
    taken(folder, tmp_path / "model")
    imported, _ = load_network(tmp_path / "model", torch.device("cpu"))
    assert torch.equal(logits(imported), logits(random_network(TINY).half().float()))


def test_a_vector_that_the_original_adds_to_every_view_is_kept(folder: Path, tmp_path: Path) -> None:
    network = random_network(TINY)
    encoder, transformer = release_modules(network)
    added = torch.linspace(-1, 1, 8)
    transformer.get_parameter("mask_embedding.weight").data[1] = added
    save_module(encoder, folder / "encoder.p")
    save_module(transformer, folder / "transformer.p")
    taken(folder, tmp_path / "model")
    imported, _ = load_network(tmp_path / "model", torch.device("cpu"))
    features = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        assert torch.allclose(imported.aggregate(features), network.aggregate(features + added), atol=1e-5)
        assert not torch.allclose(imported.aggregate(features), network.aggregate(features), atol=1e-3)


class Attack:
    """Runs a command wherever it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])
def test_a_command_hidden_in_a_release_is_never_run(zipped: bool, folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    encoder, transformer = release_modules(random_network(TINY))
    _args(transformer).__dict__["results"] = [Attack(trace), {"deeper": Attack(trace)}]
    encoder.__dict__["hook"] = Attack(trace)
    save_module(encoder, folder / "encoder.p", zipped=zipped)
    save_module(transformer, folder / "transformer.p", zipped=zipped)
    taken(folder, tmp_path / "model")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Attack(trace)))  # noqa: S301 - shows that the wire would have tripped
    assert trace.exists()


def test_a_command_in_the_place_of_a_file_is_refused_and_never_run(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for name in ("encoder.p", "calibrator.p"):
        (folder / name).write_bytes(pickle.dumps(Attack(trace)))
    with pytest.raises(ReleaseRefused, match="no file of the image encoder nor of the calibrator") as refused:
        taken(folder, tmp_path / "model")
    assert not trace.exists()
    for name in ("encoder.p", "calibrator.p"):
        assert f"; '{name}': it holds none of the three" in str(refused.value)
    assert "transformer.p" not in str(refused.value)


def test_nothing_of_the_release_is_imported(release: Path, tmp_path: Path) -> None:
    before = set(sys.modules)
    taken(release, tmp_path / "model")
    assert not [name for name in set(sys.modules) - before if name.startswith(("onconet", "argparse", "os"))]


# Checksums.


def checksums(folder: Path) -> dict[str, str]:
    roles = {"encoder.p": "image encoder", "transformer.p": "transformer", "calibrator.p": "calibrator"}
    return {hashlib.sha256((folder / name).read_bytes()).hexdigest(): role for name, role in roles.items()}


def test_the_published_checksums_are_three() -> None:
    assert sorted(PUBLISHED.values()) == ["calibrator", "image encoder", "transformer"]
    assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in PUBLISHED)


def test_files_of_the_published_checksums_make_the_clinical_model(release: Path, tmp_path: Path) -> None:
    card, into = import_release(release, tmp_path, published=checksums(release), form=FORM)
    assert into == tmp_path / "mirai-v0.8.0"
    assert (card.name, card.clinical, card.banner) == ("mirai-v0.8.0", True, "")
    assert card.calibration == PUBLISHED_MIRAI
    assert {origin["checksum"] for origin in card.training["files"].values()} == {"published"}
    assert read_card(into, published=checksums(release)) == card
    assert read_source_attributes(into, card.name)


@pytest.mark.parametrize("altered", ["encoder.p", "transformer.p", "calibrator.p"])
def test_a_file_of_another_checksum_is_refused_unless_it_is_accepted_and_then_never_clinical(
    altered: str, folder: Path, tmp_path: Path
) -> None:
    published = checksums(folder)
    with (folder / altered).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ReleaseRefused, match="--accept-checksum"):
        import_release(folder, tmp_path / "models", published=published, form=FORM)
    assert not (tmp_path / "models").exists()
    card, into = import_release(folder, tmp_path, published=published, accept_checksum=True, form=FORM)
    assert card.clinical is False
    assert "Not for clinical use" in card.banner
    assert into.name.startswith("mirai-unverified-")
    assert read_source_attributes(into, card.name) == {}
    recorded = {origin["name"]: origin["checksum"] for origin in card.training["files"].values()}
    assert recorded.pop(altered) == "accepted"
    assert set(recorded.values()) == {"published"}
    assert json.loads((into / CARD_NAME).read_text())["training"]["source"].endswith("accepted")


def test_files_of_the_published_checksums_may_hold_weights_that_scoring_does_not_use(
    folder: Path, tmp_path: Path
) -> None:
    encoder, transformer = release_modules(random_network(TINY))
    transformer.add_module("birads_fc", nn.Linear(2, 2))
    save_module(encoder, folder / "encoder.p")
    save_module(transformer, folder / "transformer.p")
    card, _ = import_release(folder, tmp_path / "models", published=checksums(folder), form=FORM)
    assert card.clinical is True


def test_accepting_checksums_where_all_are_published_changes_nothing(release: Path, tmp_path: Path) -> None:
    assert taken(release, tmp_path / "model", published=checksums(release)).clinical is True


def test_our_own_files_are_not_the_published_ones(release: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefused, match="SHA-256"):
        import_release(release, tmp_path, form=FORM)


# What is not there, or not what it should be.


@pytest.mark.parametrize(
    ("missing", "said"),
    [("encoder.p", "image encoder"), ("transformer.p", "transformer"), ("calibrator.p", "calibrator")],
)
def test_a_file_that_is_missing_is_named(missing: str, said: str, folder: Path, tmp_path: Path) -> None:
    (folder / missing).unlink()
    with pytest.raises(ReleaseRefused, match=f"no file of the {said}"):
        taken(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_two_files_for_one_place_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "encoder.p", folder / "encoder (1).p")
    with pytest.raises(ReleaseRefused, match="both hold the image encoder"):
        taken(folder, tmp_path / "model")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("accept", [False, True])
def test_a_calibrator_of_an_older_release_is_refused_with_what_to_download(
    accept: bool, protocol: int, folder: Path, tmp_path: Path
) -> None:
    save_old_calibrator(folder / "calibrator.p", protocol)
    with pytest.raises(ReleaseRefused, match=r"scikit-learn.*snapshots\.zip of Mirai v0\.8\.0"):
        import_release(folder, tmp_path / "models", accept_checksum=accept, form=FORM)


def test_a_calibrator_with_a_curve_that_is_not_a_number_is_refused(folder: Path, tmp_path: Path) -> None:
    calibration = Calibration("odd", PUBLISHED_MIRAI.slopes, PUBLISHED_MIRAI.intercepts)
    object.__setattr__(calibration, "slopes", (*PUBLISHED_MIRAI.slopes[:4], float("nan")))
    save_calibrator(folder / "calibrator.p", calibration)
    with pytest.raises(ReleaseRefused, match="coefficient"):
        taken(folder, tmp_path / "model")


def test_a_calibrator_of_four_years_is_refused(folder: Path, tmp_path: Path) -> None:
    calibration = Calibration("short", PUBLISHED_MIRAI.slopes, PUBLISHED_MIRAI.intercepts)
    object.__setattr__(calibration, "slopes", PUBLISHED_MIRAI.slopes[:4])
    object.__setattr__(calibration, "intercepts", PUBLISHED_MIRAI.intercepts[:4])
    save_calibrator(folder / "calibrator.p", calibration)
    with pytest.raises(ReleaseRefused, match="5 years"):
        taken(folder, tmp_path / "model")


def _args(module: nn.Module) -> Namespace:
    arguments: Namespace = module.get_submodule("transformer").args  # type: ignore[assignment]
    return arguments


def _without(name: str) -> Callable[[nn.Module, nn.Module], None]:
    return lambda _, transformer: delattr(_args(transformer), name)


def _set(name: str, value: Any) -> Callable[[nn.Module, nn.Module], None]:
    return lambda _, transformer: setattr(_args(transformer), name, value)


def _add(to: str, name: str, module: nn.Module) -> Callable[[nn.Module, nn.Module], None]:
    return lambda _, transformer: transformer.get_submodule(to).add_module(name, module)


def _nan(encoder: nn.Module, _: nn.Module) -> None:
    encoder.get_parameter("_model.layer2_0.conv1.weight").data[0, 0, 0, 0] = float("nan")


def _beyond_numbers(_: nn.Module, transformer: nn.Module) -> None:
    transformer.get_parameter("projection_layer.bias").data[:2] = torch.tensor([3e38, -3e38])
    transformer.get_parameter("transformer.embed_scale_fc.weight").data.fill_(1e30)


def _padding(encoder: nn.Module, _: nn.Module) -> None:
    encoder.get_submodule("_model.layer2_0.conv1").padding_mode = "reflect"  # type: ignore[assignment]


def _stride(encoder: nn.Module, _: nn.Module) -> None:
    encoder.get_submodule("_model.layer2_0.conv1").stride = (1, 1)  # type: ignore[assignment]


def _eps(_: nn.Module, transformer: nn.Module) -> None:
    transformer.get_submodule("transformer.transformer_layer_0.layernorm_fc").eps = 1e-3  # type: ignore[assignment]


def _reordered(_: nn.Module, transformer: nn.Module) -> None:
    heads = transformer.get_submodule("pool")._modules
    heads["parous_fc"] = heads.pop("parous_fc")


def _block(encoder: nn.Module, _: nn.Module) -> None:
    resnet = encoder.get_submodule("_model")
    resnet.add_module("layer1_2", nn.Conv2d(4, 4, 3))


def _average(_: nn.Module, transformer: nn.Module) -> None:
    inner = transformer.get_submodule("pool.internal_pool")
    inner.__class__ = type("GlobalAvgPool", (nn.Module,), {"__module__": "onconet.models.pools.avg_pool"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("num_heads"), "num_heads"),
        (_without("num_layers"), "num_layers"),
        (_set("num_heads", "8"), "num_heads"),
        (_set("num_heads", 0), "num_heads"),
        (_set("num_heads", 3), "describe a network"),
        (_set("num_heads", True), "num_heads"),
        (_set("num_layers", 2), "no weight"),
        (_set("num_layers", 10**9), "layers"),
        (_add("", "relu", nn.Sigmoid()), "ReLU"),
        (_add("", "birads_fc", nn.Linear(2, 2)), "does not have"),
        (_add("transformer", "transformer_layer_1", nn.Linear(2, 2)), "does not have"),
        (_add("transformer", "view_embed", nn.Embedding(4, 2)), "view_embed"),
        (_add("", "projection_layer", nn.Linear(8, 16, bias=False)), r"projection_layer\.bias"),
        (_nan, "finite"),
        (_beyond_numbers, "no risks"),
        (_stride, "stride"),
        (_padding, "padding_mode"),
        (_eps, "eps"),
        (_add("", "mask_embedding", nn.Embedding(2, 5)), "mask embedding"),
        (_reordered, "order"),
        (_block, "does not have"),
        (_average, "maximum"),
    ],
    ids=range(22),
)
def test_a_network_that_is_not_mirai_is_refused(
    change: Callable[[nn.Module, nn.Module], None], said: str, folder: Path, tmp_path: Path
) -> None:
    encoder, transformer = release_modules(random_network(TINY))
    change(encoder, transformer)
    save_module(encoder, folder / "encoder.p")
    save_module(transformer, folder / "transformer.p")
    with pytest.raises(ReleaseRefused, match=said):
        taken(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "changes", [{"widths": (129, 4, 8, 8)}, {"widths": (4, 4, 8, 1025)}, {"hidden": 1032}, {"embedding": 65}], ids=str
)
def test_a_network_that_is_far_wider_than_mirai_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    source = save_release(tmp_path / "snapshots", random_network(replace(TINY, **changes)))
    with pytest.raises(ReleaseRefused, match="far wider"):
        taken(source, tmp_path / "model")


def test_a_module_that_holds_itself_is_refused(folder: Path, tmp_path: Path) -> None:
    encoder, transformer = release_modules(random_network(TINY))
    save_module(encoder, folder / "encoder.p")
    transformer.get_submodule("dropout")._modules["again"] = transformer
    save_module(transformer, folder / "transformer.p")
    with pytest.raises(ReleaseRefused, match="deeper"):
        taken(folder, tmp_path / "model")


# Sources that are not a release.


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "snapshots.zip").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ReleaseRefused, match="not a readable folder or zip archive"):
        taken(tmp_path / "snapshots.zip", tmp_path / "model")


def test_an_entry_that_expands_beyond_all_bounds_is_not_read(release: Path, tmp_path: Path) -> None:
    archive = packed(release, tmp_path / "snapshots.zip")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened, opened.open("bomb.p", "w") as entry:
        for _ in range(2**5 + 1):
            entry.write(b"\x80" + bytes(2**24 - 1))
    assert archive.stat().st_size < 10_000_000
    assert taken(archive, tmp_path / "model").clinical is False


def test_a_folder_of_very_many_files_is_not_searched(folder: Path, tmp_path: Path) -> None:
    for number in range(30):
        (folder / f"{number}.txt").write_text("")
    with pytest.raises(ReleaseRefused, match="at most 30 files"):
        taken(folder, tmp_path / "model")


def test_files_of_very_many_bytes_together_are_not_read(folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        with (folder / f"{number}.p").open("wb") as file:
            file.write(b"\x80")
            file.truncate(2**29 - 2**20 * number)
    with pytest.raises(ReleaseRefused, match="at most 1024 MiB"):
        taken(folder, tmp_path / "model")
    (folder / "2.p").write_bytes(b"not a model" + bytes(2**20))
    (folder / "1.p").write_bytes(b"\x80")
    assert find_release(folder, accept_checksum=True).keys() == set(ROLES)


def test_the_pickles_of_all_files_have_one_budget(folder: Path) -> None:
    (folder / "0.p").write_bytes(b"\x80\x02" + b"N0" * 5000 + b"N.")
    budget = Budget(100_000)
    found = find_release(folder, accept_checksum=True, budget=budget)
    assert all(file.content for file in found.values())
    used = 100_000 - budget.left
    assert used > 10_000
    assert find_release(folder, accept_checksum=True, budget=Budget(used))
    with pytest.raises(ReleaseRefused, match="more instructions"):
        find_release(folder, accept_checksum=True, budget=Budget(used - 1))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_entry_of_an_archive_is_refused(method: int, release: Path, tmp_path: Path) -> None:
    archive = tmp_path / "snapshots.zip"
    with zipfile.ZipFile(archive, "w", method) as opened:
        opened.write(release / "transformer.p", "transformer.p")
    data = bytearray(archive.read_bytes())
    data[200:260] = bytes(byte ^ 0xA5 for byte in data[200:260])
    archive.write_bytes(data)
    with pytest.raises(ReleaseRefused, match="cannot be read"):
        taken(archive, tmp_path / "model")


def test_an_exam_that_this_machine_has_no_memory_for_is_no_promise(release: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefused, match="cannot score the built-in exam"):
        import_release(release, tmp_path, accept_checksum=True, form=PictureFormat(2**23, 2**23))
    assert not list(tmp_path.iterdir())


def test_an_installed_model_is_never_written_over(release: Path, tmp_path: Path) -> None:
    taken(release, tmp_path / "model")
    before = (tmp_path / "model" / CARD_NAME).read_bytes()
    with pytest.raises(ReleaseRefused, match="exists already"):
        taken(release, tmp_path / "model")
    assert (tmp_path / "model" / CARD_NAME).read_bytes() == before


def test_nothing_unfinished_is_left_behind(release: Path, tmp_path: Path) -> None:
    taken(release, tmp_path / "models" / "model")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["model"]
