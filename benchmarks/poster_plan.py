"""What the plan of the posters table costs from 10^4 to 10^7 posters: real code, fake bytes.

    python benchmarks/poster_plan.py [--posters 10000 100000 1000000 10000000] [--parts N]
        [--work DIR] [--json]

The source is a table of posters whose pictures are all the same few bytes, so that the table is
listed, planned, made and committed as ever, and next to no time goes into pictures. The driver runs
apart from its executor (local-cluster), each size in a process of its own. Per size:

    driver s       seconds outside all Spark jobs, and processor seconds of the driver's Python
    driver MB      peak memory of the driver's Python process, and of its JVM
    task MB        peak memory of the largest Python worker
    manifest kB    the table's manifest, and the largest file that a task reads for its part
    again s        a second run, which finds nothing to do

and the slope of each in log-log between the last two sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:1], os.environ.get("PYTHONPATH", "")])

import cv2
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.config.posters import PostersConfig
from genre_spark.posters.table import prepare_posters
from genre_spark.spark.session import spark_session

_ROWS_PER_FILE = 100_000
_SIDE = 16  # pixels; originals that fit are kept as they are


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posters", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--parts", type=int, help="number of parts; default: as the size asks for")
    parser.add_argument("--work", type=Path, help="folder for all files; default: a temporary one")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measure(options.posters[0], options.parts, options.work)))
        return
    results = [_in_process(posters, options) for posters in options.posters]
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        print("  ".join(f"{name} {value}" for name, value in result.items()))
    if len(results) > 1:
        before, after = results[-2:]
        grown = math.log(after["posters"] / before["posters"])
        print(
            "slopes:",
            "  ".join(
                f"{name} {math.log(max(after[name], 1e-9) / max(before[name], 1e-9)) / grown:.2f}"
                for name in after
                if name not in ("posters", "parts") and before[name]
            ),
        )


def _in_process(posters: int, options: argparse.Namespace) -> dict[str, Any]:
    work = Path(tempfile.mkdtemp(prefix="genre_spark-plan-", dir=options.work))
    command = [sys.executable, __file__, "--one", "--posters", str(posters), "--work", str(work)]
    command += ["--parts", str(options.parts)] if options.parts else []
    try:
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
            _Workers(process.pid) as workers,
        ):
            answer, _ = process.communicate()
        if process.returncode:
            raise SystemExit(process.returncode)
        found: dict[str, Any] = json.loads(answer.splitlines()[-1])
        return {**found, "task MB": workers.peak}
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _measure(posters: int, parts: int | None, work: Path) -> dict[str, Any]:
    source = _make_source(work / "source", posters)
    events = work / "events"
    events.mkdir()
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.executor.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "8",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.compress": "false",
    }
    config = PostersConfig(height=_SIDE, width=_SIDE, min_side=1, parts=parts)

    def run() -> Any:
        return prepare_posters(
            spark,
            source,
            table=str(work / "table"),
            rejects_table=str(work / "rejects"),
            config=config,
        )

    with spark_session(
        app_name="plan",
        master="local-cluster[1,2,1024]",
        settings=settings,
        log_file=work / "log",
    ) as spark:
        spark.range(1).count()
        begin, used = time.time(), time.process_time()
        prepared, seconds = _timed(run)
        used = time.process_time() - used
        end = time.time()
        again, seconds_again = _timed(run)
        assert prepared.manifest.rows == posters
        assert again.unchanged
        jvm = next(p for p in psutil.Process().children() if "java" in p.name())
        memory = (_peak(os.getpid()), _peak(jvm.pid))
    table = work / "table"
    smallest = [path.stat().st_size for path in table.glob("*/_state.json")] or [
        (table / "_state.json").stat().st_size
    ]
    return {
        "posters": posters,
        "parts": prepared.manifest.details.get("parts", 1),
        "seconds": round(seconds, 1),
        "driver s": round(end - begin - _in_jobs(events, begin, end), 2),
        "driver cpu s": round(used, 2),
        "driver MB": memory[0],
        "driver JVM MB": memory[1],
        "manifest kB": round((table / "_manifest.json").stat().st_size / 1000),
        "state kB": round(max(smallest) / 1000),
        "again s": round(seconds_again, 1),
    }


def _make_source(folder: Path, posters: int) -> str:
    """Write a table of posters, all with the same bytes, which Parquet stores once per group."""
    folder.mkdir(parents=True)
    picture = np.full((_SIDE, _SIDE, 3), 128, np.uint8)
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1].tobytes()
    for number, start in enumerate(range(0, posters, _ROWS_PER_FILE)):
        rows = min(_ROWS_PER_FILE, posters - start)
        images = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(rows, np.int32)), pa.array([content], pa.binary())
        )
        ids = pa.array(np.arange(start, start + rows) + 1_000_000)
        table = pa.table({"movie_id": ids, "image": images.cast(pa.binary())})
        pq.write_table(table, folder / f"part-{number:05d}.parquet", row_group_size=10_000)
    return str(folder)


def _timed(function: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    found = function()
    return found, time.perf_counter() - begin


def _in_jobs(events: Path, begin: float, end: float) -> float:
    """Return the seconds between two times in which a Spark job ran."""
    starts: dict[int, float] = {}
    spans: list[tuple[float, float]] = []
    for path in events.rglob("*"):
        for line in path.read_text().splitlines() if path.is_file() else ():
            event = json.loads(line) if "SparkListenerJob" in line[:60] else {}
            if event.get("Event") == "SparkListenerJobStart":
                starts[event["Job ID"]] = event["Submission Time"] / 1000
            elif event.get("Event") == "SparkListenerJobEnd":
                spans.append((starts[event["Job ID"]], event["Completion Time"] / 1000))
    total, last = 0.0, begin
    for start, stop in sorted(spans):
        total += max(0.0, min(stop, end) - max(start, last))
        last = max(last, min(stop, end))
    return total


def _peak(pid: int) -> int:
    """Return the peak resident memory of a process, MB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0")
    return int(line.split()[1]) // 1024


class _Workers:
    """Watches the Python workers below a driver, from outside of it.

    Attributes:
        peak: peak memory of the largest one, MB.
    """

    def __init__(self, driver: int) -> None:
        self.peak = 0
        self._driver = driver
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Workers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.25):
            try:
                below = psutil.Process(self._driver).children(recursive=True)
                names = {process.pid: process.name() for process in below}
            except psutil.Error:
                continue  # one has just ended
            peaks = [_peak(pid) for pid, name in names.items() if "python" in name]
            self.peak = max([self.peak, *peaks])


if __name__ == "__main__":
    main()
