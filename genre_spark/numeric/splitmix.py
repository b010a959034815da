"""SplitMix64: well mixed 64-bit numbers from numbers that may be close to each other.

After Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mix64", "mixed_seed"]

_GOLDEN = 0x9E3779B97F4A7C15
_64_BITS = 0xFFFFFFFFFFFFFFFF


def mix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's finaliser of each number, an array of the same shape."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def mixed_seed(*numbers: int) -> int:
    """Return a 63-bit seed that depends on all of the numbers and on their order."""
    state = np.zeros(1, np.uint64)
    for number in numbers:
        state = mix64(state + np.uint64((number + _GOLDEN) & _64_BITS))
    return int(state[0]) >> 1
