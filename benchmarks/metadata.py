"""Large metadata: `import-metadata` at the size of the full Letterboxd set, DuckDB, polars.

    python benchmarks/metadata.py [--movies 941597] [--actors 5800000] [--folder DIR] [--json]

Writes synthetic movies.csv (names, taglines and descriptions with quotes and line breaks, many
empty fields) and actors.csv (CRLF) into a scratch folder, reads them once so that they are in the
page cache, and times on two cores, each system in a process of its own:

    import            `import-metadata` in a session that runs: both files, then with nothing
                      changed, then with one of the two changed
    spark_csv         the same tables by Spark's own CSV reader, as it would read them without
    features_csv      what build-features reads of the two files for the first tenth of the movies,
    features_parquet  from CSV and from the tables
    duckdb, polars    the same typed Parquet (snappy) of both files, with two threads

Every system's rows and sums are compared. Seconds are those of one run. What is only there once
is not counted: the session, its Python workers and MLflow's store, all of which a small import
before the first one starts.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from genre_spark.config import Config, build_config
from genre_spark.synthesis.words import vocabulary

_GENRES = ("Drama", "Comedy", "Horror", "War", "Mystery")
_POOL = 20_000  # texts of each kind; two of them make a description
_CHUNK = 200_000
_SEED = 7
Answer = dict[str, Any]


def texts(random: np.random.Generator, count: int, words: int) -> list[str]:
    """Return texts of about so many words; some have quotes, commas, line breaks."""
    known = [word for genre in (None, *_GENRES) for word in vocabulary(genre, 400)]
    found = []
    for length in random.poisson(words, count) + 1:
        chosen = [known[place] for place in random.integers(0, len(known), length)]
        kind = random.random()
        if kind < 0.2:
            chosen[0] = f'"{chosen[0]}"'
        if kind > 0.97:
            chosen[-1] = f"{chosen[-1]}\n\n{chosen[0]}"
        found.append(" ".join(chosen).capitalize() + (", so far." if kind < 0.5 else "."))
    return found


def movie_rows(movies: int) -> Iterator[tuple[object, ...]]:
    """Return rows of movies.csv."""
    random = np.random.default_rng(_SEED)
    names, lines, stories = (texts(random, _POOL, words) for words in (3, 7, 28))
    for first in range(0, movies, _CHUNK):
        count = min(_CHUNK, movies - first)
        name, line, story, more = random.integers(0, _POOL, (4, count)).tolist()
        shares, years = random.random((4, count)).tolist(), random.integers(1900, 2026, count)
        for row in range(count):
            yield (
                1_000_001 + first + row,
                names[name[row]],
                int(years[row]) if shares[0][row] < 0.9 else "",
                lines[line[row]] if shares[1][row] < 0.15 else "",
                f"{stories[story[row]]} {stories[more[row]]}" if shares[2][row] < 0.83 else "",
                int(60 + 90 * shares[1][row]) if shares[2][row] < 0.8 else "",
                round(1 + 4 * shares[3][row], 2) if shares[3][row] < 0.1 else "",
            )


def actor_rows(movies: int, actors: int) -> Iterator[tuple[object, ...]]:
    """Return rows of actors.csv; a few people are in many movies."""
    random = np.random.default_rng(_SEED + 1)
    known = [word.capitalize() for genre in (None, *_GENRES) for word in vocabulary(genre, 400)]
    first, last = ([known[place] for place in random.integers(0, len(known), 3_000)] for _ in "ab")
    for start in range(0, actors, _CHUNK):
        count = min(_CHUNK, actors - start)
        ids = np.sort(random.integers(0, movies, count)) + 1_000_001
        one = (3_000 * random.random(count) ** 2).astype(int).tolist()
        other = random.integers(0, 3_000, count).tolist()
        for movie, a, b in zip(ids.tolist(), one, other, strict=True):
            yield movie, f"{first[a]} {last[b]}"


def write_files(folder: Path, movies: int, actors: int) -> None:
    """Write both files where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, header, line_end, rows in (
        ("movies", "id,name,date,tagline,description,minute,rating", "\n", movie_rows(movies)),
        ("actors", "id,name", "\r\n", actor_rows(movies, actors)),
    ):
        path = folder / f"{name}.csv"
        if path.is_file():
            continue
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator=line_end)
            writer.writerow(header.split(","))
            while some := list(islice(rows, _CHUNK)):
                writer.writerows(some)


