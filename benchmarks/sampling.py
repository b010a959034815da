"""Grouping, splitting and sampling of 1 to 100 million rows, beside DuckDB, polars and pandas.

    python benchmarks/sampling.py --json                 # everything, about a quarter of an hour
    python benchmarks/sampling.py --rows 10000000        # up to ten million

Every system and size runs in a process of its own on two threads; the session is started before the
clock. Tables of up to two million rows go through every system seven times: the median of the last
three counts, the first is beside it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

# neighbours of this script, and the package beside it
import pyarrow.parquet as pq  # noqa: E402
from label_tables import make_label_table  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402
from sampling_peers import SEED, SPLITS, TEST, VALIDATION, DuckDb, Pandas, Polars  # noqa: E402

from genre_spark.config import load_config  # noqa: E402
from genre_spark.pipelines.ingestion.genre_grouping import group_file  # noqa: E402
from genre_spark.sampling.cutoff_search import find_cutoffs  # noqa: E402
from genre_spark.sampling.cutoffs import Demand, LabelCounts, apply_cutoffs  # noqa: E402
from genre_spark.sampling.splits import assign_split  # noqa: E402
from genre_spark.schemas import GENRES_CSV, GENRES_SCHEMA  # noqa: E402
from genre_spark.spark.session import spark_session  # noqa: E402
from genre_spark.transforms.csv import read_layout, read_lines  # noqa: E402
from genre_spark.transforms.genre_rows import GENRE  # noqa: E402
from genre_spark.transforms.genres import group_labels  # noqa: E402

SIZES = (1_000_000, 10_000_000, 100_000_000)
IN_MEMORY_ROWS = 10_000_000  # pandas groups these in a minute and a half, with 2.3 GB
SAMPLE_SHARE, MINIMUM_SHARE = (
    0.04,
    0.001,
)  # of the rows; 40,000 movies and 1,000 a genre for the real file
# tables up to this size are measured seven times in a process, and the last three count
REPEATED_ROWS = 2_000_000
REPEATS, COUNTED = 7, 3
STEPS = ("group", "split", "sample")
DRIVER_MEMORY = "4g"


class Spark:
    """genre_spark's own functions."""

    name = "spark"

    def __init__(self) -> None:
        self._session = spark_session(
            app_name="benchmark of sampling",
            master="local[2]",
            settings={
                "spark.driver.memory": DRIVER_MEMORY,
                "spark.driver.bindAddress": "127.0.0.1",
                "spark.driver.host": "127.0.0.1",
                "spark.ui.enabled": "false",
                "spark.sql.shuffle.partitions": os.environ.get("PARTITIONS", "16"),
            },
            log_file=Path(tempfile.gettempdir()) / "benchmark-spark.log",
        )
        self.spark = self._session.__enter__()
        self.labels = 0

    def group(self, source: str, out: Path) -> None:
        if ".csv" not in source:
            pairs = self.spark.read.parquet(source).withColumnRenamed("id", "movie_id")
            vocabulary = sorted(row[GENRE] for row in pairs.select(GENRE).distinct().collect())
            grouped = group_labels(pairs, vocabulary=vocabulary)
            grouped.select(GENRES_SCHEMA.fieldNames()).write.parquet(str(out / "movies"))
            self.labels = len(vocabulary)
            return
        # The stage's own work on a CSV: rejects are counted and written, movies counted per genre
        config = load_config(
            str(ROOT / "conf" / "letterboxd.yaml"),
            [f"paths.work={out}", f"paths.genres_csv={source}"],
        )
        grouping = group_file(
            read_lines(self.spark, source),
            read_layout(source, GENRES_CSV),
            config,
            fingerprint="benchmark",
        )
        (out / "genres" / grouping.folder).rename(out / "movies")
        self.labels = len(grouping.vocabulary)

    def split(self, out: Path) -> None:
        self._split(out).select("movie_id", "split").write.parquet(str(out / "split"))

    def _split(self, out: Path) -> Any:
        movies = (
            self.spark.read.schema(GENRES_SCHEMA)
            .parquet(str(out / "movies"))
            .select("movie_id", "label_ids")
        )
        return assign_split(movies, test=TEST, validation=VALIDATION, seed=SEED)

    def _count_labels(self, movies: Any) -> dict[str, LabelCounts]:
        """Count movies and labels of every split in one pass; -1 stands for the movie itself."""
        every = F.explode(F.concat(F.array(F.lit(-1)), "label_ids")).alias("label")
        rows = movies.select("split", every).groupBy("split", "label").count().collect()
        found = {(row["split"], row["label"]): row["count"] for row in rows}
        return {
            split: LabelCounts(
                found.get((split, -1), 0),
                tuple(found.get((split, label), 0) for label in range(self.labels)),
            )
            for split in SPLITS
        }

    def sample(self, out: Path, totals: dict[str, int], minima: dict[str, int]) -> int:
        movies = self._split(out)  # a split is a function of the movie: nothing is read back
        counts = self._count_labels(movies)
        nothing = (None,) * self.labels
        demands = {
            side: Demand(totals[side], (minima[side],) * self.labels, nothing) for side in SPLITS
        }
        cutoffs = find_cutoffs(movies, demands, counts, seed=SEED)
        drawn = apply_cutoffs(movies, cutoffs, seed=SEED)
        drawn.write.parquet(str(out / "sample"))
        # in the footers, as tables are counted that the package writes
        return sum(pq.read_metadata(file).num_rows for file in (out / "sample").glob("*.parquet"))


SYSTEMS = {system.name: system for system in (Spark, DuckDb, Polars, Pandas)}


