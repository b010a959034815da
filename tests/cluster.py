"""A standalone Spark cluster on loopback: one master and two workers of one core each.

Use the fixture `standalone_cluster` (import it into a test module or conftest) for its address, and
`run_on_cluster` to run a script as the driver: a test process has one Spark session, and that one
is local.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
import pytest

from genre_spark.spark.class_archive import archive_file
from tests.conftest import SHORT_LIVED_JVM

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE = 90  # seconds


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spark_home() -> Path:
    """Return the Spark distribution: SPARK_HOME, or the one within pyspark's wheel."""
    return Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent)


def short_lived_jvm() -> str:
    """Return options of JVMs that live for seconds: one quick compiler, and kept classes."""
    file = archive_file()
    if file is None or not file.is_file():
        return SHORT_LIVED_JVM
    silent = "-Xlog:cds=off -Xlog:cds+dynamic=off"
    return f"{SHORT_LIVED_JVM} -XX:SharedArchiveFile={file} {silent}"


def driver_settings() -> dict[str, str]:
    """Return the settings of a driver on the cluster whose work is small."""
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": short_lived_jvm(),
        "spark.executor.memory": "512m",
        "spark.executor.extraJavaOptions": short_lived_jvm(),
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.ui.liveUpdate.period": "0",  # running tasks are known at once
    }


def cluster_environment(**extra: str) -> dict[str, str]:
    """Return the environment of master, workers and drivers: this Python, this tree, loopback."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    own = {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYTHONPATH": path,
    }
    loopback = {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_MASTER_HOST": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "512m",
        "SPARK_DAEMON_JAVA_OPTS": short_lived_jvm(),
    }
    return {**os.environ, **own, **loopback, "SPARK_NO_DAEMONIZE": "1", **extra}


@contextmanager
def start_cluster(
    folder: Path, *, workers: int = 2, cores: int = 1, memory: str = "1g", gpus: int = 0
) -> Iterator[str]:
    """Start a master and workers, yield `spark://127.0.0.1:port` once all are there; stop them.

    Args:
        folder: for logs and what executors write.
        workers: how many.
        cores: of each worker.
        memory: of each worker, for its executors.
        gpus: that each worker says it has; nobody looks for them.
    """
    port, ui = free_port(), free_port()
    address = f"spark://127.0.0.1:{port}"
    processes = [
        _start(
            folder,
            "master",
            "master.Master",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--webui-port",
            str(ui),
        )
    ]
    try:
        _wait(f"http://127.0.0.1:{ui}/json/", '"status" : "ALIVE"', processes)
        for number in range(workers):
            options = [
                "--host",
                "127.0.0.1",
                "--port",
                str(free_port()),
                "--webui-port",
                str(free_port()),
            ]
            options += [
                "--cores",
                str(cores),
                "--memory",
                memory,
                "--work-dir",
                str(folder / f"work-{number}"),
            ]
            if gpus:
                options += ["--properties-file", str(_say_gpus(folder, gpus))]
            processes.append(_start(folder, f"worker-{number}", "worker.Worker", *options, address))
        _wait(f"http://127.0.0.1:{ui}/json/", f'"aliveworkers" : {workers}', processes)
        yield address
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def standalone_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two workers with one core and 1 GB each."""
    with start_cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address


def run_on_cluster(
    script: str, *arguments: str, master: str, timeout: float = 300, **extra: str
) -> str:
    """Run Python code as a driver on the cluster and return its standard output.

    Args:
        script: Python source; `sys.argv[1:]` are the arguments.
        arguments: of the script.
        master: the cluster's address, in the script as the environment's SPARK_MASTER.
        timeout: seconds.
        extra: environment variables.
    """
    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=cluster_environment(SPARK_MASTER=master, **extra),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert answer.returncode == 0, (
        f"exit code {answer.returncode}\n{answer.stdout[-3000:]}\n{answer.stderr[-6000:]}"
    )
    return answer.stdout


def _say_gpus(folder: Path, gpus: int) -> Path:
    """Return a file of settings of a worker with so many GPUs."""
    script, settings = folder / "gpus.sh", folder / "gpus.conf"
    found = json.dumps({"name": "gpu", "addresses": [str(number) for number in range(gpus)]})
    script.write_text(f"#!/bin/sh\necho '{found}'\n")
    script.chmod(0o755)
    settings.write_text(
        f"spark.worker.resource.gpu.amount {gpus}\n"
        f"spark.worker.resource.gpu.discoveryScript {script}\n"
    )
    return settings


def _start(folder: Path, name: str, main: str, *options: str) -> subprocess.Popen[bytes]:
    command = [
        str(spark_home() / "bin" / "spark-class"),
        f"org.apache.spark.deploy.{main}",
        *options,
    ]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            command, env=cluster_environment(), stdout=log, stderr=subprocess.STDOUT
        )


def _wait(url: str, expected: str, processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + _PATIENCE
    seen = ""
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError(
                f"a process of the cluster ended with {[process.poll() for process in processes]}"
            )
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                seen = answer.read().decode()
        except OSError:
            seen = ""
        if expected in seen:
            return
        time.sleep(0.3)
    raise TimeoutError(f"{url} did not show {expected} within {_PATIENCE} s: {seen[:500]}")
