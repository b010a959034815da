"""A standalone Spark cluster on this machine, and how much its cores work."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark

ROOT = Path(__file__).resolve().parent.parent


def processor_seconds() -> float:
    """Return the processor time that the machine has worked, over all cores."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


@contextmanager
def standalone_cluster(workers: int) -> Iterator[str]:
    """Start a Spark master and single-core workers on loopback; yield the master's address."""
    home = Path(pyspark.__file__).parent
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
    )
    port = 7000 + os.getpid() % 2000
    master = f"spark://127.0.0.1:{port}"
    classes = home / "bin" / "spark-class"
    deploy = "org.apache.spark.deploy"
    with tempfile.TemporaryDirectory() as folder:
        log = (Path(folder) / "cluster.log").open("wb")
        web = ["--webui-port", "0"]
        one = [f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port), *web]
        each = [f"{deploy}.worker.Worker", "-c", "1", "-m", "2g", *web]
        commands = [[str(classes), *one]]
        commands += [
            [str(classes), *each, "-d", f"{folder}/w{number}", master] for number in range(workers)
        ]
        started = []
        try:
            for command in commands:
                started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
                time.sleep(4)
            yield master
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(timeout=30)
            log.close()
