"""The search for cutoffs among few candidates: on the driver, in one job in place of four.

The answers are those of `cutoff_search`, which has no bound on candidates: both find exact order
statistics of the same priorities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from genre_spark.sampling.cutoffs import Cutoffs, Demand
from genre_spark.sampling.priorities import HIGHEST, LOWEST

__all__ = ["Candidates", "settle_in_memory"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Movies that may be drawn, and their labels one after the other.

    Attributes:
        splits: position of each movie's split, (N,).
        priorities: of the movies, (N,).
        owners: position of the movie of each label, (M,).
        labels: label ids, (M,).
    """

    splits: Integers
    priorities: Integers
    owners: Integers
    labels: Integers

    @classmethod
    def collect(cls, rows: DataFrame) -> Candidates:
        """Bring candidates to the driver, 50 bytes each or so.

        Args:
            rows: position of the split, priority, label_ids; none is null.
        """
        table = (
            rows.toArrow() if hasattr(rows, "toArrow") else pa.Table.from_pandas(rows.toPandas())
        )
        splits, priorities, labels = (table.column(place) for place in range(3))
        sizes = pc.list_value_length(labels).to_numpy()
        return cls(
            splits.to_numpy().astype(np.int64),
            priorities.to_numpy(),
            np.repeat(np.arange(len(sizes)), sizes),
            pc.list_flatten(labels).to_numpy().astype(np.int64),
        )

    def where(self, kept: npt.NDArray[np.bool_]) -> Candidates:
        """Keep some movies."""
        of_labels = kept[self.owners]
        places = np.cumsum(kept) - 1
        return Candidates(
            self.splits[kept],
            self.priorities[kept],
            places[self.owners[of_labels]],
            self.labels[of_labels],
        )

    def extreme(self, values: Sequence[Sequence[int]], *, greatest: bool) -> Integers:
        """Return the greatest or the least number of each movie's labels, (N,).

        Args:
            values: number of each label, by split.
            greatest: the greatest, and LOWEST for a movie without labels; or the least, and HIGHEST
                then.
        """
        found = np.full(len(self.splits), LOWEST if greatest else HIGHEST)
        numbers = np.array(values, np.int64)[self.splits[self.owners], self.labels]
        (np.maximum if greatest else np.minimum).at(found, self.owners, numbers)
        return found


def settle_in_memory(
    candidates: Candidates,
    demands: Mapping[str, Demand],
    known: Mapping[str, Sequence[int | None]],
    upper: Sequence[Sequence[int]],
    fill_bounds: Sequence[int],
) -> dict[str, Cutoffs]:
    """Find the cutoffs of the splits where the candidates suffice.

    Args:
        candidates: complete below the bounds.
        demands: by split.
        known: cutoffs of minima that need no search, by split and label.
        upper: priorities below which the movies of each label are complete, by split.
        fill_bounds: priorities below which all movies of each split are complete.
    """
    labels = len(upper[0])
    keys = candidates.splits[candidates.owners] * labels + candidates.labels
    groups = _Groups(keys, candidates.priorities[candidates.owners], len(demands) * labels)
    minima: list[list[int | None]] = [
        [
            groups.smallest(place * labels + label, demand.minimum[label], upper[place][label])
            if value is None
            else value
            for label, value in enumerate(known[split])
        ]
        for place, (split, demand) in enumerate(demands.items())
    ]
    # a minimum that was missed leaves its split to the next round
    complete = [all(value is not None for value in row) for row in minima]
    whole = [[LOWEST if value is None else value for value in row] for row in minima]
    rows = candidates.where(np.array(complete)[candidates.splits])
    first = rows.priorities < rows.extreme(whole, greatest=True)
    maxima = _maxima(rows, first, list(demands.values()), labels)
    if any(cap != HIGHEST for row in maxima for cap in row):
        kept = first | (rows.priorities < rows.extreme(maxima, greatest=False))
        rows, first = rows.where(kept), first[kept]
    totals = [demand.total for demand in demands.values()]
    fills = _settle(rows.splits, rows.priorities, first, totals, fill_bounds)
    return {
        split: Cutoffs(tuple(whole[place]), tuple(maxima[place]), fill)
        for place, (split, fill) in enumerate(zip(demands, fills, strict=True))
        if complete[place] and fill is not None
    }


def _maxima(
    rows: Candidates, first: npt.NDArray[np.bool_], demands: Sequence[Demand], labels: int
) -> list[list[int]]:
    capacities = [most for demand in demands for most in demand.maximum]
    keys = rows.splits[rows.owners] * labels + rows.labels
    found = _settle(
        keys,
        rows.priorities[rows.owners],
        first[rows.owners],
        capacities,
        [HIGHEST] * len(capacities),
    )
    flat = [HIGHEST if value is None else value for value in found]
    return [flat[start : start + labels] for start in range(0, len(flat), labels)]


def _settle(
    keys: Integers,
    priorities: Integers,
    first: npt.NDArray[np.bool_],
    capacities: Sequence[int | None],
    bounds: Sequence[int],
) -> list[int | None]:
    """Return what `cutoff_search._settle` does: movies that a minimum draws are counted first."""
    taken = np.bincount(keys[first], minlength=len(capacities))
    rest = _Groups(keys[~first], priorities[~first], len(capacities))
    found: list[int | None] = []
    for key, capacity in enumerate(capacities):
        if capacity is None:
            found.append(HIGHEST)
        elif capacity == 0 or taken[key] > capacity:
            found.append(LOWEST)
        else:
            cutoff = rest.smallest(key, capacity - int(taken[key]), bounds[key])
            found.append(HIGHEST if cutoff is None and bounds[key] == HIGHEST else cutoff)
    return found


class _Groups:
    """Numbers in groups, sorted."""

    def __init__(self, keys: Integers, numbers: Integers, groups: int) -> None:
        order = np.lexsort((numbers, keys))
        self._numbers = numbers[order]
        self._ends = np.searchsorted(keys[order], np.arange(groups + 1)).tolist()

    def smallest(self, key: int, rank: int, bound: int) -> int | None:
        """Return the number of this rank, from 0, among those of a group below the bound."""
        numbers = self._numbers[self._ends[key] : self._ends[key + 1]]
        return int(numbers[rank]) if rank < np.searchsorted(numbers, bound) else None
