"""What every stage of a recipe costs: Spark jobs, tasks, seconds in jobs and on the driver.

    python benchmarks/stage_costs.py [--config conf/demo.yaml] [--work DIR] [--only STAGE ...]
        [--again] [--json] [key=value ...]

Runs the recipe in this process with Spark's event log switched on, and prints one row per stage.
DIR (a new folder unless it is named) gets all that the recipe would write, so that nothing is
reused; `--only` repeats some stages of a DIR that is there; `--again` then runs the same command a
second time in a new process, where everything is.

    seconds   from a stage's announcement to its result
    jobs      Spark jobs that began in that time; stages and tasks likewise
    in jobs   seconds in which at least one job ran
    driver    the other seconds: planning, Python, MLflow, files
    in tasks  seconds of all tasks together, two per second where two cores are busy
    cpu       processor seconds of this process, the JVM and the Python workers together
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import psutil

from genre_spark.config import load_config
from genre_spark.pipelines.run import run, run_stage
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.spark.session import spark_session

Span = tuple[float, float]


@dataclass(frozen=True)
class Cost:
    """What one stage costs; the fields are the columns of the table."""

    stage: str
    seconds: float
    jobs: int
    stages: int
    tasks: int
    in_jobs: float
    driver: float
    in_tasks: float
    cpu: float


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """Return the events of all logs in a folder."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.name.startswith(("appstatus", ".")):
            continue
        with file.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


class Processors(threading.Thread):
    """Adds up the processor seconds of this process and all below it, also of those that end.

    Spark's Python workers end without being waited for: nobody but a look at them knows their time.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._known: dict[tuple[int, float], float] = {}
        self.seconds: dict[float, float] = {}  # time since 1970 -> processor seconds until then
        self.start()

    def run(self) -> None:
        while True:
            self.look()
            time.sleep(0.1)

    def look(self) -> None:
        own = psutil.Process()
        for process in [own, *own.children(recursive=True)]:
            with suppress(psutil.Error):
                spent = process.cpu_times()
                key = process.pid, process.create_time()
                self._known[key] = spent.user + spent.system
        self.seconds[time.time()] = sum(self._known.values())

    def between(self, begin: float, end: float) -> float:
        """Return the seconds from the last look before `begin` to the first one after `end`."""
        before = [total for at, total in self.seconds.items() if at <= begin]
        until = [total for at, total in self.seconds.items() if at <= end + 0.15]
        return max(until, default=0.0) - max(before, default=0.0)


def covered(spans: Sequence[Span]) -> float:
    """Return the seconds that lie in at least one span."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def costs(
    events: Iterator[dict[str, Any]],
    stages: Sequence[tuple[str, float, float]],
    processors: Processors,
) -> list[Cost]:
    """Return the costs of stages that began and ended at the given seconds since 1970."""
    starts: dict[int, float] = {}
    jobs: list[Span] = []
    tasks: list[Span] = []
    submitted: list[float] = []
    for event in events:
        kind = event["Event"]
        if kind == "SparkListenerJobStart":
            starts[event["Job ID"]] = event["Submission Time"] / 1000
        elif kind == "SparkListenerJobEnd":
            jobs.append((starts[event["Job ID"]], event["Completion Time"] / 1000))
        elif kind == "SparkListenerStageCompleted":
            submitted.append(event["Stage Info"]["Submission Time"] / 1000)
        elif kind == "SparkListenerTaskEnd":
            info = event["Task Info"]
            tasks.append((info["Launch Time"] / 1000, info["Finish Time"] / 1000))
    found = []
    for name, begin, end in stages:
        own = [span for span in jobs if begin <= span[0] < end]
        busy = covered([(start, min(stop, end)) for start, stop in own])
        of_tasks = [stop - start for start, stop in tasks if begin <= start < end]
        found.append(
            Cost(
                name,
                round(end - begin, 2),
                len(own),
                sum(begin <= at < end for at in submitted),
                len(of_tasks),
                round(busy, 2),
                round(end - begin - busy, 2),
                round(sum(of_tasks), 2),
                round(processors.between(begin, end), 1),
            )
        )
    return found


def run_recipe(
    config_file: str, overrides: Sequence[str], log: Path, only: Sequence[str]
) -> list[tuple[str, float, float]]:
    """Run a recipe with an event log; return name, begin and end of its stages."""
    stages: list[tuple[str, float, float]] = []
    begun = [psutil.Process().create_time(), time.time()]
    stages.append(("(Python's start and imports)", *begun))
    settings = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": log.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }
    config = load_config(config_file, overrides)
    opened: list[Any] = []

    def session() -> Any:
        if not opened:
            before = time.time()
            context = spark_session(
                app_name="stage costs",
                master=config.spark.master,
                conf_file=config.spark.conf_file,
                settings={**config.spark.settings, **settings},
                log_file=Path(config.paths.work) / "logs" / "spark.log",
            )
            opened.extend([context, context.__enter__()])
            stages.append(("(Spark's start)", before, time.time()))
        return opened[1]

    def announce(entry: Any, number: int, count: int) -> None:
        print(f"[{number}/{count}] {entry.name}", file=sys.stderr, flush=True)
        begun.append(time.time())

    results = (
        run(session, config, announce=announce)
        if not only
        else chain.from_iterable(
            run_stage(session, config, STAGES[name], force=True, announce=announce) for name in only
        )
    )
    try:
        for result in results:
            start = begun[-1]
            if stages[-1][0] == "(Spark's start)" and stages[-1][1] >= start:
                start = stages[-1][2]  # this stage was the one that asked for a session
            stages.append((result.stage, start, time.time()))
    finally:
        if opened:
            opened[0].__exit__(None, None, None)
    return stages


def show(found: Sequence[Cost]) -> None:
    names = ("seconds", "jobs", "stages", "tasks", "in_jobs", "driver", "in_tasks", "cpu")
    print(f"| stage | {' | '.join(name.replace('_', ' ') for name in names)} |")
    print(f"|---{'|---' * len(names)}|")
    rows = [asdict(cost) for cost in found]
    total = {name: round(sum(row[name] for row in rows), 1) for name in names}
    for row in [*rows, {"stage": "all", **total}]:
        print(f"| {row['stage']} | {' | '.join(f'{row[name]:g}' for name in names)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--config", default=str(Path(__file__).parent.parent / "conf" / "demo.yaml")
    )
    parser.add_argument("--work", help="folder for all that is written; default: a new one")
    parser.add_argument(
        "--only", metavar="STAGE", action="append", default=[], help="repeat this stage alone"
    )
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args()
    processors = Processors()
    with tempfile.TemporaryDirectory(prefix="stage-costs-") as place:
        work = Path(options.work) if options.work else Path(place) / "work"
        log = Path(place) / "events"
        log.mkdir()
        data = [
            f"paths.{name}={work}/data{below}"
            for name, below in (
                ("genres_csv", "/genres.csv"),
                ("posters", "/posters"),
                ("metadata", ""),
            )
        ]
        overrides = [f"paths.work={work}", *data, *options.overrides]
        stages = run_recipe(options.config, overrides, log, options.only)
        found = costs(read_events(log), stages, processors)
        if options.json:
            print(json.dumps([asdict(cost) for cost in found]))
        else:
            show(found)
        if options.again:
            command = [sys.executable, __file__, "--config", options.config, "--work", str(work)]
            again = [*command, *options.overrides, *(["--json"] if options.json else [])]
            subprocess.run(again, check=True)


if __name__ == "__main__":
    main()
