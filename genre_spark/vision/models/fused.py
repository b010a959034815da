"""A network over parts of a movie: features of its poster, its texts and its metadata."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["FusedNetwork", "build_fused"]


class FusedNetwork(nn.Module):
    """Joins parts that may be missing: a hidden layer per part, their mean, and a linear path.

    Inputs are the parts' features side by side, each part about of length 1, and behind them one
    number per part: 1 where it is known, 0 where it is missing. What is missing takes no part in
    the mean, so that the others make up for it. In training known parts are dropped at random, but
    never all of a movie (modality dropout; Neverova et al., ModDrop, 2016).

    Args:
        sizes: number of features of each part.
        labels: number of genres.
        hidden: units of the hidden layer of each part.
        dropout: share of hidden activations dropped in training.
        drop_part: probability that a known part of a movie is dropped in training.
    """

    def __init__(
        self, sizes: Sequence[int], labels: int, *, hidden: int, dropout: float, drop_part: float
    ) -> None:
        super().__init__()
        self.sizes, self.labels, self.hidden = tuple(sizes), labels, hidden
        self.drop_part = drop_part
        self.towers = nn.ModuleList(nn.Linear(size, hidden) for size in sizes)
        self.paths = nn.ModuleList(nn.Linear(size, labels, bias=False) for size in sizes)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, labels)
        for tower, path in zip(self.towers, self.paths, strict=True):
            nn.init.normal_(tower.weight)  # type: ignore[arg-type]  # a row's length is 1
            nn.init.zeros_(tower.bias)  # type: ignore[arg-type]
            nn.init.zeros_(path.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.head.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (N, labels) of inputs (N, features of all parts + parts)."""
        *parts, known = torch.split(inputs, [*self.sizes, len(self.sizes)], dim=1)
        if self.training and self.drop_part > 0:
            known = self._drop(known)
        share = known / known.sum(dim=1, keepdim=True).clamp(min=1.0)
        hidden = inputs.new_zeros(len(inputs), self.hidden)
        linear = inputs.new_zeros(len(inputs), self.labels)
        for number, part in enumerate(parts):
            weight = share[:, number : number + 1]
            hidden = hidden + weight * torch.relu(self.towers[number](part))
            linear = linear + weight * self.paths[number](part)
        logits: Tensor = self.head(self.dropout(hidden)) + len(parts) * linear
        return logits

    def _drop(self, known: Tensor) -> Tensor:
        kept = known * (torch.rand_like(known) >= self.drop_part)
        return torch.where(kept.sum(dim=1, keepdim=True) > 0, kept, known)

    @torch.no_grad()
    def answer_always(self, logits: Tensor) -> None:
        """Set the logits of a movie of which nothing is known, where training begins."""
        self.head.bias.copy_(logits)


def build_fused(
    sizes: Sequence[int],
    labels: int,
    *,
    seed: int,
    hidden: int,
    dropout: float = 0.0,
    drop_part: float = 0.0,
) -> FusedNetwork:
    """Return a network whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FusedNetwork(sizes, labels, hidden=hidden, dropout=dropout, drop_part=drop_part)
