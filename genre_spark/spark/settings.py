"""Settings of Spark: their files, and what a session of this machine alone needs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from genre_spark.errors import InvalidConfigError
from genre_spark.workers.daemon import DAEMON_MODULE, SKLEARN_TOO

__all__ = [
    "JAVA_OPTIONS",
    "LOOPBACK",
    "on_loopback",
    "read_spark_conf",
    "with_imports",
    "with_late_compiling",
    "with_retry",
    "with_sklearn",
    "without_call_sites",
]

JAVA_OPTIONS = "spark.driver.defaultJavaOptions"
"""Setting with options of the JVM to which those of spark.driver.extraJavaOptions are added."""
LOOPBACK = "127.0.0.1"
_DAEMON = "spark.python.daemon.module"


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


def with_retry(master: str) -> str:
    """Return a local master whose tasks get a second try, so that a lost worker costs nothing.

    Spark gives tasks of local mode one try unless the master says otherwise, and four elsewhere.

    Args:
        master: `local[4]` becomes `local[4,2]`; others stay as they are.
    """
    found = re.fullmatch(r"local(?:\[(\d+|\*)\])?", master.strip())
    return master if found is None else f"local[{found[1] or 1},2]"


def on_loopback(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings with which a local session is seen by this machine alone.

    Spark's driver would listen on the host's address, and its UI on all addresses: that one follows
    the environment of the JVM, which is yet to start.
    """
    os.environ.setdefault("SPARK_LOCAL_IP", LOOPBACK)
    own = {"spark.driver.host": LOOPBACK, "spark.driver.bindAddress": LOOPBACK}
    return {**own, **settings}


def with_imports(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings of a local session whose workers are forked with their packages imported.

    With scikit-learn too, where this process has imported it: its workers will need it. Not where
    the session sends this package to its workers (`spark.submit.pyFiles`): they find it later.
    """
    if "spark.submit.pyFiles" in settings or _DAEMON in settings:
        return dict(settings)
    # SQL's workers have the variable; with it, an RDD's (of lists, in writers of models) are
    # forked from the same daemon, and not from a second one with all its imports
    alike = {"spark.executorEnv.SPARK_SIMPLIFIED_TRACEBACK": "1"}
    found = {_DAEMON: DAEMON_MODULE, **alike, **settings}
    return with_sklearn(found) if "sklearn" in sys.modules else found


def with_sklearn(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings of a local session whose workers have scikit-learn imported too."""
    if settings.get(_DAEMON) != DAEMON_MODULE:
        return dict(settings)
    return {f"spark.executorEnv.{SKLEARN_TOO}": "1", **settings}


def without_call_sites(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings of a session that does not note where each column was made.

    PySpark asks the JVM several times for every operation on a column, and imports IPython where it
    is installed, to name a line of Python in errors of the analyzer. Stages make hundreds of
    columns.
    """
    return {"spark.python.sql.dataFrameDebugging.enabled": "false", **settings}


def with_late_compiling(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings of a local session whose JVM compiles less of what runs a few times.

    Planning a query, or starting a dozen tasks, runs thousands of methods often enough for HotSpot
    to compile them, on the cores that tasks want, and too seldom to pay that back. Four times its
    thresholds spare a session of a minute a third of the JVM's work; loops over rows reach them in
    a moment all the same.

    Args:
        settings: of the session; a scaling of thresholds that they have stays as it is.
    """
    defaults = settings.get(JAVA_OPTIONS, "")
    own = settings.get("spark.driver.extraJavaOptions", "")
    if "CompileThresholdScaling" in f"{defaults} {own}":
        return dict(settings)
    return {**settings, JAVA_OPTIONS: f"{defaults} -XX:CompileThresholdScaling=4".strip()}
