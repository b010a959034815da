"""Time the multi-label estimators: against scikit-learn, Spark ML loops, and on two workers.

    python benchmarks/multilabel.py --json > multilabel.json          # two cores, everything
    python benchmarks/multilabel.py --only br_local predict --rows 2000

Both sides of a ratio run in this process, on the same synthetic table with the session started and
its Python workers warm: `br_spark` and `predict` three times in turn, and the median ratio counts;
`cluster` three times on each cluster, after one fit of scikit-learn's and two of Spark ML's forests
that do not count, and the medians count; the others once. Spark ML's forests see more rows on the
clusters: a fit of theirs is a chain of small jobs that the driver, on the same cores here,
prepares. `busy_...` is the share of the machine's cores that worked during these fits: near 1, no
core waits for work. `time_...` is ours over theirs, `speed_...` theirs over ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import cpu_count
from multilabel_cluster import processor_seconds, standalone_cluster
from multilabel_timing import compare, seconds
from pyspark.ml.classification import RandomForestClassifier as SparkForest
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier

import genre_spark.multilabel as ml
from genre_spark.spark.session import spark_session

ROOT = Path(__file__).resolve().parent.parent


def synthetic(
    rows: int, features: int, labels: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return features, and labels that depend on them and on each other: about 3 of 19 per row."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)).astype(np.float32).astype(np.float64)
    hidden = np.tanh(x[:, : min(features, 30)] @ rng.normal(size=(min(features, 30), 8)) / 3)
    score = hidden @ rng.normal(size=(8, labels)) + 0.5 * rng.normal(size=(rows, labels))
    shares = np.geomspace(0.35, 0.05, labels)
    return x, (
        score > [np.quantile(score[:, label], 1 - share) for label, share in enumerate(shares)]
    ).astype(float)


def to_spark(spark: SparkSession, x: np.ndarray, y: np.ndarray, partitions: int) -> DataFrame:
    table = spark.createDataFrame(pd.DataFrame({"x": list(x), "labels": list(y)}))
    data = (
        table.select(array_to_vector("x").alias("features"), "labels")
        .repartition(partitions)
        .cache()
    )
    data.count()
    return data


@contextmanager
def session(master: str) -> Iterator[SparkSession]:
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "6g",
        "spark.driver.maxResultSize": "3g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "2g",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    with spark_session(app_name="multilabel benchmark", master=master, settings=settings) as spark:
        yield spark


def warm(spark: SparkSession, cores: int) -> None:
    """Start the Python workers, so that nobody's time has it."""
    x, y = synthetic(200, 5, 3)
    small = to_spark(spark, x, y, cores)
    model = ml.BinaryRelevance(classifier=RandomForestClassifier(n_estimators=2)).fit(small)
    model.transform(small).write.format("noop").mode("overwrite").save()
    small.unpersist()


def sklearn_relevance(x: np.ndarray, y: np.ndarray, forest: RandomForestClassifier) -> None:
    for label in range(y.shape[1]):
        clone(forest).set_params(n_jobs=-1, random_state=label).fit(x, y[:, label])


