"""Odd, long and forbidden paths: read as they are, or one sentence and exit code 2."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from genre_spark.__main__ import main
from genre_spark.config import load_config
from genre_spark.errors import InvalidInputError
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import filesystem, join, read_json, require_writable, write_json


@pytest.mark.parametrize(
    "name", ["a [2024]", "{x,y}", "who?", "all*", "a#b", "50%25", "a::b", "ü "]
)
def test_names_mean_themselves(tmp_path: Path, name: str) -> None:
    path = join(str(tmp_path / name), "a.json")
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    assert (tmp_path / name / "a.json").is_file()
    system, inner = filesystem(str(tmp_path / name))
    assert [Path(entry).name for entry in system.ls(inner, detail=False)] == ["a.json"]


def test_wildcards_of_sparks_readers_are_escaped() -> None:
    assert literal_path("/a/[b]{c}*?\\d#e") == "/a/\\[b\\]\\{c\\}\\*\\?\\\\d#e"


def recipe(folder: Path, **paths: str) -> str:
    known = {"genres_csv": "genres.csv", "posters": "p", "metadata": "m", "work": "work", **paths}
    (folder / "genres.csv").write_text("id,genre\n1,Drama\n")
    file = folder / "recipe.yaml"
    file.write_text("paths:\n" + "".join(f"  {key}: {value!r}\n" for key, value in known.items()))
    return str(file)


def stage(*arguments: str) -> int:
    return main(["group-genres", "--config", *arguments])


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, capsys) -> None:
    (tmp_path / "work").write_text("a file")
    assert stage(recipe(tmp_path)) == 2
    shown = capsys.readouterr().err.strip().splitlines()[-1]
    assert shown.startswith(f"genre-spark: group-genres: paths.work: {tmp_path}/work: File exists")
    assert stage(recipe(tmp_path, work="work/below")) == 2
    assert "Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["work", "recipe"])
def test_a_name_that_is_too_long_is_named(tmp_path: Path, capsys, setting: str) -> None:
    long = "x" * 300
    words = [long] if setting == "recipe" else [recipe(tmp_path, **{setting: long})]
    assert stage(*words) == 2
    shown = capsys.readouterr().err
    assert "File name too long" in shown
    assert "Traceback" not in shown


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    require_writable(str(tmp_path / "new"), "paths.work")
    with pytest.raises(InvalidInputError, match=r"paths\.work: /proc/x: .*expected a folder"):
        require_writable("/proc/x", "paths.work")


@pytest.mark.parametrize("place", ["work", "genres_csv"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("oci://ann:pa55word@bucket/x", "Install ocifs to access OCI Object Storage"),
        ("nothing://x", "Protocol not known: nothing"),
    ],
)
def test_a_url_that_cannot_be_opened_here_is_one_sentence(
    tmp_path: Path, capsys, place: str, url: str, said: str
) -> None:
    assert stage(recipe(tmp_path, **{place: url}), "mlflow.tracking_uri=file:/x") == 2
    shown = capsys.readouterr().err
    assert said in shown.strip().splitlines()[-1]
    assert "pa55word" not in shown
    assert "Traceback" not in shown


def test_paths_that_spark_alone_understands_are_written_for_python_or_rejected(
    tmp_path: Path, capsys
) -> None:
    posters = "dbfs:/Volumes/main/movies/movies/data/posters"
    places = {"posters": posters, "work": "dbfs:///Volumes/main/a/b", "metadata": "file:/m"}
    volume = load_config(recipe(tmp_path, **places))
    assert volume.paths.metadata == "file:///m"
    assert volume.paths.posters == "/Volumes/main/movies/movies/data/posters"
    assert volume.paths.genres == "/Volumes/main/a/b/genres"
    assert stage(recipe(tmp_path, posters="dbfs:/posters")) == 2
    found = [filesystem(path)[1] for path in ("dbfs:/Volumes/a/1.jpg", "dbfs:/b/1.jpg")]
    assert found == ["/Volumes/a/1.jpg", "/dbfs/b/1.jpg"]
    said = "paths.posters: 'dbfs:/posters', expected dbfs:/Volumes/..., or /dbfs/..."
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("name", "part"), [("who?", "?"), ("a%41", "%41")])
def test_a_work_folder_in_which_mlflow_cannot_keep_its_store_is_rejected(
    tmp_path: Path, capsys, name: str, part: str
) -> None:
    assert stage(recipe(tmp_path, work=name)) == 2
    assert f"an address of MLflow's store cannot have '{part}' in it" in capsys.readouterr().err
    assert not (tmp_path / name / "mlflow.db").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("An error occurred: java.io.IOException: No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_a_full_disk_is_one_sentence_whoever_met_it(tmp_path, capsys, monkeypatch, error) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise error
        except Exception:
            raise ValueError("the stage failed")  # noqa: B904 - the cause is found in the chain

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    assert stage(recipe(tmp_path)) == 1
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith("group-genres: no space left on the disk; free some and start it again")
    )
