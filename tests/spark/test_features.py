"""The feature vector: fitted on training movies only, the same whatever the partitioning."""

from __future__ import annotations

import numpy as np
import pytest

from genre_spark.config import FeaturesConfig
from genre_spark.transforms.features import (
    fit_feature_pipeline,
    prepare_columns,
    summarise_image,
    summarise_posters,
)

SCHEMA = (
    "movie_id long, year double, minute double, rating double, countries array<string>, languages "
    "array<string>, "
    "studios array<string>, themes array<string>, people array<string>, text string"
)
CONFIG = FeaturesConfig(min_count=2, max_categories=2, text_words=3, posters=False)


def _movies(spark):
    rows = [
        (1, 1990.0, 90.0, None, ["UK"], [], [], [], [], "The ghost of a ghost"),
        (2, 2000.0, None, None, ["UK", "USA"], [], [], [], [], "ghost story"),
        (3, 2010.0, 110.0, None, ["USA", "Chad"], [], [], [], [], "love story"),
        (4, None, None, None, ["Chad", "Fiji"], [], [], [], [], "unseen words"),
    ]
    return spark.createDataFrame(rows, SCHEMA).transform(prepare_columns)


def _vectors(model, movies) -> dict[int, list[float]]:
    return {
        row["movie_id"]: row["features"].toArray().tolist()
        for row in model.transform(movies).collect()
    }


def test_numbers_are_imputed_from_training_and_marked_and_unknown_kinds_are_left_out(spark) -> None:
    movies = _movies(spark)
    model = fit_feature_pipeline(movies.where("movie_id < 4"), CONFIG)
    vectors = _vectors(model, movies)
    # year, minute (no rating: no training movie has one), two marks of missing, UK, USA, then
    # ghost, story by IDF
    assert len(vectors[1]) == 2 + 2 + 2 + 2
    assert vectors[2][:4] == [2000.0, 90.0, 0.0, 1.0]
    assert vectors[4][:4] == [2000.0, 90.0, 1.0, 1.0]


def test_categories_and_words_come_from_training_movies_only_and_must_be_frequent(spark) -> None:
    movies = _movies(spark)
    vectors = _vectors(fit_feature_pipeline(movies.where("movie_id < 4"), CONFIG), movies)
    assert vectors[2][4:6] == [1.0, 1.0]
    assert vectors[3][4:6] == [0.0, 1.0]
    assert vectors[4][4:] == [0.0, 0.0, 0.0, 0.0]  # Chad is in one training movie, Fiji in none
    ghost_twice, ghost_once = vectors[1][6], vectors[2][6]
    assert ghost_twice == pytest.approx(2 * ghost_once)


def test_the_vectors_do_not_depend_on_partitions(spark) -> None:
    movies = _movies(spark)
    one = _vectors(fit_feature_pipeline(movies.coalesce(1), CONFIG), movies)
    many = _vectors(fit_feature_pipeline(movies.repartition(4), CONFIG), movies)
    assert one == many


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
    np.testing.assert_allclose(
        row["poster"].toArray(), [0.2, 0.2, 0.2, 1, 0, 1, 0, 1, 0], rtol=1e-6
    )
