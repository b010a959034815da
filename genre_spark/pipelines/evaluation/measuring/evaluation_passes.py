"""What an evaluation asks of the predictions of all models, each question in one job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.passes.batch_sums import (
    bootstrap_groups,
    count_groups,
    sum_groups,
)
from genre_spark.evaluation.passes.threshold_curves import ThresholdCurves, count_group_thresholds
from genre_spark.evaluation.scores import EXACT_MATCH, FIXED, MICRO_F1, NO_RULE, PER_LABEL
from genre_spark.multilabel.evaluation.metric_sums import (
    POINTS,
    collect_metrics,
    collect_metrics_by_group,
    collect_metrics_in_one_task,
    group_curves,
    group_points,
)
from genre_spark.multilabel.evaluation.metrics import MultilabelMetrics
from genre_spark.multilabel.evaluation.threshold_search import find_group_thresholds
from genre_spark.multilabel.matrices import check_labels, decode_arrays
from genre_spark.pipelines.evaluation.measuring.gathered import GROUP, Gathered
from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION, PROBABILITIES
from genre_spark.workers.groups import split_groups
from genre_spark.workers.tasks import short_task

__all__ = [
    "ChosenSums",
    "Limits",
    "count_curves",
    "fit_model_thresholds",
    "fit_thresholds",
    "measure_rules",
    "sum_test",
]

Matrix = npt.NDArray[np.float64]
Limits = Mapping[str, Sequence[float]]
"""Rule -> one threshold for all labels, or one per label."""

OWN_THRESHOLD = 0.5
"""By which every training stage makes the predictions that it stores."""
_TUNED = (EXACT_MATCH, MICRO_F1, PER_LABEL)


def fit_thresholds(validation: DataFrame, *, threshold: float, half_samples: int) -> Limits:
    """Return the thresholds of each rule for one model.

    Args:
        validation: rows with array columns labels and probabilities.
        threshold: of the fixed rule, and of labels that are never on.
        half_samples: whose best thresholds are averaged; 0 takes the best of all rows.
    """
    rows = validation.select(
        F.lit(0).alias(GROUP),
        F.col(LABELS).cast("array<double>").alias("truth"),
        F.col(PROBABILITIES).cast("array<double>").alias("scores"),
        F.lit(1.0).alias("weight"),
    )
    return _fit(rows, {0: half_samples}, threshold, group_tasks=0)[0]


def fit_model_thresholds(
    gathered: Gathered, *, threshold: float, half_samples: Mapping[str, int]
) -> dict[str, Limits]:
    """Return the same for each model, fitted on its predictions of validation.

    Args:
        gathered: all models.
        threshold: of the fixed rule, and of labels that are never on.
        half_samples: model -> number of half samples whose best thresholds are averaged.
    """
    rows = gathered.of("validation").select(
        GROUP,
        F.col(LABELS).alias("truth"),
        F.col(PROBABILITIES).alias("scores"),
        F.lit(1.0).alias("weight"),
    )
    names = {n: gathered.places[n][0].name for n in gathered.numbers("validation")}
    halves = {number: half_samples[name] for number, name in names.items()}
    found = _fit(rows, halves, threshold, gathered.group_tasks)
    return {names[number]: limits for number, limits in found.items()}


def _fit(
    rows: DataFrame, half_samples: Mapping[int, int], threshold: float, group_tasks: int
) -> dict[int, Limits]:
    best = find_group_thresholds(rows, _TUNED, half_samples=half_samples, group_tasks=group_tasks)
    if len(best) < len(_TUNED) * len(half_samples):
        raise InvalidInputError("predictions: no rows to fit thresholds on, expected at least one")
    return {
        group: {
            FIXED: [threshold],
            **{
                rule: [threshold if t is None else t for t in best[group, rule].thresholds]
                for rule in _TUNED
            },
        }
        for group in half_samples
    }


def count_curves(gathered: Gathered) -> dict[tuple[str, str], ThresholdCurves]:
    """Return what every threshold on a grid would give, by model and split."""
    rows = gathered.rows.select(GROUP, LABELS, PROBABILITIES)
    found = count_group_thresholds(
        rows, labels=_count_labels(gathered), in_one_task=gathered.in_one_task
    )
    return {_name(gathered, number): curves for number, curves in found.items()}


def measure_rules(
    gathered: Gathered, thresholds: Mapping[str, Limits]
) -> dict[tuple[str, str, str], MultilabelMetrics]:
    """Return the metrics by model, split and rule.

    What only looks at the probabilities is the same under every rule, and stands under the fixed
    one.

    Args:
        gathered: all models.
        thresholds: model -> its thresholds; one without is measured by its predictions alone.
    """
    labels = _count_labels(gathered)
    cases: list[tuple[int, str]] = []
    plans: dict[int, list[_Case]] = {}
    for number, (model, _) in gathered.places.items():
        for rule in thresholds.get(model.name, {NO_RULE: ()}):
            limits = _limits(thresholds, model.name, rule)
            plans.setdefault(number, []).append(_Case(len(cases), limits, rule == FIXED))
            cases.append((number, rule))

    def points_of(
        number: int, batch: pa.RecordBatch, *, curves: bool = True
    ) -> Iterator[pa.RecordBatch]:
        truth = _decode(batch, 0, LABELS, labels[number])
        check_labels(truth, LABELS)
        weight = np.ones(len(truth))
        for case in plans[number]:
            yield group_points(
                truth,
                weight,
                prediction=_decide(batch, case.limits, labels[number]),
                scores=_decode_scores(batch, labels[number]) if case.scored else None,
                group=case.number,
                curves=curves,
            )

    def curves_of(number: int, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        scored = [case.number for case in plans[number] if case.scored]
        truth = _decode(batch, 0, LABELS, labels[number])
        for case in scored:
            scores = _decode_scores(batch, labels[number])
            yield group_curves(truth, np.ones(len(truth)), scores, group=case)

    def points(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, batch in split_groups(batches):
            yield from points_of(number, batch)

    columns = gathered.rows.select(GROUP, LABELS, PROBABILITIES, PREDICTION)
    if gathered.in_one_task:
        found = collect_metrics_in_one_task(columns, points_of)
    elif gathered.group_tasks:
        found = collect_metrics_by_group(
            columns, partial(points_of, curves=False), curves_of, tasks=gathered.group_tasks
        )
    else:
        found = collect_metrics(columns.mapInArrow(short_task(points), POINTS), curves=True)
    return {
        (*_name(gathered, number), rule): found[case] for case, (number, rule) in enumerate(cases)
    }


@dataclass(frozen=True)
class ChosenSums:
    """Sums over the test rows of a model under one rule.

    Attributes:
        groups: what a bootstrap draws from, (G, 3 L + 3); columns of `row_sums`.
        actual: rows that have both labels of each pair, (L, L).
        predicted: the same of the predictions.
    """

    groups: Matrix
    actual: Matrix
    predicted: Matrix


def sum_test(
    gathered: Gathered, thresholds: Mapping[str, Limits], chosen: Mapping[str, str]
) -> dict[str, ChosenSums]:
    """Return what bootstrap and pictures need of the test rows.

    Args:
        gathered: all models.
        thresholds: model -> its thresholds, where it has some.
        chosen: model -> the rule that its predictions are made by.
    """
    models = {number: gathered.places[number][0] for number in gathered.numbers("test")}
    labels = {number: len(model.vocabulary) for number, model in models.items()}
    limits = {
        number: _limits(thresholds, model.name, chosen[model.name])
        for number, model in models.items()
    }

    def count(number: int, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        truth = _decode(batch, 0, LABELS, labels[number])
        prediction = _decide(batch, limits[number], labels[number])
        place = batch.column(3).to_numpy() % bootstrap_groups(labels[number])
        pairs = [(rows.T @ rows).ravel() for rows in (truth, prediction)]
        return np.concatenate([count_groups(place, truth, prediction), *pairs])

    rows = gathered.of("test").select(
        GROUP, LABELS, PROBABILITIES, PREDICTION, F.xxhash64(MOVIE_ID).alias("hash")
    )
    sizes = {
        number: bootstrap_groups(count) * (3 * count + 3) + 2 * count**2
        for number, count in labels.items()
    }
    found = {}
    totals = sum_groups(rows, count, sizes=sizes, in_one_task=gathered.in_one_task)
    for number, total in totals.items():
        size = labels[number]
        first = sizes[number] - 2 * size**2
        pairs = total[first:].reshape(2, size, size)
        sums = total[:first].reshape(bootstrap_groups(size), -1)
        found[models[number].name] = ChosenSums(sums, *pairs)
    return found


@dataclass(frozen=True)
class _Case:
    """A rule by which some rows are decided: `limits` None takes the stored predictions."""

    number: int
    limits: tuple[float, ...] | None
    scored: bool


def _limits(thresholds: Mapping[str, Limits], model: str, rule: str) -> tuple[float, ...] | None:
    # At its own threshold a model is measured by what it predicts: label powerset's most probable
    # labelset is not what its probabilities alone say, and 0.49999999999999994 is stored as 0.5.
    if rule == NO_RULE or (rule == FIXED and list(thresholds[model][rule]) == [OWN_THRESHOLD]):
        return None
    return tuple(thresholds[model][rule])


def _name(gathered: Gathered, number: int) -> tuple[str, str]:
    model, split = gathered.places[number]
    return model.name, split


def _count_labels(gathered: Gathered) -> dict[int, int]:
    return {number: len(model.vocabulary) for number, (model, _) in gathered.places.items()}


def _decide(batch: pa.RecordBatch, limits: tuple[float, ...] | None, labels: int) -> Matrix:
    """Return the labels that are on, (N, L)."""
    if limits is None:
        stored = _decode(batch, 2, PREDICTION, labels)
        check_labels(stored, PREDICTION)
        return stored
    return (_decode_scores(batch, labels) >= np.asarray(limits)).astype(np.float64)


def _decode_scores(batch: pa.RecordBatch, labels: int) -> Matrix:
    scores = _decode(batch, 1, PROBABILITIES, labels)
    if np.isnan(scores).any():
        raise InvalidInputError(f"{PROBABILITIES}: NaN, expected numbers")
    return scores


def _decode(batch: pa.RecordBatch, place: int, role: str, labels: int) -> Matrix:
    values = decode_arrays(batch.column(place), role)
    if values.shape[1] != labels:
        raise InvalidInputError(f"{role}: {values.shape[1]} values in a row, expected {labels}")
    return values
