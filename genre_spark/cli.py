"""The command line: `genre-spark STAGE --config FILE [key=value ...] [--json] [--force]`.

Exit codes: 0 done, 1 failure, 2 bad input or configuration, 130 Ctrl-C, 143 SIGTERM, 129 a
hangup. With --json, standard output holds one JSON object and nothing else; everything for people
goes to standard error.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from genre_spark.arguments import argument_parser
from genre_spark.config import Config, load_config
from genre_spark.errors import (
    GenreSparkError,
    InvalidInputError,
    SparkEndedError,
    StageFailedError,
    UserError,
    describe_full_disk,
    describe_path_error,
    text_of,
)
from genre_spark.pipelines.run import run as run_all
from genre_spark.pipelines.run import run_stage
from genre_spark.pipelines.stage import StageResult
from genre_spark.pipelines.stage_list import STAGES, StageEntry
from genre_spark.progress import LineHandler
from genre_spark.redaction import RedactingFormatter, redact, redact_tree
from genre_spark.report import describe_result, how_to_open
from genre_spark.signals import (
    end_interrupted,
    interruption,
    keeping_handlers,
    on_interruption,
    working,
)
from genre_spark.spark.launch import drop_early_context
from genre_spark.spark.session import cancel_jobs, recipe_session
from genre_spark.tracking import existing_store, experiment_address

_PATIENCE = 3.0  # seconds that a server may take to end


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stage, or all of them, and return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    options = argument_parser(words).parse_intermixed_args(words)
    handler = LineHandler()
    handler.setFormatter(RedactingFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("genre_spark").setLevel(logging.INFO)
    config: Config | None = None
    try:
        config = load_config(options.config, options.overrides)
        with working():
            if options.stage == "ui":
                return _show_runs(config, options.port)
            results = _run(options, config)
        shown = _summary(options, config, results)
    except BaseException as error:
        return _failed(options.stage, error, config)
    if interruption() is not None:  # some library swallowed it
        return end_interrupted()
    if shown is not None:
        print(shown)
    return 0


def _summary(
    options: argparse.Namespace, config: Config, results: Sequence[StageResult]
) -> str | None:
    """Return what is printed behind the results: all of them as JSON, or where to see them."""
    if options.json:
        value: Any = (
            [asdict(result) for result in results]
            if options.stage == "run"
            else asdict(results[-1])
        )
        value = redact_tree(value)
        return json.dumps({"stage": "run", "stages": value} if options.stage == "run" else value)
    if options.stage in ("run", "evaluate", "compare"):
        return redact(how_to_open(config))
    return None


def _failed(stage: str, error: BaseException, config: Config | None) -> int:
    """Say what ended a stage, and return the exit code."""
    if interruption() is not None:  # whatever broke on the way out
        return end_interrupted()
    if isinstance(error, GenreSparkError):
        said = f"{stage}: {error}"
        if isinstance(error, SparkEndedError):
            said = _with_details(said, stage, error, config)
        _report_error(said)
        return error.exit_code
    if sentence := describe_path_error(error):
        _report_error(f"{stage}: {sentence}")
        return UserError.exit_code
    if sentence := describe_full_disk(error):
        _report_error(f"{stage}: {sentence}")
        return 1
    if isinstance(error, KeyboardInterrupt):  # while PySpark's handler is in place
        _report_error(
            f"{stage}: interrupted; start it again and it goes on with what is left to do"
        )
        return 130
    if not isinstance(error, Exception):
        raise error
    _report_error(_unexpected(stage, error, config))
    return 1


def _run(options: argparse.Namespace, config: Config) -> list[StageResult]:
    out = sys.stderr if options.json else sys.stdout
    results: list[StageResult] = []
    with ExitStack() as stack:
        session = _session_on_demand(stack, options.stage, config)
        if options.stage == "run":
            finished: Iterator[StageResult] = run_all(
                session, config, force=options.force, announce=_announce
            )
        else:
            entry = STAGES[options.stage]
            finished = run_stage(session, config, entry, force=options.force, announce=_announce)
        for result in finished:
            print(redact(describe_result(result)), file=out, flush=True)
            results.append(result)
    return results


def _show_runs(config: Config, port: int) -> int:
    """Print the address of the ranked models; serve the store where it is a file.

    Raises:
        InvalidInputError: there are no runs yet, or the port cannot be had.
        StageFailedError: the server ended by itself.
    """
    uri = existing_store(config.mlflow, config.paths.work)
    if not uri.startswith("sqlite:///"):
        print(redact(how_to_open(config)))
        return 0
    address = experiment_address(config, f"http://127.0.0.1:{port}")
    if address is None:
        raise InvalidInputError(
            f"mlflow.experiment: {config.mlflow.experiment}: no such experiment in {uri}, expected "
            "one that a stage has logged to"
        )
    _require_free(port)
    print(redact(f"The models, ranked:\n  {address}\nStop with Ctrl-C."), flush=True)
    command = ["ui", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port)]
    code = _serve([sys.executable, "-m", "mlflow", *command])
    if code:
        raise StageFailedError(f"MLflow's server ended with exit code {code}")
    return 0


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            used = error.errno == errno.EADDRINUSE
            why = "another program uses it" if used else str(error.strerror)
            raise InvalidInputError(f"--port {port}: {why}, expected a free port") from None


def _serve(command: Sequence[str]) -> int:
    """Run a server until it ends; a signal ends it and all its processes.

    Ctrl-C is for this process alone: at its start the server would answer with tracebacks.
    """
    server = subprocess.Popen(command, start_new_session=True)
    try:
        return server.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(server.pid, number)
            with suppress(subprocess.TimeoutExpired):
                server.wait(timeout=_PATIENCE)
                break


def _session_on_demand(stack: ExitStack, stage: str, config: Config) -> Callable[[], SparkSession]:
    """Return a function that starts the Spark session when it is first called.

    The stack stops it, or what was started for it.
    """
    started: list[SparkSession] = []
    stack.callback(drop_early_context)

    def session() -> SparkSession:
        if not started:
            on_interruption(cancel_jobs)
            with keeping_handlers():
                spark = stack.enter_context(
                    recipe_session(config.spark, config.paths.work, app_name=f"genre_spark {stage}")
                )
            started.append(spark)
        return started[0]

    return session


def _announce(entry: StageEntry, number: int, count: int) -> None:
    place = f"[{number}/{count}] " if count > 1 else ""
    print(f"{place}{entry.name}: {entry.summary}", file=sys.stderr, flush=True)


def _report_error(text: str) -> None:
    print(redact(f"genre-spark: {text}"), file=sys.stderr, flush=True)


def _unexpected(stage: str, error: Exception, config: Config | None) -> str:
    """Describe an unexpected error in one sentence."""
    first = text_of(error).strip().splitlines() or [type(error).__name__]
    summary = f"{stage}: failed: {type(error).__name__}: {first[0]}"
    return _with_details(summary, stage, error, config)


def _with_details(summary: str, stage: str, error: Exception, config: Config | None) -> str:
    """Return a sentence with the place of its traceback, a file where there can be one."""
    details = redact("".join(traceback.format_exception(error)))
    if config is None or "://" in config.paths.work:
        return f"{summary}\n{details}"
    file = Path(config.paths.work) / "logs" / f"{stage}-error.txt"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(details, encoding="utf-8")
    except OSError:
        return f"{summary}\n{details}"
    return f"{summary}\n  details: {file}\n  Spark's log: {file.parent}/spark.log"
