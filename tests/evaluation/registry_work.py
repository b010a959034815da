"""A work folder with a model of each kind, made without training."""

from __future__ import annotations

import csv
import shutil
from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from genre_spark.config import Config, build_config
from genre_spark.evaluation.scores import SHOWN, Score
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.schemas import EVALUATION_SCHEMA, PREDICTIONS_SCHEMA, SAMPLES_SCHEMA
from genre_spark.serving.movie_model import MovieModel
from genre_spark.tracking import model_run, open_run
from tests.serving.packages import FOREST, FORM, GENRES, LINEAR, NETWORK, SPECIFICATION
from tests.serving.packages import write_package as write_small_package
from tests.stored_rows import store_rows

FAMILIES = {
    "multilabel_random_forest": "multilabel",
    "regression": "linear",
    "scratch": "cnn",
    "fused": "stack",
}
STACK = {"kind": "stack", "file": "parts/stack.npz", "models": [FOREST, NETWORK]}
PARTS = dict(zip(FAMILIES, (FOREST, LINEAR, NETWORK, STACK), strict=True))
THRESHOLDS = dict(zip(FAMILIES, (0.4, 0.4, 0.4, 0.25), strict=True))
MOVIES = 120


@dataclass(frozen=True)
class Work:
    """A work folder.

    Attributes:
        config: its recipe.
        truth: labels of the validation movies, (movies, L): what the stack decides.
        decided: model -> what it decides on them, (movies, L).
    """

    config: Config
    truth: np.ndarray
    decided: dict[str, np.ndarray]


def recipe(folder, **sections) -> Config:
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": f"{folder}/m", "work": str(folder)}
    store = {"registered_model": "genres", **sections.pop("mlflow", {})}
    posters = {"height": 80, "width": 76, "encoding": "png"}
    cnn = {"architecture": "scratch_cnn_one", "name": "scratch"}
    return build_config(
        {"paths": paths, "mlflow": store, "posters": posters, "cnn": cnn, **sections}
    )


def write_work(folder: Path) -> Work:
    """Write metadata, samples, models and predictions; the stack is right about every movie."""
    config = recipe(folder)
    raw, images = _movies(folder / "m")
    frame = raw.assign(image=[cv2.imencode(".png", image)[1].tobytes() for image in images])
    answers = {}
    for name, part in PARTS.items():
        package = write_small_package(folder / "made" / name, part, thresholds=(THRESHOLDS[name],))
        answers[name] = MovieModel(package).predict(frame)
    truth = answers["fused"].decided
    _write_models(folder / "made", config)
    _write_samples(config, truth, images)
    with open_run(config, "training") as stage:
        for name, family in FAMILIES.items():
            with model_run(stage, name, family=family, method=name) as run:
                details = {"vocabulary": list(GENRES), "family": family, "run_id": run.run_id}
                details |= {"models": ["multilabel_random_forest", "scratch"]}
            probabilities = answers[name].probabilities
            rows = [
                (i, t.tolist(), p.tolist(), (p >= 0.5).astype(float).tolist())
                for i, (t, p) in enumerate(zip(truth, probabilities, strict=True))
            ]
            for split in ("validation", "test"):
                place = config.paths.predictions(name, split)
                store_rows(place, PREDICTIONS_SCHEMA, rows, fingerprint=name, details=details)
    return Work(config, truth, {name: each.decided for name, each in answers.items()})


def write_evaluation(config: Config, best: str) -> None:
    """Write an evaluation in which a model is the best of all; it is the only one to package."""
    tables = Catalogue(config)
    scores, runs = [], {}
    for name, family in FAMILIES.items():
        details = tables.predictions(name, "test").manifest().details
        runs[name] = {"run": details["run_id"], "digest": name}
        start = (name, family, name)
        scores.append(Score(*start, "validation", "f1_micro", "threshold", None, THRESHOLDS[name]))
        value = 0.9 if name == best else 0.3
        for split in ("validation", "test"):
            scores += [Score(*start, split, "f1_micro", metric, None, value) for metric in SHOWN]
            scores += [Score(*start, split, "f1_micro", "f1", genre, value) for genre in GENRES]
            scores += [Score(*start, split, "f1_micro", "support", genre, 9.0) for genre in GENRES]
    details = {"models": [best], "vocabulary": list(GENRES), "runs": runs}
    store_rows(
        tables.evaluation.path,
        EVALUATION_SCHEMA,
        [astuple(score) for score in scores],
        fingerprint=best,
        details={**details, "movies": {"training": 9, "validation": MOVIES, "test": MOVIES}},
    )


def _movies(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Write movies of random years, countries and posters as CSV files, and return them."""
    random = np.random.default_rng(4)
    folder.mkdir(parents=True)
    years = random.integers(1920, 2020, MOVIES)
    countries = [
        [name for name in ("UK", "USA", "France") if random.random() < 0.5] for _ in range(MOVIES)
    ]
    with (folder / "movies.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "name", "date", "tagline", "description", "minute", "rating"])
        rows.writerows([i, f"Movie {i}", year, "", "", "", ""] for i, year in enumerate(years))
    with (folder / "countries.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "country"])
        rows.writerows([i, name] for i, names in enumerate(countries) for name in names)
    images = random.integers(0, 256, (MOVIES, 80, 76, 3), dtype=np.uint8)
    images[::2] //= 4
    return pd.DataFrame({"date": years.astype(str), "countries": countries}), images


def _write_models(made: Path, config: Config) -> None:
    sources = made / "fused" / "sources"
    for name, file in (
        ("regression", "linear.npz"),
        ("scratch", "network.pt"),
        ("fused", "stack.npz"),
    ):
        folder = Path(config.paths.model(name))
        folder.mkdir(parents=True)
        shutil.copy(sources / file, folder / file)
    forest = made / "fused" / "package" / "parts" / "forest"
    shutil.copytree(forest, config.paths.model("multilabel_random_forest"))
    SPECIFICATION.save(config.paths.model("features"))


def _write_samples(config: Config, truth: np.ndarray, images: np.ndarray) -> None:
    rows = []
    for number, (labels, image) in enumerate(zip(truth, images, strict=True)):
        encoding = ("png", "raw")[number % 2]
        pixels = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)).tobytes()
        content = cv2.imencode(".png", image)[1].tobytes() if encoding == "png" else pixels
        stored = (number, content, FORM.height, FORM.width, 3, encoding)
        rows.append((*stored, labels.tolist(), 1.0))
    details = {"vocabulary": list(GENRES)}
    for split in ("train", "validation"):
        place = Catalogue(config).samples(split).path
        store_rows(place, SAMPLES_SCHEMA, rows, fingerprint="s", details=details)
