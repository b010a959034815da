"""The stage `predict`: what it reads of a catalogue, what it rejects, and what it leaves alone."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from genre_spark.config import Config, build_config
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines import predict
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.serving.answers_folder import write_answers
from tests.serving.packages import LINEAR, write_package
from tests.stored_rows import read_rows

HEADER = "id,name,date,tagline,description,minute,rating\n"


def recipe(folder: Path, **paths: str) -> Config:
    """Return a recipe whose catalogue is the folder `new`, for a small packaged model."""
    if not (folder / "package").exists():
        write_package(folder, LINEAR)
    places = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": f"{folder}/work"}
    places |= {"new": f"{folder}/new", **paths}
    return build_config({"paths": places, "model": f"{folder}/package"})


def write_table(folder: Path, **columns: Any) -> None:
    """Make a table of raw fields the catalogue."""
    (folder / "new").mkdir()
    pq.write_table(pa.table(columns), folder / "new" / "part.parquet")


def answers(config: Config) -> dict[int, dict[str, Any]]:
    """Return the stored answers by movie."""
    return {row["movie_id"]: row for row in read_rows(Catalogue(config).movie_predictions.path)}


def rejects(config: Config) -> list[tuple[str, str, str | None]]:
    """Return what was rejected: source, reason and content."""
    found = read_rows(Catalogue(config).rejects("new").path)
    return sorted((row["source"], row["reason"], row["content"]) for row in found)


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


def test_answers_that_cannot_be_written_leave_the_earlier_ones(spark, tmp_path, catalogue):
    config = recipe(tmp_path, new_csv=f"{catalogue}/answers")
    predict.run(spark, config)
    before = {file.name: file.read_bytes() for file in (catalogue / "answers").iterdir()}
    table = Catalogue(config).movie_predictions.read(spark)
    failing = table.withColumn("name", F.raise_error(F.lit("no more")).cast("string"))
    with pytest.raises(Exception, match="no more"):
        write_answers(failing, str(catalogue / "answers"))
    assert {file.name: file.read_bytes() for file in (catalogue / "answers").iterdir()} == before
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


def test_rows_of_a_table_that_cannot_be_read_are_rejects_as_those_of_csv_files_are(spark, tmp_path):
    write_table(
        tmp_path,
        movie_id=["1", "two", None, "3.0", "3", "4", "5"],
        name=["One", "Two", "None", "Three", "Three again", "Four", "Five"],
        minute=["87", "90", "90", "91", "91", "abc", " "],
        rating=[3.5, 3.5, 3.5, float("nan"), None, float("inf"), None],
        date=["1959", "", "", "", None, "tomorrow", "2001-05-01"],
    )
    config = recipe(tmp_path)
    result = predict.run(spark, config)
    assert sorted(answers(config)) == [1, 3, 4, 5]
    notes = {movie: row["notes"] for movie, row in answers(config).items()}
    assert notes == {1: [], 3: [], 4: ["date not used: 'tomorrow' has no year"], 5: []}
    line = "4,Four,tomorrow,abc,Infinity"
    assert rejects(config) == [
        ("new", "id is not a number", ",None,,90,3.5"),
        ("new", "id is not a number", "two,Two,,90,3.5"),
        ("new", "minute is not a number", line),
        ("new", "rating is not a number", line),
        ("new", "repeated id", "movie 3: 2 rows"),
        ("new", "year is not a number", line),
    ]
    assert result.counts["rejected/id is not a number"] == 2
    assert result.counts["rejected/repeated id"] == 1
    assert result.counts["movies"] == 4


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([7.0, 7.5, None, 1e30, float("nan"), 12345678.0], [7, 12345678]),
        ([Decimal("7.00"), Decimal("7.50"), Decimal("8.00")], [7, 8]),
        (pa.array([7, None, -(2**31)], pa.int32()), [-(2**31), 7]),
    ],
)
def test_ids_of_a_table_may_be_any_numbers_that_are_whole(spark, tmp_path, ids, expected):
    write_table(tmp_path, movie_id=ids)
    config = recipe(tmp_path)
    counts = predict.run(spark, config).counts
    assert sorted(answers(config)) == expected
    assert counts["rejected/id is not a number"] == len(ids) - len(expected)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("movie_id", [True], "column movie_id: boolean, expected number"),
        ("countries", ["UK"], "column countries: string, expected list of text"),
        ("image", ["a.jpg"], "column image: string, expected bytes of an image file"),
        ("name", [["One"]], "column name: array<string>, expected text"),
    ],
)
def test_a_column_of_another_kind_is_named(spark, tmp_path, name, values, expected):
    write_table(tmp_path, **{"movie_id": [1], name: values})
    with pytest.raises(InvalidInputError, match=f"^paths.new: {expected}"):
        predict.run(spark, recipe(tmp_path))


def test_files_that_are_no_posters_of_a_movie_are_rejects(spark, tmp_path, catalogue):
    (catalogue / "posters").mkdir()
    names = ["1.jpg", "01.png", "2.JPG", "abc.jpg", "3.bmp", f"{9**30}.jpg"]
    for name in names:
        (catalogue / "posters" / name).write_bytes(b"no image")
    config = recipe(tmp_path)
    result = predict.run(spark, config)
    assert sorted(answers(config)) == [1, 2]
    assert rejects(config) == [
        ("posters/1.jpg", "duplicate id", None),
        ("posters/3.bmp", "wrong extension", None),
        (f"posters/{9**30}.jpg", "id out of range", None),
        ("posters/abc.jpg", "name is not an id", None),
    ]
    assert result.counts["rejected/name is not an id"] == 1


def test_a_catalogue_without_movies_leaves_the_earlier_answers(spark, tmp_path, catalogue):
    config = recipe(tmp_path)
    predict.run(spark, config)
    (catalogue / "movies.csv").write_text(HEADER + "one,One,,,,,\n")
    expected = "^paths.new: .*/new: no movies in it, expected at least one"
    with pytest.raises(InvalidInputError, match=expected):
        predict.run(spark, config)
    assert sorted(answers(config)) == [1]
    assert rejects(config) == [("movies.csv", "id is not a number", "one,One,,,,,")]
    (catalogue / "movies.csv").unlink()
    pq.write_table(pa.table({"movie_id": ["x"]}), catalogue / "part.parquet")
    with pytest.raises(InvalidInputError, match=expected):
        predict.run(spark, config)
    assert sorted(answers(config)) == [1]


def test_an_answer_that_goes_with_its_movie_is_a_change(spark, tmp_path, catalogue):
    config = recipe(tmp_path)
    (catalogue / "movies.csv").write_text(HEADER + "1,One,,,,,\n2,Two,,,,,\n")
    assert not predict.run(spark, config).reused
    assert predict.run(spark, config).reused
    (catalogue / "movies.csv").write_text(HEADER + "1,One,,,,,\n")
    assert not predict.run(spark, config).reused
    assert sorted(answers(config)) == [1]


def test_a_model_that_is_not_there_is_answered_with_those_that_are(spark, tmp_path, catalogue):
    config = recipe(tmp_path)
    nope = config.model_copy(update={"model": "nope"})
    expected = "^model: nope: no such packaged model, expected one of .*/work "
    with pytest.raises(InvalidInputError, match=expected + r"\(none yet"):
        predict.run(spark, nope)
    (tmp_path / "work" / "movie_models").mkdir()
    for name in ("forest", "linear"):
        write_package(tmp_path / name, LINEAR)
        (tmp_path / name / "package").rename(tmp_path / "work" / "movie_models" / name)
    with pytest.raises(InvalidInputError, match=expected + r"\(forest, linear\), the folder of a"):
        predict.run(spark, nope)
    damaged = tmp_path / "package" / "movie_model.json"
    damaged.write_text("{")
    with pytest.raises(InvalidInputError, match=r"movie_model\.json: damaged"):
        predict.run(spark, config)
