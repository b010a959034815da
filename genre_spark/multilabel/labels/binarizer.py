"""From arrays of labels' names to multi-hot vectors: an estimator that learns which there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters, shared
from pyspark.ml.util import DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType

from genre_spark.errors import InvalidInputError, InvalidLabelsError
from genre_spark.multilabel.columns import (
    append_columns,
    check_new_column,
    find_column,
    label_metadata,
)
from genre_spark.multilabel.params import CheckedParams, params_setter, set_params
from genre_spark.multilabel.persistence import ParamsReadable
from genre_spark.multilabel.shared_params import HasLabelNames
from genre_spark.workers.errors import raise_on_executor, worker_errors

__all__ = ["MultilabelBinarizer", "MultilabelBinarizerModel"]

P = TypeVar("P", bound=Params)
_ORDERS = ("alphabetical", "frequency")
_INVALID = ("error", "ignore", "skip")
_MOST_LABELS = 2**16  # more are words of a text, not labels


class _BinarizerParams(CheckedParams, shared.HasInputCol, shared.HasOutputCol):
    """Params of the binarizer and of its model."""

    inputCol: Param[str] = Param(
        Params._dummy(),
        "inputCol",
        "column of the labels' names, array<string>; a name that is there twice counts once",
        TypeConverters.toString,
    )
    outputCol: Param[str] = Param(
        Params._dummy(),
        "outputCol",
        "appended column of the labels: a Vector of 0 and 1, of length L",
        TypeConverters.toString,
    )
    handleInvalid: Param[str] = Param(
        Params._dummy(),
        "handleInvalid",
        "what a name that training did not have and a null do: 'error' (stop with the name), "
        "'ignore' (leave the name out; a row whose array is null gets null) or 'skip' (drop the "
        "row)",
        TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(inputCol="names", outputCol="labels", handleInvalid="error")

    def setInputCol(self: P, value: str) -> P:
        """Set the name of the column of names."""
        return set_params(self, {"inputCol": value})

    def setOutputCol(self: P, value: str) -> P:
        """Set the name of the labels column."""
        return set_params(self, {"outputCol": value})

    def getHandleInvalid(self) -> str:
        """Return what unknown names and nulls do."""
        return self.getOrDefault(self.handleInvalid)

    def setHandleInvalid(self: P, value: str) -> P:
        """Set what unknown names and nulls do: 'error', 'ignore' or 'skip'."""
        return set_params(self, {"handleInvalid": value})

    def _check_params(self) -> None:
        super()._check_params()
        known = self.getHandleInvalid() in _INVALID
        self._require("handleInvalid", known, f"expected one of {', '.join(_INVALID)}")

    def _names(self, dataset: DataFrame) -> Column:
        """Return the column of names, checked."""
        column, field = find_column(dataset, self.getInputCol(), "inputCol")
        kind = field.dataType
        if not (isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType)):
            raise InvalidInputError(
                f"inputCol {self.getInputCol()!r}: type {kind.simpleString()}, expected "
                "array<string>"
            )
        return column


class MultilabelBinarizerModel(
    Model, _BinarizerParams, HasLabelNames, ParamsReadable, DefaultParamsWritable
):
    """The labels that a binarizer found: appends multi-hot vectors in their order.

    The names are in the metadata of the output, where the estimators of this package, their models
    and LabelNames find them.
    """

    def __init__(self) -> None:
        super().__init__()

    @property
    def numLabels(self) -> int:
        """Number of labels, L."""
        return len(self.getLabelNames() or [])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self._check_params()
        output, names = self.getOutputCol(), self.getLabelNames()
        check_new_column(dataset, output, "outputCol")
        if not names:
            raise InvalidInputError("MultilabelBinarizerModel.labelNames: none, expected names")
        found, handle = self._names(dataset), self.getHandleInvalid()
        known = F.array(*map(F.lit, names))
        usable = found.isNotNull() & F.forall(found, lambda name: _is_known(known, name))
        if handle == "skip":
            dataset = dataset.where(usable)
        vector = array_to_vector(F.transform(known, lambda name: _count(found, name)))
        checked = F.when(found.isNotNull(), vector)
        if handle == "error":
            message = _describe(found, known, self.getInputCol())
            raised = raise_on_executor(InvalidLabelsError, message).cast("boolean")
            # the vector is an argument of the check, so that Spark cannot leave the check out
            checked = F.when(usable, vector).when(raised, vector)
        return append_columns(dataset, checked.alias(output, metadata=label_metadata(names)))


def _count(found: Column, name: Column) -> Column:
    return F.coalesce(F.array_contains(found, name), F.lit(False)).cast("double")


def _is_known(known: Column, name: Column) -> Column:
    return name.isNotNull() & F.coalesce(F.array_contains(known, name), F.lit(False))


def _describe(found: Column, known: Column, role: str) -> Column:
    """Return the message about the first name of a row that is not known."""
    unknown = F.filter(found, lambda name: ~_is_known(known, name))[0]
    hint = F.lit("expected one of training's (or handleInvalid 'ignore' or 'skip')")
    wrong = F.coalesce(F.concat(F.lit("'"), unknown, F.lit("'")), F.lit("null"))
    return F.concat(F.lit(f"{role}: "), wrong, F.lit(", "), hint)


class MultilabelBinarizer(Estimator, _BinarizerParams, ParamsReadable, DefaultParamsWritable):
    """Learn which labels there are, to turn arrays of their names into multi-hot vectors.

    What scikit-learn's MultiLabelBinarizer does, on a DataFrame of any size: one pass counts the
    names, and only the names come to the driver. LabelNames is the way back.

    Example:
        >>> binarizer = MultilabelBinarizer(inputCol="genres")
        >>> labelled = binarizer.fit(movies).transform(movies)  # doctest: +SKIP
    """

    labelOrder: Param[str] = Param(
        Params._dummy(),
        "labelOrder",
        "order of the labels: 'alphabetical', or 'frequency' (most frequent first, equal ones "
        "alphabetical)",
        TypeConverters.toString,
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = "names",
        outputCol: str = "labels",
        labelOrder: str = "alphabetical",
        handleInvalid: str = "error",
    ) -> None:
        super().__init__()
        self._setDefault(labelOrder="alphabetical")
        self._set_given()

    setParams = params_setter(__init__)

    def getLabelOrder(self) -> str:
        """Return the order of the labels."""
        return self.getOrDefault(self.labelOrder)

    def setLabelOrder(self: P, value: str) -> P:
        """Set the order of the labels: 'alphabetical' or 'frequency'."""
        return set_params(self, {"labelOrder": value})

    def _check_params(self) -> None:
        super()._check_params()
        known = self.getLabelOrder() in _ORDERS
        self._require("labelOrder", known, f"expected one of {', '.join(_ORDERS)}")

    def fit(self, dataset: DataFrame, params: Any = None) -> Any:
        """Find the labels.

        Args:
            dataset: with the column of names.
            params: a param map that goes before the binarizer's own Params, or a list of them.

        Raises:
            InvalidInputError: the column is missing or of another type, there is no name, or there
                are more than 65,536 of them.
            InvalidLabelsError: an array or a name is null, and handleInvalid is 'error'.
        """
        with worker_errors():
            return super().fit(dataset, params)

    def _fit(self, dataset: DataFrame) -> MultilabelBinarizerModel:
        self._check_params()
        model = MultilabelBinarizerModel()
        model._resetUid(self.uid)
        self._copyValues(model)
        return model._set(labelNames=self._find(dataset))

    def _find(self, dataset: DataFrame) -> Sequence[str]:
        role = self.getInputCol()
        names = dataset.select(self._names(dataset).alias("names"))
        single = names.select(F.explode_outer(F.array_distinct("names")).alias("name"), "names")
        # an array without names is a row without labels, a null is none
        absent = F.col("names").isNull() | (F.col("name").isNull() & (F.size("names") > 0))
        counts = single.groupBy("name").agg(
            F.count(F.lit(1)).alias("n"), F.max(absent).alias("absent")
        )
        rows = counts.limit(_MOST_LABELS + 2).collect()
        if any(row["absent"] for row in rows) and self.getHandleInvalid() == "error":
            raise InvalidLabelsError(
                f"{role}: null, expected arrays of names (or handleInvalid 'ignore' or 'skip')"
            )
        found = {row["name"]: row["n"] for row in rows if row["name"] is not None}
        if not found:
            raise InvalidInputError(f"{role}: no names, expected at least one")
        if len(found) > _MOST_LABELS:
            raise InvalidInputError(
                f"{role}: more than {_MOST_LABELS} different names, expected names of labels"
            )
        by_count = self.getLabelOrder() == "frequency"
        return sorted(found, key=lambda name: (-found[name] if by_count else 0, name))
