"""Find the thresholds that a rule asks for: exact, in one distributed pass.

Equal scores are grouped, running sums over the sorted scores give the measure at every possible
threshold, and the best is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.evaluation.local_curves import BEST, best_points
from genre_spark.multilabel.evaluation.metrics import curve_points
from genre_spark.multilabel.evaluation.score_curves import with_running_sums
from genre_spark.multilabel.matrices import Matrix, check_labels, decode_arrays
from genre_spark.numeric.splitmix import mix64
from genre_spark.workers.groups import deal_groups, split_dealt, split_groups
from genre_spark.workers.tasks import short_task

__all__ = [
    "RULES",
    "BestThresholds",
    "find_group_thresholds",
    "find_thresholds",
    "search_dealt",
]

Vector = NDArray[np.float64]
_Points = tuple[NDArray[np.int64], Vector, Vector, Vector]
_MarkedPoints = tuple[NDArray[np.int64], Vector, Vector, Vector, Vector]

RULES = ("fixed", "exact_match", "f1_micro", "f1_per_label", "cardinality", "top")
_HALVED = ("exact_match", "f1_micro", "f1_per_label")
_NOTHING: _Points = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))
_COLUMNS = (
    "grp int, rule string, curve int, score double, positive double, negative double, "
    "weight double, n_labels int"
)
_KEYS = ("grp", "rule", "curve")


@dataclass(frozen=True)
class BestThresholds:
    """What a rule finds.

    Attributes:
        thresholds: best threshold of each curve; None where no score is better than another.
        cardinality: label cardinality that was asked for, or that of the rows.
    """

    thresholds: list[float | None]
    cardinality: float


def find_thresholds(
    rows: DataFrame, rule: str, cardinality: float | None, *, half_samples: int = 0
) -> BestThresholds:
    """Return the best threshold of each curve: one job, one row per curve comes back.

    Args:
        rows: truth, scores (array<double>) and weight (double).
        rule: one of RULES.
        cardinality: label cardinality to reproduce; None takes that of the rows.
        half_samples: random halves of the rows whose best thresholds are averaged; 0 takes the
            best threshold of all rows, as 'cardinality' and 'top' always do.

    Raises:
        InvalidInputError: there is no row, or one that cannot be used.
    """
    numbered = rows.select(F.lit(0).alias("grp"), "truth", "scores", "weight")
    found = find_group_thresholds(numbered, [rule], cardinality, half_samples={0: half_samples})
    if not found:
        raise InvalidInputError("predictions: no rows to fit thresholds on, expected at least one")
    return found[0, rule]


def find_group_thresholds(
    rows: DataFrame,
    rules: Sequence[str],
    cardinality: float | None = None,
    *,
    half_samples: Mapping[int, int],
    group_tasks: int = 0,
) -> dict[tuple[int, str], BestThresholds]:
    """Return the same for each group of rows and each rule, in one job.

    Args:
        rows: grp (int), truth, scores (array<double>) and weight (double).
        rules: some of RULES.
        cardinality: label cardinality to reproduce; None takes that of a group's rows.
        half_samples: group -> number of half samples; none where it is not named.
        group_tasks: number of tasks that the groups are dealt out to, where a task can hold any of
            them whole, one at a time: much faster than Spark's sorting, as all curves of a group
            are made of the same numbers. 0 where it cannot.

    Raises:
        InvalidInputError: there is a row that cannot be used.
    """

    def points(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for group, batch in split_groups(batches):
            yield from _group_points(group, _Rows.of(batch), rules, half_samples.get(group, 0))

    if group_tasks:
        reduce = partial(
            search_dealt, rules=rules, cardinality=cardinality, half_samples=half_samples
        )
        best = deal_groups(rows, group_tasks).mapInArrow(short_task(reduce), BEST)
    else:
        best = _best_points(rows.mapInArrow(short_task(points), _COLUMNS), rules, cardinality)
    by_rule: dict[tuple[int, str], list[Row]] = {}
    for row in best.collect():  # one per curve
        by_rule.setdefault((row["grp"], row["rule"]), []).append(row)
    return {
        (group, rule): _best(found, rule, cardinality, half_samples.get(group, 0))
        for (group, rule), found in by_rule.items()
    }


def search_dealt(
    batches: Iterable[pa.RecordBatch],
    *,
    rules: Sequence[str],
    cardinality: float | None,
    half_samples: Mapping[int, int],
) -> Iterator[pa.RecordBatch]:
    """Return the best points of one group after another: the rows of one at a time are held.

    Args:
        batches: of `deal_groups`, columns of `find_group_thresholds`.
        rules: some of RULES.
        cardinality: label cardinality to reproduce; None takes that of a group's rows.
        half_samples: group -> number of half samples.
    """

    def search(group: int, rows: _Rows) -> Iterator[pa.RecordBatch]:
        for part in _group_points(group, rows, rules, half_samples.get(group, 0)):
            yield best_points([part], cardinality)

    for group, parts in split_dealt(batches):
        yield from search(group, _Rows.together([_Rows.of(part) for part in parts]))


def _best(
    found: list[Row], rule: str, cardinality: float | None, half_samples: int
) -> BestThresholds:
    by_curve = {row["curve"]: _threshold(row, rule, cardinality) for row in found}
    step = max(row["n_labels"] for row in found) if rule == "f1_per_label" else 1
    curves = range(step * max(1, half_samples if rule in _HALVED else 0))
    thresholds = [
        _average([by_curve.get(curve) for curve in curves[first::step]]) for first in range(step)
    ]
    first = found[0]
    mean = first["total"] / first["all_rows"] if first["all_rows"] else 0.0
    return BestThresholds(thresholds, mean if cardinality is None else cardinality)


def _average(thresholds: list[float | None]) -> float | None:
    """Return the mean of the thresholds that were found, in log-odds where all are in (0, 1)."""
    known = np.array([value for value in thresholds if value is not None])
    if len(known) <= 1:
        return float(known[0]) if len(known) else None
    if known.min() <= 0 or known.max() >= 1:
        return float(known.mean())
    return float(1 / (1 + np.exp(-np.mean(np.log(known) - np.log1p(-known)))))


def _in_half(truth: Matrix, scores: Matrix, number: int) -> NDArray[np.bool_]:
    """Return which rows are in a half sample, by a hash of their labels and scores."""
    state = np.full(len(truth), number, np.uint64)
    for column in np.hstack([truth, scores]).T:
        state = mix64(state + (np.ascontiguousarray(column) + 0.0).view(np.uint64))
    return np.asarray(state >> np.uint64(63) == 1)


@dataclass(frozen=True)
class _Rows:
    """Checked rows of a group: truth and scores (N, L), weight (N,)."""

    truth: Matrix
    scores: Matrix
    weight: Vector

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> _Rows:
        truth = decode_arrays(batch.column(0), "labelsCol")
        scores = decode_arrays(batch.column(1), "probabilitiesCol")
        weight = batch.column(2).to_numpy(zero_copy_only=False)
        check_labels(truth, "labelsCol")
        if truth.shape != scores.shape:
            raise InvalidInputError(
                f"probabilitiesCol: {scores.shape[1]} scores, expected {truth.shape[1]} as in "
                "labelsCol"
            )
        if not np.isfinite(scores).all() or not np.isfinite(weight).all():
            raise InvalidInputError(
                "probabilitiesCol, weightCol: NaN or infinite, expected finite numbers"
            )
        return cls(truth, scores, weight)

    @classmethod
    def together(cls, parts: Sequence[_Rows]) -> _Rows:
        widths = {part.truth.shape[1] for part in parts}
        if len(widths) > 1:
            raise InvalidInputError(
                f"labelsCol: vectors of lengths {sorted(widths)}, expected one length"
            )
        columns = zip(*((part.truth, part.scores, part.weight) for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    def where(self, chosen: NDArray[np.bool_]) -> _Rows:
        return _Rows(self.truth[chosen], self.scores[chosen], self.weight[chosen])


def _group_points(
    group: int, rows: _Rows, rules: Sequence[str], half_samples: int
) -> Iterator[pa.RecordBatch]:
    """Yield the points of each rule's curves: the weights that each score switches on.

    Curve `j + k * labels` is that of label j in the k-th half sample; a rule of one threshold for
    all labels has one curve per half sample. Each half sample has a batch per rule.
    """
    halved = [rule for rule in rules if rule in _HALVED and half_samples]
    others = [rule for rule in rules if rule not in halved]
    total = float(rows.weight.sum())
    for number, half in [(0, None), *((number, number) for number in range(half_samples))]:
        of_sample = others if half is None else halved
        if not of_sample:
            continue
        sample = rows if half is None else rows.where(_in_half(rows.truth, rows.scores, half))
        curves = _sample_curves(sample, of_sample) if len(sample.weight) else {}
        for rule in of_sample:
            points = curves.get(rule, _NOTHING)
            if len(points[0]) or number == 0:
                marked = _with_mark(points, number, _step(rule, rows), total)
                yield _to_batch(group, rule, marked, rows.truth.shape[1])


def _step(rule: str, rows: _Rows) -> int:
    """Return how many curves of a rule a half sample has."""
    return rows.truth.shape[1] if rule == "f1_per_label" else 1


def _with_mark(points: _Points, number: int, step: int, total: float) -> _MarkedPoints:
    """Return a half sample's points with its curves' numbers, and with the weight of all rows.

    That weight stands at the infinite score of the first curve, once, also where no row is in the
    first half sample.
    """
    curve, score, on, off = points
    curve, weight = curve + number * step, np.zeros(len(curve))
    if number:
        return curve, score, on, off, weight
    return (
        np.r_[np.int64(0), curve],
        np.r_[np.inf, score],
        np.r_[0.0, on],
        np.r_[0.0, off],
        np.r_[total, weight],
    )


def _to_batch(group: int, rule: str, points: _MarkedPoints, n_labels: int) -> pa.RecordBatch:
    curve, score, on, off, weight = points
    same = np.zeros(len(curve), np.int32)
    return pa.RecordBatch.from_pydict(
        {
            "grp": pa.array(same + np.int32(group)),
            "rule": pa.DictionaryArray.from_arrays(same, [rule]).cast(pa.string()),
            "curve": pa.array(curve.astype(np.int32)),
            "score": pa.array(score),
            "positive": pa.array(on),
            "negative": pa.array(off),
            "weight": pa.array(weight),
            "n_labels": pa.array(same + np.int32(n_labels)),
        }
    )


def _sample_curves(rows: _Rows, rules: Sequence[str]) -> dict[str, _Points]:
    """Return curve, score, and the weights that are right or wrong from the score down, by rule."""
    found = {}
    if "exact_match" in rules:
        found["exact_match"] = _exact_points(rows)
    if others := [rule for rule in rules if rule != "exact_match"]:
        n_labels = rows.truth.shape[1]
        curve, score, on, off = curve_points(rows.truth, rows.scores, rows.weight)
        for rule in others:
            each = rule == "f1_per_label"
            kept = curve < n_labels if each else curve == n_labels
            found[rule] = (curve[kept] * each, score[kept], on[kept], off[kept])
    return found


def _exact_points(rows: _Rows) -> _Points:
    # a row is right for thresholds above its best false label up to its worst true one
    lowest_true = np.where(rows.truth == 1, rows.scores, np.inf).min(axis=1)
    highest_false = np.where(rows.truth == 0, rows.scores, -np.inf).max(axis=1)
    possible = lowest_true > highest_false
    nothing, weight = np.zeros(int(possible.sum())), rows.weight[possible]
    score = np.r_[lowest_true[possible], highest_false[possible]]
    return np.zeros(len(score), np.int64), score, np.r_[weight, nothing], np.r_[nothing, weight]


def _best_points(points: DataFrame, rules: Sequence[str], cardinality: float | None) -> DataFrame:
    """Return the best point of each curve, and its totals."""
    grouped = points.groupBy(*_KEYS, "score").agg(
        F.sum("positive").alias("positive"),
        F.sum("negative").alias("negative"),
        F.sum("weight").alias("weight"),
        F.max("n_labels").alias("n_labels"),
    )
    curve = Window.partitionBy(*_KEYS)
    falling = curve.orderBy(F.col("score").desc())
    finite = F.abs("score") != float("inf")
    running = with_running_sums(grouped, *_KEYS).withColumns(
        {
            "next": F.lead("score").over(falling),
            "total": F.sum("positive").over(curve),
            "all_rows": F.sum("weight").over(curve),
        }
    )
    valued = running.withColumn("value", F.when(finite, _objective_of(rules, cardinality)))
    is_best = F.coalesce(F.col("value") == F.max("value").over(curve), F.lit(False))
    spans = valued.withColumn("is_best", is_best)
    # thresholds that are equally good side by side have the same number of worse ones above them
    before = F.row_number().over(falling) - F.sum(F.col("is_best").cast("int")).over(falling)
    spans = spans.withColumn("before", before)
    below = F.when(F.col("next") > float("-inf"), F.col("next")).otherwise(F.col("score"))
    empty = F.when(F.col("score") == float("inf"), F.col("positive")).otherwise(0.0)
    found = spans.groupBy(*_KEYS, "is_best", "before").agg(
        F.max("value").alias("value"),
        F.max("score").alias("from"),
        F.min(below).alias("to"),
        F.max(F.when(finite, F.col("score"))).alias("highest"),
        F.sum(empty).alias("empty"),
        *(F.max(name).alias(name) for name in ("n_labels", "total", "all_rows")),
    )
    # between a score and the next lower one nothing changes; halfway is farthest from both
    widest = F.struct(
        (F.col("from") - F.col("to")).alias("width"),
        ((F.col("from") + F.col("to")) / 2).alias("threshold"),
        "value",
    )
    return found.groupBy(*_KEYS).agg(
        F.max(F.when(F.col("is_best"), widest)).alias("best"),
        F.sum("empty").alias("empty"),
        *(F.max(name).alias(name) for name in ("highest", "n_labels", "total", "all_rows")),
    )


def _objective_of(rules: Sequence[str], cardinality: float | None) -> Column:
    """Return what the rule of a point's curve makes as large as possible."""
    found = _objective(rules[0], cardinality)
    for rule in rules[1:]:
        found = F.when(F.col("rule") == rule, _objective(rule, cardinality)).otherwise(found)
    return found


def _objective(rule: str, cardinality: float | None) -> Column:
    """Return what a rule makes as large as possible, from the sums above a threshold."""
    on, off, total = F.col("tp"), F.col("fp"), F.col("total")
    if rule == "exact_match":
        return on - off
    if rule in ("cardinality", "top"):
        wanted = total if cardinality is None else F.col("all_rows") * F.lit(cardinality)
        return -F.abs(on + off - wanted)
    return F.when(total > 0, 2 * on / (on + off + total))


def _threshold(row: Row, rule: str, cardinality: float | None) -> float | None:
    """Return the best threshold of a curve.

    The one above all scores only where no other is as good.
    """
    if row["best"] is None:
        return None
    # what predicting nothing is worth; to F1 it is worth nothing
    wanted = row["total"] if cardinality is None else row["all_rows"] * cardinality
    nothing = {"exact_match": row["empty"], "cardinality": -abs(wanted)}.get(rule, -math.inf)
    return _above(row["highest"]) if nothing > row["best"]["value"] else row["best"]["threshold"]


def _above(score: float) -> float:
    """Return a threshold that no score up to this one reaches: midway to 1 where there is room."""
    return (score + 1.0) / 2 if score < 1.0 else float(np.nextafter(score, np.inf))
