"""The CSV files of the Letterboxd layout, as they really come."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from pyspark.testing import assertDataFrameEqual

from genre_spark.errors import InvalidInputError
from genre_spark.features.spark_columns import PREFIX, Preparation, prepare_columns
from genre_spark.transforms.metadata import (
    LISTS,
    metadata_files,
    read_metadata,
    read_text_csv,
)
from genre_spark.transforms.metadata_rejects import rejected_metadata

HEADER = "id,name,date,tagline,description,minute,rating\n"
COLUMNS = ("id", "name", "date", "tagline", "description", "minute", "rating")


def test_a_movie_keeps_its_texts_as_they_are_and_one_of_several_rows(spark, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(
        HEADER
        + "1,Barbie,2023,\"She's everything, he's just Ken.\",Two dolls,114,3.86\n"
        + "2,Parasite,2019.0,,A family,133.0,\n"
        + "x,No id,2001,,,90,3\n"
        + "3,Bare,,,,,\n"
        + "2,Parasite again,2018,,A family,99,5\n"
        + "4,Twice,,A family,,90,\n"
        + "4,Twice,,,A family,90.0,\n"  # equal numbers and texts: the greater text of a number
    )
    wanted = spark.createDataFrame([(1,), (2,), (3,), (4,)], "movie_id long")
    movies = read_metadata(spark, str(tmp_path), wanted).drop(*LISTS)
    expected = spark.createDataFrame(
        [
            (1, "Barbie", "2023", "114", "3.86", "She's everything, he's just Ken.", "Two dolls"),
            (2, "Parasite", "2019.0", "133.0", None, None, "A family"),
            (3, "Bare", None, None, None, None, None),
            (4, "Twice", None, "90.0", None, None, "A family"),
        ],
        "movie_id long, name string, date string, minute string, rating string, tagline string, "
        "description string",
    )
    assertDataFrameEqual(movies, expected)


@pytest.mark.parametrize(
    ("before", "after"), [("\n", "\r\n"), ("\r\n", "\n"), ("\r\n", "\r\n"), ("\r", "\r")]
)
def test_lines_may_end_in_two_ways_in_one_file(spark, tmp_path: Path, before, after) -> None:
    lines = ["id,country", *[f"{movie},UK" for movie in range(1, 41)]]
    text = before.join(lines[:20]) + before + after.join(lines[20:]) + after
    (tmp_path / "countries.csv").write_text(text, newline="")
    films = [HEADER.strip(), *[f'{i},A,2001,,"{i}{before}b",9{i % 10},"3"' for i in range(1, 41)]]
    text = before.join(films[:20]) + before + after.join(films[20:]) + after
    (tmp_path / "movies.csv").write_text(text, newline="")
    wanted = spark.range(1, 41).withColumnRenamed("id", "movie_id")
    rows = read_metadata(spark, str(tmp_path), wanted).orderBy("movie_id").collect()
    assert [row["countries"] for row in rows] == [["UK"]] * 40
    assert [row["minute"] for row in rows] == [f"9{i % 10}" for i in range(1, 41)]
    assert [row["rating"].strip() for row in rows] == ["3"] * 40
    assert rejected_metadata(spark, str(tmp_path)).collect() == []


def test_ids_with_decimals_of_zero_are_ids(spark, tmp_path: Path) -> None:
    ids = [
        "7.0",
        " 8 ",
        "9.",
        "+10",
        "11.5",
        "12a",
        "1e1",
        "9223372036854775807",
        "9" * 19,
        "9" * 30,
    ]
    (tmp_path / "countries.csv").write_text(
        "id,country\n" + "".join(f"{movie},UK\n" for movie in ids)
    )
    movies = [(movie,) for movie in (7, 8, 9, 10, 2**63 - 1)]
    wanted = spark.createDataFrame(movies, "movie_id long")
    rows = read_metadata(spark, str(tmp_path), wanted).collect()
    assert all(row["countries"] == ["UK"] for row in rows)
    found = rejected_metadata(spark, str(tmp_path)).collect()
    assert sorted(row["content"] for row in found) == sorted(
        [f"{movie},UK" for movie in ids if movie in ("11.5", "12a", "1e1", "9" * 19, "9" * 30)]
    )


def test_categories_lose_the_blanks_around_them(spark, tmp_path: Path) -> None:
    names = ["UK", "UK\t", "\u00a0UK", '"UK "', "UK\u3000", "\tUK\u200b"]
    (tmp_path / "countries.csv").write_text("id,country\n" + "".join(f"1,{n}\n" for n in names))
    wanted = spark.createDataFrame([(1,)], "movie_id long")
    assert read_metadata(spark, str(tmp_path), wanted).first()["countries"] == ["UK"]


def test_a_row_that_is_not_whole_spoils_no_other(spark, tmp_path: Path) -> None:
    (tmp_path / "studios.csv").write_text('id,studio\n1,"A24\n2,Ghibli\n3,"B"\n')
    wanted = spark.range(1, 4).withColumnRenamed("id", "movie_id")
    rows = read_metadata(spark, str(tmp_path), wanted).orderBy("movie_id").collect()
    assert [row["studios"] for row in rows][1:] == [["Ghibli"], ["B"]]


def test_a_number_that_is_infinite_or_none_is_rejected_and_missing(spark, tmp_path: Path) -> None:
    numbers = ["inf", "1e400", "NaN", "-Infinity", "1_0", "90"]
    (tmp_path / "movies.csv").write_text(
        HEADER + "".join(f"{i},A,2001,,,{number},3\n" for i, number in enumerate(numbers))
    )
    found = rejected_metadata(spark, str(tmp_path)).collect()
    assert sorted(row["content"] for row in found) == sorted(
        f"{i},A,2001,,,{number},3" for i, number in enumerate(numbers[:-1])
    )
    assert {row["reason"] for row in found} == {"minute is not a number"}


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
    (tmp_path / "twice.csv").write_text("id,country,Country\n1,UK,UK\n")
    with pytest.raises(InvalidInputError, match="the column country stands more than once"):
        read_text_csv(spark, str(tmp_path / "twice.csv"), ("id", "country"))
    with pytest.raises(
        InvalidInputError,
        match=r"no column studio, expected the columns id, studio; the header has country",
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
    assert rows[1]["tagline"] == "Boo!"
    assert (rows[3]["date"], rows[3]["countries"], rows[3]["themes"], rows[3]["tagline"]) == (
        None,
        [],
        [],
        None,
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
    movies, countries = "movies.csv", "countries.csv.gz"
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


def test_numbers_csv_gives_number_features_where_it_is_there(spark, tmp_path) -> None:
    (tmp_path / "movies.csv").write_text(",".join(COLUMNS) + "\n1,One,2001,,,100,3\n2,Two,,,,,\n")
    movies = spark.createDataFrame([(1,), (2,)], "movie_id long")
    assert "budget" not in read_metadata(spark, str(tmp_path), movies).columns
    (tmp_path / "numbers.csv").write_text(
        "id,budget,revenue,votes,popularity\n1,1000,,7,2.5\n1,9,,8,3\n9,5,5,5,5\n"
    )
    known = read_metadata(spark, str(tmp_path), movies)  # of two rows, that of the greater budget
    fields = ("movie_id", "budget", "revenue", "votes", "popularity")
    assert sorted(known.select(*fields).collect()) == [
        (1, "1000", None, "7", "2.5"),
        (2, None, None, None, None),
    ]
    prepared = prepare_columns(known, Preparation(fields=("year", "budget", "votes")))
    found = {row["movie_id"]: row for row in prepared.collect()}
    assert [found[1][f"{PREFIX}{name}"] for name in ("year", "budget", "votes")] == [2001, 1000, 7]
