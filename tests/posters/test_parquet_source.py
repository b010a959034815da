"""Posters in Parquet files: which tables are understood, and what becomes of each row."""

from __future__ import annotations

import io

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.posters.listing import list_posters, require_posters
from genre_spark.posters.parquet_source import poster_columns
from genre_spark.posters.reading import read_posters
from genre_spark.posters.rejects import ReadFailure
from genre_spark.storage.files import copy_folder
from tests.posters.pictures import jpeg
from tests.posters.test_prepare_posters import prepare, rejects, rows, write_posters

POSTERS = [jpeg(seed=number) for number in range(5)]


def contents(source, max_bytes=10**7) -> dict[str, object]:
    listed = list_posters(str(source)).posters.to_pylist()
    read = read_posters(str(source), listed, max_bytes=max_bytes)
    return {row["source"]: content for row, content in zip(listed, read, strict=True)}


@pytest.mark.parametrize(
    "columns",
    [
        {"movie_id": [1, 2, 3, 4, 5], "image": POSTERS},
        {"id": pa.array(["1", "2", "0003", "4", "5"]), "bytes": POSTERS},
        {"path": [f"dbfs:/posters/{n}.jpg" for n in range(1, 6)], "content": POSTERS},
        {"movie_id": range(1, 6), "image": [{"bytes": b, "path": None} for b in POSTERS]},
    ],
    ids=["ours", "texts", "binaryFile", "Hugging Face"],
)
def test_tables_as_people_have_them_are_read_alone_and_in_folders(tmp_path, columns):
    table = pa.table({name: list(values) for name, values in columns.items()})
    pq.write_table(table, tmp_path / "posters.parquet", row_group_size=2)
    listed = list_posters(str(tmp_path / "posters.parquet")).posters
    assert listed["movie_id"].to_pylist() == [1, 2, 3, 4, 5]
    assert list(contents(tmp_path / "posters.parquet").values()) == POSTERS
    folder = tmp_path / "folder"
    (folder / "decade=1990").mkdir(parents=True)
    pq.write_table(table.slice(0, 3), folder / "part-0.parquet")
    pq.write_table(table.slice(3), folder / "decade=1990" / "part-1.parquet")
    for name in ("_SUCCESS", ".part-0.parquet.crc"):
        (folder / name).write_text("")
    (folder / "9.jpg").write_bytes(POSTERS[0])
    assert list_posters(str(folder)).rejects == []
    assert contents(folder) == {
        **{f"part-0.parquet/{row}": POSTERS[row] for row in range(3)},
        **{f"decade=1990/part-1.parquet/{row}": POSTERS[3 + row] for row in range(2)},
        "9.jpg": POSTERS[0],
    }


def test_rows_are_read_in_any_order_and_again(tmp_path):
    table = pa.table({"movie_id": range(5), "image": POSTERS})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=2)
    listed = list_posters(str(tmp_path / "p.parquet")).posters.to_pylist()
    order = [4, 0, 0, 3, 1, 2]
    read = read_posters(str(tmp_path / "p.parquet"), [listed[n] for n in order], max_bytes=10**7)
    assert list(read) == [POSTERS[n] for n in order]


