"""The line that reports the progress of the running Spark jobs."""

from __future__ import annotations

import io
import sys
import time

from genre_spark.session import job_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_a_second(spark) -> None:
    spark.sparkContext.parallelize([1.0], 1).foreach(time.sleep)


def test_a_block_inside_another_shows_its_jobs_alone(spark, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(
        sys, "stderr", terminal
    )  # not in a fixture: pytest puts its own back before the test
    with job_progress(spark, "outer", interval=0.05):
        run_a_second(spark)
        assert "outer: 0/1 tasks of the running jobs" in terminal.getvalue()
        terminal.truncate(0)
        with job_progress(spark, "inner", interval=0.05):
            terminal.truncate(0)
            run_a_second(spark)
            assert "inner: 0/1 tasks" in terminal.getvalue()
            assert "outer" not in terminal.getvalue()
        run_a_second(spark)
        assert "outer" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")
