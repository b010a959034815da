"""How a run grows with its data: seconds and memory of every stage at several sizes, and slopes.

    python benchmarks/scale.py [--movies 1500,15000] [--drawn 1500] [--config conf/demo.yaml]
        [--json] [key=value ...]

Runs the recipe on synthetic data of each size, in a process and a new folder of its own. `--drawn`
draws so many posters and links their files under the ids of all movies, where drawing would take
longer than the rest: `make-sample` then says nothing, all else does the same work. Per stage:

    seconds       from its announcement to its result, at each size
    slope         of log(seconds) by log(movies), over all sizes: 1 is linear
    slope of last between the two largest sizes, where starting matters least
    Python, JVM   largest resident memory of one Python process, and of the JVM, MiB, at each size

A stage of a few seconds mostly starts: its slope says nothing of how it grows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from genre_spark.config import Config, load_config
from genre_spark.pipelines.ingestion.make_sample import dataset_spec
from genre_spark.pipelines.run import run
from genre_spark.pipelines.stage_list import StageEntry
from genre_spark.spark.session import recipe_session
from genre_spark.synthesis.dataset import DatasetSpec, mark_as_begun, write_dataset
from genre_spark.synthesis.movies import movie_id

_CONF = Path(__file__).parent.parent / "conf" / "demo.yaml"
_PAUSE = 0.2  # seconds between two looks at memory


@dataclass
class Cost:
    """What a stage costs at one size.

    Attributes:
        stage: name of the stage.
        seconds: from its announcement to its result.
        python: largest resident memory of one Python process meanwhile, MiB.
        jvm: of the JVM, likewise.
    """

    stage: str
    seconds: float
    python: float = 0.0
    jvm: float = 0.0


class MemoryWatch(threading.Thread):
    """Notes the largest resident memory of a Python process and of a JVM, until it is asked."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._peaks = {"python": 0.0, "jvm": 0.0}
        self._lock = threading.Lock()
        self.start()

    def run(self) -> None:
        own = psutil.Process()
        while True:
            for process in [own, *own.children(recursive=True)]:
                try:
                    kind = "jvm" if "java" in process.name() else "python"
                    size = process.memory_info().rss / 2**20
                except psutil.Error:
                    continue  # it has ended
                with self._lock:
                    self._peaks[kind] = max(self._peaks[kind], size)
            time.sleep(_PAUSE)

    def take(self) -> dict[str, float]:
        """Return the peaks since the last call, MiB."""
        with self._lock:
            found, self._peaks = self._peaks, {"python": 0.0, "jvm": 0.0}
        return {kind: round(size) for kind, size in found.items()}


def link_posters(drawn: Path, config: Config) -> None:
    """Give every movie of the data set one of the posters that are drawn, as a hard link."""
    files = sorted(drawn.iterdir())
    spec = dataset_spec(config)
    folder = Path(spec.posters)
    folder.mkdir(parents=True)
    mark_as_begun(spec)
    for index in range(spec.movies):
        (folder / f"{movie_id(index, spec.seed)}.jpg").hardlink_to(files[index % len(files)])


def measure(config_file: str, overrides: Sequence[str], drawn: str | None) -> list[Cost]:
    """Run a recipe in this process and return what each of its stages costs."""
    config = load_config(config_file, overrides)
    if drawn is not None:
        link_posters(Path(drawn), config)
    found: list[Cost] = []
    watch = MemoryWatch()
    begun = [time.monotonic()]

    def announce(entry: StageEntry, number: int, count: int) -> None:
        print(f"[{number}/{count}] {entry.name}", file=sys.stderr, flush=True)
        watch.take()
        begun.append(time.monotonic())

    with recipe_session(config.spark, config.paths.work, app_name="scale") as spark:
        for result in run(lambda: spark, config, announce=announce):
            seconds = round(time.monotonic() - begun[-1], 2)
            found.append(Cost(result.stage, seconds, **watch.take()))
    return found


def measure_apart(
    movies: int, config_file: str, overrides: Sequence[str], drawn: str | None
) -> list[Cost]:
    """Run a recipe on so many movies, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        places = [f"paths.work={folder}/work", f"paths.genres_csv={folder}/data/genres.csv"]
        places += [f"paths.posters={folder}/data/posters", f"paths.metadata={folder}/data"]
        size = [f"sample_data.movies={movies}"]
        command = [sys.executable, __file__, "--here", "--config", config_file]
        command += [] if drawn is None else ["--posters", drawn]
        answer = subprocess.run(
            [*command, *places, *size, *overrides], stdout=subprocess.PIPE, text=True, check=True
        )
    return [Cost(**cost) for cost in json.loads(answer.stdout.splitlines()[-1])]


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the slope of the best straight line through log(seconds) by log(size)."""
    x, y = [math.log(size) for size in sizes], [math.log(max(value, 0.01)) for value in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)


def show(sizes: Sequence[int], found: Sequence[Sequence[Cost]]) -> None:
    """Print the table: a row per stage."""
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}\n")
    heads = [f"{size:,} movies" for size in sizes]
    columns = [f"seconds, {head}" for head in heads] + ["slope", "slope of last"]
    columns += [f"Python, {head}" for head in heads] + [f"JVM, {head}" for head in heads]
    print(f"| stage | {' | '.join(columns)} |\n|---{'|---' * len(columns)}|")
    for costs in [*zip(*found, strict=True), _total(found)]:
        seconds = [cost.seconds for cost in costs]
        slopes = [slope(sizes, seconds), slope(sizes[-2:], seconds[-2:])]
        cells = [f"{value:.1f}" for value in seconds] + [f"{value:.2f}" for value in slopes]
        cells += [f"{cost.python:.0f}" for cost in costs] + [f"{cost.jvm:.0f}" for cost in costs]
        print(f"| {costs[0].stage} | {' | '.join(cells)} |")


def _total(found: Sequence[Sequence[Cost]]) -> list[Cost]:
    return [
        Cost(
            "all",
            sum(cost.seconds for cost in costs),
            max(cost.python for cost in costs),
            max(cost.jvm for cost in costs),
        )
        for costs in found
    ]


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--movies", type=_sizes, default=[1_500, 15_000], help="1500,15000")
    parser.add_argument("--drawn", type=int, help="posters that are drawn; default: all")
    parser.add_argument("--config", default=str(_CONF))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--posters", help=argparse.SUPPRESS)
    options, overrides = parser.parse_known_args()
    if options.here:
        measured = measure(options.config, overrides, options.posters)
        print(json.dumps([asdict(cost) for cost in measured]))
        return
    if len(options.movies) < 2:
        parser.error("--movies: one size, expected at least two")
    with tempfile.TemporaryDirectory(prefix="scale-posters-") as folder:
        drawn = None
        if options.drawn is not None:
            drawn = f"{folder}/posters"
            write_dataset(
                DatasetSpec(f"{folder}/genres.csv", drawn, folder, options.drawn, 7, flaws=False)
            )
        found = [
            measure_apart(movies, options.config, overrides, drawn) for movies in options.movies
        ]
    if options.json:
        costs = {
            movies: [asdict(cost) for cost in each]
            for movies, each in zip(options.movies, found, strict=True)
        }
        print(json.dumps(costs))
    else:
        show(options.movies, found)


if __name__ == "__main__":
    main()
