"""Importances by permutation: what a model loses when some of its inputs are of other rows.

After Breiman, Random forests, 2001. The inputs of a group are permuted together, so that they still
fit each other. Only rows whose inputs change are scored again: a word that few movies have costs
few rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from genre_spark.explanations.measures import measure
from genre_spark.numeric.splitmix import mixed_seed

__all__ = ["Baseline", "Drop", "Score", "Unit", "measure_baseline", "permute_units"]

Matrix = NDArray[np.float64]
Columns = NDArray[np.int64]
Score = Callable[[sparse.csr_matrix], Matrix]
"""Probabilities (rows, labels) of inputs (rows, inputs)."""


@dataclass(frozen=True)
class Unit:
    """Inputs that are permuted together.

    Attributes:
        name: by which the permutations are drawn; none twice.
        columns: positions of the inputs, (columns,).
    """

    name: str
    columns: Columns


@dataclass(frozen=True)
class Baseline:
    """A model on rows as they are.

    Attributes:
        inputs: CSR (rows, inputs).
        labels: 0 or 1, (rows, labels).
        probabilities: of the model, (rows, labels).
        thresholds: probability from which on a label is predicted: one, or one per label.
        values: of `measures.measure`.
    """

    inputs: sparse.csr_matrix
    labels: Matrix
    probabilities: Matrix
    thresholds: ArrayLike
    values: Matrix


@dataclass(frozen=True)
class Drop:
    """What a model loses without some inputs.

    Attributes:
        mean: over the repeats, of each measure: the value on rows as they are, less that on
            permuted ones; (measures,).
        deviation: standard deviation over the repeats, likewise; 0 for a single one.
    """

    mean: Matrix
    deviation: Matrix


def measure_baseline(
    score: Score, inputs: sparse.csr_matrix, labels: Matrix, *, thresholds: ArrayLike
) -> Baseline:
    """Measure a model on rows as they are.

    Args:
        score: the model.
        inputs: CSR (rows, inputs).
        labels: 0 or 1, (rows, labels).
        thresholds: probability from which on a label is predicted: one, or one per label.
    """
    probabilities = score(inputs)
    values = measure(labels, probabilities, thresholds)
    return Baseline(inputs, labels, probabilities, thresholds, values)


def permute_units(
    score: Score, baseline: Baseline, units: Iterable[Unit], *, repeats: int, seed: int
) -> list[Drop]:
    """Return what a model loses by the permutation of each unit.

    The order of the rows is drawn by a hash of seed, unit and repeat: a unit has the same result
    whatever the others are.

    Args:
        score: the model.
        baseline: of `measure_baseline`.
        units: inputs to permute.
        repeats: permutations of each unit, >= 1.
        seed: seed of the draws.
    """
    return [_permute(score, baseline, unit, repeats, seed) for unit in units]


def _permute(score: Score, baseline: Baseline, unit: Unit, repeats: int, seed: int) -> Drop:
    digest = hashlib.sha256(unit.name.encode()).digest()
    name = int.from_bytes(digest[:7], "big")
    losses = []
    for repeat in range(repeats):
        generator = np.random.default_rng(mixed_seed(seed, name, repeat))
        order = generator.permutation(len(baseline.labels))
        changed, inputs = permute_columns(baseline.inputs, unit.columns, order)
        probabilities = baseline.probabilities
        if len(changed):
            probabilities = probabilities.copy()
            probabilities[changed] = score(inputs)
        values = measure(baseline.labels, probabilities, baseline.thresholds)
        losses.append(baseline.values - values)
    found = np.stack(losses)
    deviation = found.std(axis=0, ddof=1) if repeats > 1 else np.zeros(found.shape[1])
    return Drop(found.mean(axis=0), deviation)


def permute_columns(
    inputs: sparse.csr_matrix, columns: Columns, order: Sequence[int] | NDArray[np.int64]
) -> tuple[NDArray[np.int64], sparse.csr_matrix]:
    """Return the rows that get other inputs, and these rows with them.

    Args:
        inputs: CSR (rows, inputs).
        columns: what is permuted.
        order: the row whose inputs each row gets, (rows,).

    Returns:
        positions of the changed rows, ascending, and CSR (changed rows, inputs).
    """
    own = sparse.csr_matrix(inputs[:, columns])
    others = own[order]
    changed = np.flatnonzero(np.diff(sparse.csr_matrix(own != others).indptr))
    rest, new = inputs[changed].tocoo(), others[changed].tocoo()
    permuted = np.zeros(inputs.shape[1], bool)
    permuted[columns] = True
    kept = ~permuted[rest.col]
    data = np.concatenate([rest.data[kept], new.data])
    rows = np.concatenate([rest.row[kept], new.row])
    places = np.concatenate([rest.col[kept], columns[new.col]])
    shape = (len(changed), inputs.shape[1])
    return changed, sparse.csr_matrix((data, (rows, places)), shape)
