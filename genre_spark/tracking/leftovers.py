"""Runs of processes that were killed: MLflow does not know that they have ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import psutil
from mlflow import MlflowClient

__all__ = ["end_leftovers", "process_tags"]

_HOST, _PROCESS = "genre_spark.host", "genre_spark.process"
_CLOCK = 2.0  # seconds by which the start of a process may change when the clock is set


def process_tags(pid: int | None = None) -> dict[str, str]:
    """Return tags that name the process that writes a run: its host, its id and its start.

    Args:
        pid: id of a process of this host; None: this one.
    """
    number = os.getpid() if pid is None else pid
    return {
        _HOST: socket.gethostname(),
        _PROCESS: f"{number} {psutil.Process(number).create_time():.2f}",
    }


def end_leftovers(client: MlflowClient, experiment: str) -> None:
    """Mark runs of an experiment as KILLED if their process ran on this host and has ended.

    Runs of other hosts stay as they are: this host does not know whether their processes live.
    """
    running = f"attributes.status = 'RUNNING' and tags.`{_HOST}` = '{socket.gethostname()}'"
    for run in client.search_runs([experiment], running):
        if not _lives(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


def _lives(tags: Mapping[str, str]) -> bool:
    number, started = tags[_PROCESS].split()
    try:
        process = psutil.Process(int(number))
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and abs(process.create_time() - float(started)) < _CLOCK
        )
    except psutil.NoSuchProcess:
        return False
