"""A finished run's models take new movies: by the stage, by MLflow, over HTTP and in a terminal."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from genre_spark.config import load_config
from genre_spark.pipelines import predict
from genre_spark.pipelines.stage import StageResult
from genre_spark.serving.movie_model import MovieModel
from genre_spark.tracking.stores.addresses import use_store
from tests.e2e.running import environment, run_json, table_rows

pytestmark = pytest.mark.e2e


MOVIES = {  # raw fields by movie_id: ordinary and hostile ones; a poster's place, or what it holds
    1: {"name": "One", "date": "1959", "description": "A detective, a moor.", "minute": 87.0,
        "rating": 3.5, "countries": ["UK"], "image": 1},
    2: {"name": "Two", "date": "2001", "tagline": "Love again", "minute": 101.0,
        "countries": ["USA"]},
    3: {"image": 3},
    4: {"name": ""},  # nothing is known of it
    5: {"name": "Сталкер 千と千尋 शोले Cafe\u0301", "date": "tomorrow", "minute": "NaN",
        "description": "สวัสดี مرحبا \u200b 👻", "countries": ["Atlantis"]},
    6: {"name": "Long", "description": "horror love war moon " * 50_000},  # 1 MB
    7: {"name": "No image", "image": b"this is no image"},
    8: {"name": "Cut", "rating": "inf", "image": b"\xff\xd8\xff\xe0\x00\x10JFIF"},
}  # fmt: skip
TEXTS = ("name", "date", "tagline", "description", "minute", "rating")


@pytest.fixture(scope="module")
def movies(finished) -> dict[int, dict]:
    """The raw fields with the content of the posters."""
    posters = sorted((finished.recipe.parent / "data" / "posters").glob("1*.jpg"))
    found = {}
    for movie, fields in MOVIES.items():
        place = fields.get("image")
        image = posters[place].read_bytes() if isinstance(place, int) else place
        found[movie] = {**fields, "image": image}
    return found


@pytest.fixture(scope="module")
def new_folder(movies, tmp_path_factory) -> Path:
    """The movies as files."""
    folder = tmp_path_factory.mktemp("new")
    (folder / "posters").mkdir()
    with (folder / "movies.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", *TEXTS])
        rows.writerow(["x", "Bad", "", "", "", "", ""])
        for movie, fields in movies.items():
            if movie != 3:
                rows.writerow([movie, *(fields.get(name, "") for name in TEXTS)])
    with (folder / "countries.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "country"])
        rows.writerows([m, name] for m, f in movies.items() for name in f.get("countries", ()))
    for movie, fields in movies.items():
        if fields["image"] is not None:
            (folder / "posters" / f"{movie}.jpg").write_bytes(fields["image"])
    return folder


@pytest.fixture(scope="module")
def predicted(finished, new_folder) -> dict:
    words = [f"paths.new={new_folder}", f"paths.new_csv={new_folder}/answers"]
    return run_json("predict", finished.recipe, *words)


@pytest.fixture(scope="module")
def answers(finished, predicted) -> dict[int, dict]:
    rows = table_rows(finished.work / "movie_predictions")
    return {row["movie_id"]: row for row in rows}


@pytest.fixture(scope="module")
def best(finished) -> str:
    return json.loads((finished.work / "movie_models" / "best.json").read_text())["model"]


@pytest.fixture(scope="module")
def frame(movies) -> pd.DataFrame:
    """The movies as a frame of raw fields with the types of the model's signature."""
    names = sorted({name for fields in movies.values() for name in fields})
    # missing lists are None: MLflow rejects NaN in a column of lists
    frame = pd.DataFrame({name: [f.get(name) for f in movies.values()] for name in names})
    return frame.assign(**{name: frame[name].astype(float) for name in ("minute", "rating")})


def test_every_movie_is_predicted_and_bad_rows_are_rejected(predicted, answers):
    assert sorted(answers) == sorted(MOVIES)
    assert predicted["counts"]["predicted"] == len(MOVIES)
    assert predicted["counts"]["rejected/id is not a number"] == 1
    for row in answers.values():
        named = dict(row["probabilities"])
        assert all(0 <= value <= 1 for value in named.values())
        assert set(row["genres"]) <= set(named)
    assert answers[1]["name"] == "One"
    for movie in (7, 8):
        assert any(note.startswith("image not used: ") for note in answers[movie]["notes"])
    assert predicted["counts"]["with notes"] == sum(bool(row["notes"]) for row in answers.values())


