"""How far running Spark jobs are."""

from __future__ import annotations

import threading
import time

from genre_spark.spark.session import task_counts


def test_the_tasks_of_running_jobs_are_counted(classic):
    ask = task_counts(classic)
    assert ask is not None
    assert ask() == (0, 0)
    job = threading.Thread(target=run_a_second, args=(classic,))
    job.start()
    seen = set()
    while job.is_alive():
        seen.add(ask())
        time.sleep(0.02)
    job.join()
    assert (0, 1) in seen
    assert ask() == (0, 0)


def run_a_second(spark) -> None:
    spark.sparkContext.parallelize([1.0], 1).foreach(time.sleep)
