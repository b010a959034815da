"""Files whose size and checksum are known from writing them: the same as reading them again."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genre_spark.posters.writing import PartWriter
from genre_spark.storage.inventory import file_state
from genre_spark.storage.summed_file import SummedFile


@pytest.mark.parametrize("place", ["file", "memory://summed/file"])
def test_what_was_written_is_what_is_read(tmp_path, place) -> None:
    path = place if "://" in place else str(tmp_path / place)
    with SummedFile(path) as file:
        for part in (b"a", b"", b"bc" * 100_000):
            assert file.write(part) == len(part)
    assert file.state() == file_state(path)


def test_arrow_writes_to_it(tmp_path) -> None:
    path = str(tmp_path / "table.parquet")
    table = pa.table({"movie_id": range(1000), "text": ["word"] * 1000})
    with SummedFile(path) as file:
        pq.write_table(table, pa.PythonFile(file, "w"), row_group_size=300)
    assert pq.read_table(path).equals(table)
    assert file.state((300, 300, 300, 100)) == file_state(path)


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_a_part_of_posters_knows_its_state(tmp_path, encoding) -> None:
    with PartWriter(str(tmp_path), "chunk", height=400, width=300, encoding=encoding) as part:
        for movie_id in range(60):
            part.add(movie_id, f"{movie_id}.jpg", bytes([movie_id]) * 360_000)
    state = part.state()
    assert len(state.row_groups) > 1
    assert state == file_state(str(tmp_path / part.name))


def test_a_part_that_fails_closes_its_file(tmp_path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        PartWriter(str(tmp_path), "chunk", height=1, width=1, encoding="jpeg") as part,
    ):
        raise ZeroDivisionError
    assert part._file.closed
