"""Compare the multi-label methods with what other systems reach on the same splits.

python benchmarks/multilabel_quality.py --data DATA/multilabel --datasets emotions scene --seeds 5

Each reference row names a method, a library and a decision rule; ours is decided by the same rule.
A figure meets its reference when its mean over the seeds lies within two standard deviations (or
0.01) of it, or beyond on the better side.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from multilabel_references import COMPARISONS, TWINS, compare, decide, measure
from pyspark.ml.classification import RandomForestClassifier as SparkForest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, DoubleType, StructField, StructType
from sklearn.ensemble import RandomForestClassifier

import genre_spark.multilabel as ml
from genre_spark.multilabel.base import MultilabelModel
from genre_spark.multilabel.fitting.multilabel_trees import grow_trees
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.fitting.training_data import TrainingMatrix
from genre_spark.multilabel.fitting.with_sklearn import fit_part
from genre_spark.multilabel.models.parts import FittedPart
from genre_spark.multilabel.models.transform import score_features
from genre_spark.multilabel.problem_transformation import ProblemTransformation
from genre_spark.spark.session import spark_session


def build(method: str, trees: int, seed: int) -> ml.BinaryRelevance:
    """Return the estimator of a method."""
    forest = RandomForestClassifier(n_estimators=trees)

    # grown out and with sqrt(features) a split, as the other libraries' forests are
    def spark() -> SparkForest:
        return SparkForest(
            numTrees=trees,
            maxDepth=25,
            maxBins=64,
            featureSubsetStrategy="sqrt",
            maxMemoryInMB=1024,
        )

    makers = {
        "BR": lambda: ml.BinaryRelevance(classifier=forest),
        "CC": lambda: ml.ClassifierChain(classifier=forest),
        "ECC mean": lambda: ml.EnsembleOfClassifierChains(classifier=forest),
        "ECC votes": lambda: ml.EnsembleOfClassifierChains(classifier=forest, scores="votes"),
        "LP": lambda: ml.LabelPowerset(classifier=forest),
        "PS": lambda: ml.PrunedSets(classifier=forest),
        "EPS votes": lambda: ml.EnsembleOfPrunedSets(classifier=forest),
        "EPS mean": lambda: ml.EnsembleOfPrunedSets(classifier=forest, scores="mean"),
        "RAkEL disjoint": lambda: ml.RAkEL(classifier=forest, overlapping=False),
        "RAkEL": lambda: ml.RAkEL(classifier=forest),
        "RAkEL mean": lambda: ml.RAkEL(classifier=forest, scores="mean"),
        "HOMER": lambda: ml.HOMER(classifier=forest),
        "native": lambda: ml.MultilabelRandomForest(classifier=forest),
        "native entropy": lambda: ml.MultilabelRandomForest(
            classifier=forest.set_params(criterion="entropy")
        ),
        "most common labelset": ml.MostCommonLabelset,
        "random": ml.RandomLabels,
        "prior": ml.LabelPrior,
        "BR (Spark ML)": lambda: ml.BinaryRelevance(classifier=spark()),
        "CC (Spark ML)": lambda: ml.ClassifierChain(classifier=spark()),
        "LP (Spark ML)": lambda: ml.LabelPowerset(classifier=spark()),
    }
    return makers[method]().setSeed(seed)


def load(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    table = pd.read_parquet(folder / f"{part}.parquet")
    columns = [[name for name in table if name[0] == kind and name[1:].isdigit()] for kind in "xl"]
    return table[columns[0]].to_numpy(float), table[columns[1]].to_numpy(float)


def fit_here(estimator: ml.BinaryRelevance, x: np.ndarray, y: np.ndarray) -> MultilabelModel:
    """Make the fits of the estimator's Spark tasks in this process: their cost without Spark."""
    counts = y.sum(axis=0)
    statistics = TrainingStatistics(
        len(x), x.shape[1], y.shape[1], counts, float(len(x)), counts, lambda: y.T @ y
    )
    matrix = TrainingMatrix(x.astype(np.float32), y.astype(np.uint8), None)
    if isinstance(estimator, ml.MultilabelRandomForest):
        forest = estimator.getClassifier()
        scorer = grow_trees(forest, matrix, range(forest.n_estimators), estimator.getSeed())
        return estimator._finish([FittedPart(scorer)], {}, statistics)
    if not isinstance(estimator, ProblemTransformation):
        raise TypeError(f"{type(estimator).__name__}: has no fits, run it with Spark")
    fits, structure = estimator._plan(statistics)
    parts = [FittedPart(*fit_part(fit, matrix, estimator.getClassifier())) for fit in fits]
    return estimator._finish(parts, structure, statistics)


