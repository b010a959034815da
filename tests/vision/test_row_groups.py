"""Tables are cut into parts by what their manifests know, without opening each file."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.posters import writing
from genre_spark.posters.writing import PartWriter
from genre_spark.storage.inventory import FileState, file_state
from genre_spark.storage.tables import TableManifest, commit_table, read_manifest
from genre_spark.vision.inference.embedded_posters import _part_name
from genre_spark.vision.inference.row_groups import Part, list_parts


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two files of posters, in row groups of two."""
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 4)
    names = []
    for chunk, posters in (("a", 5), ("b", 3)):
        with PartWriter(str(tmp_path), chunk, height=1, width=1, encoding="jpeg") as part:
            for number in range(posters):
                part.add(number, f"{number}.jpg", b"xy")
        names.append(part.name)
    commit_table(str(tmp_path), TableManifest("f", tuple(names), 8))
    return [f"{tmp_path}/{name}" for name in names]


def test_manifests_know_the_row_groups_of_their_files(files, tmp_path):
    manifest = read_manifest(str(tmp_path))
    assert [state.row_groups for _, state in sorted(manifest.files.items())] == [(2, 2, 1), (2, 1)]


def test_files_are_not_opened_whose_row_groups_are_known(files):
    states = {file: file_state(file) for file in files}
    expected = list_parts(files, rows=3)
    assert [(part.file, part.groups, part.rows) for part in expected] == [
        (files[0], (0, 1), 4),
        (files[0], (2,), 1),
        (files[1], (0, 1), 3),
    ]
    Path(files[1]).write_bytes(b"")
    assert list_parts(files, rows=3, states=states) == expected
    Path(files[0]).unlink()
    with pytest.raises(FileNotFoundError):
        list_parts(files, rows=3, states=states)


def test_the_columns_of_a_table_are_checked_in_its_first_file(files):
    states = {file: file_state(file) for file in files}
    with pytest.raises(InvalidInputError, match="no column label"):
        list_parts(files, rows=3, columns=("label",), states=states)


def test_features_of_a_table_of_an_earlier_version_keep_their_names() -> None:
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    part = Part("posters/data-1.parquet", (0, 1), 7)
    states = {part.file: FileState(3, sha256, (3, 4))}
    assert _part_name(part, states) == "part-9019e0b82b48b3ea.parquet"
