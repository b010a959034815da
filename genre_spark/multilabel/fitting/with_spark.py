"""Fit a plan with a Spark ML classifier: each fit a distributed job, several at once.

For data of any size. Rows are drawn by a hash of their content and the seed, never by `rand`: the
same rows whatever the partitions. Rows that are equal in features and labels are therefore drawn
together. Spark ML's forests draw their bootstrap partition by partition, so the training table is
dealt out to a number of partitions that depends on its size alone, and sorted: the same seed gives
the same trees on any number of cores. Small tables make one partition: a fit then is a chain of
jobs of one task each, and fits at once use as many cores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.ml import Estimator
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.columns import append_columns, append_links
from genre_spark.multilabel.fitting.encoding import (
    choose_subsets,
    distinct_labelsets,
    frequent_threshold,
)
from genre_spark.multilabel.fitting.plan import AnyLabel, Labelsets, Pruning, RowSample, Subproblem
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.fitting.tree_splits import searched_bins, with_few_values
from genre_spark.multilabel.matrices import Labels
from genre_spark.multilabel.models.from_spark import export_model, fitted_model
from genre_spark.multilabel.models.parts import FittedPart, Part, SparkPart
from genre_spark.multilabel.models.scorers import ConstantScorer
from genre_spark.spark.session import count_executors
from genre_spark.spark.threads import run_in_threads
from genre_spark.storage.caching import cached, release

__all__ = ["fit_with_spark"]

_TARGET, _INPUTS, _WEIGHT = "_target", "_inputs", "_weight"
_COUNTED_AT_ONCE = 200  # sums in one pass: more make code that the JVM does not compile
_VALUES = 2**21  # stored numbers of a partition: 16 MiB of dense vectors, 24 MiB of sparse ones
_COPIED = 64  # partitions that copies of a table may make: 1 GiB of memory, over all executors


def fit_with_spark(
    training: DataFrame,
    subproblems: Sequence[Subproblem],
    classifier: Estimator,
    *,
    statistics: TrainingStatistics,
    parallelism: int,
    weighted: bool,
) -> list[Part]:
    """Fit every subproblem with a copy of the classifier.

    Args:
        training: features (Vector), labels (array<double>), weight (double), row_hash (long);
            released from memory where it was cached.
        subproblems: the fits.
        classifier: a Spark ML probabilistic classifier.
        statistics: size and label counts of the training data.
        parallelism: number of fits at once.
        weighted: whether rows have weights; the classifier must then take them.
    """
    spark = training.sparkSession
    partitions = max(1, math.ceil(statistics.stored_values / _VALUES))
    ordered = _in_order(training, partitions)
    bins = (
        searched_bins(classifier, subproblems, statistics.n_rows)
        if statistics.n_rows * statistics.n_features <= _VALUES and not weighted
        else None
    )
    # A cached partition draws its tasks to the executors that hold it: with one copy of one
    # partition, all fits would run on one executor, and with five partitions on two of them one
    # would do three fifths of the work.
    copies = max(
        1, min(parallelism, len(subproblems), count_executors(spark), _COPIED // partitions)
    )
    kept = with_few_values(ordered, bins, size=statistics.n_features) if bins else ordered
    with cached(kept, copies, again=partial(_in_order, partitions=partitions)) as table:
        table.count()
        release(training)  # the table does not need it any more
        # without a length in the metadata, each fit makes a pass for it
        known = table.schema["features"].metadata
        metadata = {"ml_attr": {"num_attrs": statistics.n_features}} | known
        fit = _Fit(table, classifier, statistics, weighted, metadata)
        fits = [
            partial(_fit_binary, fit, sub, drawn)
            if isinstance(sub.target, AnyLabel)
            else partial(_fit_labelsets, fit, sub)
            for sub, drawn in _with_rows(table, subproblems, statistics)
        ]
        return run_in_threads(spark, fits, parallelism=parallelism, counted="fits")


def _in_order(training: DataFrame, partitions: int) -> DataFrame:
    """Return the rows dealt out to partitions by their hash, and sorted.

    So nothing depends on where they came from.
    """
    dealt = (
        training.repartition(partitions)
        if partitions == 1
        else training.repartition(partitions, "row_hash")
    )
    return dealt.sortWithinPartitions("row_hash", "weight")


@dataclass(frozen=True)
class _Fit:
    """What all fits of a plan share; see fit_with_spark.

    Attributes:
        metadata: metadata of the features column.
    """

    training: DataFrame
    classifier: Estimator
    statistics: TrainingStatistics
    weighted: bool
    metadata: dict[str, Any]


def label(index: int) -> Column:
    """Return the label at a position of the labels array."""
    return F.col("labels")[index]


def _on(labels: Sequence[int]) -> Column:
    return F.greatest(*(label(index) for index in labels)) if len(labels) > 1 else label(labels[0])


def _draws(sample: RowSample) -> Column:
    """Return how often a row is drawn: 0, 1, ..."""
    if sample.kind == "all":
        times: Column = F.lit(1)
    else:
        # 52 bits of the hash are a uniform number in 0..1
        uniform = F.pmod(F.xxhash64("row_hash", F.lit(sample.seed)), F.lit(2**52)) / float(2**52)
        if sample.kind == "subsample":
            times = F.when(uniform < sample.fraction, 1).otherwise(0)
        else:  # N draws with replacement give each row Poisson(1) copies as N grows (Oza 2005)
            below = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(9)])
            times = reduce(
                lambda total, bound: total + (uniform >= float(bound)).cast("int"), below, F.lit(0)
            )
    return F.when(_on(sample.any_of) > 0, times).otherwise(0) if sample.any_of else times


@dataclass(frozen=True)
class _Drawn:
    """Which rows a fit sees.

    Attributes:
        n_rows: number of rows.
        positives: number of rows with a binary target of 1.
        first_kept: smallest number of `_kept` among the others.
    """

    n_rows: float
    positives: float
    first_kept: float = 0.0

    @property
    def share(self) -> float | None:
        """Share of the positives, None without rows."""
        return self.positives / self.n_rows if self.n_rows else None


def _with_rows(
    table: DataFrame, subproblems: Sequence[Subproblem], statistics: TrainingStatistics
) -> list[tuple[Subproblem, _Drawn]]:
    """Return the subproblems with what they draw; one whose sample is empty takes all rows.

    Equal rows are drawn together, so that a sample of a table with few distinct rows can be empty.
    Rows of weight 0 do not count.
    """
    drawn = _count_draws(table, subproblems, statistics)
    filled = [
        sub if count.n_rows or sub.sample.any_of else replace(sub, sample=RowSample())
        for sub, count in zip(subproblems, drawn, strict=True)
    ]
    if filled != list(subproblems):
        drawn = _count_draws(table, filled, statistics)
    return list(zip(filled, drawn, strict=True))


def _count_draws(
    table: DataFrame, subproblems: Sequence[Subproblem], statistics: TrainingStatistics
) -> list[_Drawn]:
    """Count what each subproblem draws, in one pass for many of them.

    No pass where the statistics know it.
    """
    known = [_known_draws(sub, statistics) for sub in subproblems]
    found = {index: drawn for index, drawn in enumerate(known) if drawn is not None}
    rest = [index for index, drawn in enumerate(known) if drawn is None]
    for start in range(0, len(rest), _COUNTED_AT_ONCE):
        part = rest[start : start + _COUNTED_AT_ONCE]
        sums: list[Column] = []
        for index in part:
            times, target = _draws(subproblems[index].sample), subproblems[index].target
            times = F.when(F.col("weight") > 0, times).otherwise(0)
            on = times * _on(target.labels) if isinstance(target, AnyLabel) else F.lit(0)
            sums += [F.sum(times).alias(f"rows{index}"), F.sum(on).alias(f"on{index}")]
            if subproblems[index].negative_rate < 1.0:
                sums.append(
                    F.min(F.when((times > 0) & (on == 0), _kept(subproblems[index]))).alias(
                        f"first{index}"
                    )
                )
        totals = (table.agg(*sums).first() or Row()).asDict()
        for index in part:
            names = (f"rows{index}", f"on{index}", f"first{index}")
            found[index] = _Drawn(*(float(totals.get(name) or 0.0) for name in names))
    return [found[index] for index in range(len(subproblems))]


def _known_draws(sub: Subproblem, statistics: TrainingStatistics) -> _Drawn | None:
    if sub.sample.kind != "all" or sub.sample.any_of or sub.negative_rate < 1.0:
        return None
    if not isinstance(sub.target, AnyLabel):
        return _Drawn(float(statistics.n_rows), 0.0)
    if len(sub.target.labels) > 1:
        return None
    single = sub.target.labels[0]
    counted = float(statistics.label_counts[single]) if statistics.label_weights[single] else 0.0
    return _Drawn(float(statistics.n_rows), counted)


def _inputs(fit: _Fit, data: DataFrame, appended: Sequence[int]) -> DataFrame:
    """Return the data with the inputs of a fit: the features, and the labels that a link sees."""
    if not appended:
        return append_columns(data, F.col("features").alias(_INPUTS, metadata=fit.metadata))
    links = {f"_label{position}": label(index) for position, index in enumerate(appended)}
    size = fit.statistics.n_features
    return append_links(data, links, inputs="features", output=_INPUTS, size=size)


def _sampled(data: DataFrame, sample: RowSample) -> DataFrame:
    if sample.kind == "bootstrap":
        return data.withColumn(
            "_copy", F.explode(F.array_repeat(F.lit(1), _draws(sample).cast("int")))
        )
    if sample.kind == "subsample" or sample.any_of:
        return data.where(_draws(sample) > 0)
    return data


def _configured(classifier: Estimator, seed: int, weighted: bool) -> Estimator:
    """Return a copy of the classifier that reads the columns of a fit."""
    copy = classifier.copy()
    names = {param.name for param in copy.params}
    values: dict[str, Any] = {"featuresCol": _INPUTS, "labelCol": _TARGET}
    if weighted and "weightCol" in names:
        values["weightCol"] = _WEIGHT
    for name in ("seed", "random_state"):  # the latter is XGBoost's
        if name in names:
            values[name] = seed
    return copy._set(**values)


def _fit(
    fit: _Fit, data: DataFrame, sub: Subproblem, n_classes: int, classes: Labels | None = None
) -> Part:
    # with the number of classes in its metadata, the target needs no pass to count them
    names = [str(number) for number in range(n_classes)]
    metadata = {"ml_attr": {"type": "nominal", "vals": names}}
    columns = [F.col(_INPUTS), F.col(_TARGET).cast("double").alias(_TARGET, metadata=metadata)]
    balanced = (sub.positive_weight, sub.negative_weight) != (1.0, 1.0)
    if balanced:
        factor = F.when(F.col(_TARGET) > 0, sub.positive_weight).otherwise(sub.negative_weight)
        columns.append((F.col("weight") * factor).alias(_WEIGHT))
    elif fit.weighted:
        columns.append(F.col("weight").alias(_WEIGHT))
    model = fitted_model(
        _configured(fit.classifier, sub.seed, fit.weighted or balanced), data.select(*columns)
    )
    scorer = export_model(model, classes)
    if scorer is None:
        return SparkPart(model, n_classes, classes)
    return FittedPart(scorer, classes, model)


def _kept(sub: Subproblem) -> Column:
    """Return the uniform number of a row, 0..1, up to which a fit keeps its negatives."""
    return F.pmod(
        F.xxhash64("row_hash", F.lit(sub.seed), F.lit("negatives")), F.lit(2**52)
    ) / float(2**52)


def _fit_binary(fit: _Fit, sub: Subproblem, drawn: _Drawn) -> Part:
    share = drawn.share
    if share is None or share in (0.0, 1.0):
        return FittedPart(ConstantScorer(np.array([0.0, 1.0] if share == 1.0 else [1.0, 0.0])))
    inputs = _inputs(fit, fit.training, sub.appended)
    data = _sampled(inputs, sub.sample).withColumn(_TARGET, _on(sub.target.labels))
    if sub.negative_rate < 1.0:
        # at least one negative: without any, a label would be learnt as always on
        kept = (_kept(sub) < sub.negative_rate) | (_kept(sub) <= drawn.first_kept)
        data = data.where((F.col(_TARGET) > 0) | kept)
    return _fit(fit, data, sub, n_classes=2)


def _fit_labelsets(fit: _Fit, sub: Subproblem) -> Part:
    target = sub.target
    if not isinstance(target, Labelsets):
        raise TypeError(f"target: {type(target).__name__}, expected Labelsets")
    key = F.array(*(label(index) for index in target.labels)).cast("array<tinyint>")
    data = _sampled(fit.training, sub.sample).withColumn("_labelset", key)
    pruning = target.pruning or Pruning(threshold=0)
    frequent, counts = _frequent_labelsets(data, pruning)
    if len(frequent) <= 1:
        return FittedPart(ConstantScorer(np.ones(1)), frequent)

    @pandas_udf("array<int>")  # type: ignore[call-overload, untyped-decorator]
    def become(labelsets: pd.Series) -> pd.Series:
        if labelsets.empty:
            return pd.Series([], dtype=object)
        sets, number, _ = distinct_labelsets(np.stack(labelsets.to_list()).astype(np.uint8))
        chosen = choose_subsets(sets, frequent, counts, pruning)
        return pd.Series([chosen[index].astype(np.int32) for index in number])

    copies = _inputs(fit, data, sub.appended).withColumn(_TARGET, F.explode(become("_labelset")))
    return _fit(fit, copies, sub, len(frequent), frequent)


def _frequent_labelsets(data: DataFrame, pruning: Pruning) -> tuple[Labels, NDArray[np.int64]]:
    """Return the classes of a fit: the labelsets that occur often enough, and how often.

    In lexical order.
    """
    found = data.groupBy("_labelset").count()
    most = found.agg(F.max("count")).first()
    threshold = frequent_threshold(pruning, int(most[0] or 1) if most else 1)
    rows = found.where(F.col("count") > threshold).orderBy("_labelset").collect()
    if not rows:
        raise InvalidInputError(
            "training data: the sample of a fit has no rows, expected at least one"
        )
    labelsets = np.array([row["_labelset"] for row in rows], dtype=np.uint8)
    return labelsets, np.array([row["count"] for row in rows], dtype=np.int64)
