from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from genre_spark.errors import InvalidInputError
from genre_spark.vision.feed import poster_feed
from tests.feed.tables import LABELS, pixels_of, write_samples

GROUPS = [[7, 5], [9], [4, 4, 4]]
ROWS = 33


READINGS = ("petastorm", "parquet")
_chosen: list[str] = []


@pytest.fixture(params=READINGS, autouse=True)
def reading(request) -> None:
    """Every test of this file holds for both readers."""
    _chosen[:] = [request.param]


def PosterFeed(files, **options) -> poster_feed.PosterFeed:
    return poster_feed.PosterFeed(files, **{"reading": _chosen[0], **options})


@pytest.fixture
def files(tmp_path) -> list[str]:
    return write_samples(tmp_path / "samples", GROUPS)


def ids(files, *, epoch=0, skip=0, **options) -> list[list[int]]:
    with PosterFeed(files, **{"batch_size": 8, "seed": 3, "shuffle_buffer": 12, **options}) as feed:
        return [batch.movie_ids.tolist() for batch in feed.epoch(epoch, skip)]


def feed_threads() -> list[str]:
    return [
        thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
    ]


def test_batches_are_uint8_posters_and_float_labels_of_the_same_movies(files):
    with PosterFeed(files, batch_size=8, seed=3) as feed:
        assert (feed.rows, feed.batches_per_epoch, feed.label_count) == (ROWS, 5, LABELS)
        for batch in feed.epoch(0):
            size = len(batch.movie_ids)
            assert batch.images.dtype == torch.uint8
            assert batch.images.shape == (size, 3, 6, 4)
            assert batch.images.is_contiguous()
            assert batch.labels.dtype == batch.weights.dtype == torch.float32
            assert batch.labels.shape == (size, LABELS)
            for place, movie_id in enumerate(batch.movie_ids.tolist()):
                expected = pixels_of(movie_id, 6, 4)[:, :, ::-1].transpose(2, 0, 1)
                assert np.array_equal(batch.images[place].numpy(), expected)
                assert batch.labels[place].tolist() == [movie_id % 2, movie_id % 3 == 0, 1]
                assert batch.weights[place] == movie_id + 0.5


@pytest.mark.parametrize("encoding", ["jpeg", "png"])
def test_encoded_posters_are_decoded(tmp_path, encoding):
    files = write_samples(tmp_path, [[6], [6]], encoding=encoding, height=64, width=48)
    with PosterFeed(files, batch_size=5) as feed:
        for batch in feed.epoch(0):
            for place, movie_id in enumerate(batch.movie_ids.tolist()):
                expected = pixels_of(movie_id, 64, 48)[:, :, ::-1].transpose(2, 0, 1).astype(int)
                difference = np.abs(batch.images[place].numpy() - expected)
                assert np.median(difference) <= (8 if encoding == "jpeg" else 0)


def test_fixed_length_images_are_read_too(tmp_path):
    files = write_samples(tmp_path, GROUPS, kind=pa.binary(3 * 6 * 4))
    with PosterFeed(files, batch_size=40, shuffle=False) as feed:
        (batch,) = feed.epoch(0)
    assert np.array_equal(
        batch.images[20].numpy(), pixels_of(20, 6, 4)[:, :, ::-1].transpose(2, 0, 1)
    )


def test_another_size_than_the_stored_one_is_made_on_the_way(tmp_path):
    files = write_samples(tmp_path, [[5]], height=40, width=40)
    with PosterFeed(files, batch_size=5, shuffle=False, height=20, width=10) as feed:
        (batch,) = feed.epoch(0)
    assert batch.images.shape == (5, 3, 20, 10)
    assert batch.images[0].float().mean() == pytest.approx(pixels_of(0, 40, 40).mean(), abs=6)


def test_tables_without_labels_or_weights_are_fed(tmp_path):
    files = write_samples(tmp_path, [[5]], without=("labels", "weight"))
    with PosterFeed(files, batch_size=5) as feed:
        (batch,) = feed.epoch(0)
    assert batch.labels.shape == (5, 0)
    assert batch.weights.tolist() == [1.0] * 5


def test_the_order_does_not_depend_on_workers_prefetching_or_a_slow_consumer(files):
    expected = ids(files)
    assert ids(files, workers=1, prefetch=1) == expected
    assert ids(files, workers=5, prefetch=9) == expected
    with PosterFeed(files, batch_size=8, seed=3, shuffle_buffer=12) as feed:
        slow = []
        for batch in feed.epoch(0):
            time.sleep(0.02)
            slow.append(batch.movie_ids.tolist())
    assert slow == expected


def test_both_readers_give_the_same_batches(files):
    pytest.importorskip("petastorm")

    def batches(name) -> list:
        with PosterFeed(files, batch_size=8, seed=3, reading=name) as feed:
            return [batch for epoch in (0, 1) for batch in feed.epoch(epoch)]

    one, other = batches("petastorm"), batches("parquet")
    assert len(one) == len(other) == 10
    for batch, same in zip(one, other, strict=True):
        assert all(torch.equal(*pair) for pair in zip(batch, same, strict=True))


def test_epochs_differ_and_each_has_every_sample_once(files):
    first, second = ids(files, epoch=0), ids(files, epoch=1)
    assert first != second
    for batches in (first, second):
        assert sorted(movie_id for batch in batches for movie_id in batch) == list(range(ROWS))


