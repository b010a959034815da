"""Effects of balancing: counts, cardinality, effective size, co-occurrence; also weighted."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from genre_spark.evaluation.sample_balance import (
    balance_table,
    co_occurrence_tables,
    draw_balance,
    format_balance,
)
from genre_spark.sampling.description import ALL, count_labelsets, describe_labelsets

VOCABULARY = ["Comedy", "Drama", "Western"]


@pytest.fixture(scope="module")
def described(spark: SparkSession):
    rows = [
        ([0], "train", 1.0),
        ([0, 1], "train", 1.0),
        ([1], "train", 2.0),
        ([0, 1], "train", 4.0),
        ([1], "test", 1.0),
    ]
    movies = spark.createDataFrame(rows, "label_ids array<int>, split string, weight float")
    return describe_labelsets(
        count_labelsets(movies), splits=["train", "validation", "test"], labels=3
    )


def test_figures_are_counted_and_weighted(described) -> None:
    train = described["train"]
    assert (train.movies, train.weight) == (4, 8.0)
    assert train.effective == pytest.approx(8.0**2 / (1 + 1 + 4 + 16))
    assert train.cardinality == 6 / 4
    assert train.weighted_cardinality == (1 + 2 + 2 + 8) / 8
    assert (train.labels, train.weighted_labels) == ([3, 3, 0], [6.0, 7.0, 0.0])
    assert train.sizes == {0: {1: 1, 2: 2}, 1: {1: 1, 2: 2}}
    assert train.weighted_sizes == {0: {1: 1.0, 2: 5.0}, 1: {1: 2.0, 2: 5.0}}
    assert train.pairs == [[3, 2, 0], [2, 3, 0], [0, 0, 0]]
    assert train.weighted_pairs == [[6.0, 5.0, 0.0], [5.0, 7.0, 0.0], [0.0, 0.0, 0.0]]


def test_all_movies_are_the_splits_together_and_a_split_may_be_empty(described) -> None:
    assert described[ALL].movies == 5
    assert described[ALL].labels == [3, 4, 0]
    assert described["validation"].movies == described["validation"].effective == 0
    assert described["validation"].labels == [0, 0, 0]


def test_the_table_has_a_row_a_genre_and_weighted_columns_beside_the_counts(described) -> None:
    table = balance_table({"all": described[ALL], "train": described["train"]}, VOCABULARY)
    assert table["genre"][:3] == ["Drama", "Comedy", "Western"]
    assert table["train"][:4] == [3, 3, 0, 4]
    assert table["train, weighted"][:4] == [7.0, 6.0, 0.0, 8.0]
    lines = format_balance(table).splitlines()
    assert len({len(line) for line in lines}) == 1, "columns are aligned"
    pairs = co_occurrence_tables(described[ALL], described["train"], VOCABULARY)
    assert pairs["after, weighted"][0] == [6.0, 5.0, 0.0]


def test_the_studys_pictures_are_drawn(described) -> None:
    figures = draw_balance(described[ALL], described["train"], VOCABULARY)
    assert list(figures) == [
        "1_genres_before",
        "2_genres_after",
        "3_genres_per_movie",
        "4_co_occurrence",
    ]
    bars = figures["1_genres_before"].axes[0].patches
    assert [bar.get_height() for bar in bars] == [4, 3, 0]
    assert len(figures["4_co_occurrence"].axes) == 4, "before, after, weighted, and the scale"
