"""Losses over several labels per row, on logits.

Each gives one value per sample; the training loop weights and averages them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genre_spark.errors import InvalidConfigError
from genre_spark.vision.plans.sample_facts import LabelWeights

__all__ = [
    "AsymmetricLoss",
    "BinaryCrossEntropy",
    "BpmllLoss",
    "GenreLoss",
    "LabelLoss",
    "build_loss",
    "positive_weights",
]


class GenreLoss(nn.Module):
    """Base of the losses: logits and labels (N, L) -> one value per sample (N,)."""

    def counted(self, labels: Tensor) -> Tensor:
        """Return 1 where the loss of a sample is defined, else 0; float (N,)."""
        return torch.ones(len(labels), device=labels.device)

    def best_constant(self, rates: Tensor) -> Tensor:
        """Return the logits with the lowest loss among those that are the same for all samples.

        Args:
            rates: share of the samples that have each label, 0..1 exclusive, (L,).
        """
        return torch.logit(rates)


class LabelLoss(GenreLoss):
    """Base of the losses that are a mean over labels, each of which may have a weight.

    With a negative rate, a training step sees only a random share of a label's negatives, each
    weighted by 1 / rate: the expected loss is the same. Validation sees them all.

    Args:
        weights: weights of the labels; None: all 1.
        negative_rate: share of each label's negatives that a step sees, 0..1, (L,); 0 for a label
            without positives. None: all 1.
    """

    of_positives: Tensor | None
    of_negatives: Tensor | None
    negative_rate: Tensor | None

    def __init__(
        self, *, weights: LabelWeights | None = None, negative_rate: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        positive, negative = weights or (None, None)
        for name, values in (
            ("of_positives", positive),
            ("of_negatives", negative),
            ("negative_rate", negative_rate),
        ):
            self.register_buffer(
                name, None if values is None else torch.tensor(values, dtype=torch.float32)
            )

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each label, (N, L)."""
        raise NotImplementedError

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted mean over labels, (N,)."""
        losses = self.elements(logits, labels)
        if self.of_positives is not None and self.of_negatives is not None:
            losses = losses * (labels * self.of_positives + (1 - labels) * self.of_negatives)
        if self.training and self.negative_rate is not None:
            losses = losses * (labels + (1 - labels) * self._draw(labels, self.negative_rate))
        return losses.mean(dim=1)

    def best_constant(self, rates: Tensor) -> Tensor:
        """Return the log-odds of the labels, positives and negatives weighted."""
        logits = super().best_constant(rates)
        if self.of_positives is None or self.of_negatives is None:
            return logits
        # without either there is nothing to learn
        weighted = (self.of_positives > 0) & (self.of_negatives > 0)
        ratio = torch.where(weighted, self.of_positives, 1.0) / torch.where(
            weighted, self.of_negatives, 1.0
        )
        return logits + torch.log(ratio)

    def _draw(self, labels: Tensor, rate: Tensor) -> Tensor:
        """Return 1 / rate where a negative is seen, else 0."""
        # the loop seeds the CPU's generator for each step
        chances = torch.rand(labels.shape).to(labels.device)
        return (chances < rate) / rate.clamp(min=1e-12)


class BinaryCrossEntropy(LabelLoss):
    """Binary cross-entropy of logits (the sigmoid is inside), mean over the labels.

    Args:
        positive: weight of a positive of each label, (L,); None: all 1.
        weights: see `LabelLoss`.
        negative_rate: see `LabelLoss`.
    """

    positive: Tensor | None

    def __init__(
        self,
        positive: Tensor | None = None,
        *,
        weights: LabelWeights | None = None,
        negative_rate: Sequence[float] | None = None,
    ) -> None:
        super().__init__(weights=weights, negative_rate=negative_rate)
        self.register_buffer("positive", positive)

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each label, (N, L)."""
        return F.binary_cross_entropy_with_logits(
            logits, labels, pos_weight=self.positive, reduction="none"
        )

    def best_constant(self, rates: Tensor) -> Tensor:
        """Return the log-odds of the labels, positives and negatives weighted."""
        logits = super().best_constant(rates)
        return logits if self.positive is None else logits + torch.log(self.positive)


