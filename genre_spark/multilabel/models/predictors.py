"""What a fitted multi-label model does with a block of rows: ask its scorers, combine their answers. No Spark here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genre_spark.multilabel.columns import Labels
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
    "decide",
]

Matrix = NDArray[np.float64]
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

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        ...


def decide(probabilities: Matrix, threshold: float) -> Matrix:
    """Return 1.0 where a score reaches the threshold."""
    return (probabilities >= threshold).astype(np.float64)


@dataclass(frozen=True)
class RelevancePredictor:
    """Binary relevance: each label has a scorer of its own.

    Attributes:
        scorers: one a label.
    """

    scorers: Sequence[Scorer]
    room: int = 0

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        scores = np.column_stack([scorer.probabilities(block)[:, 1] for scorer in self.scorers])
        return scores, decide(scores, threshold)


@dataclass(frozen=True)
class ChainsPredictor:
    """One classifier chain, or the mean of several.

    Attributes:
        orders: the labels of each chain in the order of its links.
        scorers: of the links, one chain after the other.
        votes: the score is the share of chains that predict a label, not the mean of their
            probabilities.
        link_threshold: from which probability on a link passes a label on as predicted; None takes
            the model's.
    """

    orders: Sequence[Sequence[int]]
    scorers: Sequence[Scorer]
    votes: bool = False
    link_threshold: float | None = None

    @property
    def room(self) -> int:
        """Number of label columns behind the features."""
        return len(self.orders[0])

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        labels = len(self.orders[0])
        passed = threshold if self.link_threshold is None else self.link_threshold
        total = np.zeros((block.rows, labels))
        for chain, order in enumerate(self.orders):
            for position, label in enumerate(order):
                score = self.scorers[chain * labels + position].probabilities(block)[:, 1]
                predicted = (score >= passed).astype(np.float64)
                block.append(position, predicted)
                total[:, label] += predicted if self.votes else score
        scores = total / len(self.orders)
        return scores, decide(scores, threshold)


@dataclass(frozen=True)
class LabelsetsPredictor:
    """Label powersets over all labels or over subsets of them, one or several.

    Attributes:
        labels: number of labels, L.
        subsets: the labels of each member.
        scorers: p(class | row) of each member.
        classes: the label combination of each class of each member, (classes, labels of the
            member).
        votes: a member's score is that of its most probable combination, 0 or 1, not the sum of
            p(class).
        whole: the prediction is the most probable combination itself, whatever the threshold (for a
            single member).
    """

    labels: int
    subsets: Sequence[Sequence[int]]
    scorers: Sequence[Scorer]
    classes: Sequence[Labels]
    votes: bool
    whole: bool = False
    room: int = 0

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        total = np.zeros((block.rows, self.labels))
        members = np.zeros(self.labels)
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
        labels: number of labels.
        nodes: for each scorer the number of its parent's scorer (-1 at the root) and the labels
            below it.
        scorers: p(meta-label | row) of each child of each node, parents before children.
    """

    labels: int
    nodes: Sequence[tuple[int, Sequence[int]]]
    scorers: Sequence[Scorer]
    room: int = 0

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        scores = np.zeros((block.rows, self.labels))
        paths: list[NDArray[np.float64]] = []
        for (parent, below), scorer in zip(self.nodes, self.scorers, strict=True):
            score = scorer.probabilities(block)[:, 1]
            paths.append(score if parent < 0 else np.minimum(score, paths[parent]))
            if len(below) == 1:
                scores[:, below[0]] = paths[-1]
        return scores, decide(scores, threshold)


@dataclass(frozen=True)
class ForestPredictor:
    """A multi-label forest grown in pieces: the mean over all trees of the label shares in their leaves.

    Attributes:
        scorers: forests whose leaves hold the share of each label.
    """

    scorers: Sequence[ForestScorer]
    room: int = 0

    def predict(self, block: FeatureBlock, threshold: float) -> tuple[Matrix, Matrix]:
        """Return probabilities and predictions, each (rows, labels)."""
        trees = [piece.arrays.trees for piece in self.scorers]
        total = sum(
            piece.leaf_means(block) * count
            for piece, count in zip(self.scorers, trees, strict=True)
        )
        scores = np.asarray(total) / sum(trees)
        return scores, decide(scores, threshold)
