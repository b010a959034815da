"""Fits at once: in order, with Spark's local properties, and none after a failure or Ctrl-C."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from genre_spark.spark import threads
from genre_spark.spark.threads import run_in_threads


def test_results_come_in_the_order_of_the_functions(spark) -> None:
    both = threading.Barrier(2)  # the first two must run at once
    functions = [lambda: both.wait(30) * 0, lambda: both.wait(30) * 0 + 1, lambda: 2]
    assert run_in_threads(spark, functions, parallelism=2) == [0, 1, 2]


def test_local_properties_of_the_caller_hold_in_the_threads(classic) -> None:
    spark, context = classic, classic.sparkContext
    context.setLocalProperty("spark.scheduler.pool", "fits")
    try:
        found = run_in_threads(
            spark, [lambda: context.getLocalProperty("spark.scheduler.pool")] * 3, parallelism=2
        )
    finally:
        context.setLocalProperty("spark.scheduler.pool", None)
    assert found == ["fits"] * 3


def test_a_thread_has_local_properties_of_its_own(classic) -> None:
    spark, context = classic, classic.sparkContext
    both = threading.Barrier(2)

    def work(number: int) -> str | None:
        context.setLocalProperty("number", str(number))
        both.wait(30)
        return context.getLocalProperty("number")

    assert run_in_threads(spark, [partial(work, 0), partial(work, 1)], parallelism=2) == ["0", "1"]


def test_after_a_failure_no_further_function_is_started(spark) -> None:
    started = []
    failing = threading.Event()

    def work(number: int) -> None:
        started.append(number)
        if number == 0:
            failing.set()
            raise ValueError("first")
        failing.wait(30)
        time.sleep(0.02)  # all of them take longer than hearing of the failure does

    with pytest.raises(ValueError, match="first"):
        run_in_threads(spark, [partial(work, number) for number in range(200)], parallelism=2)
    assert len(started) < 200
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("at-once")]


def test_an_interrupt_starts_none_of_the_functions_that_wait(spark, monkeypatch) -> None:
    started = []
    running, stopped = threading.Event(), threading.Event()

    def work(number: int) -> None:
        started.append(number)
        running.set()
        stopped.wait(30)

    def interrupt(*_, **__):
        running.wait(30)
        threading.Timer(0.2, stopped.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(threads, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_in_threads(spark, [partial(work, number) for number in range(20)], parallelism=2)
    assert len(started) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("at-once")]
