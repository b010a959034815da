"""A cluster of two workers, one of which loses its executor in every stage."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.cluster import start_cluster
from tests.e2e.running import all_rows, submit_command

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.slow]

ANNOUNCED = re.compile(r"\[\d+/\d+\] ([a-z-]+):")
PATIENCE = 30.0  # seconds until a worker has a new executor


def executors_of(folder: Path) -> list[psutil.Process]:
    """Return the executors of a worker, which it starts below its folder, the oldest first."""
    found = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        words = process.info["cmdline"] or []
        if any("CoarseGrainedExecutorBackend" in word for word in words):
            try:
                if process.cwd().startswith(str(folder)):
                    found.append(process)
            except psutil.Error:
                continue
    return sorted(found, key=lambda process: process.info["create_time"])


def kill_one(folder: Path) -> bool:
    """Kill the worker's executor, which may be still to come; return whether there was one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for process in executors_of(folder):
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue
            return True
        time.sleep(0.1)
    return False


def test_a_worker_that_loses_its_executor_in_every_stage_changes_no_table(
    finished, tmp_path: Path
) -> None:
    work, lost = tmp_path / "work", []
    with start_cluster(tmp_path) as address:
        command, env = submit_command(
            "run",
            finished.recipe,
            f"paths.work={work}",
            "sample_data=null",
            "spark.master=null",
            options=("--master", address, "--conf", "spark.driver.bindAddress=127.0.0.1"),
        )
        process = subprocess.Popen(
            command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        lines, killers = [], []

        def lose(stage: str) -> None:
            time.sleep(0.5)  # in the stage's first jobs
            if kill_one(tmp_path / "work-0"):
                lost.append(stage)

        for line in process.stdout:
            lines.append(line)
            sys.stdout.write(line)
            if announced := ANNOUNCED.match(line.strip()):
                killers.append(threading.Thread(target=lose, args=(announced[1],)))
                killers[-1].start()
        assert process.wait() == 0, "".join(lines[-60:])
        for killer in killers:
            killer.join()
    assert {"prepare-posters", "build-features", "sample", "train-multilabel"} <= set(lost)
    assert all_rows(work) == all_rows(finished.work)
