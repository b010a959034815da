"""Whether the driver's memory grows with the number of posters (small pictures, many names).

    python benchmarks/poster_memory.py [--posters 10000] [--json]

Prints the peak resident memory of the driver's Python process and of the JVM (driver and local
executor), in MB. Run it with two numbers of posters and compare.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:1], os.environ.get("PYTHONPATH", "")])

from poster_files import link_posters, make_posters

from genre_spark.config.posters import PostersConfig
from genre_spark.posters.table import prepare_posters
from genre_spark.spark.session import spark_session


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posters", type=int, default=10_000)
    parser.add_argument("--work", type=Path, help="folder for all files; default: a temporary one")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output"
    )
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="genre_spark-memory-", dir=options.work))
    try:
        small = make_posters(work / "small", 50, height=30, width=20)
        folder = link_posters(small, work / "posters", options.posters)
        settings = {
            "spark.ui.enabled": "false",
            "spark.driver.memory": "1g",
            "spark.driver.host": "127.0.0.1",
        }
        with spark_session(
            app_name="memory", master="local[2]", settings=settings, log_file=work / "log"
        ) as spark:
            begin = time.perf_counter()
            prepared = prepare_posters(
                spark,
                str(folder),
                table=str(work / "table"),
                rejects_table=str(work / "rejects"),
                config=PostersConfig(height=30, width=20),
            )
            seconds = time.perf_counter() - begin
            result = {
                "posters": prepared.manifest.rows,
                "seconds": round(seconds, 1),
                "driver_python_mb": _peak("self"),
                "jvm_mb": max((_peak(pid) for pid in _java()), default=0),
            }
        print(json.dumps(result) if options.json else result)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _java() -> list[str]:
    """Return the ids of JVMs that this process started."""
    own = str(os.getpid())
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if parent == own and b"java" in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
            except OSError:
                continue
    return found


def _peak(process: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
