"""Synthetic tables of (id, genre) of any size, as skewed as Letterboxd's, as Parquet."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Relative frequencies of genres and of numbers of genres per movie, rounded from the Letterboxd
# set's published figures.
GENRES = {
    "Drama": 222,
    "Documentary": 157,
    "Comedy": 134,
    "Animation": 56,
    "Horror": 51,
    "Romance": 49,
    "Thriller": 45,
    "Music": 42,
    "Action": 40,
    "Crime": 34,
    "Family": 26,
    "TV Movie": 25,
    "Adventure": 22,
    "Fantasy": 21,
    "Mystery": 20,
    "Science Fiction": 20,
    "History": 16,
    "War": 10,
    "Western": 8,
}
SIZES = {1: 0.6155, 2: 0.2575, 3: 0.099, 4: 0.022, 5: 0.0048, 6: 0.0012}
ROWS_PER_FILE = 5_000_000
_MOVIES_PER_DRAW = 500_000


def make_label_table(folder: Path, rows: int, *, seed: int = 7) -> Path:
    """Write about `rows` rows of (id bigint, genre string), ids ascending; all are whole movies.

    An existing table of the same size is used again.
    """
    target = folder / f"labels-{rows}"
    if (target / "_WHOLE").is_file():
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    random = np.random.default_rng(seed)
    sizes, labels = _draw_labels(random, min(rows, ROWS_PER_FILE))
    names = pa.array(list(GENRES))
    made, movie, number = 0, 1_000_001, 0
    while made < rows:
        # The labels of one file repeat in the next one, under new ids: the cost of grouping does
        # not know it.
        movies = (
            len(sizes)
            if made + len(labels) <= rows
            else int(np.searchsorted(np.cumsum(sizes), rows - made)) + 1
        )
        ids = np.repeat(movie + np.cumsum(random.integers(1, 3, movies)), sizes[:movies])
        movie = int(ids[-1])
        genres = pa.DictionaryArray.from_arrays(pa.array(labels[: len(ids)]), names)
        table = pa.table({"id": ids.astype(np.int64), "genre": genres})
        pq.write_table(table, target / f"part-{number:04d}.parquet", store_schema=False)
        made, number = made + len(ids), number + 1
    (target / "_WHOLE").touch()
    return target


def _draw_labels(random: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of genres of each movie, and the genres of all, one after the other."""
    movies = int(rows / sum(size * share for size, share in SIZES.items()) * sum(SIZES.values()))
    shares = np.array(list(SIZES.values()))
    sizes = random.choice(list(SIZES), movies, p=shares / shares.sum())
    logits = np.log(np.array(list(GENRES.values()), np.float64)).astype(np.float32)
    labels = []
    for start in range(0, movies, _MOVIES_PER_DRAW):
        wanted = sizes[start : start + _MOVIES_PER_DRAW]
        # The greatest of logit + Gumbel noise are a weighted draw without replacement.
        keys = logits + random.gumbel(size=(len(wanted), len(logits))).astype(np.float32)
        ranked = np.argsort(-keys, axis=1)[:, : max(SIZES)].astype(np.int8)
        labels.append(ranked[np.arange(max(SIZES)) < wanted[:, None]])
    return sizes, np.concatenate(labels)
