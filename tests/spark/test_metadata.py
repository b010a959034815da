"""The CSV files of the Letterboxd layout, as they really come."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from pyspark.testing import assertDataFrameEqual

from genre_spark.errors import InvalidInputError
from genre_spark.transforms.metadata import (
    describe_movies,
    metadata_files,
    read_metadata,
    read_text_csv,
)
from genre_spark.transforms.metadata_rejects import rejected_metadata

HEADER = "id,name,date,tagline,description,minute,rating\n"
COLUMNS = ("id", "date", "tagline", "description", "minute", "rating")


def test_numbers_are_read_however_they_are_written_and_unknown_ones_are_null(
    spark, tmp_path: Path
) -> None:
    (tmp_path / "movies.csv").write_text(
        HEADER
        + "1,Barbie,2023,\"She's everything, he's just Ken.\",Two dolls,114,3.86\n"
        + "2,Parasite,2019.0,,A family,133.0,\n"
        + "x,No id,2001,,,90,3\n"
        + "3,Bare,,,,,\n"
    )
    movies = describe_movies(read_text_csv(spark, str(tmp_path / "movies.csv"), COLUMNS))
    expected = spark.createDataFrame(
        [
            (1, 2023.0, 114.0, 3.86, "She's everything, he's just Ken. Two dolls"),
            (2, 2019.0, 133.0, None, "A family"),
            (3, None, None, None, ""),
        ],
        "movie_id long, year double, minute double, rating double, text string",
    )
    assertDataFrameEqual(movies, expected)


def test_a_description_may_span_lines_and_hold_quotes(spark, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(
        HEADER + '1,A,2020,,"He said ""run"",\nand ran",90,3\n2,B,2021,,x,91,3\n'
    )
    rows = read_text_csv(spark, str(tmp_path / "movies.csv"), COLUMNS).collect()
    assert [row["description"] for row in rows] == ['He said "run",\nand ran', "x"]


def test_columns_are_found_by_name_in_any_order_and_a_missing_one_is_named(
    spark, tmp_path: Path
) -> None:
    path = tmp_path / "countries.csv"
    path.write_text("country,extra,id\nUK,1,7\n")
    assert read_text_csv(spark, str(path), ("id", "country")).collect() == [("7", "UK")]
    with pytest.raises(
        InvalidInputError, match=r"no column studio, expected id, studio; found country, extra, id"
    ):
        read_text_csv(spark, str(path), ("id", "studio"))


def test_everything_known_of_a_movie_is_one_row_whatever_files_are_there(
    spark, tmp_path: Path
) -> None:
    with gzip.open(tmp_path / "movies.csv.gz", "wt") as file:
        file.write(HEADER + "1,A,2020,Boo!,,90,3\n9,Not wanted,2020,,,90,3\n")
    (tmp_path / "countries.csv").write_text("id,country\n1,USA\n1,UK\n1,UK\n2,France\nno-id,Chad\n")
    (tmp_path / "crew.csv").write_text("id,role,name\n2,Director,Ann\n")
    (tmp_path / "actors.csv").write_text("id,name\n2,Bob\n")
    wanted = spark.createDataFrame([(1,), (2,), (3,)], "movie_id long")
    rows = {row["movie_id"]: row for row in read_metadata(spark, str(tmp_path), wanted).collect()}
    assert sorted(rows) == [1, 2, 3]
    assert rows[1]["countries"] == ["UK", "USA"]
    assert rows[2]["people"] == ["actor Bob", "director Ann"]
    assert rows[1]["text"] == "Boo!"
    assert (rows[3]["year"], rows[3]["countries"], rows[3]["themes"], rows[3]["text"]) == (
        None,
        [],
        [],
        "",
    )


def test_a_folder_without_any_of_the_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"has none of movies\.csv, countries\.csv"):
        metadata_files(str(tmp_path))


def test_what_cannot_be_used_is_told_with_its_file_and_reason(spark, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(
        HEADER
        + '1,A,2020,,"two, ""quoted""\nlines",90,3\n'
        + "1,A,2020,,again,91,3\n"
        + "1,A,2020,,and again,92,3\n"
        + "x,No id,2001,,,90,3\n"
        + "2,Cut off\n"
        + "3,Unreadable,soon,,,an hour,3.5\n"
        + "4,Blank,, ,, ,\n"
        + "5,Too,2001,,,90,3,many\n"
    )
    with gzip.open(tmp_path / "countries.csv.gz", "wt") as file:
        file.write("id,country\n1,USA\n,Chad\n2\n")
    found = rejected_metadata(spark, str(tmp_path)).collect()
    movies, countries = str(tmp_path / "movies.csv"), str(tmp_path / "countries.csv.gz")
    assert sorted(map(tuple, found)) == sorted(
        [
            (movies, "repeated id", "movie 1: 3 rows"),
            (movies, "repeated id", "movie 1: 3 rows"),
            (movies, "id is not a number", "x,No id,2001,,,90,3"),
            (movies, "malformed row", "2,Cut off"),
            (movies, "malformed row", "5,Too,2001,,,90,3,many"),
            (movies, "year is not a number", "3,Unreadable,soon,,,an hour,3.5"),
            (movies, "minute is not a number", "3,Unreadable,soon,,,an hour,3.5"),
            (countries, "id is not a number", ",Chad"),
            (countries, "malformed row", "2"),
        ]
    )
