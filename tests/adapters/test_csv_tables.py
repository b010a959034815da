"""CSV files made tables by ranges of bytes: the same rows and rejects as Spark's reader gives."""

from __future__ import annotations

import gzip
import itertools
import random
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from genre_spark.adapters.csv_tables.conversion import Converted, commit_source, convert_sources
from genre_spark.adapters.csv_tables.sources import open_source
from genre_spark.adapters.csv_tables.spark_rows import read_whole_file, rejected_rows, typed_rows
from genre_spark.schemas import REASON, typed_schema
from genre_spark.storage.tables import Table

MOVIES = "id,name,date,tagline,description,minute,rating"


def convert(spark: SparkSession, path: Path, *, parts: int) -> tuple[Converted, DataFrame]:
    """Convert a file in so many parts; return what was done, and the table."""
    source = open_source(path.name.split(".")[0], str(path))
    place = str(path.parent / "table" / source.name)
    [converted] = convert_sources(
        spark,
        [source],
        tables={source.name: place},
        rejects=str(path.parent / "rejects"),
        block=max(1, source.size // parts),
    )
    commit_source(converted, place)
    return converted, Table(place, typed_schema(source.columns), "import-metadata").read(spark)


def plain(row: Row) -> tuple:
    """Return a row's values; Spark's reader leaves the end of a CRLF line in a row cut short."""
    return tuple(value.rstrip("\r") if isinstance(value, str) else value for value in row)


def check_against_spark(spark: SparkSession, path: Path, *, parts: int = 3) -> Converted:
    """Compare a converted file with what Spark's reader makes of it: rows, types and flaws."""
    converted, table = convert(spark, path, parts=parts)
    expected = read_whole_file(spark, converted.source)
    wanted = typed_rows(expected, converted.source)
    assert table.schema == wanted.schema
    assert Counter(map(plain, table.collect())) == Counter(map(plain, wanted.collect()))
    assert converted.rows == table.count()
    flaws = rejected_rows(expected, converted.source).groupBy(REASON).count().collect()
    assert dict(converted.reasons) == {row[REASON]: row["count"] for row in flaws}
    return converted


def test_every_short_line_of_quotes_blanks_and_delimiters_is_read_as_spark_reads_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    texts = ["".join(letters) for n in range(5) for letters in itertools.product('a, "', repeat=n)]
    lines = [f"{number},{text}" for number, text in enumerate(texts)]
    (tmp_path / "countries.csv").write_text("\n".join(["id,country", *lines]))
    found = check_against_spark(spark, tmp_path / "countries.csv")
    assert found.in_ranges
    assert found.reasons["malformed row"] > 50
    lines = [f"{text},{number}\r\n" for number, text in enumerate(texts)]
    (tmp_path / "studios.csv").write_text("studio,id\r\n" + "".join(lines), newline="")
    assert check_against_spark(spark, tmp_path / "studios.csv").in_ranges


def movies(draw: random.Random, line_end: str) -> bytes:
    """Return a file of movies with quoted line breaks, and with rows that are not whole."""
    pieces = ["word ", '""', ",", "\n", "\r\n", "\r", "ü", "1", " "]
    rows = [MOVIES]
    for movie in range(60):
        text = "".join(draw.choices(pieces, k=draw.randrange(9)))
        plain = draw.choice(["", "x", " x ", "1\r2"])
        number = draw.choice(["90", "90.0", "", " ", "an hour", "1e400", '"91"'])
        row = f'{movie},{plain},{draw.choice(["2001", "soon", ""])},"{text}",{plain},{number},3.5'
        flawed = [row + ",more", f"{movie},cut off", "  ", f"x{row}"]
        flawed += [""] if line_end == "\n" else []  # Spark rejects a blank line that ends in CRLF
        rows.append(draw.choice([row] * 12 + flawed))
    return (line_end.join(rows) + draw.choice(["", line_end])).encode()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_movies_whose_fields_span_lines_are_cut_at_rows_and_read_as_spark_reads_them(
    spark: SparkSession, tmp_path: Path, line_end: str, mark: bytes
) -> None:
    path = tmp_path / "movies.csv"
    path.write_bytes(mark + movies(random.Random(len(mark)), line_end))
    found = check_against_spark(spark, path, parts=4)
    assert found.in_ranges
    assert found.reasons["malformed row"] > 0
    assert found.reasons["minute is not a number"] > 0


def test_files_that_cannot_be_cut_are_read_whole(spark: SparkSession, tmp_path: Path) -> None:
    rows = f'{MOVIES}\n1,A,2001,,"two\nlines",90,3\n2,5" disk,2002,,,91,3\n'
    path = tmp_path / "movies.csv"
    path.write_text(rows)
    stray = check_against_spark(spark, path)
    assert (stray.in_ranges, stray.rows) == (False, 2)
    for content in (rows.encode("utf-16"), rows.replace("5", "é").encode("latin-1")):
        path.write_bytes(content)
        assert open_source("movies", str(path)).body == -1
    path = tmp_path / "movies.csv.gz"
    path.write_bytes(gzip.compress(rows.encode()))
    assert open_source("movies", str(path)).body == -1


def test_a_file_of_a_header_alone_is_an_empty_table(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "themes.csv").write_text("id,theme\n")
    converted, table = convert(spark, tmp_path / "themes.csv", parts=1)
    assert (converted.rows, table.count()) == (0, 0)


def test_real_files_are_read_as_spark_reads_them(
    spark: SparkSession, tmp_path: Path, real_data: Path
) -> None:
    for name in ("movies", "themes"):
        content = gzip.decompress((real_data / "letterboxd" / f"{name}.csv.gz").read_bytes())
        (tmp_path / f"{name}.csv").write_bytes(content)
        converted, table = convert(spark, tmp_path / f"{name}.csv", parts=5)
        assert converted.in_ranges
        wanted = typed_rows(read_whole_file(spark, converted.source), converted.source)
        sums = [
            rows.agg(F.count("*"), F.sum(F.xxhash64(*rows.columns).cast("decimal(38)"))).first()
            for rows in (table, wanted)
        ]
        assert sums[0] == sums[1]
