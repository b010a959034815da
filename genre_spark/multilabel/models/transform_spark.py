"""Apply base classifiers that have no form in numpy by Spark itself, a plan node a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from genre_spark.multilabel.columns import EXPECTED_FINITE, append_links
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.parts import FittedPart, SparkModelScorer
from genre_spark.multilabel.models.predictors import Predictor
from genre_spark.multilabel.models.scorers import ConstantScorer, Scorer

__all__ = ["GivenScorer", "append_given_scores", "append_part_scores", "check_rows"]


@dataclass(frozen=True)
class GivenScorer:
    """Probabilities that Spark computed before: stands for a part in its predictor.

    Attributes:
        part: number of the part.
    """

    part: int
    n_classes: int
    kind: ClassVar[str] = "given"

    def probabilities(self, block: FeatureBlock) -> NDArray[np.float64]:
        """Return what the block brings."""
        return _given(block)[self.part]

    def to_bytes(self) -> bytes:
        """Refuse: it stands for another scorer."""
        raise NotImplementedError("probabilities of a block are not stored")


@dataclass
class _GivenBlock(FeatureBlock):
    """A block without features that brings the answers of the parts."""

    answers: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)

    def __init__(self, rows: int, room: int, answers: Mapping[int, NDArray[np.float64]]) -> None:
        super().__init__(np.zeros((rows, 0)), room)
        self.answers = answers


def _given(block: FeatureBlock) -> Mapping[int, NDArray[np.float64]]:
    if not isinstance(block, _GivenBlock):
        raise TypeError(
            f"{type(block).__name__}: no answers, the model can only be applied by Spark: use "
            "transform"
        )
    return block.answers


def stand_in(part: FittedPart, index: int) -> Scorer:
    """Return the scorer that stands for a part: itself where it is constant."""
    scorer = part.scorer
    return scorer if isinstance(scorer, ConstantScorer) else GivenScorer(index, scorer.n_classes)


def check_rows(
    data: DataFrame,
    features: str,
    *,
    output: str,
    size: int,
    names: Sequence[str] | None,
    allow_invalid: bool,
) -> DataFrame:
    """Return the data with a copy of the features column that stops at a row that no model was fitted for.

    Spark's models read what they get: a shorter vector as one with zeros, NaN as any number.

    Args:
        data: with a Vector column `features`.
        features: name of the column.
        output: name of the copy.
        size: the length that the vectors must have.
        names: of the features, where known.
        allow_invalid: NaN and infinite features pass.
    """
    column = F.col(f"`{features}`")
    values = vector_to_array(column)
    checks: list[tuple[Column, Column]] = [
        (column.isNull(), F.lit(f"{features}: null, expected a vector of length {size}")),
        (
            F.size(values) != size,
            F.concat(
                F.lit(f"{features}: a vector of length "),
                F.size(values),
                F.lit(f", expected {size}"),
            ),
        ),
    ]
    if not allow_invalid:
        wrong = F.filter(
            F.transform(values, lambda value, index: F.struct(index.alias("i"), value.alias("v"))),
            lambda entry: _invalid(entry["v"]),
        )[0]
        shown = F.when(F.isnan(wrong["v"]), "nan").when(wrong["v"] > 0, "inf").otherwise("-inf")
        called: Column = F.lit("")
        if names:
            called = F.concat(F.lit(" ("), F.array(*map(F.lit, names))[wrong["i"]], F.lit(")"))
        text = F.concat(
            F.lit(f"{features}: "),
            shown,
            F.lit(" in feature "),
            wrong["i"],
            called,
            F.lit(f", {EXPECTED_FINITE}"),
        )
        checks.append((F.exists(values, _invalid), text))
    (first, message), *others = checks
    checked = F.when(first, F.raise_error(message))
    for holds, text in others:
        checked = checked.when(holds, F.raise_error(text))
    return data.withColumn(output, checked.otherwise(column))


def _invalid(value: Column) -> Column:
    return F.isnan(value) | (F.abs(value) == float("inf"))


def append_part_scores(
    data: DataFrame,
    parts: Sequence[FittedPart],
    links: Mapping[int, Sequence[int]],
    *,
    inputs: str,
    size: int,
    passed: float,
) -> DataFrame:
    """Return the data with a column `_part<i>` of p(class), array<double>, for each part that is not constant.

    Args:
        data: with features.
        parts: all of them Spark models or constant.
        links: for a part, the parts whose predictions follow the features in its inputs.
        inputs: name of the features column.
        size: length of the feature vectors.
        passed: a part passes its label on as predicted where its probability is >= this.
    """
    names = list(data.columns)
    for index, part in enumerate(parts):
        if isinstance(part.scorer, ConstantScorer):
            data = data.withColumn(
                f"_part{index}", F.array(*map(F.lit, part.scorer.distribution.tolist()))
            )
        elif isinstance(part.scorer, SparkModelScorer):
            linked, before = inputs, links.get(index, ())
            if before:
                linked = "_linked"
                passed_on = {
                    f"_link{one}": (F.col(f"_part{one}")[1] >= passed).cast("double")
                    for one in before
                }
                data = append_links(data, passed_on, inputs=inputs, output=linked, size=size)
            data = _apply(data, part.scorer.model, index, linked)
        else:
            raise TypeError(f"part {index}: {type(part.scorer).__name__}, expected a Spark model")
        names.append(f"_part{index}")
        data = data.select(*(F.col(f"`{name}`") for name in names))
    return data


def _apply(data: DataFrame, model: Any, index: int, inputs: str) -> DataFrame:
    outputs = {
        "probabilityCol": "_probability",
        "rawPredictionCol": "_raw",
        "predictionCol": "_class",
    }
    copy = model.copy()
    copy._set(
        featuresCol=inputs,
        **{name: value for name, value in outputs.items() if copy.hasParam(name)},
    )
    return copy.transform(data).withColumn(f"_part{index}", vector_to_array(F.col("_probability")))


def append_given_scores(
    data: DataFrame, predictor: Predictor, count: int, threshold: float, hidden: str
) -> DataFrame:
    """Return the data with the struct of probabilities and prediction that follows from the `_part<i>` columns."""

    @pandas_udf("probabilities array<double>, prediction array<double>")  # type: ignore[call-overload, untyped-decorator]
    def combine(parts: pd.DataFrame) -> pd.DataFrame:
        answers = (
            {index: np.stack(parts[f"_part{index}"].to_list()) for index in range(count)}
            if len(parts)
            else {}
        )
        if not answers:
            return pd.DataFrame({"probabilities": [], "prediction": []})
        scores, prediction = predictor.predict(
            _GivenBlock(len(parts), predictor.room, answers), threshold
        )
        return pd.DataFrame({"probabilities": list(scores), "prediction": list(prediction)})

    columns = [F.col(f"_part{index}") for index in range(count)]
    return data.withColumn(hidden, combine(F.struct(*columns))).drop(
        *(f"_part{index}" for index in range(count))
    )
