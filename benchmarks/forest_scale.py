"""Time the distributed multi-label forest on growing data, and Spark ML's forests beside it.

    PYTHONPATH=. python benchmarks/forest_scale.py --rows 100000 1000000 [--spark-rows 1000000]

Synthetic rows of 100 features and 19 labels, of which a row has about 3, are written as Parquet
once per size. Ours fits `MultilabelRandomForest(mode="distributed")`; the other side fits Spark
ML's RandomForestClassifier per label, the labels one after the other on a cached table, as one
would write it. Both have the same number of trees, depth, bins, and features per node (sqrt). Of
the 19 forests of Spark ML `--spark-labels` are fitted, and their time is multiplied. `slope` is
that of log seconds over log rows: 1 is linear; `cpu_...` are processor seconds of all processes,
which other work of the machine changes less. `python_mib` is the largest Python process, this one
and Spark's workers, sampled while ours is fitted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from memory import MIB, sample_tree
from pyspark.ml.classification import RandomForestClassifier as SparkForest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

import genre_spark.multilabel as ml
from genre_spark.spark.session import spark_session

FEATURES, LABELS, LABELS_PER_ROW = 100, 19, 3.0


def make_rows(spark: SparkSession, rows: int, folder: Path) -> DataFrame:
    """Return the table of a size, written where it is not there yet."""
    place = folder / f"rows-{rows}"
    weights = np.random.default_rng(0).normal(size=(FEATURES, LABELS)).astype(np.float32)
    weights[np.random.default_rng(1).random(weights.shape) < 0.9] = 0
    scale = np.sqrt((weights**2).sum(axis=0)) + 1.0

    def generate(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rng = np.random.default_rng(int(batch.column(0)[0].as_py()) + 7)
            x = np.round(rng.normal(size=(batch.num_rows, FEATURES)), 2)
            noise = rng.normal(size=(batch.num_rows, LABELS))
            y = ((x.astype(np.float32) @ weights + noise) / scale > 1.0).astype(float)
            columns = [lists(x), lists(y)]
            yield pa.RecordBatch.from_arrays(columns, names=["features", "labels"])

    if not place.exists():
        made = spark.range(0, rows, 1, max(2, rows // 125_000)).mapInArrow(
            generate, "features array<double>, labels array<double>"
        )
        made.write.parquet(str(place))
    read: Any = spark.read
    return read.parquet(str(place)).withColumn("features", array_to_vector("features"))


def lists(matrix: np.ndarray) -> pa.Array:
    """Return the rows of a matrix as lists."""
    starts = np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(matrix.ravel()))


class Watch(threading.Thread):
    """Samples the processes below this one: the largest Python, and what processors worked.

    Processor seconds can be compared where a machine does other work too, and wall time cannot.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stop, self.largest = threading.Event(), 0
        self._used: dict[int, float] = {}
        self._sample()
        self._before = sum(self._used.values())

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of all processes since the start."""
        self._sample()
        return round(sum(self._used.values()) - self._before, 1)

    def run(self) -> None:
        while not self.stop.wait(0.2):
            self._sample()

    def _sample(self) -> None:
        sizes = [size for kind, size in sample_tree(os.getpid()) if kind == "python"]
        self.largest = max(self.largest, *sizes)
        this = psutil.Process()
        for process in [this, *this.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._used[process.pid] = times.user + times.system

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()
        self._sample()


def time_ours(data: DataFrame, options: argparse.Namespace) -> dict[str, float]:
    """Fit the distributed forest."""
    forest = RandomForestClassifier(n_estimators=options.trees, max_depth=options.depth)
    estimator = ml.MultilabelRandomForest(
        classifier=forest, mode="distributed", maxBins=options.bins, seed=1
    )
    with Watch() as watch:
        started = time.perf_counter()
        model = estimator.fit(data)
        seconds = time.perf_counter() - started
    rows = data.limit(5000).toPandas()
    truth = np.array(rows["labels"].tolist())
    scores = model.predict_proba(np.array([row.toArray() for row in rows["features"]]))
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": watch.cpu_seconds,
        "python_mib": round(watch.largest / MIB),
        "nodes": len(model.parts[0].scorer.arrays.feature),
        "average_precision": round(average_precision_score(truth, scores), 4),
    }


def time_spark(data: DataFrame, options: argparse.Namespace) -> dict[str, float]:
    """Fit Spark ML's forests of some labels, and return the seconds of all."""
    forest = SparkForest(
        numTrees=options.trees,
        maxDepth=options.depth,
        maxBins=options.bins,
        featureSubsetStrategy="sqrt",
        seed=1,
    )
    with Watch() as watch:
        started = time.perf_counter()
        table = data.cache()
        table.count()
        cached = time.perf_counter() - started, watch.cpu_seconds
    with Watch() as watch:
        started = time.perf_counter()
        for label in range(options.spark_labels):
            forest.fit(table.select("features", F.col("labels")[label].alias("label")))
        each = time.perf_counter() - started, watch.cpu_seconds
    table.unpersist()
    wall, cpu = (
        round(once + LABELS / options.spark_labels * fits, 1)
        for once, fits in zip(cached, each, strict=True)
    )
    return {"spark_seconds": wall, "spark_cpu": cpu, "spark_labels": options.spark_labels}


def add_slopes(found: list[dict[str, float]]) -> None:
    """Add to each size how the seconds grew from the size before, in log-log."""
    for before, after in pairwise(found):
        for kind, name in (("seconds", "slope"), ("cpu_seconds", "cpu_slope")):
            growth = math.log(after[kind] / before[kind])
            after[name] = round(growth / math.log(after["rows"] / before["rows"]), 2)


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--spark-rows", type=int, nargs="*", default=[], help="sizes of Spark ML's")
    parser.add_argument("--spark-labels", type=int, default=LABELS)
    parser.add_argument("--trees", type=int, default=20)
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--memory", default="2g", help="memory of the JVM")
    parser.add_argument("--folder", type=Path, help="where the tables stay for the next run")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = read_options(arguments)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="forest-"))
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": options.memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
    }
    found: list[dict[str, float]] = []
    try:
        with spark_session(
            app_name="forest scale", master=options.master, settings=settings
        ) as spark:
            warm = make_rows(spark, 10_000, folder)
            time_ours(warm, options)  # workers import what they need
            for rows in options.rows:
                data = make_rows(spark, rows, folder)
                result: dict[str, float] = {"rows": rows, **time_ours(data, options)}
                if rows in options.spark_rows:
                    result |= time_spark(data, options)
                    result["cpu_ratio"] = round(result["spark_cpu"] / result["cpu_seconds"], 1)
                    result["ratio"] = round(result["spark_seconds"] / result["seconds"], 1)
                found.append(result)
                add_slopes(found)
                print(json.dumps(found[-1]), flush=True)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
