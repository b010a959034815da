"""The head of pretrained networks: linear, or a small perceptron."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Root", "small_head"]


class Root(nn.Module):
    """The square root of features that are 0 or more (after Arandjelovic and Zisserman, 2012).

    It evens out their long tails.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, D) to (N, D); the small addition keeps the slope at 0 finite."""
        return torch.sqrt(features.clamp(min=0) + 1e-4)


def small_head(features: int, labels: int, dropout: float, hidden: int) -> nn.Module:
    """Return dropout and a linear layer, with a ReLU layer of `hidden` units between if not 0.

    Roots and batch normalisation come first (without scale and shift, which the linear layer has):
    features of different networks have different scales, and one learning rate then fits all.
    """
    layers: list[nn.Module] = [Root(), nn.BatchNorm1d(features, affine=False), nn.Dropout(dropout)]
    if hidden:
        layers += [nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout)]
        features = hidden
    last = nn.Linear(features, labels)
    # with weights of 0 the loss starts at that of the genres' frequencies, where the bias starts
    # (`answer_always`); with random weights of a thousand features it starts far above, and what is
    # left of the noise overfits
    nn.init.zeros_(last.weight)
    return nn.Sequential(*layers, last)
