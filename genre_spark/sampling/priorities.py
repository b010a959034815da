"""Randomness as a function of the row: priorities that no partitioning and no order can change."""

from __future__ import annotations

import hashlib

from pyspark.sql import Column
from pyspark.sql import functions as F

from genre_spark.schemas import MOVIE_ID

__all__ = ["HIGHEST", "LOWEST", "fraction_to_priority", "priority", "salt"]

LOWEST = -(2**63)
HIGHEST = 2**63 - 1


def salt(seed: int, purpose: str) -> int:
    """Return a 64-bit signed number that is another one for every seed and every purpose."""
    digest = hashlib.sha256(f"{purpose}\x00{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def priority(seed: int, purpose: str, key: str | Column = MOVIE_ID) -> Column:
    """Return a random-looking 64-bit signed integer for each key: uniform over all of them.

    The key is hashed before the salt. Both rounds of XXH64 are bijections of a 64-bit key, so that
    movies do not tie, and the key has gone through a full avalanche before the salt is mixed in:
    neighbouring ids, and the same id under neighbouring seeds, come out unrelated.

    Args:
        seed: of the configuration.
        purpose: what is drawn, for example "split"; different purposes are independent of each
            other.
        key: what draws: a movie's id, or a group's key, bigint.
    """
    column = F.col(key) if isinstance(key, str) else key
    drawn = F.xxhash64(column, F.lit(salt(seed, purpose)).cast("bigint"))
    return F.least(drawn, F.lit(HIGHEST - 1))  # so that every priority is below HIGHEST


def fraction_to_priority(fraction: float) -> int:
    """Return the priority below which the given fraction (0..1) of all priorities lies.

    HIGHEST for 1.
    """
    return min(LOWEST + round(fraction * 2.0**64), HIGHEST)
