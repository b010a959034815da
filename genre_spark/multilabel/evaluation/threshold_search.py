"""Find the thresholds that a rule asks for: exact, in one distributed pass.

Equal scores are grouped, running sums over the sorted scores give the measure at every possible
threshold, and the best is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
from genre_spark.workers.groups import split_groups
from genre_spark.workers.tasks import short_task

__all__ = ["RULES", "BestThresholds", "find_group_thresholds", "find_thresholds"]

Vector = NDArray[np.float64]

RULES = ("fixed", "exact_match", "f1_micro", "f1_per_label", "cardinality", "top")
_HALVED = ("exact_match", "f1_micro", "f1_per_label")
_POINTS = (
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
    in_one_task: bool = False,
) -> dict[tuple[int, str], BestThresholds]:
    """Return the same for each group of rows and each rule, in one job.

    Args:
        rows: grp (int), truth, scores (array<double>) and weight (double).
        rules: some of RULES.
        cardinality: label cardinality to reproduce; None takes that of a group's rows.
        half_samples: group -> number of half samples; none where it is not named.
        in_one_task: whether one task may hold all rows; for a few of them that is much faster.

    Raises:
        InvalidInputError: there is a row that cannot be used.
    """

    def points(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for group, batch in split_groups(batches):
            for rule in rules:
                yield _batch_points(group, batch, rule, half_samples.get(group, 0))

    def reduce(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found: dict[int, list[pa.RecordBatch]] = {}
        for group, batch in split_groups(batches):
            found.setdefault(group, []).append(batch)
        for group, parts in found.items():
            for rule in rules:
                halves = half_samples.get(group, 0)
                of_rule = [_batch_points(group, part, rule, halves) for part in parts]
                yield best_points(of_rule, cardinality)

    if in_one_task:
        best = rows.coalesce(1).mapInArrow(short_task(reduce), BEST)
    else:
        best = _best_points(rows.mapInArrow(short_task(points), _POINTS), rules, cardinality)
    by_rule: dict[tuple[int, str], list[Row]] = {}
    for row in best.collect():  # one per curve
        by_rule.setdefault((row["grp"], row["rule"]), []).append(row)
    return {
        (group, rule): _best(found, rule, cardinality, half_samples.get(group, 0))
        for (group, rule), found in by_rule.items()
    }


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


def _batch_points(
    group: int, batch: pa.RecordBatch, rule: str, half_samples: int
) -> pa.RecordBatch:
    """Return the points of a rule's curves: the weights that each score switches on.

    Curve `j + k * labels` is that of label j in the k-th half sample; a rule of one threshold for
    all labels has one curve per half sample.
    """
    truth = decode_arrays(batch.column(0), "labelsCol")
    scores = decode_arrays(batch.column(1), "probabilitiesCol")
    weight = batch.column(2).to_numpy(zero_copy_only=False)
    check_labels(truth, "labelsCol")
    if truth.shape != scores.shape:
        raise InvalidInputError(
            f"probabilitiesCol: {scores.shape[1]} scores, expected {truth.shape[1]} as in labelsCol"
        )
    if not np.isfinite(scores).all() or not np.isfinite(weight).all():
        raise InvalidInputError(
            "probabilitiesCol, weightCol: NaN or infinite, expected finite numbers"
        )
    n_labels = truth.shape[1]
    halves = half_samples if rule in _HALVED else 0
    samples = [_in_half(truth, scores, number) for number in range(halves)]
    # the infinite score stands for the batch where no half sample has a row
    parts = [(np.zeros(1, np.int64), np.array([np.inf]), np.zeros(1), np.zeros(1))]
    for number, rows in enumerate(samples or [np.ones(len(truth), bool)]):
        if rows.any():
            curve, score, on, off = _points(truth[rows], scores[rows], weight[rows], rule)
            step = n_labels if rule == "f1_per_label" else 1
            parts.append((curve + number * step, score, on, off))
    curve, score, on, off = (np.concatenate(column) for column in zip(*parts, strict=True))
    whole = np.zeros(len(curve))
    whole[:1] = float(weight.sum())  # the weight of the batch, once
    return pa.RecordBatch.from_pydict(
        {
            "grp": pa.array(np.full(len(curve), group, dtype=np.int32)),
            "rule": pa.array([rule] * len(curve)),
            "curve": pa.array(curve.astype(np.int32)),
            "score": pa.array(score),
            "positive": pa.array(on),
            "negative": pa.array(off),
            "weight": pa.array(whole),
            "n_labels": pa.array(np.full(len(curve), n_labels, dtype=np.int32)),
        }
    )


def _points(
    truth: Matrix, scores: Matrix, weight: Vector, rule: str
) -> tuple[NDArray[np.int64], Vector, Vector, Vector]:
    """Return curve, score, and the weights that are right or wrong from the score down."""
    n_labels = truth.shape[1]
    if rule != "exact_match":
        curve, score, on, off = curve_points(truth, scores, weight)
        each = rule == "f1_per_label"
        kept = curve < n_labels if each else curve == n_labels
        return (curve[kept] if each else curve[kept] * 0), score[kept], on[kept], off[kept]
    # a row is right for thresholds above its best false label up to its worst true one
    lowest_true = np.where(truth == 1, scores, np.inf).min(axis=1)
    highest_false = np.where(truth == 0, scores, -np.inf).max(axis=1)
    possible = lowest_true > highest_false
    nothing = np.zeros(int(possible.sum()))
    score = np.r_[lowest_true[possible], highest_false[possible]]
    on, off = np.r_[weight[possible], nothing], np.r_[nothing, weight[possible]]
    return np.zeros(len(score), dtype=np.int64), score, on, off


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
