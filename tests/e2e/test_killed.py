"""A pipeline killed at several points and started again leaves what an undisturbed one leaves.

The disturbed run also has another number of cores and of shuffle partitions: neither may change a
table.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.e2e.running import all_rows, run, start

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def _kill_after(record: Path, recipe: Path, *words: str) -> None:
    """Start the pipeline; kill it, JVM and workers included, just after a stage's record."""
    process = start("run", recipe, *words)
    try:
        deadline = time.monotonic() + 300
        while not record.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.5)
        assert process.poll() is None, process.communicate()[1]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_killed_pipeline_goes_on_and_leaves_the_same_tables(finished, tmp_path: Path) -> None:
    work = tmp_path / "work"
    words = (
        f"paths.work={work}",
        "sample_data=null",
        "spark.master=local[1]",
        'spark.settings={spark.driver.memory: 1g, spark.sql.shuffle.partitions: "5"}',
    )
    for stage in ("group-genres", "build-features", "train-multilabel"):
        _kill_after(work / "stages" / f"{stage}.json", finished.recipe, *words)
    done = run("run", finished.recipe, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    client = MlflowClient(f"sqlite:///{work}/mlflow.db")
    [experiment] = client.search_experiments(filter_string="name != 'Default'")
    ended = {run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert ended == {"FINISHED", "KILLED"}
    assert all_rows(work) == all_rows(finished.work)
