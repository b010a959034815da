"""Runs of processes that were killed: nobody has told MLflow that they ended, so that they would run for ever."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient

__all__ = ["end_leftovers", "process_tags"]

_HOST, _PROCESS = "genre_spark.host", "genre_spark.process"


def process_tags(pid: int | None = None) -> dict[str, str]:
    """Return tags that tell which process writes a run; no two processes of a host ever share them.

    Args:
        pid: of a process of this host, this one where it is None.
    """
    return {_HOST: socket.gethostname(), _PROCESS: _process(os.getpid() if pid is None else pid) or "unknown"}


def end_leftovers(client: MlflowClient, experiment: str) -> None:
    """Mark runs of an experiment as KILLED that a process of this host began which is gone.

    Runs of other hosts are left alone: nobody here knows whether their processes live.
    """
    running = f"attributes.status = 'RUNNING' and tags.`{_HOST}` = '{socket.gethostname()}'"
    for run in client.search_runs([experiment], running):
        if not _lives(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


def _lives(tags: Mapping[str, str]) -> bool:
    """Return whether the process lives, or may."""
    written = tags.get(_PROCESS, "unknown")
    if written == "unknown":
        return True
    pid = written.split("-", 1)[0]
    return _process(int(pid)) == written if pid.isdigit() else True


def _process(pid: int) -> str | None:
    """Return PID-START-BOOT of a living process; None where there is none, or where the system does not say it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = status[status.rindex(")") + 2 :].split()  # after the name, which may hold spaces; see proc(5)
    state, start = fields[0], fields[19]
    return None if state in "ZX" else f"{pid}-{start}-{boot}"
