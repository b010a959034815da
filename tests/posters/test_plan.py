from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_spark.config.posters import PostersConfig
from genre_spark.posters import writing as poster_parts
from genre_spark.posters.chunks import ChunkJob, prepare_chunk
from genre_spark.posters.plan.cutting import chunk_sizes, deal_chunks
from genre_spark.posters.plan.planning import plan_posters
from tests.posters.pictures import jpeg


@settings(deadline=None)
@given(st.integers(0, 2_000_000), st.integers(16, 2048))
def test_chunks_cover_all_rows_with_none_too_large(rows, largest):
    sizes = chunk_sizes(rows, largest)
    assert sum(sizes) == rows
    assert all(0 < size <= largest * 1.5 for size in sizes)


def test_the_last_chunks_are_small_so_that_cores_end_together():
    sizes = chunk_sizes(676_491, 2048)
    assert sizes[0] == 2048
    assert max(sizes[-8:]) <= 384
    assert len(sizes) < 1000


@settings(deadline=None)
@given(st.lists(st.integers(0, 2048), max_size=300), st.integers(1, 300))
def test_every_chunk_is_dealt_once_in_its_order(sizes, slots):
    dealt = deal_chunks(sizes, slots)
    assert [chunk for task in dealt for chunk in task] == list(range(len(sizes)))
    assert all(0 < len(task) <= 8 for task in dealt)


@pytest.mark.parametrize("slots", [2, 3, 8])
def test_a_core_that_is_half_as_fast_does_not_keep_the_others_waiting_with_its_first_task(slots):
    sizes = chunk_sizes(50_000, 563)
    first = sum(sizes[position] for position in deal_chunks(sizes, slots)[0])
    left = sum(sizes) - first
    assert 2 * first <= left / (slots - 1) + 1e-9


def test_few_tasks_take_most_chunks_and_the_last_ones_take_one_each():
    tasks = [len(task) for task in deal_chunks(chunk_sizes(10_000, 563), 2)]
    assert tasks[0] == 8
    assert tasks[-4:] == [1, 1, 1, 1]
    assert len(tasks) < 20
    assert [len(task) for task in deal_chunks([100] * 40, 20)] == [1] * 40


@pytest.fixture
def folder(tmp_path) -> Path:
    posters = tmp_path / "posters"
    posters.mkdir()
    for number in range(1, 21):
        (posters / f"{number}.jpg").write_bytes(jpeg(seed=number))
    return posters


def plan(folder: Path, **settings):
    work = folder.parent
    config = PostersConfig(height=30, width=20, **settings)
    return plan_posters(str(folder), str(work / "table"), str(work / "rejects"), config), config


def test_the_same_source_makes_the_same_plan_and_another_configuration_another(folder):
    first, _ = plan(folder)
    second, _ = plan(folder)
    other, _ = plan(folder, quality=50)
    assert (first.fingerprint, first.chunks) == (second.fingerprint, second.chunks)
    assert first.fingerprint != other.fingerprint
    assert not set(first.chunks) & set(other.chunks)


def test_finished_chunks_are_found_again_and_half_written_ones_are_not(folder):
    first, config = plan(folder)
    work = folder.parent
    job = ChunkJob(str(folder), str(work / "table"), str(work / "rejects"), first.ledger, config)
    receipt = prepare_chunk(job, 0, first.chunks[0])
    again, _ = plan(folder)
    assert again.done[first.chunks[0]]["part"] == receipt["part"]
    facts = work / "table" / "_facts" / receipt["facts"]
    facts.write_bytes(facts.read_bytes()[:-10])
    cut, _ = plan(folder)
    assert cut.done == {}


def test_a_finished_chunk_whose_file_is_gone_is_made_again(folder):
    first, config = plan(folder)
    work = folder.parent
    job = ChunkJob(str(folder), str(work / "table"), str(work / "rejects"), first.ledger, config)
    receipt = prepare_chunk(job, 0, first.chunks[0])
    (work / "table" / receipt["part"]).unlink()
    again, _ = plan(folder)
    assert again.done == {}


def test_a_chunk_made_twice_is_the_same_file_bit_for_bit(folder):
    first, config = plan(folder)
    work = folder.parent
    job = ChunkJob(str(folder), str(work / "table"), str(work / "rejects"), first.ledger, config)
    one, two = (prepare_chunk(job, 0, first.chunks[0])["part"] for _ in range(2))
    assert one != two
    assert (work / "table" / one).read_bytes() == (work / "table" / two).read_bytes()


@pytest.mark.parametrize("encoding", ["jpeg", "png", "raw"])
def test_row_groups_are_of_a_size_that_can_be_shuffled(folder, monkeypatch, encoding):
    monkeypatch.setattr(poster_parts, "ROW_GROUP_BYTES", 5_000)
    first, config = plan(folder, encoding=encoding)
    work = folder.parent
    job = ChunkJob(str(folder), str(work / "table"), str(work / "rejects"), first.ledger, config)
    part = pq.ParquetFile(work / "table" / prepare_chunk(job, 0, first.chunks[0])["part"])
    assert part.metadata.num_rows == 20
    assert part.metadata.num_row_groups > 1
    assert part.read()["movie_id"].to_pylist() == list(range(1, 21))
