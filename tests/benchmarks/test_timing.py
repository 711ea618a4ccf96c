"""What is counted, and not timed."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.timing import flop, matrix_rate
from model.inference import optimised
from model.network import Mirai, NetworkConfig
from model.preprocessing import PictureFormat


def test_operations_are_multiply_adds_counted_twice() -> None:
    assert flop(nn.Linear(3, 5), (7, 3)) == 2 * 7 * 3 * 5


def test_an_exam_is_985_thousand_million_in_the_published_network_and_944_in_ours() -> None:
    form = PictureFormat()
    shape, network = (1, 4, 1, form.rows, form.columns), Mirai(NetworkConfig()).eval()

    assert [round(flop(one, shape) / 1e9) for one in (network, optimised(network))] == [985, 944]


def test_a_matrix_product_has_a_rate_in_any_number_format() -> None:
    assert matrix_rate(32, rounds=1, kind=torch.bfloat16) > 0
