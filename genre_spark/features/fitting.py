"""What a feature specification learns, from training movies only, in a few Spark jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np
from pyspark.ml.feature import IDF
from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from genre_spark.config import FeaturesConfig, PostersConfig
from genre_spark.errors import InvalidInputError
from genre_spark.features.blocks import (
    CATEGORIES,
    CHARACTERS,
    EMBEDDINGS,
    NUMBERS,
    POSTER_SUMMARY,
    WORDS,
    Block,
    CategoriesBlock,
    CharactersBlock,
    EmbeddingBlock,
    NumbersBlock,
    PosterForm,
    PosterSummaryBlock,
    Vector,
    WordsBlock,
)
from genre_spark.features.spark_characters import MOVIES, NGRAM, count_ngrams, hash_frequencies
from genre_spark.features.spark_columns import PREFIX, Preparation, vector
from genre_spark.features.spark_engine import count_words, word_lists
from genre_spark.features.specification import FeatureSpecification
from genre_spark.features.stop_words import STOP_WORDS
from genre_spark.schemas import MOVIE_ID
from genre_spark.spark.threads import run_in_threads

__all__ = ["configured_columns", "fit_specification"]

_SAMPLED_MOVIES = 1000  # whose mean stands for a missing poster or embedding


def configured_columns(config: FeaturesConfig) -> Preparation:
    """Return what a recipe wants of the raw columns."""
    return Preparation(
        fields=NUMBERS if "numbers" in config.on else (),
        categories=tuple(name for name in CATEGORIES if name in config.on),
        texts=tuple(config.text_fields) if WORDS in config.on else (),
        stop_words=STOP_WORDS,
        characters=tuple(config.text_fields) if CHARACTERS in config.on else (),
    )


def fit_specification(
    train: DataFrame, config: FeaturesConfig, posters: PostersConfig
) -> FeatureSpecification:
    """Learn medians, categories, words with their weights and means of vectors.

    The result does not depend on how the movies are partitioned: medians are exact, ties between
    equally frequent categories go by name, and means come from movies that a hash chooses.

    Args:
        train: the training movies: movie_id, what `prepare_columns` adds for
            `configured_columns`, and the vectors text_embedding, poster_summary and
            poster_embedding where they are wanted; read several times, so cache it.
        config: which blocks, and how frequent a category must be.
        posters: the form in which posters were stored.

    Raises:
        InvalidInputError: there is no training movie, or none of them knows anything that is
            wanted.
    """
    embeddings = tuple(name for name in (*EMBEDDINGS, POSTER_SUMMARY) if name in config.on)
    facts = _facts(train, config, embeddings)
    movies = int(facts["movies"])
    if movies == 0:
        raise InvalidInputError("features: no training movie, expected at least one")
    known = {name: facts for name in embeddings if facts[f"{name}_known"]}
    counts: dict[str, dict[str, int]] = {}
    means: dict[str, Vector] = {}
    run_in_threads(  # two jobs of which each waits for the driver most of the time
        train.sparkSession,
        [
            lambda: counts.update(_vocabularies(train, config)),
            lambda: means.update(_means(train, known, movies)),
        ],
        parallelism=2,
    )
    parts: list[Block] = []
    for name in config.on:
        part: Block | None
        if name == "numbers":
            part = _numbers(facts)
        elif name in CATEGORIES:
            names = tuple(counts.get(name, {}))
            part = CategoriesBlock(name, names) if names else None
        elif name == WORDS:
            part = _words(train, config, counts.get(WORDS, {}), movies)
        elif name == CHARACTERS:
            part = _characters(train, config, movies)
        else:
            marked = facts[f"{name}_known"] < movies
            part = _embedding(name, means.get(name), marked, config, posters)
        if part is not None:
            parts.append(part)
    if not parts:
        raise InvalidInputError(
            f"features: none of {movies:,} training movies knows anything of "
            f"{', '.join(config.on)}; expected metadata, posters or embeddings with the ids of the "
            "genres"
        )
    return FeatureSpecification(tuple(parts), movies)


def _facts(train: DataFrame, config: FeaturesConfig, embeddings: tuple[str, ...]) -> Row:
    """Return the number of movies, of those that know each number or vector, and medians."""
    wanted: dict[str, Column] = {"movies": F.count(F.lit(1))}
    for name in NUMBERS if "numbers" in config.on else ():
        column = PREFIX + name
        # the lower of two medians, a value that a movie has; memory grows with distinct values only
        wanted[name] = F.expr(f"percentile_disc(0.5) WITHIN GROUP (ORDER BY {column})")
    for name in embeddings:
        length = F.when(vector(train, name).isNotNull(), F.size(vector(train, name)))
        wanted[f"{name}_known"] = F.count(length)
        wanted[f"{name}_least"] = F.min(length)
        wanted[f"{name}_most"] = F.max(length)
    facts = train.agg(*[value.alias(name) for name, value in wanted.items()]).first()
    if facts is None:  # an aggregate over nothing still has a row
        raise InvalidInputError("features: no training movie, expected at least one")
    for name in embeddings:
        if facts[f"{name}_known"] and facts[f"{name}_least"] != facts[f"{name}_most"]:
            raise InvalidInputError(
                f"{name}: vectors of {facts[f'{name}_least']} to {facts[f'{name}_most']} numbers, "
                "expected one length"
            )
    return facts


def _vocabularies(train: DataFrame, config: FeaturesConfig) -> dict[str, dict[str, int]]:
    """Return how many movies have each of the most frequent categories and words, in one job.

    Ties go by name, so no order depends on luck.
    """
    limits = {name: config.max_categories for name in CATEGORIES if name in config.on}
    columns = {name: F.col(PREFIX + name) for name in limits}
    if WORDS in config.on and not config.text_hashing:
        limits[WORDS] = config.text_words
        columns[WORDS] = word_lists(ngrams=config.text_ngrams)
    if not limits:
        return {}
    kinds = F.array(
        *[
            F.struct(F.lit(kind).alias("kind"), F.array_distinct(column).alias("categories"))
            for kind, column in columns.items()
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
    ranked = counted.select("kind", "category", "count", rank.alias("rank"))
    kept = ranked.where(F.col("rank") <= limit).collect()  # no more than are configured
    vocabularies: dict[str, dict[str, int]] = {}
    for row in sorted(kept, key=itemgetter("kind", "rank")):
        vocabularies.setdefault(row["kind"], {})[row["category"]] = row["count"]
    return vocabularies


def _numbers(facts: Row) -> NumbersBlock | None:
    fields = tuple(name for name in NUMBERS if facts[name] is not None)
    medians = tuple(float(facts[name]) for name in fields)
    return NumbersBlock(fields, medians) if fields else None


def _words(
    train: DataFrame, config: FeaturesConfig, counted: Mapping[str, int], movies: int
) -> WordsBlock | None:
    def block(vocabulary: tuple[str, ...] | None, frequencies: Iterable[float]) -> WordsBlock:
        # as Spark's IDF, to the last bit: numpy's own logarithm differs from Java's there
        idf = [math.log((movies + 1.0) / (frequency + 1.0)) for frequency in frequencies]
        return WordsBlock(
            texts=tuple(config.text_fields),
            ngrams=config.text_ngrams,
            stop_words=STOP_WORDS,
            vocabulary=vocabulary,
            unit_length=config.text_unit_length,
            idf=np.array(idf),
        )

    if not config.text_hashing:
        return block(tuple(counted), counted.values()) if counted else None
    unweighted = block(None, [0] * config.text_words)
    counts = count_words(train, unweighted)
    model = IDF(inputCol=f"{PREFIX}counts", outputCol=f"{PREFIX}weighted").fit(counts)
    frequencies = list(model.docFreq)
    return block(None, frequencies) if any(frequencies) else None


def _characters(train: DataFrame, config: FeaturesConfig, movies: int) -> CharactersBlock | None:
    """Return the most frequent n-grams, weighted as scikit-learn's TfidfVectorizer weighs them."""
    texts, ngrams = train.select(PREFIX + CHARACTERS), config.character_ngrams
    vocabulary: tuple[str, ...] | None = None
    if config.character_hashing:
        frequencies = hash_frequencies(texts, ngrams, config.character_features)
    else:
        frequent = count_ngrams(texts, ngrams).where(F.col(MOVIES) >= config.min_count)
        kept = frequent.orderBy(F.desc(MOVIES), NGRAM).limit(config.character_features).collect()
        vocabulary = tuple(row[NGRAM] for row in kept)  # as many as configured at most
        frequencies = [row[MOVIES] for row in kept]
    if not any(frequencies):
        return None
    idf = [1.0 + math.log((movies + 1.0) / (frequency + 1.0)) for frequency in frequencies]
    return CharactersBlock(tuple(config.text_fields), ngrams, vocabulary, np.array(idf))


