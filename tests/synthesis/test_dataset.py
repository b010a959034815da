"""The synthetic data set: its layout, its flaws, and that it is there whole or not at all."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.synthesis import DatasetSpec, read_report, write_dataset
from genre_spark.synthesis.drawing.poster_art import draw_poster
from genre_spark.synthesis.flaws import POSTER_FLAWS, ROW_FLAWS, plant_flaws
from genre_spark.synthesis.genre_counts import GENRES
from genre_spark.synthesis.movies import make_movie, movie_id

MOVIES = 60
COLUMNS = {
    "movies": ["id", "name", "date", "tagline", "description", "minute", "rating"],
    "countries": ["id", "country"],
    "languages": ["id", "type", "language"],
    "studios": ["id", "studio"],
    "actors": ["id", "name"],
    "crew": ["id", "role", "name"],
    "themes": ["id", "theme"],
}


def spec_in(folder: Path, **changes) -> DatasetSpec:
    spec = DatasetSpec(
        f"{folder}/genres.csv", f"{folder}/posters", str(folder), movies=MOVIES, seed=11
    )
    return dataclasses.replace(spec, **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[DatasetSpec, Path]:
    folder = tmp_path_factory.mktemp("sample")
    spec = spec_in(folder)
    write_dataset(spec)
    return spec, folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_the_layout_is_letterboxds(made) -> None:
    _, folder = made
    lines = (folder / "genres.csv").read_bytes().split(b"\n")
    assert lines[0] == b"id,genre\r"
    assert all(line.endswith(b"\r") for line in lines[:-1])
    for table, columns in COLUMNS.items():
        raw = (folder / f"{table}.csv").read_bytes()
        assert b"\r" not in raw
        assert next(csv.reader(raw.decode().splitlines())) == columns


def test_titles_and_texts_are_there_but_not_always(made) -> None:
    _, folder = made
    with (folder / "movies.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if row["id"].isdigit() and row["rating"] is not None
        ]
    assert all(row["name"] for row in rows)
    assert 0 < sum(not row["tagline"] for row in rows) < len(rows)
    assert any(row["minute"].endswith(".0") for row in rows)


@pytest.mark.parametrize("kind", [*POSTER_FLAWS, *ROW_FLAWS])
def test_every_flaw_is_planted(made, kind) -> None:
    spec, folder = made
    index = next(index for index, flaw in plant_flaws(MOVIES, spec.seed).items() if flaw == kind)
    number = movie_id(index, spec.seed)
    poster = folder / "posters" / f"{number}.jpg"
    genres = [
        row
        for row in csv.reader((folder / "genres.csv").read_text().splitlines())
        if row[0] == str(number)
    ]
    if kind == "missing":
        assert not poster.exists()
    elif kind == "empty":
        assert poster.read_bytes() == b""
    elif kind == "not_an_image":
        assert cv2.imread(str(poster)) is None and poster.stat().st_size
    elif kind == "truncated":
        assert poster.read_bytes()[:2] == b"\xff\xd8" and poster.read_bytes()[-2:] != b"\xff\xd9"
    elif kind in ("huge", "decompression_bomb"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Image, "MAX_IMAGE_PIXELS", None)
            with Image.open(poster) as picture:
                assert picture.width * picture.height > 50_000_000
    elif kind == "cmyk":
        with Image.open(poster) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "CMYK")
    elif kind in ("png_named_jpg", "transparent"):
        pixels = cv2.imread(str(poster), cv2.IMREAD_UNCHANGED)
        assert poster.read_bytes().startswith(b"\x89PNG")
        assert kind != "transparent" or pixels.shape[2] == 4
    elif kind == "duplicate_poster":
        assert poster.exists() and poster.with_name(f"0{number}.jpg").exists()
    elif kind == "no_genres":
        assert genres == []
    elif kind == "empty_genre":
        assert genres == [[str(number), ""]]
    elif kind == "repeated_genre":
        assert max(Counter(row[1] for row in genres).values()) == 2
    else:
        movies = [row[0] for row in csv.reader((folder / "movies.csv").read_text().splitlines())]
        assert movies.count(str(number)) == 2


def test_without_flaws_every_movie_has_a_readable_poster_and_genres(tmp_path) -> None:
    report = write_dataset(spec_in(tmp_path, movies=25, flaws=False))
    assert report.posters == 25 and not report.flaws
    for file in (tmp_path / "posters").iterdir():
        assert cv2.imread(str(file)) is not None
    rows = list(csv.DictReader((tmp_path / "genres.csv").read_text().splitlines()))
    assert len({row["id"] for row in rows}) == 25
    assert {row["genre"] for row in rows} <= set(GENRES)


def test_several_processes_write_the_same_bytes_as_one(tmp_path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    write_dataset(spec_in(one, movies=210), processes=1)
    write_dataset(spec_in(many, movies=210), processes=2)
    first, second = contents(one), contents(many)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_a_movie_does_not_depend_on_how_many_there_are() -> None:
    assert make_movie(17, seed=3) == make_movie(17, seed=3)
    assert make_movie(17, seed=3) != make_movie(17, seed=4)
    movie = make_movie(17, seed=3)
    assert np.array_equal(draw_poster(movie, seed=3), draw_poster(movie, seed=3))


def test_a_second_call_writes_nothing_new_and_a_changed_spec_everything(made, tmp_path) -> None:
    spec, _ = made
    assert read_report(spec) is not None
    assert read_report(dataclasses.replace(spec, movies=MOVIES + 1)) is None
    smaller = spec_in(tmp_path, movies=30)
    write_dataset(smaller)
    write_dataset(dataclasses.replace(smaller, movies=20))
    assert read_report(smaller) is None
    assert len(list((tmp_path / "posters").glob("10*.jpg"))) <= 20


def test_a_compressed_genres_file_is_written_when_its_name_says_so(tmp_path) -> None:
    spec = spec_in(tmp_path, movies=20, genres_csv=f"{tmp_path}/genres.csv.gz")
    write_dataset(spec)
    with gzip.open(tmp_path / "genres.csv.gz", "rt", newline="") as file:
        assert file.readline() == "id,genre\r\n"


@pytest.mark.parametrize("name", ["genres.csv", "movies.csv", "posters/5.jpg"])
def test_foreign_files_are_never_overwritten(tmp_path, name) -> None:
    foreign = tmp_path / name
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_bytes(b"mine")
    with pytest.raises(InvalidInputError, match="is no sample data"):
        write_dataset(spec_in(tmp_path))
    assert contents(tmp_path) == {name: b"mine"}


def test_posters_in_an_archive_are_rejected(tmp_path) -> None:
    with pytest.raises(
        InvalidConfigError, match=r"paths.posters: .*posters.zip, expected a folder"
    ):
        write_dataset(spec_in(tmp_path, posters=f"{tmp_path}/posters.zip"))


def test_a_killed_call_leaves_no_genres_file_and_is_finished_by_the_next(tmp_path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    write_dataset(spec_in(whole, movies=230))
    program = (
        "from genre_spark.synthesis import DatasetSpec, write_dataset\n"
        f"write_dataset(DatasetSpec('{cut}/genres.csv', '{cut}/posters', '{cut}', movies=230, "
        "seed=11), processes=2)"
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", program], cwd=root)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(cut.glob("posters/1*.jpg"))) < 20:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "genres.csv").exists()
    assert read_report(spec_in(cut, movies=230)) is None
    write_dataset(spec_in(cut, movies=230))
    assert contents(cut) == contents(whole)