@pytest.mark.parametrize("shuffle", [True, False])
def test_ranks_share_an_epoch_without_a_gap_or_an_overlap(files, shuffle):
    ranks = [ids(files, rank=rank, world_size=3, shuffle=shuffle) for rank in range(3)]
    assert {len(batches) for batches in ranks} == {2}
    rows = [movie_id for batches in ranks for batch in batches for movie_id in batch]
    assert sorted(rows) == list(range(ROWS))
    assert shuffle or rows == list(range(ROWS))


@pytest.mark.parametrize("skip", [0, 1, 3, 5])
def test_an_epoch_can_be_entered_at_any_batch(files, skip):
    assert ids(files, skip=skip) == ids(files)[skip:]


def test_the_same_feed_can_be_read_again(files):
    with PosterFeed(files, batch_size=8) as feed:
        once, again = ([batch.movie_ids.tolist() for batch in feed.epoch(2)] for _ in range(2))
    assert once == again


def test_closing_leaves_no_thread_also_in_mid_epoch(files):
    before = feed_threads()
    feed = PosterFeed(files, batch_size=2)
    batches = feed.epoch(0)
    next(batches)
    assert feed_threads() != before
    feed.close()
    assert feed_threads() == before


def test_leaving_an_epoch_early_ends_its_readers(files):
    before = feed_threads()
    with PosterFeed(files, batch_size=2, workers=1) as feed:
        batches = feed.epoch(0)
        next(batches)
        batches.close()
        left = [name for name in feed_threads() if not name.startswith("poster-decoder")]
        assert left == [name for name in before if not name.startswith("poster-decoder")]


def test_a_truncated_file_is_reported_by_its_name_before_anything_is_read(files):
    path = Path(files[1])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InvalidInputError, match=r"part-1\.parquet: not a whole Parquet file"):
        PosterFeed(files, batch_size=8)


@pytest.mark.timeout(60)
def test_a_file_that_breaks_while_it_is_read_is_reported_by_its_name(files):
    before = feed_threads()
    with PosterFeed(files, batch_size=8, shuffle=False) as feed:
        path = Path(files[2])
        content = bytearray(path.read_bytes())
        content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match=r"part-2\.parquet"):
            list(feed.epoch(0))
    assert feed_threads() == before


@pytest.mark.timeout(60)
def test_a_file_that_vanishes_is_reported_by_its_name(files):
    with PosterFeed(files, batch_size=8, shuffle=False) as feed:
        Path(files[2]).unlink()
        with pytest.raises(InvalidInputError, match=r"part-2\.parquet"):
            list(feed.epoch(0))


def test_an_image_that_is_not_what_it_should_be_is_reported_with_file_and_movie(tmp_path):
    files = write_samples(tmp_path, [[3]], encoding="png")
    broken = write_samples(tmp_path / "broken", [[3]], encoding="png", height=9)
    table = pa.parquet.read_table(files[0]).set_column(
        1, "image", pa.parquet.read_table(broken[0])["image"]
    )
    pa.parquet.write_table(table, files[0])
    with (
        PosterFeed(files, batch_size=3) as feed,
        pytest.raises(InvalidInputError, match=r"part-0\.parquet: movie \d"),
    ):
        list(feed.epoch(0))


def test_a_missing_image_is_reported(tmp_path):
    files = write_samples(tmp_path, [[3]])
    table = pa.parquet.read_table(files[0])
    images = pa.array([None, *table["image"].to_pylist()[1:]], pa.binary())
    pa.parquet.write_table(table.set_column(1, "image", images), files[0])
    with (
        PosterFeed(files, batch_size=3) as feed,
        pytest.raises(InvalidInputError, match="1 samples without an image"),
    ):
        list(feed.epoch(0))


@pytest.mark.parametrize("name", ["movie_id", "weight"])
def test_a_row_without_a_number_is_reported_and_not_taken_for_the_smallest_one(tmp_path, name):
    files = write_samples(tmp_path, [[3]])
    table = pa.parquet.read_table(files[0])
    place = table.column_names.index(name)
    values = pa.array([None, *table[name].to_pylist()[1:]], table.schema.field(name).type)
    pa.parquet.write_table(table.set_column(place, name, values), files[0])
    with (
        PosterFeed(files, batch_size=3) as feed,
        pytest.raises(InvalidInputError, match=f"1 of 3 rows have no {name}"),
    ):
        list(feed.epoch(0))


@pytest.mark.parametrize("without", ["image", "height"])
def test_a_table_without_posters_is_reported(tmp_path, without):
    files = write_samples(tmp_path, [[3]], without=(without,))
    with pytest.raises(
        InvalidInputError, match=f"no column {without}, expected a samples table with posters"
    ):
        PosterFeed(files, batch_size=3)


def test_no_samples_are_reported(tmp_path):
    files = write_samples(tmp_path, [[0]])
    with pytest.raises(InvalidInputError, match="no samples"):
        PosterFeed(files, batch_size=3)


def test_names_with_odd_characters_are_read(tmp_path):
    files = write_samples(tmp_path / "50% of #1 ?", [[3]])
    assert sorted(ids(files)[0]) == [0, 1, 2]
