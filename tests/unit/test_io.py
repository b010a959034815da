"""Whole tables: what a reader sees when a writer is killed, and what a digest depends on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from genre_spark.errors import InvalidInputError, MissingTableError
from genre_spark.schemas import GENRES_SCHEMA
from genre_spark.storage.files import file_digest, fingerprint, read_json, write_json
from genre_spark.storage.tables import (
    Table,
    TableManifest,
    commit_table,
    read_manifest,
    table_files,
)


def _data(table: Path, folder: str) -> None:
    (table / folder).mkdir(parents=True)
    (table / folder / "part-0.parquet").write_bytes(b"PAR1")


def test_a_folder_without_a_manifest_is_no_table(tmp_path: Path) -> None:
    _data(tmp_path / "genres", "data-1")
    assert read_manifest(str(tmp_path / "genres")) is None
    with pytest.raises(MissingTableError, match=r"no such table yet.*genre-spark group-genres"):
        Table(str(tmp_path / "genres"), GENRES_SCHEMA, "group-genres").manifest()


def test_a_half_written_manifest_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "_manifest.json").write_text('{"name": "genres", "fing')
    assert read_manifest(str(tmp_path)) is None


def test_a_commit_replaces_the_old_version_and_removes_what_killed_runs_left(
    tmp_path: Path,
) -> None:
    table = tmp_path / "genres"
    for folder in ("data-old", "data-killed", "data-new"):
        _data(table, folder)
    (table / "vocabulary.json").write_text("{}")
    commit_table(str(table), TableManifest("f", ("data-new",), 1, {"vocabulary": ["Drama"]}))
    assert sorted(path.name for path in table.iterdir()) == [
        "_manifest.json",
        "data-new",
        "vocabulary.json",
    ]
    assert table_files(str(table)) == [str(table / "data-new" / "part-0.parquet")]
    manifest = read_manifest(str(table))
    assert manifest is not None
    assert manifest.details["vocabulary"] == ["Drama"]


def test_a_table_of_single_files_lists_just_those(tmp_path: Path) -> None:
    _data(tmp_path, "data-1")
    commit_table(str(tmp_path), TableManifest("f", ("data-1/part-0.parquet",), 1))
    assert table_files(str(tmp_path)) == [str(tmp_path / "data-1" / "part-0.parquet")]


def test_json_is_replaced_whole_and_leaves_no_neighbour(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_json(str(path), {"x": 1})
    write_json(str(path), {"x": "ü"})
    assert read_json(str(path)) == {"x": "ü"}
    assert [file.name for file in path.parent.iterdir()] == ["b.json"]


def test_a_fingerprint_depends_on_values_and_not_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_a_file_digest_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "genres.csv"
    path.write_text("id,genre\n")
    before = file_digest(str(path))
    path.write_text("id,genre\n1,Drama\n")
    assert file_digest(str(path)) != before
    changed = file_digest(str(path))
    times = path.stat()
    path.write_text("id,genre\n2,Drama\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # the same time and size
    assert file_digest(str(path)) != changed
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "genres.csv"
    copy.write_bytes(path.read_bytes())
    assert file_digest(str(copy)) == file_digest(str(path))
    with pytest.raises(InvalidInputError, match="no such file"):
        file_digest(str(tmp_path / "none.csv"))
