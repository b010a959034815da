"""The models of an evaluation side by side, as text and as a notebook shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genre_spark.evaluation.html_tables import html_note, html_table, html_title
from genre_spark.evaluation.scores import Candidate, format_table, table_rows

__all__ = ["ScoreTable"]


@dataclass(frozen=True, repr=False)
class ScoreTable:
    """Models under their decision rules.

    Attributes:
        candidates: the rows, of `gather_candidates`.
        split: validation or test.
    """

    candidates: Sequence[Candidate]
    split: str = "test"

    def __str__(self) -> str:
        """Return a text table."""
        return format_table(self.candidates, split=self.split)

    __repr__ = __str__  # notebooks store it beside the HTML

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        header, *rows = table_rows(self.candidates, split=self.split)
        return "".join(
            [
                html_title("Models", f"on {self.split}"),
                html_table(rows, header=header, left=2),
                html_note("* the best value of each metric"),
            ]
        )
