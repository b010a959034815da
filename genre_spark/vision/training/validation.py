"""Validation after each epoch: what the curves need.

The stage `evaluate` has the full metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genre_spark.vision.devices import autocast
from genre_spark.vision.feed.protocols import Feed
from genre_spark.vision.training.losses import GenreLoss
from genre_spark.vision.training.processes import ProcessGroup

__all__ = ["Scores", "score"]


@dataclass(frozen=True)
class Scores:
    """Quality of a network on a set of samples, at threshold 0.5.

    Attributes:
        loss: weighted mean of the training loss.
        hamming_loss: share of wrong labels.
        micro_f1: F1 of all labels together; 0 where nothing is predicted and nothing is true.
        macro_f1: mean F1 of the labels, likewise.
    """

    loss: float
    hamming_loss: float
    micro_f1: float
    macro_f1: float


def score(
    network: nn.Module,
    loss: GenreLoss,
    feed: Feed,
    group: ProcessGroup,
    *,
    precision: str,
    weighted: bool,
) -> Scores:
    """Return the scores of one pass over a feed, of which each process takes its share.

    Args:
        network: network, images -> logits.
        loss: loss of the training.
        feed: validation samples.
        group: processes that train together.
        precision: precision of the training.
        weighted: whether samples have their weights in the loss; the other scores count each sample
            once.
    """
    network.eval()
    loss.eval()
    sums: Tensor | None = None
    with torch.inference_mode():
        for batch in feed.epoch(0):
            with autocast(group.device, precision):
                logits = network(batch.images).float()
            weights = batch.weights if weighted else torch.ones_like(batch.weights)
            part = _count(logits, batch.labels, weights, loss)
            sums = part if sums is None else sums + part
    labels = int(group.largest(0 if sums is None else (len(sums) - 3) // 3))
    if sums is None:  # a process without a share
        sums = torch.zeros(3 + 3 * labels, dtype=torch.float64, device=group.device)
    return _summarise(group.total(sums).cpu(), labels)


def _count(logits: Tensor, labels: Tensor, weights: Tensor, loss: GenreLoss) -> Tensor:
    """Return sums of a batch, float64 (3 + 3 L,).

    They are loss, weights and rows, then true positives, predictions and truths of each label.
    """
    counted = weights * loss.counted(labels)
    losses = (loss(logits, labels) * counted).sum()
    predicted, true = logits > 0, labels > 0
    heads = torch.stack([losses, counted.sum(), torch.full_like(losses, len(labels))]).double()
    counts = [(predicted & true).sum(0), predicted.sum(0), true.sum(0)]
    # MPS and some accelerators lack float64, CUDA and CPU have it; sums of millions need it
    return torch.cat([heads, *(count.double() for count in counts)])


def _summarise(sums: Tensor, labels: int) -> Scores:
    loss, weight, rows = sums[:3].tolist()
    hits, predicted, true = sums[3:].view(3, labels)
    # zero where a label is neither predicted nor true, as scikit-learn's zero_division=0
    per_label = 2 * hits / (predicted + true).clamp(min=1)
    wrong = float((predicted + true - 2 * hits).sum())
    return Scores(
        loss=loss / weight if weight else float("nan"),
        hamming_loss=wrong / max(1.0, rows * labels),
        micro_f1=float(2 * hits.sum() / (predicted + true).sum().clamp(min=1)),
        macro_f1=float(per_label.mean()) if labels else 0.0,
    )
