"""How many movies per second of one core the frame engine turns into feature vectors.

    python benchmarks/features.py work/demo/models/features work/demo/data [--posters FOLDER]

Reads CSV files of the Letterboxd layout; counts processor time, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from pathlib import Path

import cv2
import pandas as pd

from genre_spark.features import FeatureSpecification, FrameEngine
from genre_spark.schemas import LIST_CSVS

_ROUNDS = 3


def main() -> None:
    """Print movies per second without and, with --posters, with posters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("specification", help="folder, models/features of a work folder")
    parser.add_argument("metadata", type=Path, help="folder of movies.csv, countries.csv, ...")
    parser.add_argument("--posters", type=Path, help="folder of ID.jpg")
    words = parser.parse_args()
    cv2.setNumThreads(0)
    specification = FeatureSpecification.load(words.specification)
    frame = read_movies(words.metadata)
    text_blocks = [name for name in specification.blocks if name != "poster_summary"]
    report("without posters", specification.select(text_blocks), frame)
    report("one by one", specification.select(text_blocks), frame.head(500), batch=1)
    if words.posters is not None:
        paths = sorted(words.posters.glob("*.jpg"))[:300]
        images = pd.DataFrame(
            {"id": [path.stem for path in paths], "image": [path.read_bytes() for path in paths]}
        )
        report("with posters", specification, images.merge(frame, on="id", how="left"))


def report(
    name: str, specification: FeatureSpecification, frame: pd.DataFrame, batch: int = 1000
) -> None:
    """Print the best of three rounds over a frame, after one to warm up."""
    engine = FrameEngine(specification)
    seconds = []
    for _ in range(_ROUNDS + 1):
        started = time.process_time()
        for start in range(0, len(frame), batch):
            engine.transform(frame.iloc[start : start + batch])
        seconds.append(time.process_time() - started)
    print(
        f"{name:16} {len(frame) / min(seconds[1:]):10,.0f} movies/s of {len(frame):,} movies, "
        f"{specification.size} features"
    )


def read_movies(folder: Path) -> pd.DataFrame:
    """Return the raw fields of all movies in movies.csv."""
    movies = pd.DataFrame(_rows(folder, "movies")).drop_duplicates("id")
    for name, columns in LIST_CSVS.items():
        target = "people" if name in ("actors", "crew") else name
        lists: dict[str, list[str]] = {}
        for row in _rows(folder, name):
            value = " ".join(row[column] for column in columns[1:])
            lists.setdefault(row["id"], []).append(f"actor {value}" if name == "actors" else value)
        found = movies["id"].map(lists)
        known = movies.get(target)
        movies[target] = found if known is None else known.where(found.isna(), found)
    return movies


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    path = folder / f"{name}.csv"
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    with gzip.open(f"{path}.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
