"""Delta tables of posters: the newest version's rows, and sentences where files say other ones."""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from genre_spark.config.posters import PostersConfig
from genre_spark.errors import InvalidInputError, MissingExtraError
from genre_spark.posters import delta, folders
from genre_spark.posters.archives import FOLDER, SHARD, Entry
from genre_spark.posters.listing import list_posters, require_posters
from genre_spark.posters.parquet_source import list_rows
from genre_spark.posters.parts.listing_tasks import list_in_tasks
from genre_spark.posters.reading import read_posters
from genre_spark.posters.table import prepare_posters
from genre_spark.storage.files import filesystem
from tests.posters.pictures import jpeg

deltalake = pytest.importorskip("deltalake", reason="deltalake is not installed")


def write(table: Path, ids: list[int], **settings: object) -> None:
    columns = {"movie_id": ids, "image": [bytes([number]) * 9 for number in ids]}
    columns["kind"] = ["a/b" if number % 2 else "sci fi" for number in ids]
    deltalake.write_deltalake(str(table), pa.table(columns), **settings)


def rows(source: Path) -> dict[int, bytes]:
    listing = list_posters(str(source))
    assert not listing.rejects
    listed = listing.posters.to_pylist()
    contents = read_posters(str(source), listed, max_bytes=1000)
    return dict(zip([row["movie_id"] for row in listed], contents, strict=True))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with partitions, an older version's files, and rows 1, 3 and 4."""
    write(tmp_path / "table", [1, 2, 3], partition_by=["kind"])
    write(tmp_path / "table", [4], mode="append")
    deltalake.DeltaTable(str(tmp_path / "table")).delete("movie_id = 2")
    return tmp_path / "table"


def add_commit(table: Path, *actions: dict[str, object]) -> None:
    number = len(list((table / "_delta_log").glob("*.json")))
    file = table / "_delta_log" / f"{number:020}.json"
    file.write_text("\n".join(map(json.dumps, actions)) + "\n")


def test_the_newest_version_is_listed_and_read(table: Path) -> None:
    assert rows(table) == {number: bytes([number]) * 9 for number in (1, 3, 4)}
    write(table, [5], mode="overwrite")
    assert rows(table) == {5: bytes([5]) * 9}


def test_tasks_list_the_same(spark, table: Path, tmp_path: Path) -> None:
    listed = list_in_tasks(spark, str(table), str(tmp_path / "listing")).collect()
    assert sorted(row["movie_id"] for row in listed) == [1, 3, 4]


def test_a_table_below_the_folder_is_listed_in_its_newest_version(
    spark, table: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "more").mkdir(parents=True)
    table.rename(source / "more" / "table")
    (source / "9.jpg").write_bytes(b"nine")
    assert rows(source) == {9: b"nine", **{number: bytes([number]) * 9 for number in (1, 3, 4)}}
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "table").symlink_to(source / "more" / "table")
    linked = list_posters(str(tmp_path / "link"), follow_links=True)
    assert sorted(linked.posters["movie_id"].to_pylist()) == [1, 3, 4]
    listed = list_in_tasks(spark, str(source), str(tmp_path / "listing")).collect()
    assert {row["source"] for row in listed} == set(sources(source))
    write(source / "more" / "table", [5], mode="overwrite")
    assert set(rows(source)) == {5, 9}


def sources(source: Path) -> list[str]:
    return list_posters(str(source)).posters["source"].to_pylist()


@pytest.mark.parametrize("deep", [True, False])
def test_a_table_below_a_remote_folder_costs_no_request_of_its_own(deep: bool, monkeypatch) -> None:
    system, root = filesystem(f"memory://a_table_below/{deep}")
    for name in ("7.jpg", "sub/8.jpg", "sub/table/_delta_log/0.json", "sub/table/old.parquet"):
        system.pipe(f"{root}/{name}", b"content")
    asked = Counter[str]()
    for name in ("ls", "exists", "info"):
        counted = functools.partial(_count, getattr(type(system), name), name, asked)
        monkeypatch.setattr(type(system), name, lambda *a, ask=counted, **k: ask(*a, **k))
    tables = []
    monkeypatch.setattr(
        folders,
        "list_delta",
        lambda table: tables.append(table) or [Entry("new.parquet", 1, 1, method=SHARD)],
    )
    source, found, left = f"memory://a_table_below/{deep}", [], [""]
    while left:
        for entry in folders.list_folder(source, left.pop(), deep=deep):
            (left if entry.method == FOLDER else found).append(entry.name)
    assert sorted(found) == ["7.jpg", "sub/8.jpg", "sub/table/new.parquet"]
    assert tables == [f"{source}/sub/table"]
    assert asked["ls"] == 3
    assert asked["exists"] <= 1


def _count(method, name: str, asked: Counter[str], *arguments, **settings):
    asked[name] += 1
    return method(*arguments, **settings)


def test_a_percent_sign_in_the_path_is_refused_since_another_folder_would_be_read(
    table: Path, tmp_path: Path
) -> None:
    write(tmp_path / "plain", [9])
    (tmp_path / "plain").rename(tmp_path / "a b")
    table = table.rename(tmp_path / "a%20b")
    (tmp_path / "link").symlink_to(table)
    for source in (table, tmp_path / "link", tmp_path):
        with pytest.raises(InvalidInputError, match=r"a%20b, of .*expected a path without %"):
            list_posters(str(source))
    assert set(rows(tmp_path / "a b")) == {9}


