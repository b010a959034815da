"""Apply base classifiers without a form in numpy by Spark itself: one plan node per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.ml import Model
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from genre_spark.errors import InvalidInputError
from genre_spark.multilabel.columns import append_links, find_column
from genre_spark.multilabel.matrices import EXPECTED_FINITE
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.parts import Part, SparkPart
from genre_spark.multilabel.models.predictors import Predictor
from genre_spark.multilabel.models.scorers import ConstantScorer, Scorer
from genre_spark.multilabel.models.transform import HIDDEN, SCORES
from genre_spark.workers.errors import raise_on_executor

__all__ = ["SparkTask", "append_scores_on_spark", "needs_spark"]

_CHECKED = "_multilabel_features"
_ANSWERS = {
    "probabilityCol": "_probability",
    "rawPredictionCol": "_raw",
    "predictionCol": "_class",
}


@dataclass(frozen=True)
class SparkTask:
    """How parts are applied by Spark and their answers combined.

    Attributes:
        parts: all of them Spark models or constant.
        links: for a part, the parts whose predictions follow the features in its inputs.
        combine: the model's predictor for the scorers of the parts.
        features_col: name of the features column.
        n_features: length of the feature vectors.
        feature_names: names of the features, where known.
        threshold: smallest score with which a label is predicted.
        link_threshold: smallest probability with which a part passes its label on as predicted.
        allow_invalid: whether NaN and infinite features pass.
    """

    parts: Sequence[Part]
    links: Mapping[int, Sequence[int]]
    combine: Callable[[Sequence[Scorer]], Predictor]
    features_col: str
    n_features: int
    feature_names: Sequence[str] | None
    threshold: float
    link_threshold: float
    allow_invalid: bool


def needs_spark(parts: Sequence[Part]) -> bool:
    """Return whether a model has parts without a form in numpy."""
    return any(isinstance(part, SparkPart) for part in parts)


def append_scores_on_spark(data: DataFrame, task: SparkTask) -> DataFrame:
    """Return the data with the hidden column of `transform.append_scores`."""
    data = _check_rows(data, task)
    scorers: list[Scorer] = []
    for index, part in enumerate(task.parts):
        answer = f"_part{index}"
        if isinstance(part, SparkPart):
            data = _append_links(data, task, index)
            data = _apply(data, part.model, answer, f"_inputs{index}")
            scorers.append(_GivenScorer(index, part.n_classes))
        elif isinstance(part.scorer, ConstantScorer):
            data = data.withColumn(answer, F.array(*map(F.lit, part.scorer.distribution.tolist())))
            scorers.append(part.scorer)
        else:
            raise TypeError(f"part {index}: {type(part.scorer).__name__}, expected a Spark model")
        # dropped and never selected: columns of the data may be there twice
        links = (f"_link{one}" for one in task.links.get(index, ()))
        data = data.drop(f"_inputs{index}", *_ANSWERS.values(), *links)
    combined = _combine(data, task.combine(scorers), len(task.parts), task.threshold)
    return combined.drop(_CHECKED, *(f"_part{index}" for index in range(len(task.parts))))


def _append_links(data: DataFrame, task: SparkTask, index: int) -> DataFrame:
    """Return the data with the inputs of a part: the features, and the labels that a link sees."""
    output, before = f"_inputs{index}", task.links.get(index, ())
    if not before:
        return data.withColumn(output, F.col(_CHECKED))
    passed_on = {
        f"_link{one}": (F.col(f"_part{one}")[1] >= task.link_threshold).cast("double")
        for one in before
    }
    return append_links(data, passed_on, inputs=_CHECKED, output=output, size=task.n_features)


def _apply(data: DataFrame, model: Model, output: str, inputs: str) -> DataFrame:
    """Return the data with p(class), array<double>, of a Spark model."""
    copy = model.copy()
    known = {name: value for name, value in _ANSWERS.items() if copy.hasParam(name)}
    copy._set(featuresCol=inputs, **known)
    return copy.transform(data).withColumn(output, vector_to_array(F.col("_probability")))


@dataclass(frozen=True)
class _GivenScorer:
    """Probabilities that Spark computed before: stands for a part in its predictor.

    Attributes:
        part: number of the part.
        n_classes: number of classes.
    """

    part: int
    n_classes: int
    dense_columns: ClassVar[int] = 0

    def probabilities(self, block: FeatureBlock) -> NDArray[np.float64]:
        """Return what the block brings."""
        if not isinstance(block, _GivenBlock):
            raise TypeError(f"{type(block).__name__}: expected a block with the parts' answers")
        return block.answers[self.part]


class _GivenBlock(FeatureBlock):
    """A block without features that brings the answers of the parts."""

    def __init__(self, n_rows: int, room: int, answers: Mapping[int, NDArray[np.float64]]) -> None:
        super().__init__(np.zeros((n_rows, 0)), room)
        self.answers = answers


def _combine(data: DataFrame, predictor: Predictor, n_parts: int, threshold: float) -> DataFrame:
    """Return the data with the hidden column that follows from the `_part<i>` columns."""

    @pandas_udf(SCORES)  # type: ignore[call-overload, untyped-decorator]
    def combine(parts: pd.DataFrame) -> pd.DataFrame:
        if not len(parts):
            return pd.DataFrame({"probabilities": [], "prediction": []})
        answers = {index: np.stack(parts[f"_part{index}"].to_list()) for index in range(n_parts)}
        block = _GivenBlock(len(parts), predictor.room, answers)
        scores, prediction = predictor.predict(block, threshold)
        return pd.DataFrame({"probabilities": list(scores), "prediction": list(prediction)})

    columns = [F.col(f"_part{index}") for index in range(n_parts)]
    return data.withColumn(HIDDEN, combine(F.struct(*columns)))


def _check_rows(data: DataFrame, task: SparkTask) -> DataFrame:
    """Return the data with a copy of the features that raises an error for rows that are none.

    Spark's models read what they get: a shorter vector as one with zeros, NaN as any number.
    """
    column, _ = find_column(data, task.features_col, "featuresCol")
    role, size = task.features_col, F.lit(task.n_features)
    stored = F.unwrap_udt(column)  # no dense copy of a sparse row
    values, is_dense = stored["values"], stored["type"] == 1
    length = F.when(is_dense, F.size(values)).otherwise(stored["size"])
    checks: list[tuple[Column, Column]] = [
        (
            column.isNull(),
            F.lit(f"{role}: null, expected a vector of length {task.n_features}"),
        ),
        (
            length != size,
            F.concat(F.lit(f"{role}: a vector of length "), length, F.lit(", expected "), size),
        ),
    ]
    if not task.allow_invalid:
        checks.append((F.exists(values, _invalid), _describe_invalid(stored, task)))
    (first, message), *others = checks
    checked = F.when(first, raise_on_executor(InvalidInputError, message))
    for holds, text in others:
        checked = checked.when(holds, raise_on_executor(InvalidInputError, text))
    return data.withColumn(_CHECKED, checked.otherwise(column))


def _describe_invalid(stored: Column, task: SparkTask) -> Column:
    """Return the message about the first NaN or infinite feature of an unwrapped vector."""

    def number(value: Column, index: Column) -> Column:
        return F.struct(index.alias("i"), value.alias("v"))

    def is_invalid(entry: Column) -> Column:
        return _invalid(entry["v"])

    wrong: Any = F.filter(F.transform(stored["values"], number), is_invalid)[0]
    index = F.when(stored["type"] == 1, wrong["i"]).otherwise(stored["indices"][wrong["i"]])
    shown = F.when(F.isnan(wrong["v"]), "nan").when(wrong["v"] > 0, "inf").otherwise("-inf")
    called: Column = F.lit("")
    if task.feature_names:
        names = F.array(*map(F.lit, task.feature_names))
        called = F.concat(F.lit(" ("), names[index], F.lit(")"))
    return F.concat(
        F.lit(f"{task.features_col}: "),
        shown,
        F.lit(" in feature "),
        index,
        called,
        F.lit(f", {EXPECTED_FINITE}"),
    )


def _invalid(value: Column) -> Column:
    return F.isnan(value) | (F.abs(value) == float("inf"))