def recipe(folder: Path, work: Path) -> Config:
    """Return the recipe of the import."""
    paths = {
        "genres_csv": str(folder / "genres.csv"),
        "posters": str(folder / "posters"),
        "metadata": str(folder),
        "work": str(work),
    }
    store = {"tracking_uri": f"sqlite:///{work.parent}/mlflow.db"}
    return build_config({"paths": paths, "import_metadata": {"smallest_mib": 0}, "mlflow": store})


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    function()
    return round(time.perf_counter() - started, 2)


def by_genre_spark(folder: Path, work: Path) -> Answer:
    """Time the import, Spark's reader, and what the features read."""
    from pyspark.sql import functions as F  # noqa: PLC0415 - the others' processes have no Spark

    from genre_spark.adapters.csv_tables.sources import open_source  # noqa: PLC0415 - likewise
    from genre_spark.adapters.csv_tables.spark_rows import (  # noqa: PLC0415 - likewise
        read_whole_file,
        typed_rows,
    )
    from genre_spark.pipelines.catalogue import Catalogue  # noqa: PLC0415 - likewise
    from genre_spark.pipelines.ingestion import import_metadata  # noqa: PLC0415 - likewise
    from genre_spark.spark.session import spark_session  # noqa: PLC0415 - likewise
    from genre_spark.transforms.metadata import read_metadata  # noqa: PLC0415 - likewise

    config, found = recipe(folder, work), Answer()
    settings = {"spark.driver.memory": "2g", "spark.ui.enabled": "false"}
    with spark_session(app_name="metadata", master="local[2]", settings=settings) as spark:
        small = work / "small"
        write_files(small, 1_000, 5_000)
        import_metadata.run(spark, recipe(small, work / "small-work"))

        def spark_csv() -> None:
            for name in ("movies", "actors"):
                source = open_source(name, str(folder / f"{name}.csv"))
                rows = typed_rows(read_whole_file(spark, source), source)
                rows.write.parquet(str(work / "spark" / name))

        first = spark.range(1_000_001, 1_000_001 + 94_000).withColumnRenamed("id", "movie_id")

        def features(imported: str | None) -> None:
            rows = read_metadata(spark, str(folder), first, imported)
            rows.write.format("noop").mode("overwrite").save()

        found["import"] = timed(lambda: import_metadata.run(spark, config))
        found["import, nothing changed"] = timed(lambda: import_metadata.run(spark, config))
        found["spark_csv"] = timed(spark_csv)
        found["features_csv"] = timed(lambda: features(None))
        found["features_parquet"] = timed(lambda: features(config.paths.imported_metadata))
        tables = [Catalogue(config).imported_csv(name) for name in ("movies", "actors")]
        sums = [
            table.read(spark).agg(F.count("*"), F.sum("id"), F.sum(F.length("name"))).first()
            for table in tables
        ]
        minutes = tables[0].read(spark).agg(F.sum("minute"), F.sum(F.length("description")))
        found["sums"] = [*map(list, sums), list(minutes.first() or ())]
        with (folder / "actors.csv").open("a", newline="") as file:
            file.write("1000001,Nobody\r\n")
        found["import, one file changed"] = timed(lambda: import_metadata.run(spark, config))
    return found


