"""Balanced samples by bottom-k sampling with one priority per movie; probabilities are known.

Every movie has one priority, a hash of its id and the seed. A genre with the minimum m has a
cutoff: the (m+1)-th smallest priority of its movies. A movie is drawn when its priority is below
the greatest cutoff of its genres, or below the fill cutoff, which is set so that the wanted total
comes out. A genre then has at least m movies, or all that it has; and given the other movies'
priorities, the greatest of a drawn movie's cutoffs is exactly its probability of being drawn, so
that weights of 1/probability estimate the population without bias.

The (m+1)-th and not the m-th smallest is what makes this exact: the bottom-k sketches of Cohen and
Kaplan (Summarizing data using bottom-k sketches, PODC 2007) and priority sampling (Duffield, Lund,
Thorup, J. ACM 54, 2007). That the greatest of several cutoffs, and the fill, keep the property
is Ting's substitutability (Adaptive threshold sampling, SIGMOD 2022): a drawn movie's own cutoff
does not move with its own priority.

An optional maximum bounds what the fill adds to a genre. Minima go before maxima, and both before
the total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genre_spark.sampling.priorities import HIGHEST, LOWEST, priority
from genre_spark.sampling.splits import SPLIT
from genre_spark.schemas import LABEL_IDS, WEIGHT

__all__ = ["Cutoffs", "Demand", "LabelCounts", "apply_cutoffs"]

PURPOSE = "sample"
PRIORITY = "priority"
LABEL = "label"
_MAX_BRANCHES = 256  # of compiled cases; JIT compilers give up on methods that are much longer


@dataclass(frozen=True)
class LabelCounts:
    """Movies of one split: all of them, and per label id."""

    movies: int
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Demand:
    """What is wanted of one split.

    Attributes:
        total: movies wanted, None for all.
        minimum: movies of each label that are drawn at least, by label id.
        maximum: movies of each label that the fill may reach, by label id; None for no maximum.
    """

    total: int | None
    minimum: tuple[int, ...]
    maximum: tuple[int | None, ...]

    def takes_all_of(self, counts: LabelCounts) -> bool:
        """Return whether every movie of the split is drawn."""
        capped = any(
            most is not None and most < has
            for most, has in zip(self.maximum, counts.labels, strict=True)
        )
        return (self.total is None or self.total >= counts.movies) and not capped


@dataclass(frozen=True)
class Cutoffs:
    """Priorities below which movies of one split are drawn; HIGHEST stands for all of them.

    Attributes:
        minimum: by label id; enough for the other cutoffs not to matter.
        maximum: by label id; the fill takes a movie only below the cutoffs of all its labels.
        fill: one for all.
    """

    minimum: tuple[int, ...]
    maximum: tuple[int, ...]
    fill: int

    @classmethod
    def all_movies(cls, labels: int) -> Cutoffs:
        """Return cutoffs that draw everything."""
        return cls((LOWEST,) * labels, (HIGHEST,) * labels, HIGHEST)


def apply_cutoffs(movies: DataFrame, cutoffs: Mapping[str, Cutoffs], *, seed: int) -> DataFrame:
    """Keep the movies that the cutoffs draw; add `weight`, 1 / the probability of being drawn.

    Args:
        movies: movie_id, label_ids, split, and whatever else.
        cutoffs: by split.
        seed: of the configuration; the same that the cutoffs were found with.
    """
    lookup = Lookup(list(cutoffs))
    minima = lookup.greatest([found.minimum for found in cutoffs.values()])
    capped = any(cap != HIGHEST for found in cutoffs.values() for cap in found.maximum)
    fill = lookup.of_split([found.fill for found in cutoffs.values()])
    if capped:
        fill = F.least(fill, lookup.least([found.maximum for found in cutoffs.values()]))
    columns = movies.columns
    reached = movies.select(
        *columns, priority(seed, PURPOSE).alias(PRIORITY), F.greatest(minima, fill).alias("reach")
    )
    probability = (F.col("reach").cast("double") - F.lit(float(LOWEST))) / F.lit(2.0**64)
    weight = (1 / probability).cast("float")
    # Exploding keeps what a filter would: but a filter is moved below the columns that it reads, so
    # that `reach` would be worked out twice, by code too long for the JVM to compile.
    drawn = F.when(F.col(PRIORITY) < F.col("reach"), F.array(weight))
    return reached.select(*columns, F.explode(drawn).alias(WEIGHT))


class Lookup:
    """Numbers per split, or per split and label, as literals of an expression: no join, no job.

    Args:
        splits: names of the splits, in the order in which numbers are given.
    """

    def __init__(self, splits: Sequence[str]) -> None:
        self.splits = list(splits)

    def index(self) -> Column:
        """Return the position of the row's split."""
        places = ",".join(f'"{split}":{place}' for place, split in enumerate(self.splits))
        return F.try_element_at(
            F.from_json(F.lit(f"{{{places}}}"), "map<string,int>"), F.col(SPLIT)
        )

    def of_split(self, values: Sequence[int]) -> Column:
        """Return the number of the row's split."""
        return F.get(bigints(values), self.index())

    def of_label(self, values: Sequence[Sequence[int]], label: Column) -> Column:
        """Return the number of the row's split and a label."""
        flat = [number for row in values for number in row]
        return F.get(bigints(flat), self.index() * F.lit(len(values[0])) + label)

    def greatest(self, values: Sequence[Sequence[int]]) -> Column:
        """Return the greatest number of the row's labels; LOWEST without labels."""
        if self._is_short(values):
            return self._first_of(values, otherwise=LOWEST, reverse=True)
        found = F.transform(LABEL_IDS, lambda label: self.of_label(values, label))
        return F.coalesce(F.array_max(found), F.lit(LOWEST))

    def least(self, values: Sequence[Sequence[int]]) -> Column:
        """Return the least number of the row's labels; HIGHEST without labels."""
        if self._is_short(values):
            return self._first_of(values, otherwise=HIGHEST, reverse=False)
        found = F.transform(LABEL_IDS, lambda label: self.of_label(values, label))
        return F.coalesce(F.array_min(found), F.lit(HIGHEST))

    def _is_short(self, values: Sequence[Sequence[int]]) -> bool:
        return (
            sum(len(set(row)) for row in values) <= _MAX_BRANCHES
            and sum(map(len, values)) <= 2 * _MAX_BRANCHES
        )

    def _first_of(
        self, values: Sequence[Sequence[int]], *, otherwise: int, reverse: bool
    ) -> Column:
        """Return the extreme number of the row's labels by looking for them in order of number.

        Spark compiles such a chain of cases; it interprets the function of F.transform, movie by
        movie. The chain is written as SQL: as columns it would be a few hundred calls of the JVM.
        """
        found: list[tuple[str, str]] = []
        for split, row in zip(self.splits, values, strict=True):
            numbers = sorted(set(row) - {otherwise}, reverse=reverse)
            labels = [[label for label, value in enumerate(row) if value == n] for n in numbers]
            cases = [
                (_has_any(which), _bigint(n)) for which, n in zip(labels, numbers, strict=True)
            ]
            found.append((f"{SPLIT} = {_text(split)}", _first_case(cases, otherwise)))
        return F.expr(_first_case(found, otherwise))


def _first_case(cases: Sequence[tuple[str, str]], otherwise: int) -> str:
    """Return the value of the first case that holds, in SQL."""
    if not cases:
        return _bigint(otherwise)
    chain = " ".join(f"WHEN {condition} THEN {value}" for condition, value in cases)
    return f"CASE {chain} ELSE {_bigint(otherwise)} END"


def _has_any(labels: Sequence[int]) -> str:
    return " OR ".join(f"array_contains({LABEL_IDS}, {label})" for label in labels)


def _bigint(value: int) -> str:
    return f"CAST('{value}' AS BIGINT)" if value == LOWEST else f"{value}L"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def bigints(values: Sequence[int]) -> Column:
    """Return numbers as a literal array<bigint>."""
    return F.from_json(F.lit("[" + ",".join(map(str, values)) + "]"), "array<bigint>")
