"""Fit a plan with a Spark ML classifier: each fit a distributed job, several at once, for data of any size.

Rows are drawn by a hash of their content and the seed, never by `rand`: the same rows whatever the partitions. Rows
that are equal in features and labels are therefore drawn together. What Spark ML's own forests do inside a fit does
depend on how the data is partitioned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.ml import Estimator, Model
from pyspark.ml.feature import VectorAssembler, VectorSizeHint
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.encoding import choose_subsets, distinct_labelsets, frequent_threshold
from genre_spark.multilabel.plan import AnyLabel, Labels, Labelsets, Pruning, RowSample, Subproblem
from genre_spark.multilabel.scorers import ConstantScorer, Scorer
from genre_spark.multilabel.spark_export import export_model
from genre_spark.multilabel.threads import run_in_threads

__all__ = ["FittedPart", "SparkModelScorer", "append_links", "fit_with_spark"]

_TARGET, _INPUTS, _WEIGHT = "_target", "_inputs", "_weight"


@dataclass(frozen=True)
class SparkModelScorer:
    """A fitted Spark ML classifier that has no form in numpy: it is applied by Spark itself.

    Attributes:
        model: the fitted model.
        n_classes: number of classes.
    """

    model: Model
    n_classes: int
    kind = "spark"

    def probabilities(self, block: Any) -> Any:
        """Refuse: the model needs Spark."""
        raise NotImplementedError(f"{type(self.model).__name__} can only be applied by Spark, use transform")

    def to_bytes(self) -> bytes:
        """Refuse: the model has a writer of its own."""
        raise NotImplementedError(f"{type(self.model).__name__} is stored by its own writer")


@dataclass(frozen=True)
class FittedPart:
    """What became of a Subproblem.

    Attributes:
        scorer: gives p(class | row).
        classes: the label combination of each class of a multi-class target, (classes, labels of the target).
        model: the fitted Spark ML model, where one was fitted in this session.
    """

    scorer: Scorer | SparkModelScorer
    classes: Labels | None = None
    model: Model | None = None


def fit_with_spark(
    training: DataFrame,
    subproblems: Sequence[Subproblem],
    classifier: Estimator,
    *,
    features: int,
    parallelism: int,
    weighted: bool,
) -> list[FittedPart]:
    """Fit every subproblem with a copy of the classifier.

    Args:
        training: cached; features (Vector), labels (array<double>), weight (double), row_hash (long).
        subproblems: the fits.
        classifier: a Spark ML probabilistic classifier.
        features: length of the feature vectors.
        parallelism: fits at once.
        weighted: rows have weights, so the classifier must take them.
    """
    binary = [index for index, sub in enumerate(subproblems) if isinstance(sub.target, AnyLabel)]
    shares = dict(zip(binary, _positive_shares(training, [subproblems[index] for index in binary]), strict=True))
    fit = _Fit(training, classifier, features, weighted)
    fits = [
        partial(_fit_binary, fit, sub, shares[index]) if index in shares else partial(_fit_labelsets, fit, sub)
        for index, sub in enumerate(subproblems)
    ]
    return run_in_threads(training.sparkSession, fits, parallelism=parallelism)


@dataclass(frozen=True)
class _Fit:
    """What all fits of a plan share; see fit_with_spark."""

    training: DataFrame
    classifier: Estimator
    features: int
    weighted: bool


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
            times = reduce(lambda total, bound: total + (uniform >= float(bound)).cast("int"), below, F.lit(0))
    return F.when(_on(sample.any_of) > 0, times).otherwise(0) if sample.any_of else times


def _positive_shares(training: DataFrame, subproblems: Sequence[Subproblem]) -> list[float | None]:
    """Return the share of positive rows of each binary target, None without any row: one pass for all of them."""
    if not subproblems:
        return []
    sums: list[Column] = []
    for sub in subproblems:
        times = _draws(sub.sample)
        sums += [F.sum(times), F.sum(times * _on(sub.target.labels))]
    row = training.agg(*(total.alias(f"s{index}") for index, total in enumerate(sums))).first()
    totals = [float(value or 0.0) for value in (row or [])]
    return [on / rows if rows else None for rows, on in zip(totals[::2], totals[1::2], strict=True)]


def _inputs(training: DataFrame, appended: Sequence[int], features: int) -> DataFrame:
    """Return the data with the inputs of a fit: the features and the labels that a link of a chain sees."""
    if not appended:
        return training.withColumn(_INPUTS, F.col("features"))
    links = {f"_label{position}": label(index) for position, index in enumerate(appended)}
    return append_links(training, links, inputs="features", output=_INPUTS, size=features)


def append_links(data: DataFrame, links: Mapping[str, Column], *, inputs: str, output: str, size: int) -> DataFrame:
    """Return the data with a column of the features followed by the links' numbers.

    Args:
        data: with a Vector column `inputs`.
        links: name and value of each number.
        inputs: name of the features column.
        output: name of the new column.
        size: length of the feature vectors.
    """
    # with NaN features VectorAssembler must be told the sizes, which the column's metadata may not have
    hint = VectorSizeHint(inputCol=inputs, size=size, handleInvalid="optimistic")
    assembler = VectorAssembler(inputCols=[inputs, *links], outputCol=output, handleInvalid="keep")
    return assembler.transform(hint.transform(data.withColumns(dict(links))))


def _sampled(data: DataFrame, sample: RowSample) -> DataFrame:
    if sample.kind == "bootstrap":
        return data.withColumn("_copy", F.explode(F.array_repeat(F.lit(1), _draws(sample).cast("int"))))
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


def _fit(fit: _Fit, data: DataFrame, sub: Subproblem, classes: int) -> FittedPart:
    columns = [F.col(_INPUTS), F.col(_TARGET).cast("double").alias(_TARGET)]
    if fit.weighted:
        columns.append(F.col("weight").alias(_WEIGHT))
    model = _configured(fit.classifier, sub.seed, fit.weighted).fit(data.select(*columns))
    scorer = export_model(model)
    return FittedPart(SparkModelScorer(model, classes) if scorer is None else scorer, model=model)


def _fit_binary(fit: _Fit, sub: Subproblem, share: float | None) -> FittedPart:
    if share is None or share in (0.0, 1.0):
        return FittedPart(ConstantScorer(np.array([0.0, 1.0]) if share == 1.0 else np.array([1.0, 0.0])))
    inputs = _inputs(fit.training, sub.appended, fit.features)
    data = _sampled(inputs, sub.sample).withColumn(_TARGET, _on(sub.target.labels))
    return _fit(fit, data, sub, classes=2)


def _fit_labelsets(fit: _Fit, sub: Subproblem) -> FittedPart:
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

    copies = _inputs(data, sub.appended, fit.features).withColumn(_TARGET, F.explode(become("_labelset")))
    return replace(_fit(fit, copies, sub, classes=len(frequent)), classes=frequent)


def _frequent_labelsets(data: DataFrame, pruning: Pruning) -> tuple[Labels, NDArray[np.int64]]:
    """Return the labelsets that occur often enough, in lexical order, and how often: the classes of the fit."""
    found = data.groupBy("_labelset").count()
    most = found.agg(F.max("count")).first()
    threshold = frequent_threshold(pruning, int(most[0] or 1) if most else 1)
    rows = found.where(F.col("count") > threshold).orderBy("_labelset").collect()
    if not rows:
        raise InvalidInputError("training data: the sample of a fit has no rows, expected at least one")
    labelsets = np.array([row["_labelset"] for row in rows], dtype=np.uint8)
    return labelsets, np.array([row["count"] for row in rows], dtype=np.int64)
