"""A driver on the tests' cluster: it fits methods and runs stages, and may lose executors.

A test process has one Spark session, and that one is local: `on_cluster` starts another process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil
from pyspark.ml.classification import RandomForestClassifier

import genre_spark.multilabel as ml
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.spark.session import spark_session
from tests.cluster import driver_settings, run_on_cluster
from tests.multilabel.tables import ESTIMATORS, ON_SPARK, forest, frame, matrices
from tests.places.same_tables import run_stages, small_recipe

WORKERS = 2
PATIENCE = 60.0  # seconds until every worker has an executor
METHODS = {
    "BinaryRelevance": ESTIMATORS["BinaryRelevance"],
    "MultilabelRandomForest": ESTIMATORS["MultilabelRandomForest"],
    "ClassifierChain of Spark ML": ON_SPARK["ClassifierChain"],
    "distributed forest": lambda **k: ml.MultilabelRandomForest(
        classifier=forest(), mode="distributed", **k
    ),
    "forests of Spark ML": lambda **k: ml.BinaryRelevance(
        classifier=RandomForestClassifier(numTrees=5), **k
    ),
    **{
        name: ESTIMATORS[name]
        for name in ("ClassifierChain", "RAkEL", "EnsembleOfPrunedSets", "HOMER", "RandomLabels")
    },
}
KINDS = tuple(METHODS)[:4]
"""A method of each way to spread fits: in tasks, trees in tasks, Spark ML, sums per level."""
SCRIPT = "from tests.places.on_cluster import main; main()"


def on_cluster(
    master: str,
    *,
    methods: Sequence[str] = (),
    losing: Sequence[str] = (),
    stages: Sequence[str] = (),
    work: Path | None = None,
    data: Path | None = None,
    words: Sequence[str] = (),
    timeout: float = 300,
) -> dict[str, Any]:
    """Run methods and stages on a cluster in a process of its own.

    Args:
        master: the cluster's address.
        methods: of METHODS.
        losing: those of them that lose an executor while one of their tasks runs.
        stages: of the pipeline, each of which loses an executor.
        work: the stages' work folder.
        data: the stages' data set.
        words: settings of the stages' recipe.
        timeout: seconds.

    Returns:
        answers (method -> probabilities), tasks (number of each executor, of methods that lose
        none), lost (the methods and stages that have lost an executor), digests (of tables).
    """
    asked = [list(methods), list(losing), list(stages), str(work), str(data), list(words)]
    output = run_on_cluster(SCRIPT, json.dumps(asked), master=master, timeout=timeout)
    answer: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return answer


def main() -> None:
    """Do what the first argument says and print the answer as the last line."""
    methods, losing, stages, work, data, words = json.loads(sys.argv[1])
    settings = {**driver_settings(), "spark.sql.warehouse.dir": f"{work}/warehouse"}
    master = os.environ["SPARK_MASTER"]
    with spark_session(app_name="places", master=master, settings=settings) as spark:
        wait_for_executors(spark)
        lost: list[str] = []
        found, tasks = {}, tasks_of(spark)
        for name in methods:
            loss = losing_an_executor(spark, name, lost) if name in losing else nullcontext()
            with loss:
                found[name] = answers(spark, name)
            if name not in losing:
                tasks = tasks_of(spark)
        digests = {}
        if stages:
            spark.sql("CREATE SCHEMA IF NOT EXISTS published")
            config = small_recipe(work, data, words)
            for name in stages:
                with losing_an_executor(spark, name, lost):
                    STAGES[name].load()(spark, config)
            digests = run_stages(spark, config, ())
    answer = {"answers": found, "tasks": tasks, "lost": lost, "digests": digests}
    sys.stdout.write(f"{json.dumps(answer)}\n")


def answers(spark: Any, name: str) -> list[list[float]]:
    """Return the probabilities of the first training rows, of one method fitted in a session."""
    x, y = matrices(rows=400)
    estimator = METHODS[name](seed=3)
    if estimator.hasParam("parallelism"):
        estimator.set(estimator.getParam("parallelism"), 4)
    model = estimator.fit(frame(spark, x, y))
    scored = model.transform(frame(spark, x[:50], y[:50])).select("id", "probabilities")
    return [row["probabilities"].toArray().tolist() for row in scored.orderBy("id").collect()]


def executors(spark: Any) -> Mapping[str, Any]:
    """Return what Spark knows of each executor that is there, by its id."""
    found = spark.sparkContext._jsc.sc().statusStore().executorList(True)
    every = [found.apply(index) for index in range(found.size())]
    return {one.id(): one for one in every if one.id() != "driver"}


def tasks_of(spark: Any) -> dict[str, int]:
    """Return how many tasks each executor has run."""
    return {name: one.totalTasks() for name, one in executors(spark).items()}


def wait_for_executors(spark: Any) -> None:
    """Wait until every worker has an executor."""
    deadline = time.monotonic() + PATIENCE
    while len(executors(spark)) < WORKERS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"executors {sorted(executors(spark))}, expected {WORKERS}")
        time.sleep(0.1)


@contextmanager
def losing_an_executor(spark: Any, name: str, lost: list[str]) -> Iterator[None]:
    """Kill an executor once it runs a task of this block, and note the name then."""
    wait_for_executors(spark)
    over = threading.Event()
    watcher = threading.Thread(target=_kill_one, args=(spark, name, lost, over))
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _kill_one(spark: Any, name: str, lost: list[str], over: threading.Event) -> None:
    application = spark.sparkContext.applicationId
    while not over.wait(0.01):
        for executor, state in executors(spark).items():
            if state.activeTasks() and kill_executor(application, executor):
                lost.append(name)
                return


def kill_executor(application: str, executor: str) -> bool:
    """Kill the process of an executor; return whether there was one."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if application in words and words[words.index("--executor-id") + 1] == executor:
            process.kill()
            return True
    return False
