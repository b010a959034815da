"""What this process launches a JVM with, and a context that is there before its session."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway

from genre_spark.errors import InvalidConfigError
from genre_spark.spark.class_archive import spark_home, with_class_archive
from genre_spark.spark.connect import on_databricks
from genre_spark.spark.settings import (
    on_loopback,
    read_spark_conf,
    with_imports,
    with_late_compiling,
    with_retry,
    with_sklearn,
    without_call_sites,
)

__all__ = [
    "SessionSection",
    "classic_settings",
    "drop_early_context",
    "installed_settings",
    "is_under_submit",
    "log_of",
    "settings_with_file",
    "start_context_early",
    "take_early_context",
    "use_this_interpreter",
]


class SessionSection(Protocol):
    """What a recipe says of its session."""

    @property
    def conf_file(self) -> str | None:
        """Return the file of settings."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Return the settings that win over the file's."""

    @property
    def master(self) -> str | None:
        """Return where Spark runs; None leaves it to spark-submit or the file."""

    @property
    def remote(self) -> str | None:
        """Return the URL of a Spark Connect server, in place of a master."""


@dataclass(frozen=True)
class _EarlyContext:
    """A thread that starts a context, and the log and folders that were made for it."""

    thread: threading.Thread
    made: tuple[Path, ...]


_early: list[_EarlyContext] = []  # at most one, until it is taken or dropped


def start_context_early(
    section: SessionSection, work: str, *, app_name: str, sklearn: bool = False
) -> None:
    """Start the SparkContext of a recipe's session in a thread, before the session is asked for.

    A session of this process waits for it, and takes it. Nothing is started where this process
    starts no context (spark-submit, Spark Connect, Databricks) or has one, nor on a cluster, whose
    executors are not asked for before it is known that there is work. What fails here fails again,
    and is told, where the session is started.

    Args:
        section: what the recipe says of the session.
        work: the work folder, a path or URL; the JVM writes to the log of `log_of`.
        app_name: name of the application in Spark's UI.
        sklearn: whether workers shall have scikit-learn imported, as in `with_imports`.

    Raises:
        OSError: the folder of the log cannot be made.
    """
    remote = section.remote or os.environ.get("SPARK_REMOTE")
    context: Any = SparkContext
    if remote or is_under_submit() or on_databricks() or _early or context._gateway is not None:
        return
    settings = settings_with_file(section.conf_file, section.settings)
    if settings.get("spark.api.mode", "classic") != "classic":
        return
    use_this_interpreter()
    settings = {"spark.app.name": app_name, **classic_settings(section.master, settings)}
    if not settings.get("spark.master", "").startswith("local"):
        return
    if sklearn:
        settings = with_sklearn(settings)
    log_file = log_of(work)
    places = [] if log_file is None else [log_file, *log_file.parents]
    made = tuple(place for place in places if not place.exists())
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
    # the interpreter's end waits for it, so that Py4J can remove its temporary folder
    thread = threading.Thread(target=_start, args=(settings, log_file), name="early-context")
    _early.append(_EarlyContext(thread, made))
    thread.start()


def take_early_context() -> None:
    """Wait until a context that is being started is there, or has failed."""
    while _early:
        _early.pop().thread.join()


def drop_early_context() -> None:
    """Stop a context that was started early and that no session has taken, and remove its log."""
    while _early:
        early = _early.pop()
        early.thread.join()
        active = SparkContext._active_spark_context
        with suppress(Exception):
            if active is not None:
                active.stop()
        with suppress(OSError):  # somebody else's files are in a folder by now
            for place in early.made:
                place.rmdir() if place.is_dir() else place.unlink()


def _start(settings: Mapping[str, str], log_file: Path | None) -> None:
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    with suppress(Exception):
        if log_file is None:
            gateway = launch_gateway(conf)
        else:
            with log_file.open("ab") as log:
                gateway = launch_gateway(conf, {"stdout": log, "stderr": log})
        SparkContext(gateway=gateway, conf=conf)


def classic_settings(master: str | None, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a new session that is no Connect session.

    What this package sets by itself gives way to the settings of Spark's installation, or is put
    behind them where they are options of the JVM.

    Args:
        master: where Spark runs; None leaves it to the settings.
        settings: of the recipe.
    """
    installed = installed_settings()
    found = without_call_sites({**installed, **settings})
    if master := master or found.get("spark.master"):
        found["spark.master"] = with_retry(master)
        if master.startswith("local") and not is_under_submit():
            found = with_class_archive(with_late_compiling(with_imports(on_loopback(found))))
    # Spark reads the installation's settings itself
    return {
        key: value for key, value in found.items() if key in settings or installed.get(key) != value
    }


def installed_settings() -> dict[str, str]:
    """Return the settings of spark-defaults.conf, which Spark's installation has for all sessions.

    A file that cannot be read, or not so simply as here, is left to Spark.
    """
    home = spark_home()
    folder = os.environ.get("SPARK_CONF_DIR") or (str(home / "conf") if home else None)
    with suppress(InvalidConfigError, OSError, UnicodeDecodeError):
        if folder is not None:
            return read_spark_conf(str(Path(folder, "spark-defaults.conf")))
    return {}


def settings_with_file(conf_file: str | None, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a file, over which others win."""
    return {**(read_spark_conf(conf_file) if conf_file else {}), **settings}


def use_this_interpreter() -> None:
    """Have workers start this interpreter, where the environment does not name another one.

    They would otherwise start whatever `python3` is first on PATH and miss every package of this
    environment.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)


def is_under_submit() -> bool:
    """Return whether spark-submit has started this process, and its JVM before it."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def log_of(work: str) -> Path | None:
    """Return where the JVM of a recipe's session writes; None, the terminal: `work` is a URL."""
    return None if "://" in work else Path(work) / "logs" / "spark.log"