def to_spark(spark: SparkSession, x: np.ndarray, y: np.ndarray) -> DataFrame:
    schema = StructType(
        [StructField("features", VectorUDT()), StructField("labels", ArrayType(DoubleType()))]
    )
    rows = [(Vectors.dense(a), b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    return spark.createDataFrame(rows, schema).repartition(2)


def run_method(
    spark: SparkSession | None, folder: Path, method: str, seeds: int, trees: int
) -> tuple[dict[str, dict[str, list[dict[str, float]]]], float]:
    """Return for the method and its twin, for each rule, the metrics of each seed.

    And the mean seconds of a fit.
    """
    x, y = load(folder, "train")
    test, truth = load(folder, "test")
    train = None
    if spark is not None:
        train = to_spark(spark, x, y).cache()
        train.count()
    found: dict[str, dict[str, list[dict[str, float]]]] = {
        name: {rule: [] for rule in COMPARISONS[name]}
        for name in (method, TWINS.get(method))
        if name
    }
    cardinality = float(y.sum() / len(y))
    seconds = []
    for seed in range(seeds):
        started = time.perf_counter()
        estimator = build(method, trees, seed)
        model = fit_here(estimator, x, y) if train is None else estimator.fit(train)
        scores, prediction = model.predict_proba(test), model.predict(test)
        seconds.append(time.perf_counter() - started)
        for rule, values in found[method].items():
            if not rule.startswith("oob "):
                decided = decide(rule, scores, prediction, cardinality)
            elif train is not None:
                tuner = ml.ThresholdTuner(rule=rule.removeprefix("oob ")).fit(model.outOfBag(train))
                decided = tuner.predict(scores)
            else:
                continue
            values.append(measure(truth, decided))
        if method in TWINS:
            predictor = model._predictor(model._scorers())
            other = replace(predictor, votes=not predictor.votes)
            scores, prediction = score_features(other, test, model.getThreshold())
            for rule, values in found[TWINS[method]].items():
                values.append(measure(truth, decide(rule, scores, prediction, cardinality)))
    if train is not None:
        train.unpersist()
    for name, rules in found.items():
        found[name] = {rule: values for rule, values in rules.items() if values}
    return found, float(np.mean(seconds))


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with NAME/train.parquet and reference.csv"
    )
    parser.add_argument("--datasets", nargs="+", default=["emotions", "scene"])
    parser.add_argument(
        "--methods", nargs="+", default=[name for name in COMPARISONS if "Spark ML" not in name]
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument(
        "--in-process", action="store_true", help="make the same fits here, without Spark"
    )
    parser.add_argument("--json", type=Path, help="write all comparisons here")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = read_options(arguments)
    reference = pd.read_csv(options.data / "reference.csv")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "4g",
    }
    rows: list[dict] = []
    session = spark_session(app_name="multilabel quality", master=options.master, settings=settings)
    with nullcontext() if options.in_process else session as spark:
        for dataset in options.datasets:
            for method in options.methods:
                if method in TWINS.values() and any(
                    TWINS.get(name) == method for name in options.methods
                ):
                    continue
                found, seconds = run_method(
                    spark, options.data / dataset, method, options.seeds, options.trees
                )
                compared = [
                    {**row, "seconds": round(seconds, 2)}
                    for name, values in found.items()
                    for row in compare(reference, dataset, name, values)
                ]
                rows += compared
                for line in dict.fromkeys(
                    (row["method"], row["rule"], row["reference"]) for row in compared
                ):
                    lines = [
                        row
                        for row in compared
                        if (row["method"], row["rule"], row["reference"]) == line
                    ]
                    cells = "  ".join(
                        f"{row['metric']} "
                        f"{row['ours']:.4f}/{row['theirs']:.4f}{' ' if row['meets'] else '!'}"
                        for row in lines
                    )
                    print(
                        f"{dataset:12s} {line[0]:16s} {seconds:6.1f}s {line[2]:55s} {cells}",
                        flush=True,
                    )
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1))
    missed = sum(not row["meets"] for row in rows)
    print(f"{len(rows) - missed} of {len(rows)} figures meet their reference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