class AsymmetricLoss(LabelLoss):
    """Asymmetric loss (Ben-Baruch et al., 2021): easy negatives count less, the easiest not at all.

    Args:
        negative_focus: exponent of p for negatives.
        positive_focus: exponent of 1 - p for positives.
        margin: probability that is subtracted from the negatives' p, down to 0.
        weights: see `LabelLoss`.
        negative_rate: see `LabelLoss`.
    """

    def __init__(
        self,
        negative_focus: float = 4.0,
        positive_focus: float = 1.0,
        margin: float = 0.05,
        *,
        weights: LabelWeights | None = None,
        negative_rate: Sequence[float] | None = None,
    ) -> None:
        super().__init__(weights=weights, negative_rate=negative_rate)
        self.negative_focus, self.positive_focus = negative_focus, positive_focus
        self.margin = margin

    def elements(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each label, (N, L)."""
        probability = torch.sigmoid(logits)
        shifted = (probability - self.margin).clamp(min=0)
        # 1 - shifted >= margin; at margin 0 the logarithm needs a floor
        of_negatives = torch.log((1 - shifted).clamp(min=1e-8)) * shifted**self.negative_focus
        of_positives = F.logsigmoid(logits) * (1 - probability) ** self.positive_focus
        return -(labels * of_positives + (1 - labels) * of_negatives)


class BpmllLoss(GenreLoss):
    """BP-MLL: every label of a sample should score above every other label (Zhang, Zhou, 2006).

    A sample's loss is the mean of exp(-(c_k - c_l)) over its labels k and the other labels l.
    Samples with no label or with all labels have no pair and do not count. The sum over pairs is
    the product of two sums, so it takes L steps and not L^2; each is computed relative to its
    largest term. The exponent of a whole sample is bounded: beyond `limit` the loss follows its
    tangent, so that it stays finite and so does its gradient.

    Args:
        limit: logarithm of a sample's loss above which it is linear.
    """

    def __init__(self, limit: float = 15.0) -> None:
        super().__init__()
        self.limit = limit

    def counted(self, labels: Tensor) -> Tensor:
        """Return 1 for samples with some labels but not all, else 0."""
        positives = labels.sum(dim=1)
        return ((positives > 0) & (positives < labels.shape[1])).to(labels.dtype)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return one value per sample, 0 where it has no pair."""
        counted = self.counted(labels) > 0
        on, chosen = (labels > 0)[counted], logits[counted]
        least = torch.finfo(logits.dtype).min
        positive = (
            torch.logsumexp((-chosen).masked_fill(~on, least), dim=1)
            - on.sum(1).to(logits.dtype).log()
        )
        negative = (
            torch.logsumexp(chosen.masked_fill(on, least), dim=1)
            - (~on).sum(1).to(logits.dtype).log()
        )
        exponent = positive + negative
        bounded = exponent.clamp(max=self.limit)
        values = bounded.exp() * (1 + exponent - bounded)
        return torch.zeros(len(logits), dtype=values.dtype, device=logits.device).masked_scatter(
            counted, values
        )


def positive_weights(counts: Tensor, rows: float, *, limit: float) -> Tensor:
    """Return the weight of a positive of each label: negatives / positives, at most `limit`; (L,).

    Args:
        counts: positives per label in the training samples, or the sums of their weights, (L,).
        rows: number of training samples, or the sum of their weights.
        limit: upper bound, for labels that are rare or absent.
    """
    positives = counts.to(torch.float32)
    return ((rows - positives) / positives.clamp(min=1)).clamp(min=1e-3, max=limit)


def build_loss(
    name: str,
    *,
    positive: Tensor | None = None,
    weights: LabelWeights | None = None,
    negative_rate: Sequence[float] | None = None,
) -> GenreLoss:
    """Return a loss by name.

    Args:
        name: asymmetric, bce, bce_positive or bpmll.
        positive: weight of a positive of each label, for bce_positive alone.
        weights: weights of the labels; not for bpmll, which compares labels with each other.
        negative_rate: share of the negatives that a step sees; likewise not for bpmll.

    Raises:
        InvalidConfigError: there is none with that name; the text lists the known ones.
    """
    known: dict[str, Callable[[], GenreLoss]] = {
        "asymmetric": lambda: AsymmetricLoss(weights=weights, negative_rate=negative_rate),
        "bce": lambda: BinaryCrossEntropy(weights=weights, negative_rate=negative_rate),
        "bce_positive": lambda: BinaryCrossEntropy(
            positive, weights=weights, negative_rate=negative_rate
        ),
        "bpmll": BpmllLoss,
    }
    if name not in known:
        raise InvalidConfigError(f"cnn.loss: {name!r}, expected one of {', '.join(known)}")
    return known[name]()
