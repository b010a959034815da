"""The sampling method a second time, movie by movie: the reference of the Spark version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genre_spark.sampling.cutoffs import Demand
from tests.sampling.xxh64 import priorities

ALL = 2.0  # a threshold above every priority


def draw(movies: Mapping[int, Sequence[int]], demand: Demand, *, seed: int) -> dict[int, float]:
    """Return the drawn movies and their probabilities.

    Args:
        movies: id -> label ids.
        demand: of this one split.
        seed: of the priorities.
    """
    ids = list(movies)
    exact = priorities(np.array(ids, np.int64), seed=seed, purpose="sample")
    u = {movie: (int(p) + 2**63) / 2.0**64 for movie, p in zip(ids, exact, strict=True)}

    def smallest(members: list[int], rank: int) -> float:
        return sorted(u[movie] for movie in members)[rank] if rank < len(members) else ALL

    labels = range(len(demand.minimum))
    of_label = [[movie for movie in ids if label in movies[movie]] for label in labels]
    least = [smallest(of_label[label], m) if m else 0.0 for label, m in enumerate(demand.minimum)]
    reach = {movie: max(least[label] for label in movies[movie]) for movie in ids}
    first = {movie for movie in ids if u[movie] < reach[movie]}
    cap = dict.fromkeys(ids, ALL)
    for label, most in enumerate(demand.maximum):
        if most is None:
            continue
        taken = sum(movie in first for movie in of_label[label])
        rest = [movie for movie in of_label[label] if movie not in first]
        bound = 0.0 if taken > most or most == 0 else smallest(rest, most - taken)
        for movie in of_label[label]:
            cap[movie] = min(cap[movie], bound)
    fill = ALL
    if demand.total is not None:
        rest = [movie for movie in ids if movie not in first and u[movie] < cap[movie]]
        fill = (
            0.0
            if len(first) > demand.total or not demand.total
            else smallest(rest, demand.total - len(first))
        )
    limit = {movie: max(reach[movie], min(fill, cap[movie])) for movie in ids}
    return {movie: min(1.0, limit[movie]) for movie in ids if u[movie] < limit[movie]}
