from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.accuracy import noise_pictures
from model.card import DEMO_MODEL
from model.checkpoint import load_network
from model.inference import optimised
from model.network import Mirai, NetworkConfig
from tests.model.golden_rules import GOLDEN, golden_network

TINY = NetworkConfig(widths=(4, 4, 8, 8), hidden=8, embedding=2, heads=2)


def trained_looking(config: NetworkConfig, seed: int = 0) -> Mirai:
    """A network whose BatchNorms have statistics and weights of their own, as after training."""
    torch.manual_seed(seed)
    network = Mirai(config).eval().requires_grad_(False)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.normal_(1, 0.2)
            norm.bias.normal_(0, 0.2)
    return network


def exams(n: int, rows: int = 48, columns: int = 40, seed: int = 0) -> Tensor:
    return torch.randn(n, 4, 1, rows, columns, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def test_the_logits_are_those_of_the_original_on_small_pictures() -> None:
    logits = optimised(golden_network())(noise_pictures("input.small", 256, 208))[0]
    assert logits.tolist() == pytest.approx(GOLDEN["small_256x208_heads8"]["logits"], abs=1e-5)


@torch.inference_mode()
def test_the_variant_without_a_relu_after_the_pool_stays_that_variant() -> None:
    logits = optimised(golden_network(relu_after_pool=False))(noise_pictures("input.small", 256, 208))[0]
    assert logits.tolist() == pytest.approx(GOLDEN["small_256x208_heads8_NO_RELU_variant_logits"], abs=1e-5)


@pytest.mark.slow
@torch.inference_mode()
def test_the_logits_are_those_of_the_original_on_full_size_pictures() -> None:
    logits = optimised(golden_network())(noise_pictures("input.full", 2048, 1664))[0]
    assert logits.tolist() == pytest.approx(GOLDEN["full_2048x1664_heads8"]["logits"], abs=1e-5)


@torch.inference_mode()
def test_the_demo_model_gives_the_logits_of_the_reference() -> None:
    network, card = load_network(DEMO_MODEL, torch.device("cpu"))
    pictures = exams(2, int(card.picture["rows"]), int(card.picture["columns"]))
    torch.testing.assert_close(optimised(network)(pictures), network(pictures), atol=1e-5, rtol=0)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(33, 70),
    columns=st.integers(33, 70),
    pictures_at_once=st.integers(1, 9),
)
@torch.inference_mode()
def test_any_network_and_any_number_of_pictures_at_once_give_the_logits_of_the_reference(
    seed: int, rows: int, columns: int, pictures_at_once: int
) -> None:
    network, pictures = trained_looking(TINY, seed), exams(2, rows, columns, seed)
    fast = optimised(network, pictures_at_once)
    torch.testing.assert_close(fast(pictures), network(pictures), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_every_batchnorm_and_two_channels_of_the_stem_are_gone() -> None:
    fast = optimised(trained_looking(TINY))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    stem = next(module for module in fast.modules() if isinstance(module, nn.Conv2d))
    assert stem.weight.shape == (TINY.widths[0], 1, 7, 7)


@torch.inference_mode()
def test_the_reference_is_left_as_it_was() -> None:
    network, pictures = trained_looking(TINY), exams(1)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    before = network(pictures)
    optimised(network)(pictures)
    assert torch.equal(network(pictures), before)
    assert {name: torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items()} == dict.fromkeys(
        weights, True
    )


@torch.inference_mode()
def test_the_pictures_are_left_as_they_were() -> None:
    fast, pictures = optimised(trained_looking(TINY)), exams(1)
    before = pictures.clone()
    fast(pictures)
    assert torch.equal(pictures, before)


@torch.inference_mode()
def test_an_exam_gets_the_very_same_logits_alone_and_among_others() -> None:
    fast, several = optimised(trained_looking(replace(TINY, widths=(16, 16, 24, 24)))), exams(3)
    together = fast(several)
    alone = torch.cat([fast(exam[None]) for exam in several])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
    assert together[:, -1].std() > 1e-4  # the exams do differ