def by_duckdb(folder: Path, work: Path) -> Answer:
    """Time DuckDB's reader and writer."""
    import duckdb  # noqa: PLC0415 - of this process alone

    run = duckdb.connect(config={"threads": 2, "memory_limit": "10GB"}).execute
    types = "'minute': 'DOUBLE', 'rating': 'DOUBLE', 'date': 'VARCHAR'"
    reads = {
        "movies": f"read_csv('{folder}/movies.csv', header=true, quote='\"', escape='\"', "
        f"types={{'id': 'BIGINT', 'name': 'VARCHAR', 'tagline': 'VARCHAR', "
        f"'description': 'VARCHAR', {types}}})",
        "actors": f"read_csv('{folder}/actors.csv', header=true, quote='\"', escape='\"', "
        "types={'id': 'BIGINT', 'name': 'VARCHAR'})",
    }

    def convert() -> None:
        for name, read in reads.items():
            place = work / f"duckdb-{name}.parquet"
            run(f"COPY (SELECT * FROM {read}) TO '{place}' (FORMAT parquet, COMPRESSION snappy)")

    found: Answer = {"duckdb": timed(convert)}
    query = "SELECT count(*), sum(id), sum(length(name)) FROM '{}'"
    sums = [run(query.format(work / f"duckdb-{name}.parquet")).fetchone() for name in reads]
    more = f"SELECT sum(minute), sum(length(description)) FROM '{work}/duckdb-movies.parquet'"
    return {**found, "sums": [*map(_numbers, sums), _numbers(run(more).fetchone())]}


def by_polars(folder: Path, work: Path) -> Answer:
    """Time polars' reader and writer."""
    import polars as pl  # noqa: PLC0415 - reads POLARS_MAX_THREADS when it is imported

    numbers = {"id": pl.Int64, "minute": pl.Float64, "rating": pl.Float64}
    columns = {
        "movies": ("id", "name", "date", "tagline", "description", "minute", "rating"),
        "actors": ("id", "name"),
    }

    def convert() -> None:
        for name, wanted in columns.items():
            schema = {column: numbers.get(column, pl.String) for column in wanted}
            frame = pl.read_csv(folder / f"{name}.csv", schema=schema)
            frame.write_parquet(work / f"polars-{name}.parquet", compression="snappy")

    found: Answer = {"polars": timed(convert)}
    frames = [pl.read_parquet(work / f"polars-{name}.parquet") for name in columns]
    lengths = pl.col("name").str.len_chars().cast(pl.Int64).sum()
    sums = [frame.select(pl.len(), pl.col("id").sum(), lengths).row(0) for frame in frames]
    more = (pl.col("minute").sum(), pl.col("description").str.len_chars().cast(pl.Int64).sum())
    return {**found, "sums": [*map(_numbers, sums), _numbers(frames[0].select(*more).row(0))]}


def _numbers(row: Any) -> list[float]:
    return [int(value) if float(value).is_integer() else float(value) for value in row]


def main() -> None:
    """Print seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--movies", type=int, default=941_597)
    parser.add_argument("--actors", type=int, default=5_800_000)
    parser.add_argument("--folder", type=Path, help="scratch; default: a temporary one")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = "2"
    with tempfile.TemporaryDirectory(prefix="metadata-") as scratch:
        folder = (words.folder or Path(scratch)) / "csv"
        write_files(folder, words.movies, words.actors)
        sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.csv"))}
        found: Answer = {"bytes": sizes}
        sums = []
        for system in (by_duckdb, by_polars, by_genre_spark):  # the last one changes a file
            for path in folder.glob("*.csv"):
                path.read_bytes()
            work = Path(scratch) / system.__name__
            work.mkdir()
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                answer = pool.apply(system, (folder, work))
            sums.append(_numbers([number for row in answer.pop("sums") for number in row]))
            found.update(answer)
            print(answer, file=sys.stderr, flush=True)
        found["same"] = all(one == sums[0] for one in sums)
        found["import_mb_per_second"] = round(sum(sizes.values()) / 1e6 / found["import"], 1)
        found["import_time_vs_duckdb"] = round(found["import"] / found["duckdb"], 2)
        found["import_time_vs_polars"] = round(found["import"] / found["polars"], 2)
    if words.json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            print(f"{name:28}{value}")


if __name__ == "__main__":
    main()