def test_answers_are_written_as_csv_where_asked_for(predicted, new_folder, answers):
    files = list((new_folder / "answers").glob("*.csv"))
    rows = [row for file in files for row in csv.DictReader(file.open())]
    assert {int(row["movie_id"]) for row in rows} == set(answers)


def test_only_new_and_changed_movies_are_predicted_again(spark, finished, new_folder, predicted):
    def again(folder: Path) -> StageResult:
        words = [f"paths.new={folder}", "paths.new_csv=null"]
        return predict.run(spark, load_config(finished.recipe, words))

    assert again(new_folder).counts["predicted"] == 0
    changed = new_folder.parent / "changed"
    shutil.copytree(new_folder, changed)
    with (changed / "countries.csv").open("a") as file:
        file.write("2,France\n")
    counts = again(changed).counts
    # the posters of a copy have other paths: their movies are read again too
    assert counts["predicted"] >= 1
    assert counts["movies"] == len(MOVIES)


def test_the_packaged_model_gives_what_the_stage_gives(finished, answers, best, frame):
    model = MovieModel(finished.work / "movie_models" / best)
    check(model.predict(frame).as_frame(), answers)


@pytest.fixture(scope="module")
def uri(finished, best) -> str:
    store = f"sqlite:///{finished.work}/mlflow.db"
    use_store(store)
    manifest = finished.work / "predictions" / best / "test" / "_manifest.json"
    run_id = json.loads(manifest.read_text())["details"]["run_id"]
    return MlflowClient(store).get_run(run_id).data.tags["movie_model_uri"]


def test_the_model_in_mlflow_gives_what_the_stage_gives(uri, answers, frame):
    model = mlflow.pyfunc.load_model(uri)
    assert [column.name for column in model.metadata.signature.outputs] == [
        "genres",
        "probabilities",
        "notes",
        "model_version",
    ]
    check(model.predict(frame), answers)


def test_the_model_served_over_http_gives_what_the_stage_gives(finished, uri, answers, frame):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "-p", str(port)]
    server = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1"],
        env={
            **environment(),
            # MLflow starts uvicorn by its name, also where the environment is not activated
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{finished.work}/mlflow.db",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server)
        found = [ask(port, row) for row in frame.to_dict("records")]
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
    check(pd.DataFrame(found), answers)


@pytest.mark.parametrize("movie", [2, 5, 7])
def test_guess_gives_what_the_stage_gives(finished, new_folder, movies, answers, movie) -> None:
    words = [f"--{name}={movies[movie][name]}" for name in TEXTS if name in movies[movie]]
    words += [word for name in movies[movie].get("countries", ()) for word in ("--countries", name)]
    if movies[movie]["image"] is not None:
        words += ["--poster", str(new_folder / "posters" / f"{movie}.jpg")]
    command = [sys.executable, "-m", "genre_spark", "guess", *words]
    done = subprocess.run(
        [*command, "--model", str(finished.work), "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    check(pd.DataFrame(json.loads(done.stdout)), {movie: answers[movie]})


def check(frame: pd.DataFrame, expected: dict[int, dict]) -> None:
    for row, movie in zip(frame.to_dict("records"), sorted(expected), strict=True):
        assert list(row["genres"]) == list(expected[movie]["genres"])
        assert dict(row["probabilities"]) == pytest.approx(
            dict(expected[movie]["probabilities"]), abs=1e-9
        )
        assert other_notes(row["notes"]) == other_notes(expected[movie]["notes"])
        assert row["model_version"] == expected[movie]["model_version"]


def other_notes(notes: Iterable[str]) -> list[str]:
    """Return the notes that do not depend on whether numbers come as numbers or as texts."""
    return [note for note in notes if not note.startswith(("minute not used", "rating not used"))]


def wait_for(url: str, server: subprocess.Popen) -> None:
    for _ in range(240):
        assert server.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"{url} did not answer within two minutes")


def ask(port: int, movie: dict) -> dict:
    known = {key: value for key, value in movie.items() if isinstance(value, list | str | bytes)}
    known |= {k: v for k, v in movie.items() if isinstance(v, float) and np.isfinite(v)}
    if "image" in known:
        known["image"] = base64.b64encode(known["image"]).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        data=json.dumps({"dataframe_records": [known]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["predictions"][0]
