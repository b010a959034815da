"""How fast a packaged model answers: the stage, the pyfunc and `guess`, against their parts.

    python benchmarks/predict.py --config demo.yaml [--model NAME] [--movies 1500] [--new FOLDER]

The recipe's run has to be finished. `--new` is a folder in the Letterboxd layout with a folder
`posters`; without it, the recipe's own movies are predicted as if they were new. In one run:

- predict, 2 cores: seconds of the stage, in a session of local[2], without the start of the JVM;
- pyfunc, 1 core: the model as MLflow loads it, on a frame of the same movies;
- its parts, 1 core: embedding, features and scoring alone, one after the other, on that frame;
- guess: a process for one movie, the first time (without the page cache where root can drop it)
  and the fastest of three more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from features import read_movies
from mlflow import MlflowClient

from genre_spark.config import Config, load_config
from genre_spark.features.frame_engine import FeatureRows
from genre_spark.serving.model_parts import Movies
from genre_spark.serving.movie_model import INPUTS, MovieModel
from genre_spark.storage.files import read_json
from genre_spark.tracking import resolve_tracking_uri

sys.path.insert(0, str(Path(__file__).resolve().parent))


_BATCH = 256
_ROUNDS = 3
_TEXTS = ("name", "date", "tagline", "description")
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    """Print movies per second and seconds as one JSON object and as text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True)
    parser.add_argument("--model", help="name of a packaged model; default: the best one")
    parser.add_argument("--movies", type=int, default=1500, help="of the frame (1500)")
    parser.add_argument("--new", type=Path, help="folder of movies; default: those of the recipe")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    config = load_config(words.config)
    name = words.model or str((read_json(f"{packages(config)}/best.json") or {})["model"])
    if words.inner:
        print(json.dumps(on_one_core(config, name, movie_frame(config, words.new, words.movies))))
        return
    found = {"model": name, "guess": guess(config, name)}
    command = [sys.executable, __file__, *sys.argv[1:], "--inner"]
    done = subprocess.run(
        ["taskset", "-c", "0", *command],
        env={**os.environ, **ONE_CORE},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found |= json.loads(done.stdout.splitlines()[-1])
    found["stage"] = stage(words.config, config, name, words.new or Path(config.paths.metadata))
    print(json.dumps(found, indent=1))


def packages(config: Config) -> str:
    """Return the folder of the packaged models."""
    return config.paths.table("movie_models")


def movie_frame(config: Config, new: Path | None, count: int) -> pd.DataFrame:
    """Return the raw fields and posters of the first movies; the same again where there are few."""
    folder = new or Path(config.paths.metadata)
    posters = folder / "posters" if new else Path(config.paths.posters)
    frame = read_movies(folder)
    frame = frame.loc[[i for i in frame.index for _ in range(-(-count // len(frame)))]][:count]
    files = [posters / f"{movie}.jpg" for movie in frame["id"]]
    images = [file.read_bytes() if file.exists() else None for file in files]
    frame = frame.assign(image=images).reset_index(drop=True)
    for column in ("minute", "rating"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    for column in frame.select_dtypes("object"):  # MLflow takes no NaN for a missing list
        frame[column] = frame[column].where(frame[column].notna(), None)
    return frame[[column for column in INPUTS if column in frame.columns]]


def on_one_core(config: Config, name: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Measure the pyfunc and its parts, each the fastest of three rounds after one to warm up."""
    served = load_served(config, name)
    model = MovieModel(f"{packages(config)}/{name}")
    chunks = [frame.iloc[start : start + _BATCH] for start in range(0, len(frame), _BATCH)]
    chunks = [chunk.reset_index(drop=True) for chunk in chunks]
    parts: dict[str, float] = {"embedding": 0.0, "features": 0.0}
    rows: list[FeatureRows | None] = [None] * len(chunks)
    if model.specification is not None:
        embedded: list[pd.DataFrame] = []

        def embed() -> None:
            embedded[:] = [model._embedders.add(chunk, notes(chunk)) for chunk in chunks]

        def describe() -> None:
            rows[:] = [model._engine.transform(chunk) for chunk in embedded]

        parts["embedding"], parts["features"] = fastest(embed), fastest(describe)

    def score() -> None:
        for chunk, known in zip(chunks, rows, strict=True):
            model._part.score(Movies(chunk, notes(chunk), lambda known=known: known))

    parts["scoring"] = fastest(score)

    def serve() -> None:
        for chunk in chunks:
            served.predict(chunk)

    whole, together = fastest(serve), sum(parts.values())
    return {
        "movies": len(frame),
        "with posters": int(frame["image"].notna().sum()),
        "pyfunc, movies/s on one core": round(len(frame) / whole, 1),
        "its parts together, movies/s": round(len(frame) / together, 1),
        "pyfunc to its parts": round(together / whole, 3),
        "parts, ms per movie": {k: round(1e3 * v / len(frame), 3) for k, v in parts.items()},
    }


def notes(chunk: pd.DataFrame) -> list[list[str]]:
    """Return an empty list of notes per movie."""
    return [[] for _ in range(len(chunk))]


def fastest(work: Callable[[], None]) -> float:
    """Return the seconds of the fastest of three rounds, after one to warm up."""
    seconds = []
    for _ in range(_ROUNDS + 1):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def load_served(config: Config, name: str) -> Any:
    """Return the packaged model as MLflow loads it."""
    details = read_json(f"{config.paths.predictions(name, 'test')}/_manifest.json") or {}
    uri = resolve_tracking_uri(config.mlflow, config.paths.work)
    mlflow.set_tracking_uri(uri)
    run = MlflowClient(uri).get_run(details["details"]["run_id"])
    return mlflow.pyfunc.load_model(run.data.tags["movie_model_uri"])


def stage(recipe: str, config: Config, name: str, new: Path) -> dict[str, float]:
    """Return what `genre-spark predict` takes for a folder of movies in a new work folder."""
    with tempfile.TemporaryDirectory(prefix="genre_spark-") as work:
        words = [f"paths.new={new}", f"paths.work={work}", f"model={packages(config)}/{name}"]
        words += ["spark.master=local[2]", "mlflow.tracking_uri=null", "--json"]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "genre_spark", "predict", "--config", recipe, *words],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        whole = time.perf_counter() - started
        result = json.loads(done.stdout)
    movies, seconds = result["counts"]["predicted"], result["seconds"]
    return {
        "movies": movies,
        "seconds of the stage": seconds,
        "seconds with the start": round(whole, 1),
        "movies/s on 2 cores": round(movies / seconds, 1),
    }


def guess(config: Config, name: str) -> dict[str, float]:
    """Return the seconds of one guess, the first time and later."""
    row = movie_frame(config, None, 1).iloc[0]
    words = [f"--{field}={row[field]}" for field in _TEXTS if isinstance(row.get(field), str)]
    poster = next(Path(config.paths.posters).glob("*.jpg"), None)
    words += ["--poster", str(poster)] if poster else []
    command = [sys.executable, "-m", "genre_spark", "guess", *words]
    dropped = drop_page_cache()
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        subprocess.run(
            [*command, "--model", f"{packages(config)}/{name}"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds.append(round(time.perf_counter() - started, 2))
    first = "cold" if dropped else "first"
    return {f"{first}, seconds": seconds[0], "warm, seconds": min(seconds[1:])}


def drop_page_cache() -> bool:
    """Let the next process read from the disk, where this one may do that."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
