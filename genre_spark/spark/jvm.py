"""The JVM of a session: where its output goes, its end, and what to say where it ended by itself.

Py4J asks the JVM for the text of an error, so what breaks when the JVM is gone breaks once more
where it is shown. Only the process that has started the JVM learns how it ended.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

from genre_spark.errors import SparkEndedError, StageFailedError, error_chain, text_of
from genre_spark.signals import interruption

__all__ = ["end_jvm", "named_jvm_end", "standard_streams_to", "stop_session"]

_PATIENCE = 10.0  # seconds that a JVM may take to end after it has begun to: its hooks run before
_TAIL = 256 * 1024  # bytes of a log that are searched
_LONGEST = 300  # characters of its line that are shown
_GOES_ON = "start it again and it goes on with what is left to do"
_ENDING = re.compile(
    r"SparkContext (?:was|has been) shut ?down|stopped SparkContext|Out of space in CodeCache"
)
_NO_MEMORY = re.compile(r"(?:java\.lang\.|Spark)OutOfMemoryError")
_NOT_STARTED = "JAVA_GATEWAY_EXITED"
_CAUSE = re.compile(
    r"OutOfMemoryError|Out of space in CodeCache|insufficient memory for the Java|"
    r"Could not reserve|^# +(?:SIG[A-Z]+ |Internal Error)"
)
_ERROR = re.compile(r"\bERROR\b|^Error|^Unrecognized|^Invalid|^Exception in thread|JAVA_HOME")
_EXIT_CODES = {
    3: "out of memory",  # -XX:+ExitOnOutOfMemoryError
    50: "an error that nothing in Spark had caught",
    51: "an error while Spark handled another one",
    52: "out of memory",
    53: "Spark could not make its local folders",
}  # org.apache.spark.util.SparkExitCode
_SPACE = (
    "raise spark.driver.memory, or on a cluster spark.executor.memory where tasks ran out of it"
)
_REMEDIES = (
    ("Metaspace", "raise -XX:MaxMetaspaceSize in spark.driver.extraJavaOptions"),
    ("CodeCache", "raise -XX:ReservedCodeCacheSize in spark.driver.extraJavaOptions"),
    ("native thread", "raise the number of processes that this user may have (ulimit -u)"),
    ("OutOfMemoryError", _SPACE),
    ("insufficient memory", "lower spark.driver.memory, or give the machine more memory"),
    ("Could not reserve", "lower spark.driver.memory, or give the machine more memory"),
)


@contextmanager
def named_jvm_end(log_file: Path | None = None) -> Iterator[None]:
    """Raise SparkEndedError where the JVM behind an error of this block has ended.

    A session that is started later in this process gets a JVM of its own.

    Args:
        log_file: what the JVM writes to; its last error since the block began is quoted.

    Raises:
        SparkEndedError: the JVM has ended, or has not started.
        StageFailedError: the JVM has run out of memory, and lives.
    """
    begun = _size(log_file)
    try:
        with _py4j_traces_left_out():
            yield
    except Exception as error:
        if isinstance(error, SparkEndedError) or interruption() is not None:
            raise
        texts = [text_of(one) for one in error_chain(error)]
        if (ended := _describe_end(texts, _read_from(log_file, begun))) is not None:
            _forget_jvm()
            raise SparkEndedError(ended) from error
        if isinstance(error, StageFailedError) or not any(map(_NO_MEMORY.search, texts)):
            raise
        raise StageFailedError(f"Spark ran out of memory; {_SPACE}; {_GOES_ON}") from error


@contextmanager
def _py4j_traces_left_out() -> Iterator[None]:
    """Keep Py4J from logging the traces of errors that it raises; some go to the root logger."""
    loggers = [logging.getLogger(name) for name in (None, "py4j.java_gateway", "py4j.clientserver")]

    def is_none(record: logging.LogRecord) -> bool:
        return not (record.exc_info and "py4j" in Path(record.pathname).parts)

    for logger in loggers:
        logger.addFilter(is_none)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_none)


def stop_session(session: SparkSession) -> None:
    """Stop a session; one whose JVM has ended is stopped already."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Unable to cleanly shutdown Spark JVM")
            session.stop()
    except Exception:
        if _is_answering():
            raise


@contextmanager
def standard_streams_to(log_file: Path | None) -> Iterator[None]:
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


