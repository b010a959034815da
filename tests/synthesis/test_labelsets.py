"""The genres of synthetic movies: skew, co-occurrence and number as in the real data set."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from itertools import combinations_with_replacement

import numpy as np
import pytest

from genre_spark.synthesis.genre_counts import GENRES, MOVIES_BY_LABELSET_SIZE, count_together
from genre_spark.synthesis.labelsets import draw_labelset, labelset_distribution

MOVIES = sum(MOVIES_BY_LABELSET_SIZE)


def test_the_distribution_has_the_counted_pairs_and_sizes() -> None:
    members, probabilities = labelset_distribution()
    assert probabilities.sum() == pytest.approx(1.0)
    together = (members * probabilities[:, None]).T @ members.astype(float)
    np.testing.assert_allclose(together * MOVIES, count_together(), atol=1.0)
    sizes = [probabilities[members.sum(axis=1) == size].sum() * MOVIES for size in range(1, 6)]
    np.testing.assert_allclose(sizes, MOVIES_BY_LABELSET_SIZE, atol=1.0)


def test_the_counts_are_those_of_the_real_file(real_data) -> None:
    genres = defaultdict(set)
    with gzip.open(
        real_data / "letterboxd" / "genres.csv.gz", "rt", encoding="utf-8", newline=""
    ) as file:
        for row in csv.DictReader(file):
            genres[row["id"]].add(GENRES.index(row["genre"]))
    few = [sorted(chosen) for chosen in genres.values() if len(chosen) <= 5]
    assert len(few) == MOVIES
    assert Counter(map(len, few)) == dict(enumerate(MOVIES_BY_LABELSET_SIZE, start=1))
    pairs = Counter(pair for chosen in few for pair in combinations_with_replacement(chosen, 2))
    counts = count_together()
    assert {pair: counts[pair] for pair in pairs} == dict(pairs)


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.871])
def test_a_few_hundred_movies_have_every_genre_in_its_share(offset) -> None:
    drawn = Counter(genre for index in range(1500) for genre in draw_labelset(index, offset=offset))
    shares = {
        genre: count / MOVIES
        for genre, count in zip(GENRES, np.diag(count_together()), strict=True)
    }
    for genre in GENRES:
        assert drawn[genre] == pytest.approx(1500 * shares[genre], abs=16)
    assert drawn.most_common(1)[0][0] == "Drama"
    assert min(drawn, key=drawn.__getitem__) in ("Western", "War")
    assert sum(drawn.values()) / 1500 == pytest.approx(1.54, abs=0.03)


def test_genres_come_with_the_most_frequent_first_and_never_twice() -> None:
    for index in range(500):
        genres = draw_labelset(index, offset=0.5)
        assert 1 <= len(genres) <= 5
        assert list(genres) == sorted(set(genres), key=GENRES.index)
