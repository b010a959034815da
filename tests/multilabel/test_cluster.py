"""Methods of every kind give the same model on a cluster of two workers as in a local session."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pyspark.ml.classification import RandomForestClassifier

import genre_spark.multilabel as ml
from tests.cluster import run_on_cluster, standalone_cluster  # noqa: F401
from tests.multilabel.tables import ESTIMATORS, ON_SPARK, forest, frame, matrices

pytestmark = pytest.mark.cluster

METHODS = {
    **{
        name: ESTIMATORS[name]
        for name in (
            *("BinaryRelevance", "ClassifierChain", "RAkEL", "EnsembleOfPrunedSets", "HOMER"),
            *("MultilabelRandomForest", "RandomLabels"),
        )
    },
    "distributed forest": lambda **k: ml.MultilabelRandomForest(
        classifier=forest(), mode="distributed", **k
    ),
    "ClassifierChain of Spark ML": ON_SPARK["ClassifierChain"],
    "forests of Spark ML": lambda **k: ml.BinaryRelevance(
        classifier=RandomForestClassifier(numTrees=5), **k
    ),
}
DRIVER = """
import json, os, sys
from genre_spark.spark.session import spark_session
from tests.multilabel.test_cluster import METHODS, answers, busy

settings = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.executor.memory": "512m",
}
master = os.environ["SPARK_MASTER"]
with spark_session(app_name="methods", master=master, settings=settings) as spark:
    while busy(spark).keys() < {"0", "1"}:  # the second executor may register later
        spark.range(100, numPartitions=8).count()
    found = {}
    for name in METHODS:
        before = busy(spark)
        found[name] = answers(spark, name)
        after = busy(spark)
    spread = {name: after[name] - before[name] for name in ("0", "1")}
    print(json.dumps({"answers": found, "tasks": spread}))
"""


def answers(spark, name):
    """Return the probabilities of the training rows, of one method fitted in this session."""
    x, y = matrices(rows=400)
    estimator = METHODS[name](seed=3)
    if estimator.hasParam("parallelism"):
        estimator.set(estimator.getParam("parallelism"), 4)
    model = estimator.fit(frame(spark, x, y))
    rows = (
        model.transform(frame(spark, x[:50], y[:50]))
        .select("id", "probabilities")
        .orderBy("id")
        .collect()
    )
    return [row["probabilities"].toArray().tolist() for row in rows]


def busy(spark):
    """Return how many tasks each executor has run."""
    executors = spark.sparkContext._jsc.sc().statusStore().executorList(True)
    found = [executors.apply(index) for index in range(executors.size())]
    return {one.id(): one.totalTasks() for one in found if one.id() != "driver"}


def test_a_cluster_gives_the_models_of_local_mode_and_uses_both_workers(spark, standalone_cluster):  # noqa: F811
    output = run_on_cluster(DRIVER, master=standalone_cluster)
    found = json.loads(output.strip().splitlines()[-1])
    for name in METHODS:
        np.testing.assert_allclose(
            found["answers"][name], answers(spark, name), atol=1e-9, err_msg=name
        )
    assert min(found["tasks"].values()) >= 0.2 * sum(found["tasks"].values()), found["tasks"]
