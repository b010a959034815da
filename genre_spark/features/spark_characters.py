"""N-grams of characters in Spark: counted in batches by Python workers, over arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import LongType, StringType, StructField, StructType

from genre_spark.features.blocks import CharactersBlock
from genre_spark.features.characters import CharacterCounter, chunks, find_windows, pad_words
from genre_spark.workers.tasks import short_task

__all__ = ["MOVIES", "NGRAM", "character_vectors", "count_ngrams", "hash_frequencies"]

NGRAM, MOVIES = "ngram", "movies"
_COUNTED = StructType(
    [StructField(NGRAM, StringType(), False), StructField(MOVIES, LongType(), False)]
)
_HASHED = StructType(
    [StructField(NGRAM, LongType(), False), StructField(MOVIES, LongType(), False)]
)
_FIELDS = "type tinyint, size int, indices array<int>, values array<double>"
_VECTOR = StructType([StructField("vector", VectorUDT())])


def character_vectors(text: Column, part: CharactersBlock) -> Column:
    """Return the block of each text as sparse vectors.

    Args:
        text: of a movie, all of them joined; null where there is none.
        part: the block.
    """
    counter = CharacterCounter(part)

    def count(texts: pd.Series) -> pd.DataFrame:
        padded = [pad_words(text) if text else "" for text in texts]
        rows = counter.count(padded)
        cuts = rows.indptr[1:-1]
        # the fields of a stored sparse vector (VectorUDT)
        return pd.DataFrame(
            {
                "type": np.zeros(len(padded), np.int8),
                "size": np.full(len(padded), rows.shape[1], np.int32),
                "indices": _listed(rows.indices.astype(np.int32), cuts),
                "values": _listed(rows.data, cuts),
            }
        )

    make_udf: Any = pandas_udf  # its overloads know no such function
    udf: Callable[[Column], Column] = make_udf(count, returnType=_FIELDS)
    # Spark takes no vector from a pandas UDF, and has no cast from a vector's fields to a vector;
    # JSON has one, loses no digit, and stays in the JVM
    fields = F.to_json(F.struct(udf(text).alias("vector")))
    return F.from_json(fields, _VECTOR)["vector"]


def count_ngrams(texts: DataFrame, ngrams: tuple[int, int]) -> DataFrame:
    """Return `ngram` and `movies`: how many of the texts have each n-gram.

    Workers count within a batch first, so that what is shuffled grows with the number of n-grams,
    not with that of the texts.

    Args:
        texts: one column of text, null where a movie has none.
        ngrams: characters of the shortest and of the longest.
    """

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for padded in _padded(batches):
            windows = find_windows(padded, *ngrams)
            _, first, which = np.unique(windows.hashes, return_index=True, return_inverse=True)
            found = np.unique(which + windows.rows * len(first)) % max(1, len(first))
            starts, lengths = windows.starts[first].tolist(), windows.lengths[first].tolist()
            names = [
                windows.characters[start : start + length]
                for start, length in zip(starts, lengths, strict=True)
            ]
            movies = np.bincount(found, minlength=len(first))
            yield pa.RecordBatch.from_arrays(
                [pa.array(names, pa.string()), pa.array(movies, pa.int64())], names=[NGRAM, MOVIES]
            )

    counted = texts.mapInArrow(short_task(count), _COUNTED)
    return counted.groupBy(NGRAM).agg(F.sum(MOVIES).alias(MOVIES))


def hash_frequencies(texts: DataFrame, ngrams: tuple[int, int], size: int) -> list[int]:
    """Return how many of the texts have an n-gram of each hash, (size,).

    Args:
        texts: one column of text, null where a movie has none.
        ngrams: characters of the shortest and of the longest.
        size: number of hashes.
    """
    counter = CharacterCounter(CharactersBlock(("name",), ngrams, None, np.ones(size)))

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        movies = np.zeros(size, np.int64)
        for padded in _padded(batches):
            movies += np.bincount(counter.count(padded).indices, minlength=size)
        (found,) = np.nonzero(movies)
        yield pa.RecordBatch.from_arrays(
            [pa.array(found), pa.array(movies[found])], [NGRAM, MOVIES]
        )

    counted = texts.mapInArrow(short_task(count), _HASHED)
    frequencies = np.zeros(size, np.int64)
    for row in counted.groupBy(NGRAM).agg(F.sum(MOVIES).alias(MOVIES)).collect():  # <= size rows
        frequencies[row[NGRAM]] = row[MOVIES]
    return frequencies.tolist()


def _padded(batches: Iterable[pa.RecordBatch]) -> Iterator[Sequence[str]]:
    for batch in batches:
        texts = batch.column(0).to_pylist()
        yield from chunks([pad_words(text) if text else "" for text in texts])


def _listed(values: np.ndarray, cuts: np.ndarray) -> pd.Series:
    """Return parts of an array as values of a column."""
    parts = np.empty(len(cuts) + 1, object)
    parts[:] = np.split(values, cuts)
    return pd.Series(parts, dtype=object)
