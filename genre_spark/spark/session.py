"""The one place that knows a SparkContext: starting, adopting and watching the Spark session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from genre_spark.extras import require
from genre_spark.progress import TaskCounts, show_progress
from genre_spark.spark.connect import (
    activate,
    check_server,
    connect_task_counts,
    interrupt_all,
    is_connect,
    on_databricks,
    session_settings,
)
from genre_spark.spark.jvm import named_jvm_end, standard_streams_to, stop_session
from genre_spark.spark.launch import (
    SessionSection,
    classic_settings,
    is_under_submit,
    log_of,
    settings_with_file,
    take_early_context,
    use_this_interpreter,
)
from genre_spark.spark.settings import (
    LOOPBACK,
    on_loopback,
    read_spark_conf,
    with_imports,
    with_retry,
)
from genre_spark.workers.interpreter import check_interpreter

__all__ = [
    "cancel_jobs",
    "check_workers",
    "count_executors",
    "count_task_slots",
    "is_local",
    "job_progress",
    "json_of_java",
    "literal_path",
    "read_spark_conf",
    "recipe_session",
    "recipe_settings",
    "spark_session",
    "task_counts",
    "with_retry",
]


def recipe_settings(section: SessionSection) -> dict[str, str]:
    """Return the settings of a recipe for a session that somebody else has started.

    None under spark-submit, whose settings win.
    """
    return {} if is_under_submit() else settings_with_file(section.conf_file, section.settings)


def recipe_session(
    section: SessionSection, work: str, *, app_name: str
) -> AbstractContextManager[SparkSession]:
    """Return the block of a recipe's session, whose JVM writes to a log in a local work folder.

    Args:
        section: what the recipe says of the session.
        work: the work folder, a path or URL.
        app_name: see `spark_session`.
    """
    return spark_session(
        app_name=app_name,
        master=section.master,
        conf_file=section.conf_file,
        settings=section.settings,
        log_file=log_of(work),
        remote=section.remote,
    )


@contextmanager
def spark_session(
    *,
    app_name: str,
    master: str | None = None,
    conf_file: str | None = None,
    settings: Mapping[str, str] | None = None,
    log_file: Path | None = None,
    remote: str | None = None,
) -> Iterator[SparkSession]:
    """Yield the active Spark session (left running), or a new one (stopped at the end).

    An active session - a Databricks cluster's, a notebook's - takes the settings that a running one
    can take, until the end. Under spark-submit the JVM exists already: its settings win, `master`
    and `conf_file` only fill what it left open.

    Args:
        app_name: name of a new application in Spark's UI.
        master: for example `local[*]` or `spark://host:7077`; None leaves it to spark-submit or the
            conf file.
        conf_file: a file in the format of spark-defaults.conf.
        settings: settings that override the file's.
        log_file: where the JVM's own output goes when this process starts the JVM, so that it does
            not drown the terminal; None leaves it on standard error.
        remote: URL of a Spark Connect server, in place of a master; `local[4]` starts one here.
    """
    merged = settings_with_file(conf_file, settings or {})
    remote = remote or os.environ.get("SPARK_REMOTE")
    with named_jvm_end(log_file), _opened(app_name, master, merged, log_file, remote) as session:
        yield session


@contextmanager
def _opened(
    app_name: str,
    master: str | None,
    settings: Mapping[str, str],
    log_file: Path | None,
    remote: str | None,
) -> Iterator[SparkSession]:
    take_early_context()
    active = SparkSession.getActiveSession()
    if active is None and on_databricks():
        active = SparkSession.builder.getOrCreate()  # that of the job or notebook
    if active is not None:
        check_workers(active)
        with session_settings(active, settings):
            yield active
        return
    use_this_interpreter()
    if remote:
        with _connected(remote, app_name, settings, log_file) as session:
            yield session
        return
    settings = classic_settings(master, settings)
    under_submit = is_under_submit()
    submitted = SparkConf() if under_submit else SparkConf(loadDefaults=False)
    builder = SparkSession.builder.appName(app_name)
    for key, value in settings.items():
        if not submitted.contains(key):
            builder = builder.config(key, value)
    if under_submit:
        session = builder.getOrCreate()
    else:
        with standard_streams_to(log_file):
            session = builder.getOrCreate()
    if not is_connect(session):
        session.sparkContext.setLogLevel("ERROR" if log_file is None else "WARN")
    try:
        check_workers(session)
        yield session
    finally:
        stop_session(session)


@contextmanager
def _connected(
    remote: str, app_name: str, settings: Mapping[str, str], log_file: Path | None
) -> Iterator[SparkSession]:
    """Yield a new session of a Spark Connect server, which is started here for `local[...]`."""
    require("grpc", "grpc_status")
    builder = SparkSession.builder.appName(app_name).remote(remote)
    own = {key: value for key, value in settings.items() if key != "spark.master"}
    if remote.startswith("local"):
        own.setdefault("spark.connect.grpc.binding.address", LOOPBACK)
        for key, value in with_imports(on_loopback(own)).items():
            builder = builder.config(key, value)
        own = {}
    with standard_streams_to(log_file):
        session = builder.getOrCreate()
    try:
        check_workers(session)
        with session_settings(session, own):
            yield session
    finally:
        stop_session(session)


def literal_path(path: str) -> str:
    """Return a path for Spark's readers in which what would be a wildcard stands for itself."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


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
    interrupt_all()


def check_workers(spark: SparkSession) -> None:
    """Raise InvalidConfigError when the session's Python workers cannot run this package.

    Only where they start on this machine (local mode) or a Connect server can be asked: a cluster's
    interpreters cannot be seen from here, and Databricks chooses its own.
    """
    if is_connect(spark):
        activate(spark)
        check_server(spark)
    if is_connect(spark) or on_databricks():
        return
    context = spark.sparkContext
    if (context.master or "").startswith("local"):
        shipped = bool(spark.conf.get("spark.submit.pyFiles", ""))
        check_interpreter(context.pythonExec, package_is_shipped=shipped)


def is_local(spark: SparkSession) -> bool:
    """Return whether tasks run in this machine's JVM, which is this process's."""
    return not is_connect(spark) and (spark.sparkContext.master or "").startswith("local")


def count_executors(spark: SparkSession) -> int:
    """Return how many executors run now.

    1 in local mode, and where Spark does not report it (Spark Connect).
    """
    if is_connect(spark):
        return 1
    context: Any = spark.sparkContext
    # one of them is the driver
    return max(1, context._jsc.sc().getExecutorMemoryStatus().size() - 1)


def count_task_slots(spark: SparkSession) -> int:
    """Return how many tasks run at once now; 8 where Spark does not report it (Spark Connect)."""
    return 8 if is_connect(spark) else int(spark.sparkContext.defaultParallelism)


def task_counts(spark: SparkSession) -> TaskCounts | None:
    """Return what tells how many tasks of the running Spark jobs are done; None: nothing does."""
    if is_connect(spark):
        return connect_task_counts(spark)
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