def _means(train: DataFrame, known: Mapping[str, Any], movies: int) -> dict[str, Vector]:
    """Return the mean of each vector over about a thousand movies that a hash chooses."""
    if not known:
        return {}
    one_in = -(-movies // _SAMPLED_MOVIES)
    chosen = train.where(F.pmod(F.xxhash64(MOVIE_ID), F.lit(one_in)) == 0).orderBy(MOVIE_ID)
    rows = chosen.select(*[vector(train, name).alias(name) for name in known]).collect()
    means = {}
    for name, facts in known.items():
        length = facts[f"{name}_most"]
        vectors = [row[name] for row in rows if row[name] is not None]
        matrix = np.array(vectors, np.float64).reshape(-1, length)
        finite = matrix[np.isfinite(matrix).all(axis=1)]
        means[name] = finite.mean(axis=0) if len(finite) else np.zeros(length)
    return means


def _embedding(
    name: str, mean: Vector | None, marked: bool, config: FeaturesConfig, posters: PostersConfig
) -> EmbeddingBlock | None:
    if mean is None:
        return None
    if name != POSTER_SUMMARY:
        return EmbeddingBlock(name, mean, marked)
    names = PosterForm.__dataclass_fields__
    form = PosterForm(**{key: getattr(posters, key) for key in names})
    return PosterSummaryBlock(name, mean, marked, config.thumbnail, config.histogram_bins, form)
