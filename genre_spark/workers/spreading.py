"""Rows dealt into exactly as many partitions as their work needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

__all__ = ["partition_keys", "spread_by", "spread_evenly"]


def spread_by(rows: DataFrame, key: str, partitions: int) -> DataFrame:
    """Deal rows into partitions by the hash of a column, the same way in every run.

    `repartition(n, key)` does not always give n partitions: behind a join on the same column Spark
    leaves it out (EnsureRequirements, where both have n partitions), and adaptive execution then
    merges the join's small partitions into one. A task of seconds per row would be the only one.
    The hash of a hash is equal to no partitioning of a join.

    Args:
        rows: rows to deal.
        key: column whose equal values stay together.
        partitions: how many, at least 1.
    """
    return rows.repartition(partitions, F.xxhash64(key))


def spread_evenly(rows: DataFrame, key: str, partitions: int) -> DataFrame:
    """Deal the numbers in a column out to partitions in turn: 0 to the first, 1 to the second.

    By their hashes some partitions would get several of a few numbers, and others none.

    Args:
        rows: rows to deal.
        key: column of int, never null, whose equal values stay together.
        partitions: how many, at least 1.
    """
    keys = F.array(*(F.lit(number) for number in partition_keys(partitions).tolist()))
    return rows.repartition(partitions, F.get(keys, F.pmod(key, F.lit(partitions))))


def partition_keys(partitions: int) -> NDArray[np.int32]:
    """Return a number per partition that Spark's hash partitioning sends there.

    Any numbers would do: others fill partitions unevenly.
    """
    found: dict[int, int] = {}
    number = 0
    while len(found) < partitions:
        found.setdefault(_murmur3(number) % partitions, number)
        number += 1
    return np.array([found[place] for place in range(partitions)], dtype=np.int32)


def _murmur3(number: int) -> int:
    """Return Spark's hash of an int, signed: Murmur3 (x86, 32 bits) with seed 42."""
    mask = 2**32 - 1

    def turn(value: int, bits: int) -> int:
        return (value << bits | value >> (32 - bits)) & mask

    mixed = turn(number * 0xCC9E2D51 & mask, 15) * 0x1B873593 & mask
    found = turn(42 ^ mixed, 13) * 5 + 0xE6546B64 & mask
    found ^= 4
    found = (found ^ found >> 16) * 0x85EBCA6B & mask
    found = (found ^ found >> 13) * 0xC2B2AE35 & mask
    found ^= found >> 16
    return found - 2**32 if found >= 2**31 else found
