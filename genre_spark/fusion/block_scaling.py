"""Blocks of features brought to one scale, so that one penalty suits words, people and pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genre_spark.fusion.logistic import Matrix

__all__ = ["BlockScale", "ScaledBlocks", "fit_scales"]

_ROUNDING = 1e-9

Kind = Literal["rows", "columns", "both"]


@dataclass(frozen=True)
class BlockScale:
    """How one block is scaled.

    Attributes:
        name: name of the block.
        start: its first column in the feature vector.
        stop: the column behind its last one.
        kind: `rows`: each row is divided by its length; `columns`: each column gets mean 0 and
            standard deviation 1, all are divided by the root of their number; `both`: columns, then
            rows.
        weight: squared length of a row, about.
        mean: of the columns in training, (columns,); empty for `rows`.
        deviation: standard deviation likewise; 1 where it is 0.
    """

    name: str
    start: int
    stop: int
    kind: Kind
    weight: float
    mean: Matrix
    deviation: Matrix

    def apply(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return the scaled columns of a block, (rows, columns)."""
        if self.kind != "rows":
            dense = (block.toarray() - self.mean) / self.deviation
            dense /= max(1.0, np.sqrt(dense.shape[1])) if self.kind == "columns" else 1.0
            block = sparse.csr_matrix(dense)
        if self.kind != "columns":
            length = np.sqrt(np.asarray(block.multiply(block).sum(axis=1)).ravel())
            # what stands for a missing vector is the mean: nothing but rounding is left of it
            smallest = _ROUNDING * np.sqrt(block.shape[1])
            known = np.divide(1.0, length, out=np.zeros_like(length), where=length > smallest)
            block = sparse.diags(known) @ block
        return sparse.csr_matrix(block * np.sqrt(self.weight))


@dataclass(frozen=True)
class ScaledBlocks:
    """The blocks that a model reads, in its order.

    Attributes:
        scales: how each block is scaled.
    """

    scales: tuple[BlockScale, ...]

    def apply(self, features: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return the scaled blocks side by side, CSR (rows, columns of all blocks)."""
        parts = [scale.apply(features[:, scale.start : scale.stop]) for scale in self.scales]
        return sparse.csr_matrix(sparse.hstack(parts, format="csr"))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the scales as arrays by name, without Python objects among them."""
        heads = [
            {"name": s.name, "start": s.start, "stop": s.stop, "kind": s.kind, "weight": s.weight}
            for s in self.scales
        ]
        arrays: dict[str, NDArray[Any]] = {"blocks": np.array(json.dumps(heads))}
        for number, scale in enumerate(self.scales):
            arrays |= {f"mean{number}": scale.mean, f"deviation{number}": scale.deviation}
        return arrays

    @classmethod
    def from_arrays(cls, stored: Mapping[str, NDArray[Any]]) -> ScaledBlocks:
        """Read what `to_arrays` returned.

        Raises:
            KeyError, TypeError, ValueError: these are no such arrays.
        """
        return cls(
            tuple(
                BlockScale(**head, mean=stored[f"mean{n}"], deviation=stored[f"deviation{n}"])
                for n, head in enumerate(json.loads(str(stored["blocks"])))
            )
        )


def fit_scales(
    features: sparse.csr_matrix,
    places: Mapping[str, slice],
    weights: Mapping[str, float],
    *,
    dense: Sequence[str],
    numbers: Sequence[str],
) -> ScaledBlocks:
    """Learn the scale of each block from training rows.

    Args:
        features: of training rows, CSR (rows, features).
        places: where each block is in the feature vector.
        weights: block -> its weight, > 0; the blocks to read.
        dense: blocks whose columns are centred before their rows are divided by their lengths.
        numbers: blocks whose columns alone are scaled.
    """
    scales = []
    for name, weight in weights.items():
        place = places[name]
        kind: Kind = "both" if name in dense else "columns" if name in numbers else "rows"
        mean = deviation = np.zeros(0)
        if kind != "rows":
            block = features[:, place].toarray()
            mean, deviation = block.mean(axis=0), block.std(axis=0)
            deviation = np.where(deviation > 0, deviation, 1.0)
        scales.append(BlockScale(name, place.start, place.stop, kind, weight, mean, deviation))
    return ScaledBlocks(tuple(scales))
