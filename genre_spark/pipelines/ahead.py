"""What later stages of a run need, made ready while a stage waits for Spark's JVM."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module

import pyarrow as pa
from pyspark.sql import SparkSession

from genre_spark.collecting import without_collecting
from genre_spark.config import Config
from genre_spark.pipelines.stage_list import StageEntry
from genre_spark.spark.session import is_local
from genre_spark.spark.threads import run_in_threads
from genre_spark.tracking import opening_store
from genre_spark.workers.own_process import drop_prepared_process, prepare_process
from genre_spark.workers.tasks import short_task

__all__ = ["Ahead", "start_early"]


def start_early(session: Callable[[], SparkSession], config: Config) -> None:
    """Start Spark while MLflow's store is opened: each of them is a wait of seconds.

    What fails here fails again, and is told, where a stage asks for it.
    """
    with opening_store(config), suppress(Exception):
        session()


class Ahead:
    """Starts Python workers, imports, and the process of a training ahead of their stages.

    The first stage with work for Spark has the workers of a local session started: what they import
    takes one of the cores for two seconds. The first one that trains has the packages of the stages
    behind it imported, by a thread, and the process started that a network will be trained in,
    whose imports take several seconds: its fits leave this process waiting, where other stages ask
    the JVM a hundred times a second and would wait for an import each time.

    Args:
        session: gives the session.
        entries: the stages of the run.
        config: the recipe.
    """

    def __init__(
        self, session: Callable[[], SparkSession], entries: Sequence[StageEntry], config: Config
    ) -> None:
        self._session = session
        self._modules = [name for entry in entries for name in entry.imports]
        apart = [
            place
            for place, entry in enumerate(entries)
            if entry.trains_apart and (entry.name != "train-cnn" or config.cnn.distribution.alone)
        ]
        self._trains_apart = bool(apart)
        self._behind = entries[apart[-1] + 1 :] if apart else ()
        self._threads: dict[str, threading.Thread] = {}
        self._closed = False

    def session_of(self, entry: StageEntry) -> Callable[[], SparkSession]:
        """Return what gives a stage its session; it is asked where the stage has work to do."""
        if entry in self._behind:  # of trainings that had nothing to do
            drop_prepared_process()

        def session() -> SparkSession:
            spark = self._session()
            if is_local(spark):
                self._start("workers", lambda: _start_worker(spark))
            if entry.place.startswith("models."):
                if self._modules:
                    self._start("imports", self._import)
                if self._trains_apart:
                    self._trains_apart = False
                    _prepare_training()
            return spark

        return session

    def close(self) -> None:
        """Wait for the threads, which end with the module that they are at."""
        self._closed = True
        for thread in self._threads.values():
            thread.join()
        drop_prepared_process()

    def _start(self, name: str, work: Callable[[], object]) -> None:
        if name not in self._threads:
            self._threads[name] = threading.Thread(target=work, name=f"ahead-{name}", daemon=True)
            self._threads[name].start()

    def _import(self) -> None:
        for name in self._modules:
            if self._closed:
                return
            with suppress(Exception), without_collecting():  # the stage that needs it says so
                import_module(name)


def _prepare_training() -> None:
    with suppress(Exception):  # the stage that trains says what is wrong
        from genre_spark.vision.training.launch import TRAINING_MODULES  # noqa: PLC0415 - an extra

        prepare_process(TRAINING_MODULES)


def _start_worker(spark: SparkSession) -> None:
    def nothing(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        yield from batches

    with suppress(Exception):  # a stage with work for workers says what is wrong with them
        run_in_threads(
            spark,
            [spark.range(0, 1, 1, 1).mapInArrow(short_task(nothing), "id long").collect],
            parallelism=1,
        )
