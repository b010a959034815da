"""The one place that knows a SparkContext: starting, adopting and watching the Spark session."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from genre_spark.errors import InvalidConfigError
from genre_spark.progress import TaskCounts, show_progress
from genre_spark.workers.interpreter import check_interpreter

__all__ = [
    "cancel_jobs",
    "check_workers",
    "count_executors",
    "count_task_slots",
    "job_progress",
    "json_of_java",
    "literal_path",
    "read_spark_conf",
    "spark_session",
    "task_counts",
    "with_retry",
]


_LOOPBACK = "127.0.0.1"


def read_spark_conf(path: str) -> dict[str, str]:
    """Read a spark-defaults file (one `key value` or `key=value` per line; # starts a comment)."""
    settings: dict[str, str] = {}
    if not Path(path).is_file():
        raise InvalidConfigError(f"spark.conf_file: {path}: no such file, expected Spark settings")
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        key, _, value = (
            text.replace("=", " ", 1).partition(" ")
            if "=" in text.split()[0]
            else text.partition(" ")
        )
        if not value.strip():
            raise InvalidConfigError(
                f"spark.conf_file {path}, line {number}: {text!r}, expected `key value`"
            )
        settings[key.strip()] = value.strip()
    return settings


@contextmanager
def spark_session(
    *,
    app_name: str,
    master: str | None = None,
    conf_file: str | None = None,
    settings: Mapping[str, str] | None = None,
    log_file: Path | None = None,
) -> Iterator[SparkSession]:
    """Yield the active Spark session (left running), or a new one (stopped at the end).

    An active session - a Databricks cluster's, a notebook's - is used as it is. Under spark-submit
    the JVM exists already: its settings win, `master` and `conf_file` only fill what it left open.

    Args:
        app_name: name of a new application in Spark's UI.
        master: for example `local[*]` or `spark://host:7077`; None leaves it to spark-submit or the
            conf file.
        conf_file: a file in the format of spark-defaults.conf.
        settings: settings that override the file's.
        log_file: where the JVM's own output goes when this process starts the JVM, so that it does
            not drown the terminal; None leaves it on standard error.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        check_workers(active)
        yield active
        return
    # Workers would otherwise start whatever `python3` is first on PATH and miss every package of
    # this environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    merged = {**(read_spark_conf(conf_file) if conf_file else {}), **(settings or {})}
    if master:
        merged["spark.master"] = master
    under_submit = "PYSPARK_GATEWAY_PORT" in os.environ
    if "spark.master" in merged:
        merged["spark.master"] = with_retry(merged["spark.master"])
        if merged["spark.master"].startswith("local") and not under_submit:
            merged = _on_loopback(merged)
    submitted = SparkConf() if under_submit else SparkConf(loadDefaults=False)
    builder = SparkSession.builder.appName(app_name)
    for key, value in merged.items():
        if not submitted.contains(key):
            builder = builder.config(key, value)
    if under_submit:
        session = builder.getOrCreate()
    else:
        with _standard_streams_to(log_file):
            session = builder.getOrCreate()
    if not _is_connect(session):
        session.sparkContext.setLogLevel("ERROR" if log_file is None else "WARN")
    try:
        check_workers(session)
        yield session
    finally:
        session.stop()


def literal_path(path: str) -> str:
    """Return a path for Spark's readers in which what would be a wildcard stands for itself."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def with_retry(master: str) -> str:
    """Return a local master whose tasks get a second try, so that a lost worker costs nothing.

    Spark gives tasks of local mode one try unless the master says otherwise, and four elsewhere.

    Args:
        master: `local[4]` becomes `local[4,2]`; others stay as they are.
    """
    found = re.fullmatch(r"local(?:\[(\d+|\*)\])?", master.strip())
    return master if found is None else f"local[{found[1] or 1},2]"


def _on_loopback(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings with which a local session is seen by this machine alone.

    Spark's driver would listen on the host's address, and its UI on all addresses: that one follows
    the environment of the JVM, which is yet to start.
    """
    os.environ.setdefault("SPARK_LOCAL_IP", _LOOPBACK)
    own = {"spark.driver.host": _LOOPBACK, "spark.driver.bindAddress": _LOOPBACK}
    return {**own, **settings}


@contextmanager
def _standard_streams_to(log_file: Path | None) -> Iterator[None]:
    """Send file descriptors 1 and 2 to a file while the JVM is started.

    It inherits them for its whole life.
    """
    if log_file is None:
        yield
        return
    log_file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with log_file.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        for descriptor, standard in zip(saved, (1, 2), strict=True):
            os.dup2(descriptor, standard)
            os.close(descriptor)


_abandoned: list[object] = []  # connections that wait for an answer that nobody reads


def cancel_jobs() -> None:
    """Cancel all jobs of this process, in the handler of a signal.

    The interrupted call may wait for the JVM's answer on this thread's connection; another call
    there would read that answer in place of its own. So the thread gets a new connection.
    """
    known: Any = SparkContext
    held = getattr(getattr(known._gateway, "_gateway_client", None), "thread_connection", None)
    if held is not None:
        _abandoned.append(dict(vars(held)))
        vars(held).clear()
    if known._active_spark_context is not None:
        known._active_spark_context._jsc.sc().cancelAllJobs()


def _is_connect(session: SparkSession) -> bool:
    return type(session).__module__.startswith("pyspark.sql.connect")


def check_workers(spark: SparkSession) -> None:
    """Raise InvalidConfigError when the session's Python workers cannot run this package.

    Only where they start on this machine (local mode): a cluster's interpreters cannot be seen from
    here, and Databricks chooses its own.
    """
    if _is_connect(spark) or "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return
    context = spark.sparkContext
    if (context.master or "").startswith("local"):
        shipped = bool(spark.conf.get("spark.submit.pyFiles", ""))
        check_interpreter(context.pythonExec, package_is_shipped=shipped)


def count_executors(spark: SparkSession) -> int:
    """Return how many executors run now.

    1 in local mode, and where Spark does not report it (Spark Connect).
    """
    if _is_connect(spark):
        return 1
    context: Any = spark.sparkContext
    # one of them is the driver
    return max(1, context._jsc.sc().getExecutorMemoryStatus().size() - 1)


def count_task_slots(spark: SparkSession) -> int:
    """Return how many tasks run at once now; 8 where Spark does not report it (Spark Connect)."""
    return 8 if _is_connect(spark) else int(spark.sparkContext.defaultParallelism)


def task_counts(spark: SparkSession) -> TaskCounts | None:
    """Return what tells how many tasks of the running Spark jobs are done; None: nothing does."""
    if _is_connect(spark):
        return None
    tracker = spark.sparkContext.statusTracker()

    def ask() -> tuple[int, int]:
        found = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        stages = [info for info in found if info is not None]
        return sum(info.numCompletedTasks for info in stages), sum(info.numTasks for info in stages)

    return ask


@contextmanager
def job_progress(
    spark: SparkSession, label: str, *, interval: float | None = None
) -> Iterator[None]:
    """Show on standard error how far the work in this block is; see `progress.show_progress`."""
    with show_progress(label, task_counts(spark), interval=interval):
        yield


def json_of_java(value: Any, *, without: Mapping[str, Iterable[str]] | None = None) -> str:
    """Return the private fields of a JVM object as JSON, nested, in one call.

    Gains: for a tree of a fitted forest that is thirty times faster than asking py4j field by
    field. To switch it off, let `multilabel.models.from_spark.export_model` return None for trees:
    Spark then applies them.

    Args:
        value: a py4j JavaObject of the running session's JVM.
        without: class -> fields of it to leave out.
    """
    jvm: Any = SparkSession.active()._jvm
    databind, annotation = jvm.com.fasterxml.jackson.databind, jvm.com.fasterxml.jackson.annotation
    mapper = databind.ObjectMapper()
    mapper.registerModule(jvm.com.fasterxml.jackson.module.scala.DefaultScalaModule())
    visibility = getattr(annotation, "JsonAutoDetect$Visibility")
    mapper.setVisibility(annotation.PropertyAccessor.ALL, visibility.NONE)
    mapper.setVisibility(annotation.PropertyAccessor.FIELD, visibility.ANY)
    ignored = getattr(annotation, "JsonIgnoreProperties$Value")
    for name, fields in (without or {}).items():
        names = jvm.java.util.HashSet()
        for field in fields:
            names.add(field)
        mapper.configOverride(jvm.java.lang.Class.forName(name)).setIgnorals(
            ignored.forIgnoredProperties(names)
        )
    return str(mapper.writeValueAsString(value))
