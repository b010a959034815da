"""Randomness as a function of seed, purpose and movie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

__all__ = ["generator", "hash_number", "hash_unit", "pick"]

ItemT = TypeVar("ItemT")


def hash_number(*parts: object) -> int:
    """Return a 64-bit number that depends on the parts alone, the same in every process."""
    text = "\x1f".join(map(str, parts)).encode("utf-8")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def hash_unit(*parts: object) -> float:
    """Return a number in [0, 1) that depends on the parts alone."""
    return hash_number(*parts) / 2.0**64


def generator(*parts: object) -> np.random.Generator:
    """Return a random generator whose sequence depends on the parts alone."""
    return np.random.Generator(np.random.PCG64(hash_number(*parts)))


def pick(items: Sequence[ItemT], random: np.random.Generator) -> ItemT:
    """Return one of the items, each equally likely."""
    return items[int(random.integers(len(items)))]
