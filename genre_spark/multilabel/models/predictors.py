"""What a fitted model does with a block of rows, without Spark: combine its scorers' answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genre_spark.multilabel.matrices import Labels, Matrix
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forests import ForestScorer
from genre_spark.multilabel.models.scorers import Scorer

__all__ = [
    "ChainsPredictor",
    "ForestPredictor",
    "HierarchyPredictor",
    "LabelsetsPredictor",
    "Predictor",
    "RelevancePredictor",
    "Structure",
    "apply_thresholds",
    "decide",
]

Structure = dict[str, Any]  # how a method combines its parts, in JSON's types


class Predictor(Protocol):
    """The combination of fitted scorers that one multi-label method makes."""

    @property
    def room(self) -> int:
        """Number of label columns that the method appends to the features."""
        ...

    @property
    def scorers(self) -> Sequence[Scorer]:
        """The fitted single-target models."""
        ...

    @property
    def targets(self) -> Sequence[Sequence[int]]:
        """The labels that each scorer decides."""
        ...

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        ...


def decide(probabilities: Matrix, threshold: float) -> Matrix:
    """Return 1.0 where a score reaches the threshold."""
    return (probabilities >= threshold).astype(np.float64)


def apply_thresholds(
    scores: Matrix, thresholds: ArrayLike, *, top: int = 0, never_empty: bool = False
) -> Matrix:
    """Return predictions, 0 or 1, from scores.

    Args:
        scores: scores of the labels, (rows, labels).
        thresholds: smallest score with which each label is on, (labels,); not used where `top` > 0.
        top: number of best labels to switch on in every row; the first of equals win.
        never_empty: whether a row without any label gets its best one.
    """
    if top > 0:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        chosen = np.zeros_like(scores)
        np.put_along_axis(chosen, best, 1.0, axis=1)
        return chosen
    chosen = (scores >= np.asarray(thresholds)).astype(np.float64)
    if never_empty and scores.shape[1]:
        empty = np.flatnonzero(chosen.sum(axis=1) == 0)
        chosen[empty, scores[empty].argmax(axis=1)] = 1.0
    return chosen


@dataclass(frozen=True)
class RelevancePredictor:
    """Binary relevance: each label has a scorer of its own.

    Attributes:
        scorers: one per label.
    """

    scorers: Sequence[Scorer]
    room: int = 0

    @property
    def targets(self) -> Sequence[Sequence[int]]:
        """The label of each scorer."""
        return [[label] for label in range(len(self.scorers))]

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        scores = np.column_stack([scorer.probabilities(block)[:, 1] for scorer in self.scorers])
        return scores, decide(scores, threshold)


@dataclass(frozen=True)
class ChainsPredictor:
    """One classifier chain, or the mean of several.

    Attributes:
        orders: labels of each chain in the order of its links.
        scorers: one per link, one chain after the other.
        votes: whether the score is the share of chains that predict a label, not the mean of their
            probabilities.
        link_threshold: smallest probability with which a link passes its label on as predicted;
            None takes the model's threshold.
    """

    orders: Sequence[Sequence[int]]
    scorers: Sequence[Scorer]
    votes: bool = False
    link_threshold: float | None = None

    @property
    def room(self) -> int:
        """Number of label columns behind the features."""
        return len(self.orders[0])

    @property
    def targets(self) -> Sequence[Sequence[int]]:
        """The label of each link."""
        return [[label] for order in self.orders for label in order]

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        n_labels = len(self.orders[0])
        passed = threshold if self.link_threshold is None else self.link_threshold
        total = np.zeros((block.n_rows, n_labels))
        for chain, order in enumerate(self.orders):
            for position, label in enumerate(order):
                score = self.scorers[chain * n_labels + position].probabilities(block)[:, 1]
                predicted = (score >= passed).astype(np.float64)
                block.append(position, predicted)
                total[:, label] += predicted if self.votes else score
        scores = total / len(self.orders)
        return scores, decide(scores, threshold)


@dataclass(frozen=True)
class LabelsetsPredictor:
    """Label powersets over all labels or over subsets of them, one or several.

    Attributes:
        n_labels: number of labels, L.
        subsets: labels of each member.
        scorers: one per member, giving p(class | row).
        classes: label combination of each class of each member, (classes, labels of the member).
        votes: whether a member's score is that of its most probable combination, 0 or 1, not the
            sum of p(class).
        whole: whether the prediction is the most probable combination itself, whatever the
            threshold (for a single member).
    """

    n_labels: int
    subsets: Sequence[Sequence[int]]
    scorers: Sequence[Scorer]
    classes: Sequence[Labels]
    votes: bool
    whole: bool = False
    room: int = 0

    @property
    def targets(self) -> Sequence[Sequence[int]]:
        """The labels of each member."""
        return [list(subset) for subset in self.subsets]

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        total = np.zeros((block.n_rows, self.n_labels))
        members = np.zeros(self.n_labels)
        winner = total
        for subset, scorer, classes in zip(self.subsets, self.scorers, self.classes, strict=True):
            columns = list(subset)
            probability = scorer.probabilities(block)
            winner = classes[probability.argmax(axis=1)].astype(np.float64)
            total[:, columns] += winner if self.votes else probability @ classes
            members[columns] += 1
        scores = np.clip(total / np.maximum(members, 1), 0.0, 1.0)
        return scores, winner if self.whole else decide(scores, threshold)


@dataclass(frozen=True)
class HierarchyPredictor:
    """HOMER: a tree of label groups; a label's score is the smallest probability on its path.

    A label is then predicted exactly where every node on its path is on.

    Attributes:
        n_labels: number of labels, L.
        nodes: for each scorer the number of its parent's scorer (-1 at the root) and the labels
            below it.
        scorers: one per node below the root, giving p(meta-label | row), parents before children.
    """

    n_labels: int
    nodes: Sequence[tuple[int, Sequence[int]]]
    scorers: Sequence[Scorer]
    room: int = 0

    @property
    def targets(self) -> Sequence[Sequence[int]]:
        """The labels below each node."""
        return [list(below) for _, below in self.nodes]

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        scores = np.zeros((block.n_rows, self.n_labels))
        paths: list[NDArray[np.float64]] = []
        for (parent, below), scorer in zip(self.nodes, self.scorers, strict=True):
            score = scorer.probabilities(block)[:, 1]
            paths.append(score if parent < 0 else np.minimum(score, paths[parent]))
            if len(below) == 1:
                scores[:, below[0]] = paths[-1]
        return scores, decide(scores, threshold)


@dataclass(frozen=True)
class ForestPredictor:
    """A multi-label forest in pieces: the mean over all trees of the label shares in their leaves.

    Attributes:
        scorers: forests whose leaves hold the share of each label.
    """

    scorers: Sequence[ForestScorer]
    room: int = 0

    @property
    def targets(self) -> Sequence[Sequence[int]]:
        """All labels, for each piece."""
        return [range(piece.n_classes) for piece in self.scorers]

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        trees = [piece.arrays.n_trees for piece in self.scorers]
        total = sum(
            piece.leaf_means(block) * count
            for piece, count in zip(self.scorers, trees, strict=True)
        )
        scores = np.asarray(total) / sum(trees)
        return scores, decide(scores, threshold)
