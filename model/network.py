"""The Mirai network: four views through one ResNet-18, a transformer over the four, risk in each of five years.

Yala et al., Toward robust mammography-based models for breast cancer risk, Sci Transl Med 2021. Sizes come from the
checkpoint, so the demo model is the same network, narrower.
B exams, V = 4 views, D hidden width, E embedding width. (`no-any-return`: torch leaves calls of modules untyped.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.domain import STANDARD_VIEWS, YEARS, Laterality, View, ViewPosition

RISK_FACTORS: tuple[tuple[str, int], ...] = (
    ("density", 4),
    ("binary_family_history", 1),
    ("binary_biopsy_benign", 1),
    ("binary_biopsy_LCIS", 1),
    ("binary_biopsy_atypical_hyperplasia", 1),
    ("age", 6),
    ("menarche_age", 5),
    ("menopause_age", 5),
    ("first_pregnancy_age", 6),
    ("prior_hist", 1),
    ("race", 13),
    ("parous", 1),
    ("menopausal_status", 4),
    ("weight", 7),
    ("height", 7),
    ("ovarian_cancer", 1),
    ("ovarian_cancer_age", 6),
    ("ashkenazi", 1),
    ("brca", 4),
    ("mom_bc_cancer_history", 1),
    ("m_aunt_bc_cancer_history", 1),
    ("p_aunt_bc_cancer_history", 1),
    ("m_grandmother_bc_cancer_history", 1),
    ("p_grantmother_bc_cancer_history", 1),  # sic: the release's own key
    ("sister_bc_cancer_history", 1),
    ("mom_oc_cancer_history", 1),
    ("m_aunt_oc_cancer_history", 1),
    ("p_aunt_oc_cancer_history", 1),
    ("m_grandmother_oc_cancer_history", 1),
    ("p_grantmother_oc_cancer_history", 1),
    ("sister_oc_cancer_history", 1),
    ("hrt_type", 3),
    ("hrt_duration", 5),
    ("hrt_years_ago_stopped", 5),
)
"""Factors the network predicts from the images and feeds to its last layer; nothing is asked of the patient."""

VIEW_INDEX = {ViewPosition.CC: 0, ViewPosition.MLO: 1}
SIDE_INDEX = {Laterality.RIGHT: 0, Laterality.LEFT: 1}


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network. The defaults are the published Mirai's."""

    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    hidden: int = 512
    embedding: int = 32
    heads: int = 8
    layers: int = 1
    relu_after_pool: bool = True

    def __post_init__(self) -> None:
        if len(self.widths) != 4 or self.heads < 1 or self.hidden % self.heads:
            raise ValueError(f"four widths and a hidden width that {self.heads} heads divide are needed, got {self!r}")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: (N, inputs, H, W) -> (N, outputs, H/stride, W/stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ImageEncoder(nn.Module):
    """ResNet-18 with a global maximum at its end: pictures (N, 3, H, W) -> (N, widths[-1])."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs = (widths[0], *widths[:-1])
        strides = (1, 2, 2, 2)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(BasicBlock(before, width, stride), BasicBlock(width, width, 1))
                for before, width, stride in zip(inputs, widths, strides, strict=True)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, padding=1)
        x = self.layers(x)
        return torch.amax(x, dim=(2, 3))


class MultiHeadAttention(nn.Module):
    """Self-attention over the views of an exam: (B, V, D) -> (B, V, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.aggregate = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, v, d = x.shape
        q, k, val = (fc(x).view(b, v, self.heads, -1).transpose(1, 2) for fc in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, val)  # (B, heads, V, D / heads)
        return self.aggregate(mixed.transpose(1, 2).reshape(b, v, d))  # type: ignore[no-any-return]


class TransformerLayer(nn.Module):
    """Post-norm: attention, then a two-layer perceptron of the same width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads)
        self.norm_attention = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, width), nn.Linear(width, width)
        self.norm_fc = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm_attention(x + self.attention(x))
        return self.norm_fc(x + self.fc2(F.relu(self.fc1(x))))  # type: ignore[no-any-return]


class ExamTransformer(nn.Module):
    """Views of an exam, told apart by embeddings of position, time and side: (B, V, widths[-1]) -> (B, V, D)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        d, e = config.hidden, config.embedding
        self.projection = nn.Linear(config.widths[-1], d)
        # Rows as in the release: the last of each is its padding, and time is always 0 for a single exam.
        self.view_embedding = nn.Embedding(3, e)
        self.time_embedding = nn.Embedding(11, e)
        self.side_embedding = nn.Embedding(3, e)
        self.scale, self.add = nn.Linear(3 * e, d), nn.Linear(3 * e, d)
        self.layers = nn.Sequential(*(TransformerLayer(d, config.heads) for _ in range(config.layers)))

    def forward(self, x: Tensor, views: Tensor, sides: Tensor) -> Tensor:
        h = self.projection(x)
        times = torch.zeros_like(views)
        e = torch.cat([self.view_embedding(views), self.time_embedding(times), self.side_embedding(sides)], dim=-1)
        return self.layers(self.scale(e) * h + self.add(e))  # type: ignore[no-any-return]


class RiskFactorPool(nn.Module):
    """Maximum over the views, then the risk factors it implies: (B, V, D) -> (B, D + 100)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, n) for _, n in RISK_FACTORS)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x.amax(dim=1)
        logits = [head(hidden) for head in self.heads]
        factors = [F.sigmoid(y) if y.shape[1] == 1 else F.softmax(y, dim=1) for y in logits]
        return torch.cat([hidden, *factors], dim=1)


class CumulativeHazard(nn.Module):
    """Logits that can only rise from year to year: (B, inputs) -> (B, 5)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.hazard = nn.Linear(inputs, len(YEARS))
        self.base = nn.Linear(inputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.relu(self.hazard(x)).cumsum(dim=1)  # type: ignore[no-any-return]


class Mirai(nn.Module):
    """Pictures (B, V, 1, H, W), one exam each row -> logits of the risk within 1 to 5 years (B, 5)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ImageEncoder(config.widths)
        self.transformer = ExamTransformer(config)
        self.pool = RiskFactorPool(config.hidden)
        self.risk = CumulativeHazard(config.hidden + sum(n for _, n in RISK_FACTORS))

    def forward(self, pictures: Tensor, views: Sequence[View] = STANDARD_VIEWS) -> Tensor:
        return self.aggregate(self.encode(pictures), views)

    def encode(self, pictures: Tensor) -> Tensor:
        """Features of every picture by itself: (B, V, 1, H, W) -> (B, V, widths[-1])."""
        b, v = pictures.shape[:2]
        return self.encoder(pictures.flatten(0, 1).expand(-1, 3, -1, -1)).view(b, v, -1)  # type: ignore[no-any-return]

    def aggregate(self, features: Tensor, views: Sequence[View] = STANDARD_VIEWS) -> Tensor:
        """Logits of an exam from the features of its views: (B, V, widths[-1]) -> (B, 5)."""
        shape, device = features.shape[:2], features.device
        positions = torch.tensor([VIEW_INDEX[view.position] for view in views], device=device).expand(shape)
        sides = torch.tensor([SIDE_INDEX[view.laterality] for view in views], device=device).expand(shape)
        pooled = self.pool(self.transformer(features, positions, sides))
        return self.risk(F.relu(pooled) if self.config.relu_after_pool else pooled)  # type: ignore[no-any-return]
