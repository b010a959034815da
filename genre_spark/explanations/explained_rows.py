"""The validation movies on which models are explained: a bounded sample of them, in one task."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy import sparse

from genre_spark.errors import InvalidInputError
from genre_spark.fusion.vectors import decode_lists
from genre_spark.sampling.priorities import priority
from genre_spark.schemas import LABELS, MOVIE_ID
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.tasks import short_task

__all__ = ["ExplainedRows", "collect_rows", "draw_movies"]

_MOST_VALUES = 10**8
"""Values of all inputs together, without zeros: 1.2 GB on the driver and in each task."""

Decode = Callable[[list[pa.Array]], sparse.csr_matrix]


@dataclass(frozen=True)
class ExplainedRows:
    """Movies with what a model reads of them.

    Attributes:
        inputs: CSR (movies, inputs), in the order of their ids.
        labels: 0 or 1, (movies, labels).
    """

    inputs: sparse.csr_matrix
    labels: NDArray[np.float64]


def draw_movies(movies: DataFrame, *, seed: int, most: int) -> DataFrame:
    """Return at most `most` rows with movie_id: the first by a hash of seed and movie."""
    return movies.orderBy(priority(seed, "explained movie"), MOVIE_ID).limit(most)


def collect_rows(movies: DataFrame, decode: Decode, *, role: str) -> ExplainedRows:
    """Bring drawn movies to the driver, packed by one task.

    Args:
        movies: movie_id, labels, and the columns that `decode` gets.
        decode: turns columns of Arrow into CSR (rows, inputs), in the task.
        role: name of the model, for messages.

    Raises:
        InvalidInputError: there is no row, or the rows have too many values.
    """
    names = [name for name in movies.columns if name not in (MOVIE_ID, LABELS)]

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts, labels, held = [], [], 0
        for batch in batches:
            if batch.num_rows:
                labels.append(decode_lists(batch.column(0)))
                parts.append(decode(batch.columns[1:]))
                held += parts[-1].nnz
                if held > _MOST_VALUES:
                    raise InvalidInputError(
                        f"{role}: more than {_MOST_VALUES:,} values in the rows that it is "
                        "explained on, expected fewer: lower explanations.rows"
                    )
        if not parts:
            raise InvalidInputError(f"{role}: no validation movie to explain it on, expected some")
        file = io.BytesIO()
        matrix = sparse.vstack(parts, format="csr")
        np.savez(
            file,
            data=matrix.data,
            indices=matrix.indices,
            indptr=matrix.indptr,
            width=np.array(matrix.shape[1]),
            labels=np.concatenate(labels),
        )
        yield pa.RecordBatch.from_pydict({"rows": pa.array([file.getvalue()], pa.binary())})

    wanted = movies.repartition(1).sortWithinPartitions(MOVIE_ID).select(LABELS, *names)
    with worker_errors():
        payload = wanted.mapInArrow(short_task(pack), "rows binary").collect()[0]["rows"]
    stored = np.load(io.BytesIO(bytes(payload)), allow_pickle=False)
    shape = (len(stored["labels"]), int(stored["width"]))
    matrix = sparse.csr_matrix((stored["data"], stored["indices"], stored["indptr"]), shape)
    return ExplainedRows(matrix, stored["labels"])