def test_addresses_are_read_relative_to_the_table_and_on_other_file_systems(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.jpg").write_bytes(POSTERS[0])
    (tmp_path / "b.jpg").write_bytes(POSTERS[1])
    with fsspec.open("memory://parquet_source/c.jpg", "wb") as file:
        file.write(POSTERS[2])
    uris = [
        "files/a.jpg",
        str(tmp_path / "b.jpg"),
        "memory://parquet_source/c.jpg",
        "files/none.jpg",
        "https://example.org/d.jpg",
        "odd://e.jpg",
        None,
    ]
    table = pa.table({"movie_id": range(7), "uri": uris})
    pq.write_table(table, tmp_path / "p.parquet")
    for source in (tmp_path / "p.parquet", tmp_path):
        listed = [r for r in list_posters(str(source)).posters.to_pylist() if r["method"] == 4]
        *found, missing, web, odd, empty = read_posters(str(source), listed, max_bytes=10**6)
        assert found == POSTERS[:3]
        assert empty == b""
        assert "FileNotFoundError" in missing.detail
        assert "download-posters" in web.detail
        assert "odd" in odd.detail
        assert {missing.reason, web.reason, odd.reason} == {"unreadable"}


def test_what_is_no_poster_is_rejected_with_its_reason(tmp_path):
    ids = pa.array(["1", None, "tt7", "-5", "5"])
    pq.write_table(pa.table({"id": ids, "image": POSTERS}), tmp_path / "p.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "p.parquet").read_bytes()[:-20])
    listing = list_posters(str(tmp_path))
    assert listing.posters["movie_id"].to_pylist() == [1, 5]
    assert sorted((name, reason) for name, reason, _ in listing.rejects) == [
        ("cut.parquet", "not a whole Parquet file"),
        ("p.parquet/1", "no id"),
        ("p.parquet/2", "name is not an id"),
        ("p.parquet/3", "name is not an id"),
    ]
    too_long = contents(tmp_path, max_bytes=10)["p.parquet/0"]
    assert isinstance(too_long, ReadFailure) and too_long.reason == "too many bytes"


def test_a_damaged_row_group_loses_its_own_posters_alone(tmp_path):
    table = pa.table({"movie_id": range(5), "image": POSTERS})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=2, compression="snappy")
    content = bytearray((tmp_path / "p.parquet").read_bytes())
    column = pq.read_metadata(tmp_path / "p.parquet").row_group(1).column(1)
    start = column.data_page_offset
    content[start : start + 12] = b"\xff" * 12
    (tmp_path / "p.parquet").write_bytes(content)
    found = list(contents(tmp_path / "p.parquet").values())
    assert [found[0], found[1], found[4]] == [POSTERS[0], POSTERS[1], POSTERS[4]]
    assert {failure.reason for failure in found[2:4]} == {"damaged archive member"}


@pytest.mark.parametrize(
    ("columns", "hint"),
    [
        ({"movie_id": [1], "genre": ["Drama"]}, "columns movie_id, genre; expected movie_id"),
        ({"image": [b"x"]}, "columns image; expected movie_id"),
        ({"movie_id": [1.5], "image": [b"x"]}, "expected movie_id .* whole numbers"),
    ],
)
def test_a_table_without_posters_is_rejected_with_what_was_expected(tmp_path, columns, hint):
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    for source in (tmp_path / "p.parquet", tmp_path):
        with pytest.raises(InvalidInputError, match=hint):
            require_posters(str(source))


def test_iceberg_tables_are_rejected_since_their_folders_hold_old_rows(tmp_path):
    pq.write_table(pa.table({"movie_id": [1], "image": [b"x"]}), tmp_path / "p.parquet")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "version-hint.text").write_text("1")
    with pytest.raises(InvalidInputError, match=r"Iceberg.*format\('iceberg'\).*write\.parquet"):
        require_posters(str(tmp_path))


def test_iceberg_tables_below_the_folder_are_rejected_too(spark, tmp_path):
    (tmp_path / "posters" / "metadata").mkdir(parents=True)
    write_posters(tmp_path, range(1, 3))
    (tmp_path / "posters" / "metadata" / "version-hint.text").write_text("1")
    copy_folder(str(tmp_path), "memory://iceberg_below")
    for source in (str(tmp_path), "memory://iceberg_below"):
        with pytest.raises(InvalidInputError, match=f"paths.posters: {source}/posters: .*Iceberg"):
            list_posters(source)
    for parts in (1, 2):
        with pytest.raises(InvalidInputError, match=f"{tmp_path}/posters: a table of Iceberg"):
            prepare(spark, tmp_path, tmp_path / "_work", parts=parts)


def test_a_file_that_is_no_parquet_is_one_sentence(tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidInputError, match="not a whole Parquet file"):
        require_posters(str(tmp_path / "p.parquet"))


def test_columns_of_bytes_come_before_addresses():
    schema = pa.schema({"id": pa.int32(), "url": pa.string(), "image": pa.large_binary()})
    found = poster_columns(schema, "p")
    assert (found.ids, found.image, found.addresses, found.nested) == ("id", "image", "url", False)


def test_a_table_gives_the_same_posters_as_its_folder_and_is_read_again_only_when_it_changes(
    spark, tmp_path
):
    folder = write_posters(tmp_path / "posters", range(1, 31))
    (folder / "31.jpg").write_bytes(b"no picture")
    frame = spark.read.format("binaryFile").load(str(folder))
    source = tmp_path / "table_of_posters"
    frame.repartition(3).write.parquet(str(source))
    by_files, by_rows = tmp_path / "files", tmp_path / "rows"
    prepare(spark, folder, by_files)
    prepared = prepare(spark, source, by_rows)
    columns = [name for name in rows(by_files).column_names if name != "source"]
    assert rows(by_files).select(columns).equals(rows(by_rows).select(columns))
    assert list(rejects(spark, by_rows).values()) == ["not an image"]
    assert prepared.manifest.details["misnamed"] == 0
    assert prepare(spark, source, by_rows).unchanged
    buffer = io.BytesIO(jpeg(44, 60, seed=99))
    more = pa.table({"path": ["x/99.jpg"], "content": [buffer.getvalue()]})
    pq.write_table(more, source / "more.parquet")
    again = prepare(spark, source, by_rows)
    assert (again.decoded, again.manifest.rows) == (1, 31)
