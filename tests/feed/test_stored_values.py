from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.vision.feed.page_headers import read_page_header
from genre_spark.vision.feed.poster_feed import PosterFeed
from genre_spark.vision.feed.stored_values import OpenFiles, StoredValues, find_values
from tests.feed.tables import write_samples

IMAGES = [b"one", b"", b"three" * 400, b"four", b"5", b"six" * 3000, b"seven"]


def write(path: Path, images: list[bytes | None] = IMAGES, **options) -> str:
    nullable = options.pop("nullable", True)
    schema = pa.schema([pa.field("movie_id", pa.int64()), pa.field("image", pa.binary(), nullable)])
    table = pa.table([pa.array(range(len(images))), pa.array(images, pa.binary())], schema=schema)
    settings = {"compression": "none", "use_dictionary": False, "row_group_size": 5}
    pq.write_table(table, path, **{**settings, **options})
    return str(path)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def find(path: str, number: int = 0) -> StoredValues | None:
    return find_values(OpenFiles(), path, pq.read_metadata(path), number, "image")


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize(
    "pages", [{}, {"data_page_size": 1, "write_batch_size": 1}, {"write_statistics": False}]
)
def test_values_of_all_pages_and_row_groups_are_found_where_they_lie(tmp_path, nullable, pages):
    path = write(tmp_path / "a.parquet", nullable=nullable, **pages)
    for number, expected in ((0, IMAGES[:5]), (1, IMAGES[5:])):
        values = find(path, number)
        assert values is not None
        assert [bytes(values.read(row)) for row in range(len(expected))] == expected
        assert [values.size(row) for row in range(len(expected))] == list(map(len, expected))


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "snappy"},
        {"use_dictionary": True},
        {"data_page_version": "2.0"},
        {"images": [b"one", None, b"three"]},
        {"images": [b"one", b"two", None]},
        {"images": [None, None]},
    ],
    ids=["compressed", "dictionary", "version 2", "null", "null at the end", "nulls"],
)
def test_pyarrow_reads_what_is_not_stored_plainly(tmp_path, options):
    assert find(write(tmp_path / "a.parquet", **options)) is None


def test_bytes_that_are_no_page_header_are_left_to_pyarrow(tmp_path):
    path = write(tmp_path / "a.parquet")
    metadata = pq.read_metadata(path)
    start = metadata.row_group(0).column(1).data_page_offset
    content = bytearray(Path(path).read_bytes())
    for damage in (b"\x00" * 12, b"\xff" * 12, b"\x1b" * 12):
        content[start : start + 12] = damage
        Path(path).write_bytes(content)
        assert find_values(OpenFiles(), path, metadata, 0, "image") is None
    for cut in range(12):
        with pytest.raises(ValueError, match="not a page header"):
            read_page_header(b"\x15\x00\x15\xd4\x01\x15\xd4\x01\x2c\x15\x0a\x15"[:cut])


def test_a_file_that_has_been_cut_off_is_no_image(tmp_path):
    path = write(tmp_path / "a.parquet", write_statistics=False)
    values = find(path)
    assert values is not None
    os.truncate(path, Path(path).read_bytes().index(IMAGES[2]) + 10)
    assert bytes(values.read(0)) == IMAGES[0]
    with pytest.raises(OSError, match="the file ends within the image"):
        values.read(2)


def test_files_are_closed_when_nobody_has_their_values(tmp_path):
    path = write(tmp_path / "a.parquet")
    files, metadata = OpenFiles(), pq.read_metadata(path)
    before = open_files()
    one, other = (find_values(files, path, metadata, number, "image") for number in (0, 1))
    assert open_files() == before + 1
    del one, other
    assert open_files() == before


def test_pyarrow_reads_the_files_beyond_those_that_may_be_open(tmp_path, monkeypatch):
    monkeypatch.setattr("genre_spark.vision.feed.stored_values._MOST_OPEN", 1)
    paths = [write(tmp_path / f"{name}.parquet") for name in "ab"]
    files = OpenFiles()
    found = [find_values(files, path, pq.read_metadata(path), 0, "image") for path in paths]
    assert [values is not None for values in found] == [True, False]


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
@pytest.mark.parametrize("reading", ["petastorm", "parquet"])
def test_batches_are_the_same_as_of_a_compressed_table(tmp_path, encoding, reading):
    if reading == "petastorm":
        pytest.importorskip("petastorm")
    groups = [[7, 5], [9], [4, 4, 4]]
    held = write_samples(tmp_path / "held", groups, encoding=encoding, height=24, width=16)
    plain = []
    for file in held:
        plain.append(str(tmp_path / Path(file).name))
        source = pq.ParquetFile(file)
        with pq.ParquetWriter(
            plain[-1], source.schema_arrow, compression="none", use_dictionary=["encoding"]
        ) as writer:
            for number in range(source.num_row_groups):
                writer.write_table(source.read_row_group(number))
    assert find(held[0]) is None
    assert find(plain[0]) is not None

    def batches(files: list[str]) -> list:
        with PosterFeed(files, batch_size=8, seed=3, reading=reading) as feed:
            return list(feed.epoch(0))

    for batch, same in zip(batches(held), batches(plain), strict=True):
        assert batch.movie_ids.tolist() == same.movie_ids.tolist()
        assert np.array_equal(batch.images.numpy(), same.images.numpy())
        assert np.array_equal(batch.labels.numpy(), same.labels.numpy())


def test_an_image_that_cannot_be_read_any_more_names_file_and_movie(tmp_path, monkeypatch):
    files = write_samples(tmp_path, [[3]])
    table = pq.read_table(files[0])
    pq.write_table(table, files[0], compression="none", use_dictionary=["encoding"])

    def broken(*_: object) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr(StoredValues, "read_into", broken)
    with (
        PosterFeed(files, batch_size=3, reading="parquet") as feed,
        pytest.raises(InvalidInputError, match=r"part-0\.parquet: movie \d: Input/output error"),
    ):
        list(feed.epoch(0))
