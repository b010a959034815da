"""Worker processes that draw the posters, each its share of them.

They run `python -m genre_spark.synthesis.poster_workers`. They are programs of their own rather
than forks: the caller has a JVM's sockets and threads, and its main module (a notebook, a job under
spark-submit) may not be importable a second time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from genre_spark.errors import StageFailedError
from genre_spark.synthesis.drawing.poster_art import draw_poster, encode_jpeg
from genre_spark.synthesis.flaws import POSTER_FLAWS, plant_flaws
from genre_spark.synthesis.folder import Folder
from genre_spark.synthesis.movies import make_movie, movie_id

__all__ = ["PosterTask", "draw_posters", "draw_posters_with", "poster_content"]

_REPORT_EVERY = 50  # posters


@dataclass(frozen=True)
class PosterTask:
    """Which posters to draw, and where to.

    Attributes:
        folder: folder that they go to, a path or URL.
        movies: number of movies in the data set.
        seed: seed of the data set.
        flaws: whether flaws are planted among them.
        first: index of the first movie.
        step: distance of the indices: posters of movies first, first + step, ... are drawn.
    """

    folder: str
    movies: int
    seed: int
    flaws: bool
    first: int = 0
    step: int = 1


def poster_content(index: int, task: PosterTask) -> bytes | None:
    """Return the bytes of a movie's poster file, or None where it has none."""
    image = draw_poster(make_movie(index, seed=task.seed), seed=task.seed)
    flaw = plant_flaws(task.movies, task.seed).get(index) if task.flaws else None
    return POSTER_FLAWS[flaw](image) if flaw in POSTER_FLAWS else encode_jpeg(image)


def draw_posters(task: PosterTask, report: Callable[[int], None]) -> None:
    """Draw the posters that are not there yet.

    Args:
        task: which posters, and where to.
        report: function that gets the number of finished posters, after each one.
    """
    folder = Folder(task.folder)
    there = folder.names()
    for done, index in enumerate(range(task.first, task.movies, task.step), start=1):
        name = f"{movie_id(index, task.seed)}.jpg"
        if name not in there:
            content = poster_content(index, task)
            if content is not None:
                folder.put(name, content)
        report(done)


def draw_posters_with(processes: int, task: PosterTask, report: Callable[[int], None]) -> None:
    """Draw posters with several processes.

    Raises:
        StageFailedError: a process ended with an error.
    """
    if processes == 1:
        draw_posters(task, report)
        return
    command = [sys.executable, "-m", "genre_spark.synthesis.poster_workers"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OPENCV_FOR_THREADS_NUM": "1",
    }
    with ExitStack() as stack:
        workers = []
        for first in range(processes):
            worker = subprocess.Popen(
                command,
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            stack.callback(_end, worker)
            if worker.stdin is not None:
                worker.stdin.write(
                    json.dumps({**asdict(task), "first": first, "step": processes}) + "\n"
                )
                worker.stdin.flush()
            workers.append(worker)
        # all do the same amount of work, so the first one's progress stands for all
        for line in workers[0].stdout or ():
            report(int(line) * processes)
        for worker in workers:
            _, problem = worker.communicate()
            if worker.returncode != 0:
                reason = (problem.strip().splitlines() or ["no message"])[-1]
                raise StageFailedError(
                    f"{task.folder}: drawing posters ended with code {worker.returncode}: {reason}"
                )


def _end(worker: subprocess.Popen[str]) -> None:
    if worker.poll() is None:
        worker.kill()
        worker.wait()


def main() -> None:
    """Draw the task on standard input; report the number of posters on standard output."""
    parent = os.getppid()

    def report(done: int) -> None:
        if os.getppid() != parent:
            sys.exit("the process that started this one has ended")
        if done % _REPORT_EVERY == 0:
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()

    draw_posters(PosterTask(**json.loads(sys.stdin.readline())), report)


if __name__ == "__main__":
    main()
