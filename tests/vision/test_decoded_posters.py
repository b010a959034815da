"""Posters that threads decode ahead are those that are decoded in turn."""

from __future__ import annotations

import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.vision.inference import decoded_posters, prediction
from genre_spark.vision.inference.decoded_posters import read_posters
from genre_spark.vision.inference.row_groups import list_parts
from tests.feed.tables import write_samples


@pytest.fixture
def part(tmp_path):
    """A part of 30 posters, JPEG, in row groups of 16 and 14."""
    [found] = list_parts(write_samples(tmp_path, [[16, 14]], encoding="jpeg"), rows=30)
    return found


def change(part, **columns: dict[int, object]):
    """The part with other values in some rows of its file's columns."""
    table = pq.read_table(part.file)
    for name, values in columns.items():
        cells = [values.get(row, cell) for row, cell in enumerate(table[name].to_pylist())]
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(cells, table.schema.field(name).type))
    pq.write_table(table, part.file, row_group_size=16)
    return part


def decoders() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("poster-decoder")]


@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
def test_threads_give_the_same_batches_in_the_same_order(part, batch_size):
    in_turn = list(read_posters(part, batch_size=batch_size, extra=("labels",)))
    assert np.concatenate([rows.column(0) for _, rows in in_turn]).tolist() == list(range(30))
    for count in (1, 3):
        ahead = list(read_posters(part, batch_size=batch_size, extra=("labels",), decoders=count))
        assert len(ahead) == len(in_turn)
        for one, other in zip(in_turn, ahead, strict=True):
            assert np.array_equal(one[0], other[0])
            assert one[1].equals(other[1])
    assert not decoders()


def test_the_next_batches_are_decoded_while_the_caller_works_and_not_all_of_them(part, monkeypatch):
    seen, decode = [], decoded_posters.decode_stored
    monkeypatch.setattr(
        decoded_posters, "decode_stored", lambda *a, **o: seen.append(1) and decode(*a, **o)
    )
    reading = read_posters(part, batch_size=4, decoders=1)
    next(reading)
    deadline = time.monotonic() + 20
    while len(seen) < 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 12 <= len(seen) <= 16  # that batch and three more, of eight
    reading.close()
    assert not decoders()


@pytest.mark.parametrize("count", [0, 2])
def test_a_poster_that_cannot_be_decoded_is_named(part, count):
    change(part, image={20: b"no image"})
    with pytest.raises(InvalidInputError, match=r"part-0\.parquet: movie 20: image: nothing"):
        list(read_posters(part, batch_size=4, decoders=count))
    assert not decoders()


@pytest.mark.parametrize("count", [0, 2])
def test_a_poster_of_another_size_is_named(part, count):
    change(part, height={9: 60})
    with pytest.raises(InvalidInputError, match=r"movie 9 has a poster of 4x60 pixels in 3 ch"):
        list(read_posters(part, batch_size=5, decoders=count))


def test_a_task_on_a_gpu_has_many_batches_to_decode_ahead(tmp_path, monkeypatch):
    files = write_samples(tmp_path, [[16] * 40])
    taken = []
    monkeypatch.setattr(prediction, "map_parts", lambda _, parts, *a, **o: taken.append(parts))
    for device in ("cpu", "cuda"):
        prediction.predict_posters(
            None, files, "network.pt", version="1", labels=3, batch_size=16, device=device
        )
    assert [[part.rows for part in parts] for parts in taken] == [[256, 256, 128], [512, 128]]
