"""From vectors of labels to the labels' names, the most probable first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters, shared
from pyspark.ml.util import DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.multilabel.columns import (
    array_column,
    as_column,
    check_new_column,
    nullable_array,
    stored_label_names,
)
from genre_spark.multilabel.params import params_setter, set_params
from genre_spark.multilabel.persistence import ParamsReadable
from genre_spark.multilabel.shared_params import HasLabelNames, HasProbabilitiesCol
from genre_spark.workers.errors import raise_on_executor

__all__ = ["LabelNames", "NamesLabels", "names_column"]

P = TypeVar("P", bound=Params)


def names_column(
    labels: Column, scores: Column | None, names: Sequence[str], role: str = "labels"
) -> Column:
    """Return the names of the labels that are on, as array<string>.

    Args:
        labels: array<double>, on where > 0; null gives null.
        scores: array<double>, the order of the names: highest first, equal ones in the labels'
            order, which is also the order of all where this is None.
        names: of the labels in their order.
        role: name of the labels' column in messages.
    """
    size = F.lit(len(names))
    if scores is None:
        entries = F.transform(labels, lambda on, at: F.struct(at.alias("at"), on.alias("on")))
        fits = F.size(labels) == size
    else:
        pairs = F.zip_with(
            labels, scores, lambda on, score: F.struct((-score).alias("order"), on.alias("on"))
        )
        entries = F.transform(
            pairs,
            lambda pair, at: F.struct(
                pair["order"].alias("order"), at.alias("at"), pair["on"].alias("on")
            ),
        )
        fits = (F.size(labels) == size) & (F.size(scores) == size)
    chosen = F.array_sort(F.filter(entries, lambda entry: entry["on"] > 0))
    known = F.array(*map(F.lit, names))
    found = F.transform(chosen, lambda entry: known[entry["at"]])
    wrong = F.concat(
        F.lit(f"{role}: a vector of length "),
        F.size(labels) if scores is None else F.least(F.size(labels), F.size(scores)),
        F.lit(f", expected {len(names)}, the number of names"),
    )
    absent = labels.isNull() if scores is None else labels.isNull() | scores.isNull()
    nothing = F.lit(None).cast("array<string>")
    return (
        F.when(absent, nothing)
        .when(fits, found)
        .otherwise(raise_on_executor(InvalidInputError, wrong).cast("array<string>"))
    )


class NamesLabels(HasLabelNames):
    """A model that knows its labels' names."""

    def labelsOf(self, column: Column | str, probabilities: Column | str | None = None) -> Column:
        """Return the names of the labels that are on in a column of Vectors, as array<string>.

        Null gives null. `LabelNames` is the same as a stage, and takes arrays too.

        Args:
            column: of labels, 0 or 1, in the order of the model's: its predictions, or the truth.
            probabilities: column of scores, a Vector too, by which the names are sorted, highest
                first; without it they are in the order of the labels.

        Raises:
            InvalidConfigError: the model does not know its labels' names.
        """
        names = self.getLabelNames()
        if not names:
            raise InvalidConfigError(
                f"{type(self).__name__}.labelNames: not set, expected the labels' names"
            )
        scores = None if probabilities is None else nullable_array(as_column(probabilities))
        return names_column(nullable_array(as_column(column)), scores, names)


class LabelNames(
    Transformer,
    shared.HasInputCol,
    shared.HasOutputCol,
    HasProbabilitiesCol,
    HasLabelNames,
    ParamsReadable,
    DefaultParamsWritable,
):
    """Append the names of the labels that are on: array<string>, the most probable first.

    Names come from `labelNames`, else from the metadata of the input column, where models that know
    their labels' names and MultilabelBinarizer leave them. A null vector gives null, a row without
    labels an empty array.

    Example:
        >>> LabelNames().transform(model.transform(test)).select("names")  # doctest: +SKIP
    """

    inputCol: Param[str] = Param(
        Params._dummy(),
        "inputCol",
        "column of labels, 0 or 1: a Vector, dense or sparse, or an array of numbers",
        TypeConverters.toString,
    )
    outputCol: Param[str] = Param(
        Params._dummy(),
        "outputCol",
        "appended column of the names, array<string>",
        TypeConverters.toString,
    )
    probabilitiesCol: Param[str] = Param(
        Params._dummy(),
        "probabilitiesCol",
        "column of the labels' scores, highest first; '' keeps the order of the labels",
        TypeConverters.toString,
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = "prediction",
        outputCol: str = "names",
        probabilitiesCol: str = "probabilities",
        labelNames: list[str] | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(inputCol="prediction", outputCol="names")
        self._set_given()

    setParams = params_setter(__init__)

    def setInputCol(self: P, value: str) -> P:
        """Set the name of the labels column."""
        return set_params(self, {"inputCol": value})

    def setOutputCol(self: P, value: str) -> P:
        """Set the name of the column of names."""
        return set_params(self, {"outputCol": value})

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self._check_params()
        source, output = self.getInputCol(), self.getOutputCol()
        check_new_column(dataset, output, "outputCol")
        labels = array_column(dataset, source, "inputCol")
        by = self.getProbabilitiesCol()
        scores = array_column(dataset, by, "probabilitiesCol") if by else None
        names = self.getLabelNames() or stored_label_names(dataset, source)
        if not names:
            raise InvalidInputError(
                f"inputCol {source!r}: its metadata has no names of labels, set labelNames here or "
                "in the estimator"
            )
        return dataset.withColumn(output, names_column(labels, scores, names, source))
