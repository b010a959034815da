"""Compare the forest that is grown over partitions with the one of whole trees.

    PYTHONPATH=. python benchmarks/forest_quality.py --data DATA/multilabel --seeds 5

Both are grown with the same scikit-learn settings on the training rows of each data set, once per
seed, and measured on its test rows. A metric agrees when the means over the seeds are no further
apart than two standard deviations of the whole trees' (or .005), or the distributed one is better.
`--small` is the number of rows up to which a node is finished by one task: 0 grows every node from
histograms.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from multilabel_quality import fit_here, load, to_spark
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, f1_score, hamming_loss

import genre_spark.multilabel as ml
from genre_spark.multilabel.fitting.distributed_trees import forest as fitting
from genre_spark.spark.session import spark_session


def measure(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return metrics of which more is better."""
    decided = scores >= 0.5
    known = truth.any(axis=0)
    return {
        "average precision": average_precision_score(truth[:, known], scores[:, known]),
        "micro-F1": f1_score(truth, decided, average="micro", zero_division=0),
        "1 - Hamming loss": 1 - hamming_loss(truth, decided),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+", default=["emotions", "scene", "movies-tmdb"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--depth", type=int, help="largest depth of a tree; none by default")
    parser.add_argument("--bins", type=int, default=64)
    parser.add_argument("--small", type=int, default=fitting._SMALL)
    options = parser.parse_args(arguments)
    fitting._SMALL = options.small
    settings = {"spark.ui.enabled": "false", "spark.driver.memory": "2g"}
    agree = True
    with spark_session(app_name="forest quality", master="local[2]", settings=settings) as spark:
        for name in options.datasets:
            x, y = load(options.data / name, "train")
            test, truth = load(options.data / name, "test")
            train = to_spark(spark, x, y).cache()
            found: dict[str, list[dict[str, float]]] = {"whole": [], "distributed": []}
            forest = RandomForestClassifier(n_estimators=options.trees, max_depth=options.depth)
            for seed in range(options.seeds):
                whole = ml.MultilabelRandomForest(classifier=forest, seed=seed)
                found["whole"].append(measure(truth, fit_here(whole, x, y).predict_proba(test)))
                spread = whole.copy().setMode("distributed").setMaxBins(options.bins)
                found["distributed"].append(measure(truth, spread.fit(train).predict_proba(test)))
            train.unpersist()
            for metric in found["whole"][0]:
                local, other = (np.array([one[metric] for one in each]) for each in found.values())
                allowed = max(2 * local.std(ddof=1), 0.005)
                good = bool(other.mean() >= local.mean() - allowed)
                agree &= good
                print(
                    f"{name:12s} {metric:18s} whole {local.mean():.4f} sd {local.std(ddof=1):.4f}  "
                    f"distributed {other.mean():.4f} sd {other.std(ddof=1):.4f}  "
                    f"{'agrees' if good else 'is worse'}",
                    flush=True,
                )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