def run_one(name: str, source: str, rows: int, out: Path) -> dict[str, Any]:
    """Time the three steps of one system in this process."""
    system: Any = SYSTEMS[name]()
    total = int(rows * SAMPLE_SHARE)
    test = round(total * TEST)
    validation = round((total - test) * VALIDATION)
    totals = {"train": total - test - validation, "validation": validation, "test": test}
    minima = {
        "train": int(rows * MINIMUM_SHARE),
        "validation": int(rows * MINIMUM_SHARE / 4),
        "test": 0,
    }
    result: dict[str, Any] = {"system": name, "source": Path(source).name, "rows": rows}
    jvm = _children() if name == Spark.name else []
    times: dict[str, list[float]] = {f"{step}{kind}": [] for step in STEPS for kind in ("", "_cpu")}
    # Small tables again and again: a JVM compiles what it runs often, and a session lives longer
    # than one table.
    for number in range(REPEATS if rows <= REPEATED_ROWS else 1):
        folder = out / str(number)
        folder.mkdir()
        calls = (
            partial(system.group, source),
            system.split,
            partial(system.sample, totals=totals, minima=minima),
        )
        for step, call in zip(STEPS, calls, strict=True):
            started, worked = time.perf_counter(), _cpu_seconds(jvm)
            answer = call(out=folder)
            times[step].append(time.perf_counter() - started)
            times[f"{step}_cpu"].append(_cpu_seconds(jvm) - worked)
        result["sampled"] = answer
        shutil.rmtree(folder)
    for step, taken in times.items():
        result[step] = round(statistics.median(taken[-COUNTED:]), 2)
    for kind in ("", "_cpu"):
        result[f"together{kind}"] = round(sum(result[f"{step}{kind}"] for step in STEPS), 2)
    result["first"] = {step: round(times[step][0], 2) for step in STEPS}
    result["peak_mb"] = max(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, *map(_peak_mb, jvm), 0
    )
    return result


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def _cpu_seconds(processes: list[str]) -> float:
    """Return processor time of all processes: what steps cost, however busy the machine is."""
    total = time.process_time()
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _peak_mb(process: str) -> int:
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


def run_apart(name: str, source: str, rows: int, work: Path) -> dict[str, Any]:
    """Run one system in a process of its own."""
    out = work / f"{name}-{rows}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [
        sys.executable,
        __file__,
        "--one",
        name,
        "--source",
        source,
        "--rows",
        str(rows),
        "--work",
        str(out),
    ]
    environment = {**os.environ, "POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    shutil.rmtree(out, ignore_errors=True)
    if done.returncode:
        return {
            "system": name,
            "rows": rows,
            "failed": (done.stderr or str(done.returncode))[-300:],
        }
    return json.loads(done.stdout.splitlines()[-1])


def ratios(
    results: list[dict[str, Any]], real_rows: int, kind: str = ""
) -> dict[str, float | None]:
    """Return the figures that are watched, of wall time or (`_cpu`) processor time.

    None where a time is missing.
    """
    times = {(r["system"], r["rows"]): r for r in results if "failed" not in r}

    def ratio(one: tuple[str, int], other: tuple[str, int], step: str = "together") -> float | None:
        if one not in times or other not in times:
            return None
        return round(times[one][step + kind] / times[other][step + kind], 2)

    held = max((rows for system, rows in times if system == Pandas.name), default=0)
    return {
        "time_100m_vs_10m": ratio(("spark", SIZES[2]), ("spark", SIZES[1])),
        "time_vs_duckdb_100m": ratio(("spark", SIZES[2]), ("duckdb", SIZES[2])),
        "time_vs_polars_real": ratio(("spark", real_rows), ("polars", real_rows)),
        "group_time_vs_polars_real": ratio(("spark", real_rows), ("polars", real_rows), "group"),
        "speed_vs_pandas": ratio(("pandas", held), ("spark", held)),
        "speed_vs_pandas_rows": held,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=SIZES[-1], help="the largest generated table")
    parser.add_argument(
        "--genres-csv", default=_real_file(), help="the real genres.csv(.gz); left out if missing"
    )
    parser.add_argument(
        "--systems", default=",".join(SYSTEMS), help="which ones, separated by commas"
    )
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "genre_spark-benchmark"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options.one, options.source, options.rows, options.work)))
        return
    systems = options.systems.split(",")
    cases: list[tuple[str, str, int]] = []
    real_rows = 0
    if options.genres_csv and Path(options.genres_csv).is_file():
        opener = gzip.open if options.genres_csv.endswith(".gz") else open
        with opener(options.genres_csv, "rb") as file:
            real_rows = sum(1 for _ in file) - 1
        cases += [(name, options.genres_csv, real_rows) for name in systems]
    for rows in (size for size in SIZES if size <= options.rows):
        table = make_label_table(options.work / "tables", rows)
        cases += [
            (name, str(table), rows)
            for name in systems
            if rows <= IN_MEMORY_ROWS or name in (Spark.name, DuckDb.name)
        ]
    results = []
    for name, source, rows in cases:
        result = run_apart(name, source, rows, options.work)
        results.append(result)
        print(json.dumps(result), file=sys.stderr, flush=True)
    summary = {
        "ratios": ratios(results, real_rows),
        "ratios_of_processor_time": ratios(results, real_rows, "_cpu"),
        "results": results,
    }
    print(json.dumps(summary) if options.json else json.dumps(summary["ratios"], indent=1))


def _real_file() -> str:
    folder = Path(os.environ.get("GENRE_SPARK_DATA", ROOT.parent / "shared" / "data"))
    return str(folder / "letterboxd" / "genres.csv.gz")


if __name__ == "__main__":
    main()