def end_jvm(*, patience: float = 300) -> None:
    """End the JVM that this process has started, after its session, and wait until it is gone.

    Args:
        patience: seconds after which it is killed.
    """
    known: Any = SparkContext
    gateway = known._gateway
    if gateway is None or getattr(gateway, "proc", None) is None:
        return
    gateway.shutdown()
    gateway.proc.stdin.close()
    try:
        gateway.proc.wait(patience)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()
    known._gateway = known._jvm = None


def _describe_end(texts: Sequence[str], log: Sequence[str]) -> str | None:
    """Return the sentence of a JVM that has ended, None for one that lives.

    Args:
        texts: of the error and of those behind it.
        log: lines that the JVM has written.
    """
    if any(_NOT_STARTED in text for text in texts):
        said = _last(log, _ERROR) or next(iter(reversed(log)), "")
        advice = "look at spark.driver.memory, spark.driver.extraJavaOptions and JAVA_HOME"
        return _sentence("Spark's JVM did not start", said, _remedy(said) or advice)
    process = _process()
    begins = any(_ENDING.search(text) or _NO_MEMORY.search(text) for text in texts)
    if process is None or process.poll() is None:
        gone = not _is_answering()
        if not gone and (process is None or not begins):
            return None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            if process.returncode is None and not gone:
                return None
    code = None if process is None else process.returncode
    said = _last(log, _CAUSE) or _last(log, _ERROR)
    remedy = _remedy(said) or (_SPACE if code in (3, 52) else "")
    if not remedy and code == -signal.SIGKILL:
        remedy = "where memory ran out, lower spark.driver.memory or give the machine more"
    return _sentence(f"Spark's JVM has ended{_in_words(code)}", said, remedy, _GOES_ON)


def _sentence(what: str, said: str, *more: str) -> str:
    quoted = f"the last error in its log: {said[:_LONGEST]}" if said else ""
    return "; ".join(part for part in (what, quoted, *more) if part)


def _in_words(code: int | None) -> str:
    """Return how a process ended, from its exit code; "" where nobody knows it."""
    if code is None:
        return ""
    number = -code if code < 0 else code - 128
    with suppress(ValueError):
        name = signal.Signals(number).name
        if name == "SIGKILL":
            return " (killed by SIGKILL, as the system does when memory runs out)"
        ends = name in ("SIGTERM", "SIGHUP", "SIGINT")
        return f" ({'ended by' if ends else 'crashed:'} {name})"
    known = _EXIT_CODES.get(code)
    return f" (exit code {code}, {known})" if known else f" (exit code {code})"


def _remedy(said: str) -> str:
    return next((remedy for sign, remedy in _REMEDIES if sign in said), "")


def _last(lines: Sequence[str], wanted: re.Pattern[str]) -> str:
    return next((line for line in reversed(lines) if wanted.search(line)), "")


def _process() -> subprocess.Popen[bytes] | None:
    """Return the JVM that this process has started, None where there is none (spark-submit)."""
    known: Any = SparkContext
    process: subprocess.Popen[bytes] | None = getattr(known._gateway, "proc", None)
    return process


def _is_answering() -> bool:
    """Whether the JVM takes connections; True where there is none."""
    known: Any = SparkContext
    where = getattr(known._gateway, "gateway_parameters", None)
    if where is None:
        return True
    try:
        socket.create_connection((where.address, where.port), timeout=5).close()
    except ConnectionError:
        return False
    except OSError:  # a busy machine, not a closed port
        return True
    return True


def _forget_jvm() -> None:
    known: Any = SparkContext
    sessions: Any = SparkSession
    known._gateway = known._jvm = known._active_spark_context = None
    sessions._instantiatedSession = sessions._activeSession = None


def _size(log_file: Path | None) -> int:
    return log_file.stat().st_size if log_file is not None and log_file.is_file() else 0


def _read_from(log_file: Path | None, begun: int) -> list[str]:
    """Return the last lines that a log has got since it had some size, in bytes."""
    if log_file is None or not log_file.is_file():
        return []
    with log_file.open("rb") as log:
        log.seek(max(begun, _size(log_file) - _TAIL))
        lines = log.read().decode("utf-8", "replace").splitlines()
    return [line.strip() for line in lines if line.strip()]