def sklearn_chains(
    x: np.ndarray, y: np.ndarray, forest: RandomForestClassifier, chains: int
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(chains):
        rows = rng.integers(0, len(x), len(x))
        order = rng.permutation(y.shape[1])
        for position, label in enumerate(order):
            inputs = np.hstack([x[rows], y[rows][:, order[:position]]])
            clone(forest).set_params(n_jobs=-1, random_state=position).fit(inputs, y[rows, label])


def br_local(spark: SparkSession, options: argparse.Namespace) -> dict[str, float]:
    x, y = synthetic(options.rows, options.features, options.labels)
    data = to_spark(spark, x, y, options.cores)
    forest = RandomForestClassifier(n_estimators=options.trees)
    ours = seconds(lambda: ml.BinaryRelevance(classifier=forest).fit(data))
    theirs = seconds(lambda: sklearn_relevance(x, y, forest))
    data.unpersist()
    return {
        "time_br_local_vs_sklearn": ours / theirs,
        "seconds_br_local": ours,
        "seconds_br_sklearn": theirs,
    }


def ecc_local(spark: SparkSession, options: argparse.Namespace) -> dict[str, float]:
    x, y = synthetic(options.rows, options.features, options.labels)
    data = to_spark(spark, x, y, options.cores)
    forest = RandomForestClassifier(n_estimators=options.ecc_trees)
    ensemble = ml.EnsembleOfClassifierChains(classifier=forest, numModels=options.chains)
    kept: list = []
    ours = seconds(lambda: kept.append(ensemble.fit(data)))
    theirs = seconds(lambda: sklearn_chains(x, y, forest, options.chains))
    data.unpersist()
    data = to_spark(spark, x[:2000], y[:2000], options.cores)
    started = seconds(lambda: kept[0].transform(data.limit(10)).collect())
    data.unpersist()
    return {
        "time_ecc_local_vs_sklearn": ours / theirs,
        "seconds_ecc_local": ours,
        "seconds_ecc_sklearn": theirs,
        "seconds_ecc_first_prediction": started,
    }


def spark_loop(data: DataFrame, labels: int, forest: SparkForest) -> list:
    """The fits of binary relevance as one would write them: label by label, on cached data."""
    return [
        forest.copy()
        .setLabelCol("label")
        .fit(data.select("features", F.col("labels")[label].alias("label")))
        for label in range(labels)
    ]


def br_spark(spark: SparkSession, options: argparse.Namespace) -> dict[str, float]:
    x, y = synthetic(options.rows, options.features, options.labels)
    data = to_spark(spark, x, y, options.cores)
    forest = SparkForest(numTrees=options.spark_trees, seed=1)
    estimator = ml.BinaryRelevance(classifier=forest, parallelism=options.parallelism)
    found = compare(lambda: estimator.fit(data), lambda: spark_loop(data, options.labels, forest))
    data.unpersist()
    return {
        "speed_br_spark_parallel_vs_sequential": found.speed,
        "seconds_br_spark": found.ours,
        "seconds_br_spark_loop": found.theirs,
    }


def predict(spark: SparkSession, options: argparse.Namespace) -> dict[str, float]:
    x, y = synthetic(2000, options.features, options.labels)
    data = to_spark(spark, x, y, options.cores)
    model = ml.BinaryRelevance(classifier=SparkForest(numTrees=50, seed=1), parallelism=4).fit(data)
    data.unpersist()
    columns = [F.randn(index).alias(f"x{index}") for index in range(options.features)]
    table = spark.range(0, options.predict_rows, 1, 2 * options.cores).select(*columns)
    many = table.select(array_to_vector(F.array(*table.columns)).alias("features")).cache()
    many.count()

    def one_after_the_other() -> None:
        scored = many
        for label, part in enumerate(model.models):
            copy = part.copy()
            copy.setFeaturesCol("features").setProbabilityCol(f"p{label}").setPredictionCol(
                ""
            ).setRawPredictionCol("")
            scored = copy.transform(scored)
        scored.write.format("noop").mode("overwrite").save()

    def in_one_pass() -> None:
        model.transform(many).write.format("noop").mode("overwrite").save()

    found = compare(in_one_pass, one_after_the_other)
    many.unpersist()
    return {
        "speed_predict_vs_sequential": found.speed,
        "seconds_predict": found.ours,
        "seconds_predict_spark": found.theirs,
    }


def cluster_fit(spark: SparkSession, options: argparse.Namespace) -> dict[str, float]:
    """Fit both kinds on the cluster of this session, the median of three after others.

    In a process of its own.
    """
    warm(spark, 2)
    local = RandomForestClassifier(n_estimators=options.trees // 2)
    forest = SparkForest(numTrees=options.cluster_trees, maxDepth=options.cluster_depth, seed=1)
    found = {}
    for kind, base, rows, before in (
        ("local", local, options.rows, 1),
        ("spark", forest, options.cluster_rows, 2),
    ):
        x, y = synthetic(rows, options.features, options.labels)
        data = to_spark(spark, x, y, 2)
        estimator = ml.BinaryRelevance(classifier=base, parallelism=options.parallelism)
        for _ in range(before):
            estimator.fit(data)  # the executors' JVMs compile, each for itself
        worked = processor_seconds()
        times = [
            seconds(lambda estimator=estimator, data=data: estimator.fit(data)) for _ in range(3)
        ]
        found[kind] = statistics.median(times)
        found[f"busy_{kind}"] = (processor_seconds() - worked) / sum(times) / (os.cpu_count() or 1)
        data.unpersist()
    return found


def cluster(_: SparkSession | None, options: argparse.Namespace) -> dict[str, float]:
    times = {}
    for workers in (1, 2):
        with standalone_cluster(workers) as master:
            passed = [
                f"--{name}={getattr(options, name)}"
                for name in ("rows", "features", "labels", "trees")
            ]
            command = [sys.executable, __file__, "--cluster-master", master, *passed]
            command += [
                f"--cluster-rows={options.cluster_rows}",
                f"--cluster-trees={options.cluster_trees}",
                f"--cluster-depth={options.cluster_depth}",
                f"--parallelism={options.parallelism}",
            ]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            output = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            ).stdout
            times[workers] = json.loads(output.strip().splitlines()[-1])
    report = {
        f"speed_two_workers_vs_one_{kind}": times[1][kind] / times[2][kind]
        for kind in ("local", "spark")
    }
    for workers, found in times.items():
        for kind in ("local", "spark"):
            report[f"seconds_{kind}_{workers}_workers"] = found[kind]
            report[f"busy_{kind}_{workers}_workers"] = found[f"busy_{kind}"]
    return report


PARTS = {
    "br_local": br_local,
    "ecc_local": ecc_local,
    "br_spark": br_spark,
    "predict": predict,
    "cluster": cluster,
}


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--labels", type=int, default=19)
    parser.add_argument("--trees", type=int, default=50, help="of a scikit-learn forest")
    parser.add_argument("--ecc-trees", type=int, default=10, help="of a forest of the chains")
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--spark-trees", type=int, default=20, help="of a Spark ML forest")
    parser.add_argument(
        "--cluster-rows", type=int, default=100_000, help="of Spark ML forests on the clusters"
    )
    parser.add_argument(
        "--cluster-trees", type=int, default=50, help="of a Spark ML forest on the clusters"
    )
    parser.add_argument(
        "--cluster-depth", type=int, default=5, help="of the trees of those forests"
    )
    parser.add_argument("--parallelism", type=int, default=4)
    parser.add_argument("--predict-rows", type=int, default=1_000_000)
    parser.add_argument("--cores", type=int, default=cpu_count())
    parser.add_argument(
        "--json", action="store_true", help="print one object with all ratios and seconds"
    )
    parser.add_argument("--cluster-master", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = read_options(arguments)
    if options.cluster_master:
        with session(options.cluster_master) as spark:
            print(json.dumps(cluster_fit(spark, options)))
        return 0
    found: dict[str, float] = {}
    inside = [name for name in options.only if name != "cluster"]
    if inside:
        with session(f"local[{options.cores}]") as spark:
            warm(spark, options.cores)
            for name in inside:
                found |= PARTS[name](spark, options)
    if "cluster" in options.only:
        found |= cluster(None, options)
    ratios = {
        name: round(value, 3)
        for name, value in found.items()
        if name.startswith(("time_", "speed_"))
    }
    busy = {name: round(value, 2) for name, value in found.items() if name.startswith("busy_")}
    times = {
        name: round(value, 2) for name, value in found.items() if name not in {**ratios, **busy}
    }
    if options.json:
        machine = {"cores": options.cores, "rows": options.rows}
        print(json.dumps({"ratios": ratios, "seconds": times, "busy": busy, **machine}))
    else:
        for name, value in {**ratios, **times, **busy}.items():
            print(f"{name:45s} {value:>10}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
