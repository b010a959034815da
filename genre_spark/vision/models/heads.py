"""The head of pretrained networks: linear, or a small perceptron."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Root(nn.Module):
    """The square root of features that are 0 or more, which evens out their long tails (after Arandjelovic, 2012)."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, D) to (N, D); the small addition keeps the slope at 0 finite."""
        return torch.sqrt(features.clamp(min=0) + 1e-4)


def small_head(features: int, labels: int, dropout: float, hidden: int) -> nn.Module:
    """Return dropout and a linear layer, with a ReLU layer of `hidden` units between when it is not 0.

    Roots and batch normalisation first (without scale and shift, which the linear layer has):
    features of different networks have different scales, and one learning rate then fits all.
    """
    layers: list[nn.Module] = [Root(), nn.BatchNorm1d(features, affine=False), nn.Dropout(dropout)]
    if hidden:
        layers += [nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout)]
        features = hidden
    last = nn.Linear(features, labels)
    # from 0 the loss falls from that of the genres' frequencies, where the bias starts
    # (`answer_always`); from random weights over a thousand features it has to come down from far
    # above first, and what is left of the noise overfits
    nn.init.zeros_(last.weight)
    return nn.Sequential(*layers, last)
