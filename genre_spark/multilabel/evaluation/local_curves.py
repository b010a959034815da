"""Points of curves reduced where they were made, for tables that one task reads whole.

What Spark's plans in `metric_sums` and `threshold_search` work out by shuffles and windows over
millions of points: the same numbers to the last bit, as sums are added up in the same order. For a
few hundred rows, planning and compiling those plans takes far longer than the sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.pandas.types import from_arrow_schema

__all__ = ["AREAS", "BEST", "best_points", "integrate_curves"]

Vector = NDArray[np.float64]

_AREAS = pa.schema(
    [
        ("grp", pa.int32()),
        ("name", pa.string()),
        ("curve", pa.int32()),
        *((name, pa.float64()) for name in ("positive", "negative", "precision_area", "roc_area")),
    ]
)
_SPAN = pa.struct([(name, pa.float64()) for name in ("width", "threshold", "value")])
_BEST = pa.schema(
    [
        ("grp", pa.int32()),
        ("rule", pa.string()),
        ("curve", pa.int32()),
        ("best", _SPAN),
        ("empty", pa.float64()),
        ("highest", pa.float64()),
        ("n_labels", pa.int32()),
        ("total", pa.float64()),
        ("all_rows", pa.float64()),
    ]
)
AREAS, BEST = from_arrow_schema(_AREAS), from_arrow_schema(_BEST)


def integrate_curves(points: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the sums of each curve's points and its two areas, columns of AREAS.

    Args:
        points: all of a group, columns of `metric_sums.POINTS`.
    """
    found: list[tuple[object, ...]] = []
    for key, _, sums in _curves(points, "name", ("positive", "negative")):
        on, off = sums["positive"], sums["negative"]
        tp, fp = np.cumsum(on), np.cumsum(off)
        reached = tp + fp
        precision = np.divide(tp, reached, out=np.zeros(len(tp)), where=reached > 0)
        areas = _total(on * precision), _total(off * (tp - on / 2))
        found.append((*key, float(tp[-1]), float(fp[-1]), *areas))
    return _to_batch(found, _AREAS)


def best_points(points: Sequence[pa.RecordBatch], cardinality: float | None) -> pa.RecordBatch:
    """Return the best point of each curve and its totals, columns of BEST.

    Args:
        points: all of a group, columns of the points of `threshold_search`.
        cardinality: label cardinality to reproduce; None takes that of the rows.
    """
    found: list[tuple[object, ...]] = []
    n_labels = max(batch.column("n_labels")[0].as_py() for batch in points)
    for key, score, sums in _curves(points, "rule", ("positive", "negative", "weight")):
        curve = _Curve(score, np.cumsum(sums["positive"]), np.cumsum(sums["negative"]))
        rows, finite = _total(sums["weight"]), np.isfinite(score)
        value = np.where(finite, curve.values(key[1], rows, cardinality), np.nan)
        highest = float(score[finite][0]) if finite.any() else None
        empty = float(sums["positive"][score == np.inf].sum())
        found.append((*key, curve.widest(value), empty, highest, n_labels, curve.total, rows))
    return _to_batch(found, _BEST)


@dataclass(frozen=True)
class _Curve:
    """A curve: its scores from the highest down, and what a threshold there switches on."""

    score: Vector
    tp: Vector
    fp: Vector

    @property
    def total(self) -> float:
        return float(self.tp[-1])

    def values(self, rule: str, rows: float, cardinality: float | None) -> Vector:
        """Return what the rule makes as large as possible; NaN where it is not defined."""
        if rule == "exact_match":
            return self.tp - self.fp
        if rule in ("cardinality", "top"):
            wanted = self.total if cardinality is None else rows * cardinality
            return -np.abs(self.tp + self.fp - wanted)
        if self.total <= 0:
            return np.full(len(self.tp), np.nan)
        f1: Vector = 2 * self.tp / (self.tp + self.fp + self.total)
        return f1

    def widest(self, value: Vector) -> dict[str, float] | None:
        """Return the middle of the widest span of scores that are best, None where none is."""
        if np.isnan(value).all():
            return None
        best = np.nanmax(value)
        places = np.flatnonzero(value == best)
        breaks = np.flatnonzero(np.diff(places) != 1)
        first = places[np.r_[0, breaks + 1]]
        last = places[np.r_[breaks, len(places) - 1]]
        below = np.r_[self.score[1:], -np.inf][last]
        to = np.where(below > -np.inf, below, self.score[last])
        width, threshold = self.score[first] - to, (self.score[first] + to) / 2
        chosen = np.lexsort((threshold, width))[-1]
        found = (width[chosen], threshold[chosen], best)
        return dict(zip(("width", "threshold", "value"), map(float, found), strict=True))


def _curves(
    points: Sequence[pa.RecordBatch], name: str, summed: Sequence[str]
) -> Iterator[tuple[tuple[int, str, int], Vector, Mapping[str, Vector]]]:
    """Yield each curve: its key, its scores from the highest down, and the sums at each score."""
    table = pa.Table.from_batches(points).combine_chunks()
    columns = {key: table.column(key).to_numpy() for key in ("grp", "curve", "score", *summed)}
    names = table.column(name).combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy()
    order = np.lexsort((-columns["score"], columns["curve"], codes, columns["grp"]))
    columns = {key: values[order] for key, values in columns.items()}
    codes = codes[order]
    keys = (columns["grp"], codes, columns["curve"])
    new_curve = np.r_[True, np.any([key[1:] != key[:-1] for key in keys], axis=0)][: len(order)]
    new_point = new_curve.copy()
    new_point[1:] |= columns["score"][1:] != columns["score"][:-1]
    first = np.flatnonzero(new_point)
    sums = {key: np.add.reduceat(columns[key], first) for key in summed}
    starts = np.searchsorted(first, np.flatnonzero(new_curve)).tolist()
    known = names.dictionary.to_pylist()
    for start, stop in zip(starts, [*starts[1:], len(first)], strict=True):
        place = first[start]
        key = (int(keys[0][place]), known[codes[place]], int(keys[2][place]))
        here = slice(start, stop)
        yield key, columns["score"][first[here]], {one: sums[one][here] for one in summed}


def _total(values: Vector) -> float:
    """Return the sum as Spark adds it up, from the first to the last: numpy's own is by pairs."""
    return float(np.cumsum(values)[-1])


def _to_batch(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(zip(*rows, strict=True), schema.types, strict=True)
    arrays = [pa.array(values, kind) for values, kind in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
