"""Faults that are injected into a command while it runs, and the processes of a command."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

from tests.e2e.running import TABLES

__all__ = [
    "FAULTS",
    "STAGES",
    "STATE_TABLES",
    "Fault",
    "changed_rows",
    "descendants",
    "describe_hang",
]

STATE_TABLES = (*TABLES, "predictions/text/test", "predictions/fused/test")
STAGES: dict[str, tuple[str, ...]] = {
    "make-sample": (),
    "group-genres": (),
    "prepare-posters": (),
    "explore": (),
    "build-features": (),
    "sample": (),
    "train-multilabel": (),
    "train-cnn": (),
    "train-cnn, two processes": ("cnn.distribution.processes=2",),
    "train-linear": (),
    "train-stack": (),
    "evaluate": (),
    "package-models": (),
    "explain-models": (),
    "compare": (),
}
"""Stages and further words of their commands."""
Fault = Callable[[subprocess.Popen[str], random.Random], bool]
"""Does something to a running command; returns whether it found what it wanted."""


def changed_rows(found: Mapping[str, list[Any]], expected: Mapping[str, list[Any]]) -> list[str]:
    """Return a line per table whose rows are not the expected ones, with the first that differs."""
    lines = []
    for table, rows in expected.items():
        if found[table] == rows:
            continue
        pairs = zip(found[table], rows, strict=False)
        one, other = next(((a, b) for a, b in pairs if a != b), ({}, {}))
        columns = {
            name: (one.get(name), other[name]) for name in other if one.get(name) != other[name]
        }
        lines.append(
            f"{table}: {len(found[table])} rows, expected {len(rows)}; "
            f"{one.get('movie_id')}: {str(columns)[:500]}"
        )
    return lines


def descendants(pid: int) -> list[psutil.Process]:
    """Return the processes below one."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process | None) -> str:
    try:
        return " ".join(process.cmdline()) if process else ""
    except psutil.Error:
        return ""


def _kill_one(
    found: Iterable[psutil.Process], wanted: Callable[[str, str], bool], draw: random.Random
) -> bool:
    """Kill a process whose own and whose parent's command are wanted, if there is one."""
    victims = []
    for process in found:
        try:
            parent = process.parent()
        except psutil.Error:
            continue
        if wanted(_command(process), _command(parent)):
            victims.append(process)
    if victims:
        draw.choice(victims).kill()
    return bool(victims)


def interrupt(process: subprocess.Popen[str], draw: random.Random) -> bool:
    """Press Ctrl-C, sometimes twice: a terminal sends it to the whole group."""
    os.killpg(process.pid, signal.SIGINT)
    if draw.random() < 0.3:
        time.sleep(draw.uniform(0, 1))
        os.killpg(process.pid, signal.SIGINT)
    return True


def terminate(process: subprocess.Popen[str], _: random.Random) -> bool:
    os.kill(process.pid, signal.SIGTERM)
    return True


def hang_up(process: subprocess.Popen[str], _: random.Random) -> bool:
    """Close the terminal: its whole group is told."""
    os.killpg(process.pid, signal.SIGHUP)
    return True


def kill_driver(process: subprocess.Popen[str], _: random.Random) -> bool:
    os.kill(process.pid, signal.SIGKILL)
    return True


def kill_jvm(process: subprocess.Popen[str], draw: random.Random) -> bool:
    return _kill_one(descendants(process.pid), lambda own, _: "SparkSubmit" in own, draw)


def terminate_jvm(process: subprocess.Popen[str], _: random.Random) -> bool:
    """Let the JVM end by itself, with its hooks, as after an error that nothing catches."""
    jvms = [one for one in descendants(process.pid) if "SparkSubmit" in _command(one)]
    for one in jvms:
        one.terminate()
    return bool(jvms)


def kill_worker(process: subprocess.Popen[str], draw: random.Random) -> bool:
    def wanted(own: str, parent: str) -> bool:
        return "pyspark.worker" in own and "pyspark.worker" in parent

    return _kill_one(descendants(process.pid), wanted, draw)


def kill_daemon(process: subprocess.Popen[str], draw: random.Random) -> bool:
    """Kill the process that starts the Python workers."""

    def wanted(own: str, parent: str) -> bool:
        return "pyspark.worker" in own and "pyspark.worker" not in parent

    return _kill_one(descendants(process.pid), wanted, draw)


def kill_executor(_: subprocess.Popen[str], draw: random.Random) -> bool:
    """Kill an executor of the cluster that the tests have started."""
    return _kill_one(
        descendants(os.getpid()), lambda own, _: "CoarseGrainedExecutorBackend" in own, draw
    )


FAULTS: dict[str, tuple[Fault, tuple[int, ...]]] = {
    "Ctrl-C": (interrupt, (130,)),
    "SIGTERM": (terminate, (143,)),
    "hangup": (hang_up, (129,)),
    "driver killed": (kill_driver, (-9,)),
    "JVM killed": (kill_jvm, (1,)),
    "JVM terminated": (terminate_jvm, (1,)),
    "worker killed": (kill_worker, (0,)),
    "workers' daemon killed": (kill_daemon, (0,)),
    "executor killed": (kill_executor, (0,)),
}
"""Faults and the exit codes of the commands that they hit."""


def describe_hang(process: subprocess.Popen[str]) -> str:
    """Return the stacks of the JVM of a command that does not end."""
    tool = shutil.which("jstack")
    jvms = [one for one in descendants(process.pid) if "SparkSubmit" in _command(one)]
    if not tool or not jvms:
        return "no stacks"
    done = subprocess.run(
        [tool, str(jvms[0].pid)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout
