"""Iterative stratification: splits that share out rare genres exactly, in one process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["stratify"]


def stratify(
    label_ids: Sequence[Sequence[int]], shares: Sequence[float], *, labels: int
) -> npt.NDArray[np.int64]:
    """Deal rows out so that every part gets its share of every label, the rarest first.

    Sechidis, Tsoumakas, Vlahavas, On the stratification of multi-label data, ECML PKDD 2011,
    algorithm 1. Where the paper breaks ties at random, the order of the rows decides: give them in
    an order that is random already.

    Args:
        label_ids: of each row, N of them.
        shares: of each part, adding up to 1.
        labels: length of the vocabulary.

    Returns:
        The part of each row, (N,).
    """
    parts = np.full(len(label_ids), -1, np.int64)
    wanted = [len(label_ids) * share for share in shares]
    rows_of: list[list[int]] = [[] for _ in range(labels)]
    for row, held in enumerate(label_ids):
        for label in held:
            rows_of[label].append(row)
    wanted_of = [[len(rows) * share for share in shares] for rows in rows_of]
    left = np.array([len(rows) for rows in rows_of])
    absent = len(label_ids) + 1
    while labels and (left > 0).any():
        rarest = int(np.where(left > 0, left, absent).argmin())
        for row in rows_of[rarest]:
            if parts[row] >= 0:
                continue
            needs = wanted_of[rarest]
            part = max(range(len(shares)), key=lambda place: (needs[place], wanted[place]))
            parts[row] = part
            wanted[part] -= 1
            for label in label_ids[row]:
                wanted_of[label][part] -= 1
                left[label] -= 1
    for row in np.flatnonzero(parts < 0):  # rows without labels
        part = max(range(len(shares)), key=wanted.__getitem__)
        parts[row] = part
        wanted[part] -= 1
    return parts
