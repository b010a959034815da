"""From settings to what is wanted of each split, and notes on what could not be had."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from genre_spark.config import SamplingConfig, SplitConfig
from genre_spark.errors import InvalidConfigError
from genre_spark.sampling.cutoffs import Demand, LabelCounts
from genre_spark.sampling.description import Balance
from genre_spark.sampling.splits import TEST, TRAIN, VALIDATION

__all__ = ["explain_shortfalls", "plan_demands", "share_total"]


def share_total(total: int, split: SplitConfig) -> dict[str, int]:
    """Share the wanted movies out among the splits; the parts add up to the total."""
    test = round(total * split.test)
    validation = round((total - test) * split.validation)
    return {TRAIN: total - test - validation, VALIDATION: validation, TEST: test}


def plan_demands(
    sampling: SamplingConfig, split: SplitConfig, vocabulary: Sequence[str]
) -> dict[str, Demand]:
    """Return what is wanted of each split.

    Validation gets the training sample's minimum and maximum in proportion to its share, rounded
    up; test has neither, since it keeps the natural distribution.

    Raises:
        InvalidConfigError: a minimum or maximum is set for a genre that is not in the vocabulary.
    """
    minimum = _per_genre("sampling.minimum_per_genre", sampling.minimum_per_genre, vocabulary)
    maximum = _per_genre("sampling.maximum_per_genre", sampling.maximum_per_genre, vocabulary)
    totals = (
        dict.fromkeys((TRAIN, VALIDATION, TEST))
        if sampling.total is None
        else share_total(sampling.total, split)
    )
    share = split.validation / (1 - split.validation)

    def scaled(counts: Sequence[int | None]) -> tuple[int | None, ...]:
        # Rounded first, so that 0.2 / 0.8 of 100 is 25 and not the 26 of a binary fraction.
        return tuple(
            None if count is None else math.ceil(round(count * share, 6)) for count in counts
        )

    def demand(name: str, least: Sequence[int | None], most: Sequence[int | None]) -> Demand:
        return Demand(totals[name], tuple(count or 0 for count in least), tuple(most))

    nothing: tuple[None, ...] = (None,) * len(vocabulary)
    return {
        TRAIN: demand(TRAIN, minimum, maximum),
        VALIDATION: demand(VALIDATION, scaled(minimum), scaled(maximum)),
        TEST: demand(TEST, nothing, nothing),
    }


def _per_genre(
    key: str, value: int | Mapping[str, int] | None, vocabulary: Sequence[str]
) -> list[int | None]:
    if not isinstance(value, Mapping):
        return [value] * len(vocabulary)
    unknown = [name for name in value if name not in vocabulary]
    if unknown:
        raise InvalidConfigError(
            f"{key}.{unknown[0]}: no such genre, expected one of {', '.join(vocabulary)}"
        )
    return [value.get(name) for name in vocabulary]


def explain_shortfalls(
    demands: Mapping[str, Demand],
    counts: Mapping[str, LabelCounts],
    drawn: Mapping[str, Balance],
    vocabulary: Sequence[str],
) -> tuple[str, ...]:
    """Return a sentence, with both numbers, for every demand that could not be met."""
    return tuple(
        sentence
        for split, demand in demands.items()
        for sentence in _explain(split, demand, counts[split], drawn[split], vocabulary)
    )


def _explain(
    split: str, demand: Demand, counts: LabelCounts, drawn: Balance, vocabulary: Sequence[str]
) -> Iterator[str]:
    for label, name in enumerate(vocabulary):
        least, most, has = demand.minimum[label], demand.maximum[label], counts.labels[label]
        if has < least:
            yield (
                f"{split}: {name} has {has:,} movies where the minimum is {least:,}; all of them "
                "are in the sample"
            )
        if most is not None and drawn.labels[label] > most:
            yield (
                f"{split}: {name} has {drawn.labels[label]:,} movies in the sample where the "
                f"maximum is {most:,}; the minima of other genres need them"
            )
    if demand.total is None or drawn.movies == demand.total:
        return
    short = f"{split}: {drawn.movies:,} movies where {demand.total:,} are wanted"
    if drawn.movies > demand.total:
        yield f"{short}; the minima per genre need them, and the sample takes no others"
    elif drawn.movies == counts.movies:
        yield f"{short}; there are no more"
    else:
        yield f"{short}; the maxima leave no others"
