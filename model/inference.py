"""The network rearranged for inference: the same logits to 1e-5, in about a third of the time and of the memory.

`model.network` stays the readable reference; nothing here is trained or saved.
"""

from __future__ import annotations

import copy
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network import BasicBlock, ImageEncoder, Mirai
from model.processor import Processor

STRIP: Final = 16
"""Rows of the pooled first feature map computed together: some megabytes, which stay near the processor."""


class RiskNetwork:
    """A network on its processor: pictures of exams in, raw risks out. For one thread at a time."""

    def __init__(self, network: Mirai, processor: Processor) -> None:
        self._processor = processor
        self._network = optimised(network, processor.pictures_at_once, processor.encoder_type).to(processor.device)

    @torch.inference_mode()
    def raw_risks(self, exams: Tensor) -> list[tuple[float, ...]]:
        """Five raw risks (fractions) of each exam: pictures (B, 4, 1, H, W) in the order of STANDARD_VIEWS."""
        self._processor.set_rounding()
        raw = torch.sigmoid(self._network(exams.to(self._processor.device))).double().cpu().numpy()
        return [tuple(map(float, row)) for row in raw]


def optimised(network: Mirai, pictures_at_once: int = 1, encoder_type: torch.dtype = torch.float32) -> Mirai:
    """A copy of `network` for inference on its device: (B, V, 1, H, W) -> logits (B, 5), as before.

    More `pictures_at_once` only pays where a single one does not fill the device; memory grows with it. What follows
    the encoder is little work and stays float32.
    """
    fast = copy.deepcopy(network)
    fast.add_module("encoder", FoldedEncoder(network.encoder, pictures_at_once).to(encoder_type))
    return fast.eval().requires_grad_(False)


class FoldedEncoder(nn.Module):
    """The image encoder, BatchNorm folded into its convolutions: (N, 3, H, W) of equal channels -> (N, widths[-1]).

    A few pictures at a time, and of those a few rows: the first feature map of one is 218 MB at full size, and moving
    it through memory takes longer than computing it.
    """

    def __init__(self, encoder: ImageEncoder, pictures_at_once: int) -> None:
        super().__init__()
        self.pictures_at_once = pictures_at_once
        self.stem = _one_channel(_folded(encoder.conv1, encoder.bn1))
        blocks = [block for layer in encoder.layers.children() for block in layer.children()]
        self.blocks = nn.Sequential(*(FoldedBlock(block) for block in blocks if isinstance(block, BasicBlock)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._features(pictures) for pictures in torch.split(x[:, :1], self.pictures_at_once)])

    def _features(self, x: Tensor) -> Tensor:
        x = x.to(self.stem.weight.dtype)
        return torch.amax(self.blocks(F.relu_(self._pooled_stem(x))), dim=(2, 3)).float()

    def _pooled_stem(self, x: Tensor) -> Tensor:
        """Stem and 3x3 maximum of stride 2, strip by strip: (N, 1, H, W) -> (N, widths[0], H/4, W/4)."""
        rows, columns = -(-x.shape[2] // 2), -(-x.shape[3] // 2)
        shape = (len(x), self.stem.out_channels, -(-rows // 2), -(-columns // 2))
        pooled = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        padded = F.pad(x, (0, 0, 3, 3)).contiguous(memory_format=torch.channels_last)
        for top in range(0, shape[2], STRIP):
            bottom, first = min(top + STRIP, shape[2]), max(top - 1, 0)
            seen = padded[:, :, 4 * first : 2 * min(2 * bottom, rows) + 5]
            strip = F.conv2d(seen, self.stem.weight, self.stem.bias, stride=2, padding=(0, 3))
            # One row more than is wanted: the topmost has not seen its upper neighbour.
            pooled[:, :, top:bottom] = _halved(_halved(strip, dim=3), dim=2)[:, :, top - first :]
        return pooled


class FoldedBlock(nn.Module):
    """`BasicBlock` without its BatchNorms, working in place where it can."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.conv1 = _folded(block.conv1, block.bn1)
        self.conv2 = _folded(block.conv2, block.bn2)
        self.shortcut = _folded(*block.shortcut) if len(block.shortcut) else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu_(self.conv1(x)))
        return F.relu_(y.add_(self.shortcut(x)))


def _halved(x: Tensor, dim: int) -> Tensor:
    """Maximum of three neighbours around every second place along one dimension; over both it is the 3x3 pool.

    Torch's own takes twice the time in channels-last order.
    """
    even, odd = _every_second(x, dim, 0), _every_second(x, dim, 1)
    highest = even.contiguous(memory_format=torch.channels_last)
    for neighbours, first in ((odd, 0), (odd.narrow(dim, 0, even.shape[dim] - 1), 1)):
        part = highest.narrow(dim, first, neighbours.shape[dim])
        torch.maximum(part, neighbours, out=part)
    return highest


def _every_second(x: Tensor, dim: int, first: int) -> Tensor:
    return x[:, :, first::2] if dim == 2 else x[:, :, :, first::2]


def _folded(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """One convolution that does what `conv` and then `norm` do in evaluation; folded in float64."""
    if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
        raise TypeError("only a convolution followed by its BatchNorm can be folded")
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("a BatchNorm without running statistics cannot be folded")
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = conv.weight.double() * scale[:, None, None, None]
    return _convolution(conv, weight, norm.bias.double() - norm.running_mean.double() * scale)


def _one_channel(stem: nn.Conv2d) -> nn.Conv2d:
    """The stem for grey pictures: its three kernels always see the same values, so their sum sees them once."""
    bias = stem.bias if stem.bias is not None else torch.zeros_like(stem.weight[:, 0, 0, 0])
    return _convolution(stem, stem.weight.double().sum(dim=1, keepdim=True), bias)


def _convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A float32 channels-last convolution with these weights and the stride and padding of `like`."""
    outputs, inputs, rows, columns = weight.shape
    padding, stride = (int(like.padding[0]), int(like.padding[1])), (like.stride[0], like.stride[1])
    folded = nn.Conv2d(inputs, outputs, (rows, columns), stride, padding, device="meta")
    folded.weight = nn.Parameter(weight.detach().float().contiguous(memory_format=torch.channels_last))
    folded.bias = nn.Parameter(bias.detach().float())
    return folded
