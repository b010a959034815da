"""Spark Connect: sessions without a JVM in this process, and what they need beside a classic one.

Notebooks on Databricks serverless and on shared clusters have such a session, and so has anyone who
names a server (`sc://host:15002`). Serverless has no cache either (see `caching`).
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from genre_spark.errors import InvalidConfigError, text_of

__all__ = [
    "activate",
    "check_server",
    "connect_task_counts",
    "in_session",
    "interrupt_all",
    "is_connect",
    "on_databricks",
    "on_serverless",
    "session_settings",
]

T = TypeVar("T")
_logger = logging.getLogger("genre_spark")
_named: set[str] = set()  # settings that this process has said it cannot change
_checked: set[str] = set()  # ids of sessions whose workers have what they need


def is_connect(session: object) -> bool:
    """Return whether a session, or a DataFrame, is one of Spark Connect."""
    return type(session).__module__.startswith("pyspark.sql.connect")


def on_databricks() -> bool:
    """Return whether this process runs on Databricks, whose sessions are not ours to stop."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


def on_serverless() -> bool:
    """Return whether this process runs on Databricks serverless compute."""
    return os.environ.get("IS_SERVERLESS", "").lower() == "true"


def activate(session: Any) -> None:
    """Make a Connect session this thread's active one, where none is.

    Spark ML asks for it, in the threads of validators too, which carry none.
    """
    if is_connect(session):
        kind: Any = type(session)
        kind._set_default_and_active_session(session)


def in_session(session: Any, function: Callable[[], T]) -> Callable[[], T]:
    """Return the function for a thread of its own, where the session shall be active."""

    @functools.wraps(function)
    def run() -> T:
        activate(session)
        return function()

    return run


@contextmanager
def session_settings(session: Any, settings: Mapping[str, str]) -> Iterator[None]:
    """Give a session that exists the settings that it can take, in this block.

    Those that belong to its start (memory, master, ports) are named once per process. Serverless
    takes a few of Spark SQL's only.
    """
    before: dict[str, str | None] = {}
    fixed: list[str] = []
    for key, value in settings.items():
        try:
            present = session.conf.get(key, None)
            if present is not None and present.lower() == value.lower():
                continue
            if session.conf.isModifiable(key):
                session.conf.set(key, value)
                before[key] = present
                continue
        except Exception as error:  # the class differs by the kind of session
            _logger.debug("%s: %s", key, text_of(error))
        fixed.append(key)
    if new := sorted(set(fixed) - _named):
        _named.update(new)
        _logger.info("settings that a running session keeps as they are: %s", ", ".join(new))
    try:
        yield
    finally:
        for key, present in before.items():
            with suppress(Exception):  # a session that has ended has no settings
                session.conf.unset(key) if present is None else session.conf.set(key, present)


def check_server(session: Any) -> None:
    """Raise where the Python workers of a Connect server miss this package or what it needs.

    One task answers, once per session. Not asked where the server is of this process, or
    Databricks: there, workers have the environment of the session.

    Raises:
        InvalidConfigError: something is missing; or they run another version of Python.
    """
    key = str(session.session_id)
    if key in _checked or "SPARK_LOCAL_REMOTE" in os.environ or on_databricks():
        return
    try:
        rows = session.range(1).mapInArrow(_list_missing, "missing string").collect()
    except Exception as error:
        if "PYTHON_VERSION_MISMATCH" not in text_of(error):
            raise
        here = ".".join(map(str, sys.version_info[:2]))
        raise InvalidConfigError(
            f"spark.remote: the server's workers run another Python, expected {here}: "
            f"{text_of(error).splitlines()[0]}"
        ) from None
    if missing := rows[0]["missing"]:
        raise InvalidConfigError(
            f"spark.remote: the server's Python workers have no {missing}, expected genre_spark "
            "and what it needs installed where they run"
        )
    _checked.add(key)


def _list_missing(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import importlib.util  # noqa: PLC0415 - this runs on workers that may have nothing else

    import pyarrow  # noqa: PLC0415

    names = ("genre_spark", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "skops")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    for _ in batches:
        yield pyarrow.RecordBatch.from_pydict({"missing": [", ".join(missing)]})


_list_missing.__module__ = "__main__"  # it then travels by value: workers may lack this module


def interrupt_all() -> None:
    """Interrupt what the active Connect session runs; nothing where there is none."""
    module = sys.modules.get("pyspark.sql.connect.session")
    session = None if module is None else module.SparkSession.getActiveSession()
    if session is not None:
        with suppress(Exception):  # a server that is gone runs nothing
            session.interruptAll()


_Operations = dict[str | None, tuple[int, int]]
_running: dict[str, _Operations] = {}  # session -> operation -> tasks that are done, and all


def connect_task_counts(session: Any) -> Callable[[], tuple[int, int]] | None:
    """Return what tells how many tasks of the running queries are done, and how many there are.

    None where the server does not report it (before Spark 4.0).
    """
    if not hasattr(session, "registerProgressHandler"):
        return None
    key = str(session.session_id)
    if key not in _running:
        _running[key] = {}
        session.registerProgressHandler(partial(_note, _running[key]))
    operations = _running[key]

    def ask() -> tuple[int, int]:
        found = list(operations.values())
        return sum(done for done, _ in found), sum(total for _, total in found)

    return ask


def _note(
    operations: _Operations,
    stages: Iterable[Any] | None = None,
    operation_id: str | None = None,
    done: bool = False,
    **_: object,
) -> None:
    """Take what a server reports of an operation; Spark calls this by keywords."""
    if done:
        operations.pop(operation_id, None)
        return
    known = list(stages or ())
    completed = sum(stage.num_completed_tasks for stage in known)
    operations[operation_id] = (completed, sum(stage.num_tasks for stage in known))
