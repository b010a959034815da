"""Append probabilities and predictions to a DataFrame in one pass over its features."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from scipy.sparse import issparse

from genre_spark.multilabel.columns import append_columns, label_metadata, vector_column
from genre_spark.multilabel.matrices import AnyMatrix, check_features, decode_vectors
from genre_spark.multilabel.models.feature_block import FeatureBlock
from genre_spark.multilabel.models.forests import share_grid
from genre_spark.multilabel.models.predictors import Predictor

__all__ = [
    "HIDDEN",
    "SCORES",
    "ScoringTask",
    "append_scores",
    "score_features",
    "unfold_scores",
]

SCORES = "probabilities array<double>, prediction array<double>"
HIDDEN = "_multilabel_scores"
_ROWS = 8192  # a block and its intermediate results stay in the processor's cache
_CELLS = 2**23  # of sparse rows that become dense at a time: 64 MiB
_loaded: OrderedDict[str, Predictor] = OrderedDict()


@dataclass(frozen=True)
class ScoringTask:
    """Everything that a worker needs to score rows.

    Attributes:
        token: name of the fitted model, so that a worker unpacks it once for all its tasks.
        payload: the predictor, pickled on its way to workers, never stored.
        n_features: length of the feature vectors.
        threshold: smallest score with which a label is predicted.
        role: name of the features column in messages.
        feature_names: names of the features, where known.
        allow_invalid: whether NaN and infinite features pass.
    """

    token: str
    payload: bytes
    n_features: int
    threshold: float
    role: str
    feature_names: list[str] | None
    allow_invalid: bool

    def predictor(self) -> Predictor:
        """Return the predictor, unpacked once per worker process, which keeps the last two."""
        found = _loaded.get(self.token)
        if found is None:
            found = _loaded[self.token] = pickle.loads(self.payload)
            while len(_loaded) > 2:
                _loaded.popitem(last=False)
        _loaded.move_to_end(self.token)
        return found

    def score(self, parts: pd.DataFrame) -> pd.DataFrame:
        """Return probabilities and predictions of unwrapped feature Vectors.

        Raises:
            InvalidInputError: a vector is null, has another length, or holds NaN or infinity.
        """
        features = decode_vectors(parts, self.role, self.n_features)
        if not self.allow_invalid:
            check_features(features, self.role, self.feature_names)
        probabilities, prediction = score_features(self.predictor(), features, self.threshold)
        return pd.DataFrame({"probabilities": list(probabilities), "prediction": list(prediction)})


def score_features(
    predictor: Predictor, features: AnyMatrix, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return probabilities and predictions of a matrix of features, each (rows, labels)."""
    share_grid(predictor.scorers)
    step = _ROWS
    if issparse(features):
        dense = max((scorer.dense_columns for scorer in predictor.scorers), default=0)
        step = max(16, min(_ROWS, _CELLS // max(dense, 1)))
    scored = [
        predictor.predict(FeatureBlock(features[start : start + step], predictor.room), threshold)
        for start in range(0, max(1, features.shape[0]), step)
    ]
    probabilities, predictions = zip(*scored, strict=True)
    return np.concatenate(probabilities), np.concatenate(predictions)


def append_scores(data: DataFrame, task: ScoringTask, *, features_col: str) -> DataFrame:
    """Return the data with a hidden column: a struct of the arrays probabilities and prediction.

    A row that cannot be scored raises an InvalidInputError in its worker; `worker_errors` around an
    action raises it here.
    """

    @pandas_udf(SCORES)  # type: ignore[call-overload, untyped-decorator]
    def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield task.score(batch)

    return data.withColumn(HIDDEN, score(vector_column(data, features_col, "featuresCol")))


def unfold_scores(
    data: DataFrame, *, probabilities_col: str, prediction_col: str, names: list[str] | None = None
) -> DataFrame:
    """Return the data with the two arrays of the hidden column as Vectors in its place.

    Args:
        data: result of `append_scores`.
        probabilities_col: name of the column of probabilities; "" leaves it out.
        prediction_col: name of the column of predictions; "" leaves it out.
        names: names of the labels, for the columns' metadata.
    """
    wanted = {"probabilities": probabilities_col, "prediction": prediction_col}
    about: dict[str, Any] = {"metadata": label_metadata(names)} if names else {}
    vectors = [
        array_to_vector(F.col(f"{HIDDEN}.{part}")).alias(name, **about)
        for part, name in wanted.items()
        if name
    ]
    # never by name: other columns may be there twice, or have any character in their names
    return append_columns(data, *vectors).drop(HIDDEN)
