"""The feature vector: fitted on training movies only, the same whatever the partitioning."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import functions as F

from genre_spark.config import FeaturesConfig, PostersConfig
from genre_spark.errors import InvalidInputError
from genre_spark.features.fitting import configured_columns, fit_specification
from genre_spark.features.poster_summary import summarise_image
from genre_spark.features.spark_columns import prepare_columns
from genre_spark.features.spark_engine import add_features, assemble_features
from genre_spark.features.spark_posters import summarise_posters

SCHEMA = (
    "movie_id long, date string, minute double, rating double, countries array<string>, "
    "languages array<string>, studios array<string>, themes array<string>, people array<string>, "
    "name string, tagline string, description string"
)
CONFIG = FeaturesConfig(
    min_count=2,
    max_categories=2,
    text_words=3,
    text_fields=("tagline", "description"),
    blocks={"poster_summary": False, "decade": False},
)


def make_movies(spark, rows=None):
    rows = rows or [
        (1, "1990", 90.0, None, ["UK"], [], [], [], [], None, "The ghost", "of a ghost"),
        (2, "2000", None, None, ["UK", "USA"], [], [], [], [], None, None, "ghost story"),
        (3, "2010", 110.0, None, ["USA", "Chad"], [], [], [], [], None, "love story", None),
        (4, None, None, None, ["Chad", "Fiji"], [], [], [], [], None, "unseen", "words"),
    ]
    return spark.createDataFrame(rows, SCHEMA)


def fit(movies, config=CONFIG):
    prepared = prepare_columns(movies, configured_columns(config))
    return fit_specification(prepared, config, PostersConfig())


def compute_vectors(specification, movies) -> dict[int, list[float]]:
    return {
        row["movie_id"]: row["features"].toArray().tolist()
        for row in add_features(movies, specification).collect()
    }


def test_numbers_are_imputed_from_training_and_marked_and_unknown_kinds_are_left_out(spark) -> None:
    movies = make_movies(spark)
    specification = fit(movies.where("movie_id < 4"))
    vectors = compute_vectors(specification, movies)
    # no rating: no training movie has one
    assert specification.names == (
        "numbers: year",
        "numbers: minute",
        "numbers: year missing",
        "numbers: minute missing",
        "countries: UK",
        "countries: USA",
        "words: ghost",
        "words: story",
    )
    assert specification.training_movies == 3
    assert vectors[2][:4] == [2000.0, 90.0, 0.0, 1.0]
    assert vectors[4][:4] == [2000.0, 90.0, 1.0, 1.0]


def test_categories_and_words_come_from_training_movies_only_and_must_be_frequent(spark) -> None:
    movies = make_movies(spark)
    vectors = compute_vectors(fit(movies.where("movie_id < 4")), movies)
    assert vectors[2][4:6] == [1.0, 1.0]
    assert vectors[3][4:6] == [0.0, 1.0]
    assert vectors[4][4:] == [0.0, 0.0, 0.0, 0.0]  # Chad is in one training movie, Fiji in none
    ghost_twice, ghost_once = vectors[1][6], vectors[2][6]
    assert ghost_twice == pytest.approx(2 * ghost_once)
    assert ghost_once == pytest.approx(np.log(4 / 3))  # in 2 of 3 movies


def test_the_specification_does_not_depend_on_partitions(spark) -> None:
    movies = make_movies(spark)
    blocks = CONFIG.blocks.model_copy(update={"characters": True})
    settings = {"text_ngrams": 2, "min_count": 1, "character_features": 5, "blocks": blocks}
    config = CONFIG.model_copy(update=settings)
    one = fit(movies.coalesce(1), config)
    many = fit(movies.repartition(4), config)
    assert one.digest == many.digest


def test_a_median_is_a_value_of_the_movies_and_ignores_what_is_not_finite(spark) -> None:
    values = [1.0, float("nan"), 7.0, float("inf"), 3.0, None, 2.0]
    rows = [(i, None, value, 5.0, *[None] * 8) for i, value in enumerate(values)]
    specification = fit(make_movies(spark, rows))
    assert specification.part("numbers").fields == ("minute", "rating")
    assert specification.part("numbers").medians == (2.0, 5.0)  # the lower one of 2 and 3


def test_blocks_are_switched_one_by_one(spark) -> None:
    rows = [
        (i, "1999", 90.0, 3.0, ["UK"], ["L"], ["S"], ["T"], ["P"], "Title", "tag", "text")
        for i in range(3)
    ]
    movies = make_movies(spark, rows)
    off = dict.fromkeys(type(CONFIG.blocks).model_fields, False)
    for name in ("numbers", "decade", "countries", "languages", "studios", "themes", "people"):
        config = CONFIG.model_copy(
            update={"blocks": CONFIG.blocks.model_copy(update={**off, name: True})}
        )
        assert list(fit(movies, config).blocks) == [name]


def test_the_name_of_a_movie_is_a_text_where_the_recipe_says_so(spark) -> None:
    rows = [(i, *[None] * 8, "Alien", None, "a film") for i in range(2)]
    config = CONFIG.model_copy(update={"text_fields": ("name", "description")})
    assert fit(make_movies(spark, rows), config).names == ("words: alien", "words: film")


def test_hashed_words_are_weighted_by_the_movies_that_have_them(spark) -> None:
    config = CONFIG.model_copy(update={"text_hashing": True, "text_words": 2**12})
    movies = make_movies(spark)
    specification = fit(movies, config)
    assert specification.blocks["words"].stop - specification.blocks["words"].start == 2**12
    words = sorted(set(specification.part("words").idf.round(9)))
    assert words == [round(np.log(5 / (count + 1)), 9) for count in (2, 1, 0)]
    vectors = [row["features"] for row in add_features(movies, specification).collect()]
    assert all(vector.numNonzeros() < 12 for vector in vectors)
    assert all(type(vector).__name__ == "SparseVector" for vector in vectors)


def test_characters_come_from_training_movies_only_and_the_most_frequent_are_kept(spark) -> None:
    blocks = CONFIG.blocks.model_copy(update={"characters": True, "words": False})
    config = CONFIG.model_copy(update={"character_features": 4, "blocks": blocks})
    movies = make_movies(spark)
    block = fit(movies.where("movie_id < 4"), config).part("characters")
    # in "the ghost of a ghost" and "ghost story", and " stor" in two as well: ties go by name
    assert block.vocabulary == (" gh", " gho", " ghos", " st")
    assert block.idf == pytest.approx(1 + np.log(4 / 3))
    hashed = fit(
        movies, config.model_copy(update={"character_hashing": True, "character_features": 2**18})
    ).part("characters")
    assert hashed.vocabulary is None
    assert set((5 / np.exp(hashed.idf - 1) - 1).round(6)) == {0.0, 1.0, 2.0}  # movies with it


def test_a_missing_vector_is_the_mean_of_the_training_movies_and_marked(spark) -> None:
    config = CONFIG.model_copy(
        update={"blocks": CONFIG.blocks.model_copy(update={"text_embedding": True})}
    )
    frame = make_movies(spark)
    vectors = spark.createDataFrame(
        [(1, [1.0, 2.0]), (2, [3.0, 6.0]), (3, None)],
        "movie_id long, text_embedding array<double>",
    )
    prepared = prepare_columns(frame, configured_columns(config)).join(vectors, "movie_id", "left")
    specification = fit_specification(prepared.where("movie_id < 4"), config, PostersConfig())
    block = specification.part("text_embedding")
    assert block.fill.tolist() == [2.0, 4.0]
    assert block.marked
    found = {row["movie_id"]: row for row in assemble_features(prepared, specification).collect()}
    place = specification.blocks["text_embedding"]
    assert found[4]["features"].toArray()[place].tolist() == [2.0, 4.0, 1.0]
    assert found[2]["features"].toArray()[place].tolist() == [3.0, 6.0, 0.0]
    ragged = prepared.withColumn(
        "text_embedding",
        F.when(F.col("movie_id") == 1, F.array(F.lit(1.0))).otherwise(F.col("text_embedding")),
    )
    with pytest.raises(InvalidInputError, match="text_embedding: vectors of 1 to 2 numbers"):
        fit_specification(ragged, config, PostersConfig())


def test_movies_of_which_nothing_is_known_are_told(spark) -> None:
    nothing = make_movies(spark, [(1, *[None] * 11)])
    with pytest.raises(InvalidInputError, match="none of 1 training movies knows anything of numb"):
        fit(nothing)
    with pytest.raises(InvalidInputError, match="no training movie, expected at least one"):
        fit(nothing.where("movie_id > 1"))


def test_a_picture_becomes_a_thumbnail_and_histograms_that_sum_to_one() -> None:
    image = np.zeros((3, 20, 10), np.uint8)
    image[0, :, 5:] = 255  # right half red
    vector = summarise_image(image, thumbnail=2, bins=4)
    np.testing.assert_allclose(vector[:4], [0, 1, 0, 1])
    assert vector[4:12].sum() == 0
    np.testing.assert_allclose(
        vector[12:].reshape(3, 4), [[0.5, 0, 0, 0.5], [1, 0, 0, 0], [1, 0, 0, 0]]
    )


def test_stored_posters_become_vectors_of_the_promised_length(spark) -> None:
    raw = np.full((3, 6, 4), 51, np.uint8).tobytes()
    posters = spark.createDataFrame(
        [(5, bytearray(raw), 6, 4, 3, "raw", "x")],
        "movie_id long, image binary, height int, width int, channels int, encoding string, source "
        "string",
    )
    (row,) = summarise_posters(posters, thumbnail=1, bins=2).collect()
    assert row["movie_id"] == 5
    np.testing.assert_allclose(row["poster_summary"], [0.2, 0.2, 0.2, 1, 0, 1, 0, 1, 0], rtol=1e-6)
