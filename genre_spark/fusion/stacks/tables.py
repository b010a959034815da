"""Stacks in Spark: predictions of several models joined by movie, and a model on top of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.errors import InvalidInputError
from genre_spark.fusion.stacks.stacking import (
    Pattern,
    Penalty,
    StackedModel,
    choose_penalty,
    fit_stack,
    log_odds,
)
from genre_spark.fusion.vectors import decode_lists, decode_optional_lists, encode_lists
from genre_spark.sampling.priorities import priority
from genre_spark.schemas import (
    LABELS,
    MOVIE_ID,
    PREDICTION,
    PREDICTIONS_SCHEMA,
    PROBABILITIES,
    WEIGHT,
)
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = [
    "CrossFittedStack",
    "draw_rows",
    "fit_cross_fitted",
    "fold_of",
    "join_predictions",
    "predict_stack",
    "without_senses",
]

_FOLD = "fold"


@dataclass(frozen=True)
class CrossFittedStack:
    """A stack for new movies, and those for the movies that it was fitted on.

    Attributes:
        whole: fitted on all rows.
        folds: fold i was fitted on the rows of the other folds; empty where no row that it was
            fitted on will be predicted.
        rows: number of rows.
        loss: mean log loss of the folds on the rows that they were not fitted on.
    """

    whole: StackedModel
    folds: tuple[StackedModel, ...]
    rows: int
    loss: float


def join_predictions(predictions: Mapping[str, DataFrame]) -> DataFrame:
    """Return movie_id, labels and probabilities per model, m0, m1, ..., null where it has none.

    Args:
        predictions: model -> rows of PREDICTIONS_SCHEMA of the same split.

    Raises:
        InvalidInputError: there is no model.
    """
    if not predictions:
        raise InvalidInputError("stack: no model, expected at least one")
    rows = reduce(
        DataFrame.unionAll,
        [
            frame.select(MOVIE_ID, F.lit(n).alias("n"), LABELS, PROBABILITIES)
            for n, frame in enumerate(predictions.values())
        ],
    )
    said = [
        F.first(F.when(F.col("n") == n, F.col(PROBABILITIES)), ignorenulls=True).alias(f"m{n}")
        for n in range(len(predictions))
    ]
    # one shuffle for any number of models, where each join would sort and shuffle again
    together = rows.repartition(MOVIE_ID).groupBy(MOVIE_ID)
    return together.agg(F.min_by(LABELS, "n").alias(LABELS), *said)


def without_senses(
    joined: DataFrame, lacks: DataFrame, senses: Sequence[Sequence[str]]
) -> DataFrame:
    """Replace by null what models say of movies that lack a sense which they need.

    Args:
        joined: of `join_predictions`.
        lacks: movie_id, and for each sense a boolean column: whether the movie lacks it.
        senses: of each model, the senses that it needs.
    """
    columns = []
    for number, needed in enumerate(senses):
        kept = F.col(f"m{number}")
        for sense in needed:
            kept = F.when(~F.coalesce(F.col(sense), F.lit(False)), kept)
        columns.append(kept.alias(f"m{number}"))
    others = [name for name in joined.columns if name not in {f"m{n}" for n in range(len(senses))}]
    return joined.join(lacks, MOVIE_ID, "left").select(*others, *columns)


def fold_of(seed: int, folds: int) -> Column:
    """Return the fold of a movie: a function of its id and the seed alone."""
    return F.pmod(priority(seed, "stack fold"), F.lit(folds)).cast("int")


def draw_rows(rows: DataFrame, seed: int, most: int) -> DataFrame:
    """Return at most `most` rows in one partition, in the order of their movies."""
    drawn = rows.orderBy(priority(seed, "stack row"), MOVIE_ID).limit(most)
    return drawn.repartition(1).sortWithinPartitions(MOVIE_ID)


def fit_cross_fitted(
    joined: DataFrame,
    models: Sequence[str],
    *,
    folds: int,
    seed: int,
    most_rows: int,
    patterns: Sequence[Pattern] = (),
    keep_folds: bool = True,
    penalties: Sequence[Penalty] | None = None,
) -> CrossFittedStack:
    """Fit a stack in one Spark task; its penalty is chosen on rows that fits did not see.

    Args:
        joined: of `join_predictions`, of predictions of movies by models that were not trained on
            them; with a column `weight` rows count by it.
        models: names, in the order of the columns.
        folds: number of folds.
        seed: seed of the folds and of the choice of rows.
        most_rows: rows that are used at most; a draw by movie and seed.
        patterns: of `patterns_of`, of movies that some models cannot judge.
        keep_folds: whether rows that it is fitted on will be predicted.
        penalties: to choose from; None for the usual ones.

    Raises:
        InvalidInputError: there are fewer rows than folds.
    """
    names = tuple(models)

    def fit(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables = list(batches)
        rows = sum(len(batch) for batch in tables)
        if rows < 2 * folds:
            raise InvalidInputError(
                f"stack: {rows} movies that any of {', '.join(names)} predicted, "
                f"expected at least {2 * folds}"
            )
        table = pa.Table.from_batches(tables).combine_chunks()
        columns = [column.chunk(0) for column in table.columns]
        place, labels, weights = columns[0].to_numpy(), decode_lists(columns[1]), columns[2]
        counted = weights.to_numpy() / np.mean(weights.to_numpy())
        count = labels.shape[1]
        inputs = log_odds([decode_optional_lists(column, count) for column in columns[3:]])
        extra = {} if penalties is None else {"penalties": penalties}
        penalty, loss = choose_penalty(
            inputs, labels, place, models=names, row_weights=counted, **extra
        )
        parts = [np.ones(rows, np.bool_)]
        if keep_folds:
            parts += [place != fold for fold in range(folds)]
        for kept in parts:
            found = fit_stack(
                inputs[kept],
                labels[kept],
                models=names,
                penalty=penalty,
                patterns=patterns,
                row_weights=counted[kept],
            )
            yield pa.RecordBatch.from_pydict(
                {
                    "model": pa.array([found.to_bytes()], pa.binary()),
                    "rows": pa.array([rows], pa.int64()),
                    "loss": pa.array([loss], pa.float64()),
                }
            )

    drawn = draw_rows(joined.withColumn(_FOLD, fold_of(seed, folds)), seed, most_rows)
    weight = F.col(WEIGHT) if WEIGHT in joined.columns else F.lit(1.0)
    weight = weight.cast("double").alias(WEIGHT)
    drawn = drawn.select(_FOLD, LABELS, weight, *(f"m{number}" for number in range(len(names))))
    with worker_errors():
        found = drawn.mapInArrow(short_task(fit), "model binary, rows long, loss double").collect()
    fitted = [StackedModel.from_bytes(bytes(row["model"])) for row in found]
    return CrossFittedStack(fitted[0], tuple(fitted[1:]), found[0]["rows"], found[0]["loss"])


def predict_stack(
    joined: DataFrame, stack: CrossFittedStack, *, seed: int, fitted_rows: bool
) -> DataFrame:
    """Return predictions of a stack.

    Args:
        joined: of `join_predictions`.
        stack: fitted.
        seed: of `fit_cross_fitted`.
        fitted_rows: whether these are the rows that it was fitted on: each is then predicted by the
            fold that has not seen it.
    """
    members = stack.folds if fitted_rows else (stack.whole,)
    count, labels = len(stack.whole.models), len(stack.whole.fit.intercepts)

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            inputs = log_odds(
                [decode_optional_lists(batch.column(3 + n), labels) for n in range(count)]
            )
            place = batch.column(2).to_numpy()
            found = np.zeros((len(batch), labels))
            for number, member in enumerate(members):
                mine = place == number
                found[mine] = member.probabilities(inputs[mine])
            stored = found.astype(np.float32)
            decided = encode_lists(stored >= 0.5)
            yield pa.RecordBatch.from_arrays(
                [batch.column(0), batch.column(1), encode_lists(stored), decided],
                names=[MOVIE_ID, LABELS, PROBABILITIES, PREDICTION],
            )

    fold = fold_of(seed, len(stack.folds)) if fitted_rows else F.lit(0)
    columns = [f"m{number}" for number in range(count)]
    wanted = joined.select(MOVIE_ID, LABELS, fold.alias(_FOLD), *columns)
    return wanted.mapInArrow(short_task(predict), PREDICTIONS_SCHEMA)
