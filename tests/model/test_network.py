from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from model.accuracy import noise_pictures
from model.domain import STANDARD_VIEWS
from model.network import CumulativeHazard, Mirai, NetworkConfig
from model.release.names import original_key
from tests.model.golden_rules import GOLDEN, golden_network

TINY = NetworkConfig(widths=(4, 4, 8, 8), hidden=8, embedding=2, heads=2)


def tiny_network(seed: int = 0) -> Mirai:
    torch.manual_seed(seed)
    return Mirai(TINY).eval()


def tiny_exams(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 4, 1, 48, 40, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def golden() -> Mirai:
    return golden_network()


@torch.inference_mode()
def test_the_logits_are_those_of_the_original_on_small_pictures(golden: Mirai) -> None:
    logits = golden(noise_pictures("input.small", 256, 208))[0]
    assert logits.tolist() == pytest.approx(GOLDEN["small_256x208_heads8"]["logits"], abs=1e-5)
    assert logits.sigmoid().tolist() == pytest.approx(GOLDEN["small_256x208_heads8"]["probs"], abs=1e-5)


@pytest.mark.slow
@torch.inference_mode()
def test_the_logits_are_those_of_the_original_on_full_size_pictures(golden: Mirai) -> None:
    logits = golden(noise_pictures("input.full", 2048, 1664))[0]
    assert logits.tolist() == pytest.approx(GOLDEN["full_2048x1664_heads8"]["logits"], abs=1e-5)


@torch.inference_mode()
def test_what_the_views_are_pooled_to_is_what_the_original_pools_them_to(golden: Mirai) -> None:
    features = golden.encode(noise_pictures("input.small", 256, 208))
    positions, sides = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[1, 0, 1, 0]])
    pooled = golden.pool(golden.transformer(features, positions, sides))
    expected = GOLDEN["small_256x208_heads8"]["pool_hidden_first16"]
    assert pooled.shape == (1, 612)
    assert pooled[0, :16].tolist() == pytest.approx(expected, abs=1e-5)


def attended(x: NDArray[np.float64], weights: Mapping[str, NDArray[np.float64]], heads: int) -> NDArray[np.float64]:
    """Attention of the views (V, D) among each other, head by head as Vaswani et al. 2017 write it."""

    def linear(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    mixed = []
    for q, k, v in zip(*(np.split(linear(name, x), heads, axis=1) for name in ("query", "key", "value")), strict=True):
        shares = np.exp(q @ k.T / np.sqrt(q.shape[1]))
        mixed.append(shares / shares.sum(axis=1, keepdims=True) @ v)
    return linear("aggregate", np.concatenate(mixed, axis=1))


@pytest.mark.parametrize("heads", [1, 8, 16])
@torch.inference_mode()
def test_every_number_of_heads_attends_as_the_formula_says(heads: int) -> None:
    attention = golden_network(heads=heads).get_submodule("transformer.layers.0.attention")
    weights = {name: tensor.double().numpy() for name, tensor in attention.state_dict().items()}
    views = torch.randn(4, 512, generator=torch.Generator().manual_seed(1))
    expected = attended(views.double().numpy(), weights, heads)
    assert np.abs(attention(views[None])[0].numpy() - expected).max() < 1e-5


@torch.inference_mode()
def test_without_the_relu_after_the_pool_the_logits_are_those_of_that_variant() -> None:
    logits = golden_network(relu_after_pool=False)(noise_pictures("input.small", 256, 208))[0]
    assert logits.tolist() == pytest.approx(GOLDEN["small_256x208_heads8_NO_RELU_variant_logits"], abs=1e-5)


def test_every_parameter_has_a_name_of_its_own_in_the_published_release(golden: Mirai) -> None:
    keys = [original_key(name) for name in golden.state_dict() if not name.endswith("num_batches_tracked")]
    assert len(set(keys)) == len(keys)


@torch.inference_mode()
def test_the_order_of_the_pictures_does_not_matter_when_their_views_are_told(golden: Mirai) -> None:
    pictures = noise_pictures("input.small", 256, 208)
    order = [2, 0, 3, 1]
    features = golden.encode(pictures)
    shuffled = golden.aggregate(features[:, order], [STANDARD_VIEWS[i] for i in order])
    torch.testing.assert_close(shuffled, golden.aggregate(features), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_picture_in_the_place_of_another_view_gives_another_score(golden: Mirai) -> None:
    features = golden.encode(noise_pictures("input.small", 256, 208))
    swapped = golden.aggregate(features[:, [1, 0, 2, 3]])
    assert (swapped - golden.aggregate(features)).abs().max() > 1e-4


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 1000))
def test_the_risk_never_falls_from_one_year_to_the_next(seed: int, scale: float) -> None:
    torch.manual_seed(seed)
    hazard = CumulativeHazard(6)
    with torch.inference_mode():
        logits = hazard(torch.randn(16, 6) * scale)
    assert (logits.diff(dim=1) >= 0).all()


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_logits_of_any_exam_rise_from_year_to_year(seed: int) -> None:
    with torch.inference_mode():
        logits = tiny_network(seed)(tiny_exams(2, seed) * 5)
    assert (logits.diff(dim=1) >= 0).all()


@torch.inference_mode()
def test_the_score_of_an_exam_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    network, exams = tiny_network(), tiny_exams(5)
    together = network(exams)
    alone = torch.cat([network(exam[None]) for exam in exams])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert np.ptp(together[:, -1].numpy()) > 1e-3  # the exams do differ


@pytest.mark.parametrize("sizes", [{"heads": 3}, {"heads": 0}, {"widths": (4, 4, 8)}])
def test_sizes_that_cannot_be_built_are_refused(sizes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="four widths"):
        NetworkConfig(**{"hidden": 8, "widths": (4, 4, 8, 8), **sizes})  # type: ignore[arg-type] # that is the test
