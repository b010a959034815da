"""Exact order statistics of priorities in few passes, in constant memory on the driver."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from genre_spark.errors import StageFailedError
from genre_spark.sampling.cutoffs import (
    LABEL,
    PRIORITY,
    PURPOSE,
    Cutoffs,
    Demand,
    LabelCounts,
    Lookup,
    bigints,
)
from genre_spark.sampling.cutoffs_in_memory import Candidates, settle_in_memory
from genre_spark.sampling.priorities import HIGHEST, LOWEST, fraction_to_priority, priority
from genre_spark.sampling.splits import SPLIT
from genre_spark.schemas import LABEL_IDS
from genre_spark.storage.caching import cached

__all__ = ["find_cutoffs"]

_BUCKETS = 1024
_KEY, _BUCKET, _IN_MINIMUM, _BEFORE = "key", "bucket", "in_minimum", "before"
_FILLED = -1  # the bucket of movies that a minimum draws
# Where the k-th smallest of n uniform numbers lies is known to within a few sqrt(k)/n. Missing the
# band costs another round with a wider one, never exactness.
_SLACKS = (8.0, 64.0, math.inf)
_IN_MEMORY = 500_000  # candidates; the driver sorts them in the time of starting a Spark job


def find_cutoffs(
    movies: DataFrame,
    demands: Mapping[str, Demand],
    counts: Mapping[str, LabelCounts],
    *,
    seed: int,
    slacks: Sequence[float] = _SLACKS,
    in_memory: int = _IN_MEMORY,
) -> dict[str, Cutoffs]:
    """Find the cutoffs that meet the demands; runs Spark jobs.

    One pass over all movies keeps the candidates (those that could be drawn at all: about as many
    as the sample has); three passes over the candidates find the cutoffs. Few candidates are
    brought to the driver instead.

    Args:
        movies: movie_id, label_ids, split.
        demands: by split.
        counts: of the same movies, by split.
        seed: of the configuration.
        slacks: widths of the bands in which cutoffs are looked for, in standard deviations,
            tried in turn.
        in_memory: candidates that the driver may hold.
    """
    labels = len(next(iter(demands.values())).minimum)
    found = {
        split: Cutoffs.all_movies(labels)
        for split, demand in demands.items()
        if demand.takes_all_of(counts[split])
    }
    open_demands = {split: demand for split, demand in demands.items() if split not in found}
    for slack in slacks:
        if not open_demands:
            break
        search = _Search(open_demands, counts, seed=seed, slack=slack)
        found.update(search.run(movies, in_memory=in_memory))
        open_demands = {
            split: demand for split, demand in open_demands.items() if split not in found
        }
    if open_demands:
        raise StageFailedError(
            f"sample: no cutoffs found for {', '.join(open_demands)}; did the movies change?"
        )
    return {split: found[split] for split in demands}


class _Search:
    """One round of the search, over the splits that are not settled yet."""

    def __init__(
        self,
        demands: Mapping[str, Demand],
        counts: Mapping[str, LabelCounts],
        *,
        seed: int,
        slack: float,
    ) -> None:
        self.demands = demands
        self.counts = counts
        self.seed = seed
        self.lookup = Lookup(list(demands))
        self.labels = len(next(iter(demands.values())).minimum)
        bands = {
            split: [
                _band(least, has, slack)
                for least, has in zip(demand.minimum, counts[split].labels, strict=True)
            ]
            for split, demand in demands.items()
        }
        self.lower = [[low for low, _ in band] for band in bands.values()]
        self.upper = [[high for _, high in band] for band in bands.values()]
        self.fill_bound = {
            split: HIGHEST
            if demand.total is None or any(most is not None for most in demand.maximum)
            else _band(demand.total, counts[split].movies, slack)[1]
            for split, demand in demands.items()
        }

    def run(self, movies: DataFrame, *, in_memory: int) -> dict[str, Cutoffs]:
        """Return the cutoffs of the splits where every band was wide enough."""
        bound = F.greatest(
            self.lookup.greatest(self.upper), self.lookup.of_split(list(self.fill_bound.values()))
        )
        candidates = (
            movies.where(F.col(SPLIT).isin(self.lookup.splits))
            .select(SPLIT, LABEL_IDS, priority(self.seed, PURPOSE).alias(PRIORITY))
            .where(F.col(PRIORITY) < bound)
        )
        if self._most_candidates() <= in_memory:
            known = {split: self._known_minima(split) for split in self.demands}
            return settle_in_memory(
                Candidates.collect(candidates.select(self.lookup.index(), PRIORITY, LABEL_IDS)),
                self.demands,
                known,
                self.upper,
                list(self.fill_bound.values()),
            )
        with cached(candidates):
            minima = self._minima(candidates)
            complete = {split: found for split, found in minima.items() if found is not None}
            return self._fill(candidates, complete)

    def _most_candidates(self) -> float:
        """Return how many movies are expected below the bounds, at most."""
        return sum(
            min(
                self.counts[split].movies,
                _below(self.fill_bound[split]) * self.counts[split].movies
                + sum(
                    _below(high) * has
                    for high, has in zip(upper, self.counts[split].labels, strict=True)
                ),
            )
            for split, upper in zip(self.demands, self.upper, strict=True)
        )

    def _minima(self, candidates: DataFrame) -> dict[str, tuple[int, ...] | None]:
        """Find the (minimum + 1)-th smallest priority of every label.

        None for a split whose bands missed one.
        """
        known = {split: self._known_minima(split) for split in self.demands}
        label = F.col(LABEL)
        low = self.lookup.of_label(self.lower, label)
        # Nothing is searched for labels whose cutoff is known.
        searched = [
            [
                LOWEST if value is not None else high
                for value, high in zip(values, upper, strict=True)
            ]
            for values, upper in zip(known.values(), self.upper, strict=True)
        ]
        ranks = self.lookup.of_label([demand.minimum for demand in self.demands.values()], label)
        rows = (
            candidates.select(SPLIT, PRIORITY, F.explode(LABEL_IDS).alias(LABEL))
            .where(F.col(PRIORITY) < self.lookup.of_label(searched, label))
            .groupBy(SPLIT, LABEL)
            .agg(
                F.sort_array(F.collect_list(F.when(F.col(PRIORITY) >= low, F.col(PRIORITY)))).alias(
                    "band"
                ),
                F.count_if(F.col(PRIORITY) < low).alias("below"),
            )
            .select(
                SPLIT, LABEL, F.get("band", (ranks - F.col("below")).cast("int")).alias("cutoff")
            )
            .collect()
        )
        found = {(row[SPLIT], row[LABEL]): row["cutoff"] for row in rows}
        cutoffs: dict[str, tuple[int, ...] | None] = {}
        for split, values in known.items():
            exact = [
                found.get((split, label)) if value is None else value
                for label, value in enumerate(values)
            ]
            whole = [value for value in exact if value is not None]
            cutoffs[split] = tuple(whole) if len(whole) == len(exact) else None
        return cutoffs

    def _known_minima(self, split: str) -> list[int | None]:
        """Return cutoffs that need no search: LOWEST without a minimum, HIGHEST for all movies."""
        pairs = zip(self.demands[split].minimum, self.counts[split].labels, strict=True)
        return [LOWEST if least == 0 else HIGHEST if has <= least else None for least, has in pairs]

    def _fill(
        self, candidates: DataFrame, minima: Mapping[str, tuple[int, ...]]
    ) -> dict[str, Cutoffs]:
        """Find the cutoffs of maxima and totals beyond what the minima draw."""
        if not minima:
            return {}
        lookup = Lookup(list(minima))
        drawn = F.col(PRIORITY) < lookup.greatest(list(minima.values()))
        rows = candidates.where(F.col(SPLIT).isin(lookup.splits)).withColumn(_IN_MINIMUM, drawn)
        maxima = dict.fromkeys(minima, (HIGHEST,) * self.labels)
        if any(most is not None for split in minima for most in self.demands[split].maximum):
            maxima = self._maxima(rows, lookup)
            rows = rows.where(
                F.col(_IN_MINIMUM) | (F.col(PRIORITY) < lookup.least(list(maxima.values())))
            )
        totals = [self.demands[split].total for split in minima]
        bounds = [self.fill_bound[split] for split in minima]
        fills = _settle(rows.withColumn(_KEY, lookup.index()), totals, bounds)
        return {
            split: Cutoffs(minima[split], maxima[split], fill)
            for split, fill in zip(minima, fills, strict=True)
            if fill is not None
        }

    def _maxima(self, rows: DataFrame, lookup: Lookup) -> dict[str, tuple[int, ...]]:
        capacities = [most for split in lookup.splits for most in self.demands[split].maximum]
        key = lookup.index() * F.lit(self.labels) + F.col(LABEL)
        of_labels = rows.withColumn(LABEL, F.explode(LABEL_IDS)).withColumn(_KEY, key)
        found = [
            value
            for value in _settle(of_labels, capacities, [HIGHEST] * len(capacities))
            if value is not None
        ]
        return {
            split: tuple(found[place * self.labels : (place + 1) * self.labels])
            for place, split in enumerate(lookup.splits)
        }


def _settle(
    rows: DataFrame, capacities: Sequence[int | None], bounds: Sequence[int]
) -> list[int | None]:
    """Find the priority up to which movies fit into a key's capacity, for every key.

    Movies that a minimum draws are counted first.

    A histogram names the bucket in which the cutoff lies, a second pass sorts that bucket.

    Args:
        rows: key (position in the lists below), priority, in_minimum.
        capacities: movies wanted, by key; None for no limit.
        bounds: priorities below which the rows of a key are complete.

    Returns:
        By key: LOWEST where the minimum's movies are too many already, HIGHEST where all fit, None
        where the rows below the bound did not suffice.
    """
    limited = [-1 if capacity is None else capacity for capacity in capacities]
    key = F.col(_KEY)
    width = F.get(_doubles([max(1.0, (bound - LOWEST) / _BUCKETS) for bound in bounds]), key)
    place = F.least(
        (F.col(PRIORITY).cast("double") - F.lit(float(LOWEST))) / width, F.lit(_BUCKETS - 1.0)
    ).cast("int")
    # Beyond the bound some movies are missing, so that none may be counted there.
    complete = F.col(_IN_MINIMUM) | (F.col(PRIORITY) < F.get(bigints(bounds), key))
    rows = rows.where((F.get(_doubles(limited), key) >= 0) & complete).select(
        _KEY, PRIORITY, F.when(F.col(_IN_MINIMUM), _FILLED).otherwise(place).alias(_BUCKET)
    )
    hits = _find_buckets(rows, limited)
    sought = [hits.get(place, (_FILLED, 0)) for place in range(len(capacities))]
    ranks = F.get(_doubles([rank for _, rank in sought]), key).cast("int")
    exact = {
        row[_KEY]: row["cutoff"]
        for row in rows.where(
            (F.col(_BUCKET) == F.get(_doubles([b for b, _ in sought]), key)) & (F.col(_BUCKET) >= 0)
        )
        .groupBy(_KEY)
        .agg(F.sort_array(F.collect_list(PRIORITY)).alias("band"))
        .select(_KEY, F.get("band", ranks).alias("cutoff"))
        .collect()
    }

    def cutoff(place: int) -> int | None:
        if capacities[place] == 0:
            return LOWEST
        if place not in hits:
            return HIGHEST if capacities[place] is None or bounds[place] == HIGHEST else None
        return LOWEST if hits[place][0] == _FILLED else exact[place]

    return [cutoff(place) for place in range(len(capacities))]


def _find_buckets(rows: DataFrame, limited: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return by key the bucket in which the capacity is reached, and the rank within it."""
    up_to = F.sum("count").over(Window.partitionBy(_KEY).orderBy(_BUCKET))
    before = F.col("up_to") - F.col("count")
    capacity = F.get(_doubles(limited), F.col(_KEY))
    crossed = (F.col("up_to") > capacity) & (before <= capacity)
    return {
        row[_KEY]: (row[_BUCKET], limited[row[_KEY]] - row[_BEFORE])
        for row in rows.groupBy(_KEY, _BUCKET)
        .count()
        .withColumn("up_to", up_to)
        .where(crossed)
        .select(_KEY, _BUCKET, before.alias(_BEFORE))
        .collect()
    }


def _below(bound: int) -> float:
    """Return the share of all priorities that lie below one."""
    return (bound - LOWEST) / 2.0**64


def _doubles(values: Sequence[float]) -> Column:
    return F.from_json(F.lit("[" + ",".join(map(repr, map(float, values))) + "]"), "array<double>")


def _band(rank: int, has: int, slack: float) -> tuple[int, int]:
    """Return bounds of the (rank + 1)-th smallest of `has` priorities, `slack` deviations wide."""
    if rank == 0:
        return LOWEST, LOWEST
    if rank >= has:
        return LOWEST, HIGHEST
    width = slack * math.sqrt(rank + 1) + slack
    low, high = (rank + 1 - width) / has, (rank + 1 + width) / has
    return fraction_to_priority(max(0.0, low)), fraction_to_priority(min(1.0, high))
