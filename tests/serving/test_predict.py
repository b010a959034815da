"""The stage `predict`: what it reads of a catalogue, what it rejects, and what it leaves alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from genre_spark.config import Config, build_config
from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines import predict
from tests.serving.packages import LINEAR, write_package

HEADER = "id,name,date,tagline,description,minute,rating\n"


def recipe(folder: Path, **paths: str) -> Config:
    """Return a recipe whose catalogue is the folder `new`, for a small packaged model."""
    if not (folder / "package").exists():
        write_package(folder, LINEAR)
    places = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": f"{folder}/work"}
    places |= {"new": f"{folder}/new", **paths}
    return build_config({"paths": places, "model": f"{folder}/package"})


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A folder of one movie."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "movies.csv").write_text(HEADER + "1,One,1959,,,87,3.5\n")
    return tmp_path / "new"


def test_answers_take_the_place_of_earlier_answers(spark, tmp_path, catalogue):
    config = recipe(tmp_path, new_csv=f"{catalogue}/answers")
    for name in ("One", "Another"):
        (catalogue / "movies.csv").write_text(HEADER + f"1,{name},1959,,,87,3.5\n")
        result = predict.run(spark, config)
        files = list((catalogue / "answers").glob("part-*.csv"))
        rows = [row for file in files for row in csv.DictReader(file.open())]
        assert [(row["movie_id"], row["name"]) for row in rows] == [("1", name)]
        assert result.outputs["csv"] == f"{catalogue}/answers"
    assert sorted(entry.name for entry in catalogue.iterdir()) == ["answers", "movies.csv"]


@pytest.mark.parametrize(
    "place",
    [
        "new",  # the catalogue
        ".",  # a folder above it
        "new/posters",
        "work",
        "work/movie_predictions",
        "work/rejects/new",
        "file.csv",
        "link",
        "others",  # Spark's files, but of other columns
        "mixed",
    ],
)
def test_nothing_but_earlier_answers_is_replaced(tmp_path, catalogue, place):
    (tmp_path / "file.csv").write_text("precious")
    (tmp_path / "link").symlink_to(catalogue)
    for folder in ("others", "mixed"):
        (tmp_path / folder).mkdir()
    (tmp_path / "others" / "part-00000-a-c000.csv").write_text("movie_id,title\n1,One\n")
    (tmp_path / "mixed" / "_SUCCESS").touch()
    (tmp_path / "mixed" / "notes.txt").write_text("precious")
    before = sorted(map(str, tmp_path.rglob("*")))
    config = recipe(tmp_path, new_csv=str(tmp_path / place))
    with pytest.raises(InvalidConfigError, match=r"^paths\.new_csv: .*, expected a folder that"):
        predict.run(None, config)
    made = [name for name in map(str, tmp_path.rglob("*")) if "/package" not in name]
    assert [name for name in sorted(made) if "/sources" not in name] == before


@pytest.mark.parametrize("place", ["empty", "not/there", "new/answers", "work/answers"])
def test_a_folder_without_anything_takes_answers(tmp_path, catalogue, place):
    (tmp_path / "empty").mkdir()
    assert predict.run.check(recipe(tmp_path, new_csv=str(tmp_path / place)))
