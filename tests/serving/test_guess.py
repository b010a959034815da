"""`genre-spark guess` answers in a terminal, without Spark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genre_spark.__main__ import main
from tests.serving.packages import FOREST, NETWORK, write_package
from tests.serving.test_movie_model import poster

ROOT = Path(__file__).parents[2]


def test_a_movie_is_printed_with_genres_probabilities_and_model(tmp_path, capsys):
    folder = write_package(tmp_path, FOREST)
    words = ["--name", "One", "--date", "1959", "--countries", "UK", "France", "--model", folder]
    assert main(["guess", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("genres: ")
    assert sum("%" in line for line in lines) == 4
    assert lines[-1] == "  (small, version abc)"


def test_several_posters_make_one_json_list(tmp_path, capsys):
    folder = write_package(tmp_path, NETWORK)
    files = []
    for shade in (20, 200):
        files.append(str(tmp_path / f"{shade}.png"))
        Path(files[-1]).write_bytes(poster(shade))
    assert main(["guess", "--poster", *files, "--model", folder, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["poster"] for answer in answers] == files
    assert answers[0]["probabilities"] != answers[1]["probabilities"]


def test_what_could_not_be_used_is_a_note(tmp_path, capsys):
    folder = write_package(tmp_path, FOREST)
    words = ["guess", "--name", "One", "--date", "tomorrow", "--model", folder]
    assert main([*words, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["notes"] == ["date not used: 'tomorrow' has no year"]
    assert main(words) == 0
    assert "  note: date not used: 'tomorrow' has no year" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "nothing is known of the movie"),
        (["--poster", "/nowhere/p.jpg"], "--poster /nowhere/p.jpg: No such file"),
        (["--name", "One", "--model", "/nowhere"], "/nowhere/movie_model.json: no such file"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(words, expected, capsys):
    assert main(["guess", *words]) == 2
    printed = capsys.readouterr()
    assert expected in printed.err
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("address", [None, "sqlite:///elsewhere", "elsewhere"])
def test_a_store_that_is_not_there_is_named_and_not_made(address, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if address is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    model = "models:/genres@champion"
    assert main(["guess", "--name", "One", "--model", model]) == 2
    printed = capsys.readouterr().err
    place = "elsewhere" if address else "work/demo/mlflow.db"
    assert f"--model {model}: {place}: no MLflow store there, expected that of" in printed
    assert "another in the environment variable MLFLOW_TRACKING_URI" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["movie_model.json", "movie_models/best.json"])
def test_a_damaged_description_is_not_called_missing(name, tmp_path, capsys):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"format": 1, "na')
    assert main(["guess", "--name", "One", "--model", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert f"{path}: damaged" in printed
    assert "package-models" in printed


def test_no_java_is_needed(tmp_path):
    folder = write_package(tmp_path, FOREST)
    environment = {"PATH": "", "JAVA_HOME": "/nowhere", "PYTHONPATH": str(ROOT)}
    environment |= {key: os.environ[key] for key in ("HOME",) if key in os.environ}
    program = [sys.executable, "-m", "genre_spark", "guess", "--name", "One", "--model", folder]
    found = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("genres: ")
