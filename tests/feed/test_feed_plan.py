from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from genre_spark.errors import InvalidConfigError
from genre_spark.vision.feed.order import batch_sizes, plan_batches, plan_segments

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def order(
    sizes, *, rank=0, world_size=1, batch_size=8, seed=1, epoch=0, buffer=30, shuffle=True
) -> list[list[int]]:
    """Return the global row numbers of each batch."""
    starts = np.concatenate([[0], np.cumsum(sizes)])
    segments = plan_segments(
        sizes, seed=seed, epoch=epoch, rank=rank, world_size=world_size, shuffle=shuffle
    )
    batches = batch_sizes(sum(sizes), batch_size=batch_size, rank=rank, world_size=world_size)
    planned = plan_batches(
        segments, batches, seed=seed, epoch=epoch, rank=rank, buffer=buffer, shuffle=shuffle
    )
    first = np.array([starts[segment.group] for segment in segments])
    return [(first[batch.segments] + batch.rows).tolist() for batch in planned]


@settings(deadline=None)
@given(
    SIZES,
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(0, 60),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_sample_comes_once_over_all_ranks_in_equal_numbers_of_batches(
    sizes, world_size, batch_size, buffer, shuffle, epoch
):
    options = {"batch_size": batch_size, "buffer": buffer, "shuffle": shuffle, "epoch": epoch}
    try:
        ranks = [
            order(sizes, rank=rank, world_size=world_size, **options) for rank in range(world_size)
        ]
    except InvalidConfigError:
        assume(False)
    assert len({len(batches) for batches in ranks}) == 1
    assert all(0 < len(batch) <= batch_size for batches in ranks for batch in batches)
    assert sorted(row for batches in ranks for batch in batches for row in batch) == list(
        range(sum(sizes))
    )


def test_all_batches_are_full_but_the_last():
    assert batch_sizes(20, batch_size=8, rank=0, world_size=1) == [8, 8, 4]
    assert batch_sizes(16, batch_size=8, rank=0, world_size=1) == [8, 8]


def test_a_rank_without_the_odd_row_cuts_its_last_batch_in_two():
    assert [batch_sizes(17, batch_size=8, rank=rank, world_size=2) for rank in (0, 1)] == [
        [4, 4],
        [8, 1],
    ]


@pytest.mark.parametrize(("rows", "batch_size", "world_size"), [(2, 8, 3), (3, 1, 2)])
def test_ranks_that_cannot_have_equal_numbers_of_batches_are_reported(rows, batch_size, world_size):
    with pytest.raises(
        InvalidConfigError, match="expected larger batches, fewer processes or more samples"
    ):
        for rank in range(world_size):
            batch_sizes(rows, batch_size=batch_size, rank=rank, world_size=world_size)


def test_without_shuffling_the_order_is_that_of_the_files():
    rows = [row for batch in order([5, 9, 3, 20], shuffle=False) for row in batch]
    assert rows == list(range(37))


def test_the_same_seed_and_epoch_give_the_same_order_and_others_another():
    sizes = [20] * 6
    assert order(sizes) == order(sizes)
    assert order(sizes, epoch=1) != order(sizes)
    assert order(sizes, seed=2) != order(sizes)


def test_a_batch_mixes_row_groups_and_rows():
    batches = order([50] * 20, buffer=400, batch_size=32)
    groups = [len({row // 50 for row in batch}) for batch in batches[:-8]]
    assert np.mean(groups) > 6
    assert all(batch != sorted(batch) for batch in batches[:-1])


@pytest.mark.parametrize(("in_order", "bound"), [(False, 1.25), (True, 4.0)])
def test_the_label_mix_of_batches_is_close_to_that_of_uniform_draws(in_order, bound):
    rows, group, batch, share = 20_000, 100, 64, 0.3
    labels = np.arange(rows) < rows * share
    if not in_order:
        labels = np.random.default_rng(0).permutation(labels)
    batches = order([group] * (rows // group), batch_size=batch, buffer=2048)
    shares = [labels[rows_].mean() for rows_ in batches[:-1]]
    assert np.mean(shares) == pytest.approx(share, abs=0.005)
    assert np.var(shares) / (share * (1 - share) / batch) < bound
