"""What a comparison found, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genre_spark.evaluation.bootstrap import Interval
from genre_spark.evaluation.headline import gain_of_best, interval_of
from genre_spark.evaluation.html_tables import html_list, html_table, html_title
from genre_spark.evaluation.scores import RULES, SHOWN, Candidate

__all__ = [
    "Compared",
    "describe_comparison",
    "describe_gain",
    "describe_interval",
    "summarize_comparison",
]

_BASELINE = "baseline"


@dataclass(frozen=True, repr=False)
class Compared:
    """What was compared.

    Attributes:
        ranked: models under their chosen rules, by quality on test, the best first.
        best: the model that validation chose.
        by: metric that decides.
        movies: split -> number of movies.
        genres: number of genres.
        themes: model -> whether themes, which are half a label, are among its inputs.
    """

    ranked: Sequence[Candidate]
    best: Candidate
    by: str
    movies: Mapping[str, int]
    genres: int
    themes: Mapping[str, bool] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return what was found in words: notebooks store it beside the HTML."""
        return "\n".join(line.replace("**", "") for line in summarize_comparison(self))

    def _repr_html_(self) -> str:
        """Return what was found as a notebook shows it."""
        sentences = [line.replace("**", "") for line in summarize_comparison(self)]
        header, *rows = _rows(self)
        best = [c.model for c in self.ranked].index(self.best.model)
        return "".join(
            [
                html_title("Comparison", f"{len(self.ranked)} models, {self.genres} genres"),
                html_list(sentences),
                html_table(rows, header=header, bold=best),
            ]
        )


def describe_comparison(found: Compared) -> str:
    """Return what was compared, which model is best and by how much, in Markdown."""
    models = sum(c.family != _BASELINE for c in found.ranked)
    baselines = len(found.ranked) - models
    counted = ", ".join(
        f"{found.movies[split]:,} {split}"
        for split in ("training", "validation", "test")
        if split in found.movies
    )
    lines = [
        *summarize_comparison(found),
        f"Compared were {models} models and {baselines} baselines on {found.genres} genres; "
        f"movies: {counted}. Intervals hold 95 % of 2,000 draws of the test movies (paired "
        "bootstrap).",
        _table(found),
    ]
    return "\n\n".join(line for line in lines if line)


def summarize_comparison(found: Compared) -> list[str]:
    """Return which model is best, how it was chosen, and by how much, a paragraph each."""
    name, best = SHOWN[found.by], found.best
    models = sum(c.family != _BASELINE for c in found.ranked)
    lines = [
        f"Best of {models} models: **{best.model}**, {name} {_value(best, found.by)}.",
        f"Measured on {found.movies['test']:,} test movies, with {RULES[best.rule]}. The model was "
        f"chosen on validation, where its {name} is {best.metric('validation', found.by):.3f}.",
        _describe_runner_up(found),
        _describe_themes(found),
    ]
    return [line for line in lines if line]


def _describe_themes(found: Compared) -> str:
    """Return the best model without themes where some models read them, and what that means."""
    reading = [c for c in found.ranked if found.themes.get(c.model)]
    models = [c for c in found.ranked if c.family != _BASELINE]
    if not reading:
        return ""
    without = [c for c in models if c not in reading]
    lines = (
        "Letterboxd's themes, or the keywords in their place, are half a label: "
        f"{len(reading)} of {len(models)} models read them, and can be compared with each other "
        "only."
    )
    if not without:
        return lines
    name = SHOWN[found.by]
    first = f"{reading[0].model}, {name} {reading[0].metric('test', found.by):.3f}"
    second = f"{without[0].model}, {without[0].metric('test', found.by):.3f}"
    return f"{lines} On test the best with themes is {first}, the best without them {second}."


def describe_gain(gain: Interval) -> str:
    """Return a gain with its interval, and whether it is more than noise."""
    if gain.is_positive:
        return f"by {describe_interval(gain, sign=True)}, more than noise"
    return f"by {describe_interval(gain, sign=True)}, which may be noise"


def describe_interval(found: Interval, *, sign: bool = False) -> str:
    """Return a number with its 95 % interval."""
    form = "+.3f" if sign else ".3f"
    return f"{found.value:{form}} (95 %: {found.low:{form}} to {found.high:{form}})"


def _describe_runner_up(found: Compared) -> str:
    """Return by how much the best model is ahead of the next, or what is ahead of it on test."""
    others = [c for c in found.ranked if c.model != found.best.model]
    name = SHOWN[found.by]
    lines = []
    for kind, rivals in (
        ("the next model", [c for c in others if c.family != _BASELINE]),
        ("the better baseline", [c for c in others if c.family == _BASELINE]),
    ):
        gain = gain_of_best(rivals[0], found.by) if rivals else None
        if gain is None:
            continue
        if gain.value >= 0:
            lines.append(f"It beats {kind}, {rivals[0].model}, {describe_gain(gain)}.")
        else:
            behind = Interval(-gain.value, -gain.high, -gain.low)
            lines.append(
                f"On test {rivals[0].model} has a better {name} {describe_gain(behind)}; "
                "the test movies have no say in the choice."
            )
    return " ".join(lines)


def _rows(found: Compared) -> list[tuple[str, str, str]]:
    """Return the cells of the table, its header first."""
    rows = [("model", f"{SHOWN[found.by]} on test", "behind the best")]
    for candidate in found.ranked:
        gain = gain_of_best(candidate, found.by)
        behind = "" if gain is None else describe_interval(gain)
        rows.append((candidate.model, _value(candidate, found.by), behind))
    return rows


def _table(found: Compared) -> str:
    header, *rows = (f"| {' | '.join(row)} |" for row in _rows(found))
    return "\n".join([header, "|---|---|---|", *rows])


def _value(candidate: Candidate, metric: str) -> str:
    found = interval_of(candidate, metric)
    return f"{candidate.metric('test', metric):.3f}" if found is None else describe_interval(found)
