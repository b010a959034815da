"""Losses over many labels a row, on logits; each gives one value a sample, weighting and averaging are the loop's."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genre_spark.errors import InvalidConfigError

__all__ = ["AsymmetricLoss", "BinaryCrossEntropy", "BpmllLoss", "GenreLoss", "build_loss", "positive_weights"]


class GenreLoss(nn.Module):
    """Base of the losses: logits, labels (N, L) -> one value a sample (N,)."""

    def counted(self, labels: Tensor) -> Tensor:
        """Return 1 for the samples that the loss is defined for, else 0; float (N,)."""
        return torch.ones(len(labels), device=labels.device)


class BinaryCrossEntropy(GenreLoss):
    """Binary cross-entropy with the sigmoid inside (no softmax, no sigmoid before it), mean over the labels.

    Args:
        positive: weight of a positive per label (L,); None: 1.
    """

    positive: Tensor | None

    def __init__(self, positive: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("positive", positive)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over labels, (N,)."""
        losses = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=self.positive, reduction="none")
        return losses.mean(dim=1)


class AsymmetricLoss(GenreLoss):
    """Focuses on positives: easy negatives count less, very easy ones not at all (Ben-Baruch et al., 2021).

    Args:
        negative_focus: exponent of p on the negatives.
        positive_focus: exponent of 1 - p on the positives.
        margin: probability that is subtracted from the negatives' p, not below 0.
    """

    def __init__(self, negative_focus: float = 4.0, positive_focus: float = 1.0, margin: float = 0.05) -> None:
        super().__init__()
        self.negative_focus, self.positive_focus, self.margin = negative_focus, positive_focus, margin

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over labels, (N,)."""
        probability = torch.sigmoid(logits)
        shifted = (probability - self.margin).clamp(min=0)
        # 1 - shifted >= margin; at margin 0 the logarithm needs a floor
        of_negatives = torch.log((1 - shifted).clamp(min=1e-8)) * shifted**self.negative_focus
        of_positives = F.logsigmoid(logits) * (1 - probability) ** self.positive_focus
        return -(labels * of_positives + (1 - labels) * of_negatives).mean(dim=1)


class BpmllLoss(GenreLoss):
    """BPMLL: every label of a sample should score above every other label (Zhang and Zhou, 2006).

    A sample's loss is the mean of exp(-(c_k - c_l)) over its labels k and the other labels l. Samples with no label or
    with all labels have no pair and do not count. The sum over pairs is the product of two sums, so it takes L steps
    and not L^2; each is taken relative to its largest term. The exponent of a whole sample is bounded: beyond
    `limit` the loss goes on along its tangent, so that it stays finite and so does its gradient.

    Args:
        limit: logarithm of a sample's loss from which on it is linear.
    """

    def __init__(self, limit: float = 15.0) -> None:
        super().__init__()
        self.limit = limit

    def counted(self, labels: Tensor) -> Tensor:
        """Return 1 for samples with some labels but not all, else 0."""
        positives = labels.sum(dim=1)
        return ((positives > 0) & (positives < labels.shape[1])).to(labels.dtype)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return one value a sample, 0 where it has no pair."""
        counted = self.counted(labels) > 0
        on, chosen = (labels > 0)[counted], logits[counted]
        least = torch.finfo(logits.dtype).min
        positive = torch.logsumexp((-chosen).masked_fill(~on, least), dim=1) - on.sum(1).to(logits.dtype).log()
        negative = torch.logsumexp(chosen.masked_fill(on, least), dim=1) - (~on).sum(1).to(logits.dtype).log()
        exponent = positive + negative
        bounded = exponent.clamp(max=self.limit)
        values = bounded.exp() * (1 + exponent - bounded)
        return torch.zeros(len(logits), dtype=values.dtype, device=logits.device).masked_scatter(counted, values)


def positive_weights(counts: Tensor, rows: int, *, limit: float) -> Tensor:
    """Return the weight of a positive per label: negatives / positives, at most `limit`; (L,).

    Args:
        counts: positives per label in the training samples, (L,).
        rows: training samples.
        limit: bound for labels that are rare or absent.
    """
    positives = counts.to(torch.float32)
    return ((rows - positives) / positives.clamp(min=1)).clamp(min=1e-3, max=limit)


def build_loss(name: str, *, positive: Tensor | None = None) -> GenreLoss:
    """Return a loss by name; `positive` is used by bce_positive alone.

    Raises:
        InvalidConfigError: there is none of that name; the text lists the known ones.
    """
    known: dict[str, Callable[[], GenreLoss]] = {
        "asymmetric": AsymmetricLoss,
        "bce": BinaryCrossEntropy,
        "bce_positive": lambda: BinaryCrossEntropy(positive),
        "bpmll": BpmllLoss,
    }
    if name not in known:
        raise InvalidConfigError(f"cnn.loss: {name!r}, expected one of {', '.join(known)}")
    return known[name]()
