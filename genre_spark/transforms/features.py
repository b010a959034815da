"""The feature vector of a movie: a Spark ML pipeline fitted on training movies, and a small summary of its poster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml import Estimator, Pipeline, PipelineModel, Transformer
from pyspark.ml.feature import IDF, CountVectorizerModel, Imputer, VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType, LongType, StructField, StructType

from genre_spark.config import FeaturesConfig
from genre_spark.imaging import decode_stored
from genre_spark.schemas import CHANNELS, ENCODING, FEATURES, HEIGHT, IMAGE, MOVIE_ID, WIDTH
from genre_spark.transforms.metadata import LISTS, NUMBERS, TEXT
from genre_spark.workers import short_task

POSTER = "poster"
EMBEDDING = "embedding"
WORDS = "words"
# Words that say nothing about a genre; a short list of our own, since every language has its own
# and IDF does the rest.
_STOP_WORDS = (
    *(
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "from",
        "has",
        "have",
        "he",
        "her",
        "his",
        "in",
    ),
    *(
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "she",
        "that",
        "the",
        "their",
        "them",
        "they",
        "this",
        "to",
        "was",
    ),
    *("were", "when", "who", "will", "with", "you", "your"),
)
_BATCH_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(POSTER, ArrayType(FloatType(), False), False),
    ]
)


def summarise_image(image: NDArray[np.uint8], *, thumbnail: int, bins: int) -> NDArray[np.float32]:
    """Return a thumbnail and colour histograms of an image as one vector.

    Args:
        image: uint8, (3, H, W), RGB, 0..255.
        thumbnail: side of the thumbnail in pixels; 0 for none.
        bins: bins of each channel's histogram; 0 for none.

    Returns:
        float32, (3 * thumbnail^2 + 3 * bins,); thumbnail values 0..1 in CHW order, histograms that
        sum to 1 a channel.
    """
    parts = [np.zeros(0, np.float32)]
    if thumbnail:
        small = cv2.resize(
            image.transpose(1, 2, 0), (thumbnail, thumbnail), interpolation=cv2.INTER_AREA
        )
        parts.append(small.transpose(2, 0, 1).astype(np.float32).ravel() / 255)
    if bins:
        pixels = image.shape[1] * image.shape[2]
        for channel in image:
            counts = np.bincount(channel.ravel(), minlength=256)
            edges = np.arange(bins) * 256 // bins
            parts.append((np.add.reduceat(counts, edges) / pixels).astype(np.float32))
    return np.concatenate(parts)


def summarise_posters(posters: DataFrame, *, thumbnail: int, bins: int) -> DataFrame:
    """Turn the posters table into movie_id and `poster`, a vector (see `summarise_image`)."""

    def summarise(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        cv2.setNumThreads(0)  # Spark runs one worker a core already
        for batch in batches:
            columns = [batch.column(index) for index in range(1, 6)]
            rows = zip(*[column.to_pylist() for column in columns], strict=True)
            vectors = [
                summarise_image(
                    decode_stored(image, encoding, height, width, channels),
                    thumbnail=thumbnail,
                    bins=bins,
                )
                for image, encoding, height, width, channels in rows
            ]
            arrays = [batch.column(0), pa.array(vectors, pa.list_(pa.float32()))]
            yield pa.RecordBatch.from_arrays(arrays, names=[MOVIE_ID, POSTER])

    selected = posters.select(MOVIE_ID, IMAGE, ENCODING, HEIGHT, WIDTH, CHANNELS)
    summaries = selected.mapInArrow(short_task(summarise), _BATCH_SCHEMA)
    return summaries.select(MOVIE_ID, array_to_vector(F.col(POSTER)).alias(POSTER))


def fit_feature_pipeline(train: DataFrame, config: FeaturesConfig) -> PipelineModel:
    """Fit the pipeline that turns metadata columns, `poster` and `embedding` into `features`, on training movies.

    Numbers are imputed by their median, with a column that says whether they were missing; lists of
    categories become 0/1 columns of the most frequent ones; words of the text are weighted by
    inverse document frequency. What the training movies do not have at all (no rating anywhere, no
    studio that is frequent enough) is left out.

    Args:
        train: the training movies as `prepare_columns` returns them; read several times, so cache
            it.
        config: which features, and how frequent a category must be.
    """
    stages: list[Estimator | Transformer] = []
    inputs: list[str] = []
    if config.metadata:
        if config.numbers:
            known = _known_numbers(train)
            filled = [f"{name}_filled" for name in known]
            if known:
                stages.append(
                    Imputer(
                        strategy="median", inputCols=known, outputCols=filled, relativeError=0.0
                    )
                )
            inputs += [*filled, *[f"{name}_missing" for name in known]]
        vocabularies = _vocabularies(train, config)
        for name in LISTS:
            if name in vocabularies:
                stages.append(_one_hot(vocabularies[name], name, f"{name}_known", binary=True))
                inputs.append(f"{name}_known")
        if WORDS in vocabularies:
            stages.append(_one_hot(vocabularies[WORDS], WORDS, "word_counts", binary=False))
            stages.append(IDF(inputCol="word_counts", outputCol="weighted_words"))
            inputs.append("weighted_words")
    if config.posters:
        inputs.append(POSTER)
    if config.embeddings:
        inputs.append(EMBEDDING)
    stages.append(VectorAssembler(inputCols=inputs, outputCol=FEATURES, handleInvalid="error"))
    return Pipeline(stages=stages).fit(train)


def prepare_columns(movies: DataFrame) -> DataFrame:
    """Add what the pipeline needs beside the metadata: marks of missing numbers and the words of the text."""
    marks = [F.col(name).isNull().cast("double").alias(f"{name}_missing") for name in NUMBERS]
    words = F.split(F.lower(TEXT), r"[^\p{L}\p{N}']+")
    kept = F.filter(words, lambda word: (F.length(word) > 1) & ~word.isin(*_STOP_WORDS))
    return movies.select("*", *marks, kept.alias(WORDS))


def _known_numbers(train: DataFrame) -> list[str]:
    counts = train.agg(*[F.count(name).alias(name) for name in NUMBERS]).first()
    return [name for name in NUMBERS if counts is not None and counts[name] > 0]


def _vocabularies(train: DataFrame, config: FeaturesConfig) -> dict[str, list[str]]:
    """Return the most frequent categories of each kind, in one pass.

    Ties go by name, so no order depends on luck.
    """
    limits = dict.fromkeys(LISTS, config.max_categories) | (
        {WORDS: config.text_words} if config.text_words else {}
    )
    kinds = F.array(
        *[
            F.struct(F.lit(kind).alias("kind"), F.array_distinct(kind).alias("categories"))
            for kind in limits
        ]
    )
    counted = (
        train.select(F.explode(kinds).alias("k"))
        .select("k.kind", F.explode("k.categories").alias("category"))
        .groupBy("kind", "category")
        .count()
        .where(F.col("count") >= config.min_count)
    )
    rank = F.row_number().over(Window.partitionBy("kind").orderBy(F.desc("count"), "category"))
    limit = F.element_at(
        F.create_map(*[F.lit(value) for item in limits.items() for value in item]), F.col("kind")
    )
    kept = counted.select("kind", "category", rank.alias("rank")).where(F.col("rank") <= limit)
    vocabularies: dict[str, list[str]] = {}
    for row in kept.orderBy(
        "kind", "rank"
    ).collect():  # at most the configured number of categories
        vocabularies.setdefault(row["kind"], []).append(row["category"])
    return vocabularies


def _one_hot(
    vocabulary: list[str], source: str, target: str, *, binary: bool
) -> CountVectorizerModel:
    model = CountVectorizerModel.from_vocabulary(vocabulary, inputCol=source, outputCol=target)
    return model.setBinary(binary)
