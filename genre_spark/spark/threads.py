"""Run functions at once in threads that carry Spark's local properties, and close their pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

import pyspark
from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from genre_spark.progress import counting
from genre_spark.spark.connect import in_session

__all__ = ["run_in_threads"]

T = TypeVar("T")


def run_in_threads(
    spark: SparkSession,
    functions: Sequence[Callable[[], T]],
    *,
    parallelism: int,
    counted: str = "",
) -> list[T]:
    """Call the functions, at most `parallelism` at a time, and return their results in their order.

    After the first failure, or Ctrl-C, no further function is started; those that run are waited
    for, so that no thread and no Spark job outlives the call. Job groups, descriptions and
    scheduler pools of the caller hold in the threads too.

    Args:
        spark: the session.
        functions: what is called.
        parallelism: calls at once.
        counted: what a call makes, in the plural, where progress shall be shown.

    Raises:
        Exception: the first one that a function raised.
    """
    if not counted:
        return _run(spark, functions, parallelism)
    with counting(counted, len(functions)) as work:
        return _run(spark, [partial(work.count, each) for each in functions], parallelism)


def _run(spark: SparkSession, functions: Sequence[Callable[[], T]], parallelism: int) -> list[T]:
    functions = [in_session(spark, function) for function in functions]
    if parallelism == 1 or len(functions) <= 1:
        return [function() for function in functions]
    # before 4.0 the session is taken on Spark Connect only
    takes_session = is_remote() or int(pyspark.__version__.split(".")[0]) >= 4
    with ThreadPoolExecutor(
        max_workers=min(parallelism, len(functions)), thread_name_prefix="at-once"
    ) as pool:
        try:
            # A target copies the caller's properties once. One target for all threads would have
            # them share the copy, and Spark, which keeps the running query's number in it, fails
            # (NumberFormatException) or mixes them up.
            futures = [
                pool.submit(inheritable_thread_target(spark)(function))
                if takes_session
                else pool.submit(inheritable_thread_target(function))
                for function in functions
            ]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in futures]
        except BaseException:  # Ctrl-C too: at its end, the block would run all that wait
            pool.shutdown(wait=True, cancel_futures=True)
            raise
