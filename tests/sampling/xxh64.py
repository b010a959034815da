"""XXH64 of one bigint as Spark computes it, in numpy: a reference without a JVM."""

from __future__ import annotations

import numpy as np

from genre_spark.sampling.priorities import HIGHEST, salt

P1, P2, P3, P4, P5 = (
    np.uint64(value)
    for value in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)


def _rotate(value: np.ndarray, bits: int) -> np.ndarray:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


def xxh64(value: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Return the hash of each 64-bit value under each 64-bit seed."""
    with np.errstate(over="ignore"):
        out = seed + P5 + np.uint64(8)
        out = out ^ (_rotate(value * P2, 31) * P1)
        out = _rotate(out, 27) * P1 + P4
        out = (out ^ (out >> np.uint64(33))) * P2
        out = (out ^ (out >> np.uint64(29))) * P3
        return out ^ (out >> np.uint64(32))


def priorities(ids: np.ndarray, *, seed: int, purpose: str) -> np.ndarray:
    """Return int64 priorities of int64 ids, the model of `hashing.priority`."""
    first = xxh64(np.asarray(ids, dtype=np.int64).view(np.uint64), np.uint64(42))
    drawn = xxh64(np.array([salt(seed, purpose)], dtype=np.int64).view(np.uint64), first).view(
        np.int64
    )
    return np.minimum(drawn, HIGHEST - 1)