def test_a_percent_sign_in_a_partition_is_no_matter(tmp_path: Path) -> None:
    columns = {"movie_id": [1, 2], "image": [b"one", b"two"], "kind": ["50%25 c#d", "a b"]}
    deltalake.write_deltalake(str(tmp_path / "table"), pa.table(columns), partition_by=["kind"])
    assert rows(tmp_path / "table") == {1: b"one", 2: b"two"}


def test_a_table_whose_path_is_no_text_is_one_sentence(table: Path, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    table.rename(tmp_path / "source" / os.fsdecode(b"\xff"))
    with pytest.raises(InvalidInputError, match="a Delta table that cannot be read"):
        list_posters(str(tmp_path / "source"))


def test_a_posters_table_follows_the_versions(spark, tmp_path: Path) -> None:
    source, config = tmp_path / "source", PostersConfig(height=30, width=20)
    places = {"table": str(tmp_path / "posters"), "rejects_table": str(tmp_path / "rejects")}
    columns = {"movie_id": range(40), "image": [jpeg(seed=number) for number in range(40)]}
    deltalake.write_deltalake(str(source), pa.table(columns))
    assert prepare_posters(spark, str(source), config=config, **places).decoded == 40
    one = pa.table({"movie_id": [40], "image": [jpeg(seed=40)]})
    deltalake.write_deltalake(str(source), one, mode="append")
    done = prepare_posters(spark, str(source), config=config, **places)
    assert (done.manifest.rows, done.decoded, done.reused) == (41, 1, 40)
    assert prepare_posters(spark, str(source), config=config, **places).unchanged
    deltalake.write_deltalake(str(source), one, mode="overwrite")
    done = prepare_posters(spark, str(source), config=config, **places)
    assert (done.manifest.rows, done.removed) == (1, 41)


def protocol(*features: str) -> dict[str, object]:
    known = {"readerFeatures": list(features), "writerFeatures": list(features)}
    return {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **known}}


def test_a_table_that_may_have_deletion_vectors_and_has_none_is_read(table: Path) -> None:
    add_commit(table, protocol("deletionVectors"))
    assert set(rows(table)) == {1, 3, 4}


def test_rows_that_are_deleted_by_vectors_are_not_read_as_posters(table: Path, monkeypatch) -> None:
    add_commit(table, protocol("deletionVectors"))
    vectors = [pa.RecordBatch.from_pydict({"path": ["part.parquet"]})]
    monkeypatch.setattr(deltalake.DeltaTable, "deletion_vectors", lambda _: vectors)
    with pytest.raises(InvalidInputError, match=r"deletion vectors.*write\.parquet"):
        require_posters(str(table))


def test_columns_of_other_names_are_told_of(table: Path) -> None:
    lines = (table / "_delta_log" / f"{0:020}.json").read_text().splitlines()
    found = next(action for action in map(json.loads, lines) if "metaData" in action)
    found["metaData"]["configuration"] = {"delta.columnMapping.mode": "name"}
    add_commit(table, protocol("columnMapping"), found)
    with pytest.raises(InvalidInputError, match=r"columnMapping|cannot be read"):
        require_posters(str(table))


def test_a_log_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(InvalidInputError, match="a Delta table that cannot be read"):
        require_posters(str(tmp_path))


@pytest.mark.parametrize("place", ["file://", "file:", "dbfs:", "S3://bucket", ""])
def test_a_shallow_clone_is_told_of(table: Path, place: str) -> None:
    file = {"path": f"{place}/else/part.parquet", "partitionValues": {"kind": "x"}, "size": 9}
    add_commit(table, {"add": {**file, "modificationTime": 1, "dataChange": True}})
    with pytest.raises(InvalidInputError, match=f"a shallow clone: its file {place}/else/part"):
        list(delta.list_delta(str(table)))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("below", [True, False])
def test_a_file_of_the_log_that_is_gone_is_one_sentence(
    spark, table: Path, below: bool, parts: int, tmp_path: Path
) -> None:
    source, name = (
        (tmp_path, f"table/{sources(table)[-1]}") if below else (table, sources(table)[-1])
    )
    victim = source / name.rpartition("/")[0]
    victim.unlink()
    (tmp_path / "9.jpg").write_bytes(jpeg(seed=9))
    places = {"table": str(tmp_path / "_posters"), "rejects_table": str(tmp_path / "_rejects")}
    config = PostersConfig(height=30, width=20, parts=parts)
    with pytest.raises(InvalidInputError, match=f"{table}: a Delta table .* names {victim}, which"):
        prepare_posters(spark, str(source), config=config, **places)


def test_a_parquet_file_that_goes_while_it_is_listed_is_no_flaw_of_a_table(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(list_rows(str(tmp_path), Entry("gone.parquet", 1, 1), []))


def test_without_the_extra_its_name_is_said(table: Path, monkeypatch) -> None:
    monkeypatch.setattr("genre_spark.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"deltalake.*genre_spark\[delta\]"):
        list(delta.list_delta(str(table)))
