"""The balanced sample: the guarantee, exactness, growth, and weights that undo the balancing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from genre_spark.sampling.cutoff_search import find_cutoffs
from genre_spark.sampling.cutoffs import Demand, LabelCounts, apply_cutoffs
from tests.sampling.reference import draw as draw_by_the_book

Movies = Mapping[int, Sequence[int]]
SCHEMA = "movie_id bigint, label_ids array<int>, split string"


def demand(
    labels: int, *, total: int | None = None, minimum: int | Sequence[int] = 0, maximum=None
) -> Demand:
    def per_label(value):
        return tuple(value) if isinstance(value, Sequence) else (value,) * labels

    return Demand(total, per_label(minimum), per_label(maximum))


def draw(
    spark: SparkSession,
    tables: Sequence[tuple[Movies, Demand]],
    *,
    seed: int = 7,
    partitions: int = 2,
    slacks: Sequence[float] = (8.0, 64.0, float("inf")),
) -> list[dict[int, float]]:
    """Draw from many tables at once, each as a split of its own.

    Return the weights of the drawn movies.
    """
    labels = max(len(wanted.minimum) for _, wanted in tables)
    rows = [
        (movie, list(ids), f"{i}")
        for i, (movies, _) in enumerate(tables)
        for movie, ids in movies.items()
    ]
    frame = spark.createDataFrame(rows, SCHEMA).repartition(partitions)
    demands = {
        f"{i}": Demand(
            wanted.total,
            wanted.minimum + (0,) * (labels - len(wanted.minimum)),
            wanted.maximum + (None,) * (labels - len(wanted.maximum)),
        )
        for i, (_, wanted) in enumerate(tables)
    }
    counts = {
        f"{i}": LabelCounts(
            len(movies),
            tuple(sum(label in ids for ids in movies.values()) for label in range(labels)),
        )
        for i, (movies, _) in enumerate(tables)
    }
    cutoffs = find_cutoffs(frame, demands, counts, seed=seed, slacks=slacks)
    by_jobs = find_cutoffs(frame, demands, counts, seed=seed, slacks=slacks, in_memory=0)
    assert cutoffs == by_jobs, "found on the driver as by Spark's jobs"
    drawn: list[dict[int, float]] = [{} for _ in tables]
    for row in apply_cutoffs(frame, cutoffs, seed=seed).collect():
        drawn[int(row.split)][row.movie_id] = row.weight
    return drawn


def check_guarantee(movies: Movies, wanted: Demand, drawn: Mapping[int, float]) -> None:
    for label, minimum in enumerate(wanted.minimum):
        has = sum(label in ids for ids in movies.values())
        got = sum(label in movies[movie] for movie in drawn)
        assert got >= min(minimum, has)


@st.composite
def tables(make) -> tuple[Movies, Demand]:
    """Make a random table of labels and a demand: empty genres, one movie, all genres, ..."""
    labels = make(st.integers(1, 6))
    size = make(st.sampled_from([1, 2, 5, 17, 60]))
    random = np.random.default_rng(
        make(st.integers(0, 2**32 - 1))
    )  # the many small draws would drown Hypothesis
    shares = np.array([make(st.sampled_from([0.0, 0.05, 0.5, 1.0])) for _ in range(labels)])
    held = random.random((size, labels)) < shares
    held[~held.any(axis=1), random.integers(labels)] = True
    ids = make(st.sampled_from([0, 10**6, 2**62])) + np.cumsum(random.integers(1, 100, size))
    movies = {
        int(movie): np.flatnonzero(row).tolist() for movie, row in zip(ids, held, strict=True)
    }
    count = st.integers(0, size + 3)
    return movies, Demand(
        make(st.none() | st.integers(0, size + 2)),
        tuple(make(count) for _ in range(labels)),
        tuple(make(st.none() | st.none() | count) for _ in range(labels)),
    )


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
        HealthCheck.large_base_example,
    ],
)
@given(
    batch=st.lists(tables(), min_size=100, max_size=100),
    seed=st.integers(0, 2**31 - 1),
    partitions=st.integers(1, 5),
)
def test_three_hundred_random_tables_keep_the_guarantee_and_agree_with_the_method_movie_by_movie(
    spark: SparkSession, batch, seed: int, partitions: int
) -> None:
    drawn_of_each = draw(spark, batch, seed=seed, partitions=partitions, slacks=(0.5, float("inf")))
    for (movies, wanted), drawn in zip(batch, drawn_of_each, strict=True):
        check_guarantee(movies, wanted, drawn)
        expected = draw_by_the_book(movies, wanted, seed=seed)
        assert drawn.keys() == expected.keys()
        for movie, probability in expected.items():
            assert drawn[movie] == pytest.approx(1 / probability, rel=1e-6)


ALL_GENRES = {movie: [0, 1, 2] for movie in range(30)}
CORNERS = [
    ("a genre without a movie", {1: [0], 2: [0, 2], 3: [2]}, (1, 5, 1), None),
    ("all movies with all genres", ALL_GENRES, (4, 9, 2), None),
    ("all movies with all genres, and a total", ALL_GENRES, (4, 9, 2), 15),
    ("minimum 0", ALL_GENRES, (0, 0, 0), 7),
    ("minimum above the population", {1: [0], 2: [1], 3: [0, 1]}, (100, 100, 0), 1),
    ("one movie", {2**62: [1]}, (0, 3, 0), 1),
    ("one movie, none wanted", {5: [0]}, (0, 0, 0), 0),
]


def test_corners_keep_the_guarantee_and_agree_with_the_method_movie_by_movie(
    spark: SparkSession,
) -> None:
    cases = [
        (movies, demand(3, total=total, minimum=minimum)) for _, movies, minimum, total in CORNERS
    ]
    for (name, *_), (movies, wanted), drawn in zip(CORNERS, cases, draw(spark, cases), strict=True):
        check_guarantee(movies, wanted, drawn)
        assert drawn.keys() == draw_by_the_book(movies, wanted, seed=7).keys(), name


@pytest.mark.parametrize("labels", [4, 700])
def test_cutoffs_compiled_for_few_labels_and_interpreted_for_many_draw_the_same(
    spark, labels: int
) -> None:
    movies = {
        movie: sorted({label * labels // 4 for label in ids}) for movie, ids in skewed(500).items()
    }
    wanted = demand(labels, total=200, minimum=20, maximum=90)
    (drawn,) = draw(spark, [(movies, wanted)])
    assert drawn.keys() == draw_by_the_book(movies, wanted, seed=7).keys()


def skewed(n: int, seed: int = 0) -> Movies:
    """Make movies with a frequent, a middling and a rare label, 1.4 labels each."""
    random = np.random.default_rng(seed)
    shares = np.array([0.7, 0.4, 0.1, 0.02])
    draws = random.random((n, 4)) < shares
    draws[:, 0] |= ~draws.any(axis=1)
    return {1_000_000 + i: np.flatnonzero(row).tolist() for i, row in enumerate(draws)}


def test_total_and_minimum_are_met_at_once_and_rare_genres_come_whole(spark: SparkSession) -> None:
    movies, wanted = skewed(3000), demand(4, total=600, minimum=150)
    (drawn,) = draw(spark, [(movies, wanted)])
    assert len(drawn) == 600
    counts = [sum(label in movies[movie] for movie in drawn) for label in range(4)]
    rare = [movie for movie, ids in movies.items() if 3 in ids]
    assert min(counts[:3]) >= 150
    assert counts[3] == len(rare) < 150
    assert all(drawn[movie] == 1.0 for movie in rare)


def test_a_larger_minimum_and_a_larger_total_contain_the_smaller_ones_sample(
    spark: SparkSession,
) -> None:
    movies = skewed(2000)
    by_minimum = draw(
        spark, [(movies, demand(4, total=1, minimum=m)) for m in (0, 1, 10, 40, 200, 5000)]
    )
    by_total = draw(
        spark, [(movies, demand(4, total=t, minimum=20)) for t in (1, 100, 400, 1999, 2000)]
    )
    for samples in (by_minimum, by_total):
        for smaller, larger in pairwise(samples):
            assert smaller.keys() <= larger.keys()
    assert len(by_minimum[0]) == 1
    assert len(by_minimum[-1]) == len(by_total[-1]) == 2000


@pytest.mark.parametrize("total", [0, 1, 25])
def test_a_total_far_below_the_minima_leaves_their_sample(spark: SparkSession, total: int) -> None:
    movies, wanted = skewed(2000), demand(4, total=total, minimum=[900, 10, 10, 5])
    (drawn,) = draw(spark, [(movies, wanted)])
    expected = draw_by_the_book(movies, wanted, seed=7)
    assert drawn.keys() == expected.keys()
    assert len(drawn) > 900


def test_the_sample_is_the_same_whatever_the_partitions_and_the_width_of_the_search(
    spark: SparkSession,
) -> None:
    table = (skewed(2000), demand(4, total=500, minimum=[10, 20, 30, 15]))
    one = draw(spark, [table], partitions=1)
    assert one == draw(spark, [table], partitions=7)
    assert one == draw(spark, [table], slacks=(0.0, 0.1, float("inf"))), (
        "bands that miss are widened"
    )
    assert one != draw(spark, [table], seed=8)


def test_weighted_counts_estimate_the_population_without_bias(spark: SparkSession) -> None:
    movies = skewed(400)
    wanted = demand(4, total=90, minimum=[5, 10, 15, 5])
    truth = np.array(
        [len(movies), *(sum(label in ids for ids in movies.values()) for label in range(4))]
    )
    # The method movie by movie is the same as Spark's (above) and many times faster for so small a
    # table.
    estimates = np.array(
        [
            [
                sum(1 / p for p in drawn.values()),
                *(
                    sum(1 / p for movie, p in drawn.items() if label in movies[movie])
                    for label in range(4)
                ),
            ]
            for drawn in (draw_by_the_book(movies, wanted, seed=seed) for seed in range(600))
        ]
    )
    error = estimates.mean(axis=0) - truth
    noise = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    assert np.all(np.abs(error) <= 4 * noise + 1e-9), (error, noise)
    assert np.all(noise[1:4] / truth[1:4] < 0.02), (
        "the test is sharp enough to see a bias of some per cent"
    )
    (drawn,) = draw(spark, [(movies, wanted)], seed=0)
    assert sum(drawn.values()) == pytest.approx(estimates[0][0], rel=1e-6)


def test_a_maximum_holds_unless_a_minimum_needs_more(spark: SparkSession) -> None:
    movies = skewed(2000)
    capped, forced = draw(
        spark,
        [
            (movies, demand(4, total=1500, minimum=0, maximum=[300, None, None, None])),
            (movies, demand(4, minimum=[0, 700, 0, 0], maximum=[100, None, None, None])),
        ],
    )
    assert sum(0 in movies[movie] for movie in capped) == 300
    assert sum(1 in movies[movie] for movie in forced) >= 700
    assert sum(0 in movies[movie] for movie in forced) > 100
    assert all(0 not in movies[movie] or 1 in movies[movie] for movie in forced), (
        "the fill adds none"
    )
