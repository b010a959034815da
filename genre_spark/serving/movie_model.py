"""A packaged model: raw fields of movies in, genres and probabilities out."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genre_spark.features.frame_engine import FeatureRows, FrameEngine
from genre_spark.features.specification import FeatureSpecification
from genre_spark.serving.embedders import Embedders
from genre_spark.serving.model_parts import Movies, Scored, open_part
from genre_spark.serving.package_description import ModelDescription
from genre_spark.workers.kept_memory import kept_memory

__all__ = ["INPUTS", "MovieAnswers", "MovieModel"]

_SHOWN = 4  # genres per movie in a notebook

INPUTS = {
    "name": "text",
    "date": "text",
    "minute": "number",
    "rating": "number",
    "budget": "number",
    "revenue": "number",
    "votes": "number",
    "popularity": "number",
    "tagline": "text",
    "description": "text",
    "countries": "list of text",
    "languages": "list of text",
    "studios": "list of text",
    "people": "list of text",
    "themes": "list of text",
    "image": "bytes of an image file",
}
"""The raw fields that models may read, any of which may be missing, and their kinds."""


@dataclass(frozen=True)
class MovieAnswers:
    """What a model says of some movies.

    Attributes:
        vocabulary: names of the genres, L.
        probabilities: (movies, L), 0..1.
        decided: 0 or 1, (movies, L), by the model's decision rule.
        notes: per movie, what could not be used.
        version: digest of the model.
    """

    vocabulary: tuple[str, ...]
    probabilities: NDArray[np.float64]
    decided: NDArray[np.float64]
    notes: tuple[tuple[str, ...], ...]
    version: str

    def as_frame(self) -> pd.DataFrame:
        """Return one row per movie.

        Columns: genres (list, the most probable first), probabilities (genre -> 0..1, the most
        probable first), notes (list) and model_version.
        """
        rows = []
        for values, on, notes in zip(self.probabilities, self.decided, self.notes, strict=True):
            order = np.argsort(-values, kind="stable")
            named = {self.vocabulary[place]: float(values[place]) for place in order}
            genres = [self.vocabulary[place] for place in order if on[place]]
            rows.append((genres, named, list(notes), self.version))
        return pd.DataFrame(rows, columns=["genres", "probabilities", "notes", "model_version"])

    def _repr_html_(self) -> str:
        """Return the answers as a notebook shows them: genres, and the most probable ones."""
        from genre_spark.evaluation.html_tables import html_table  # noqa: PLC0415 - matplotlib

        found = self.as_frame()
        rows = [
            (
                ", ".join(genres) or "none",
                ", ".join(f"{name} {p:.0%}" for name, p in list(probabilities.items())[:_SHOWN]),
                "; ".join(notes),
            )
            for genres, probabilities, notes in zip(
                found["genres"], found["probabilities"], found["notes"], strict=True
            )
        ]
        return html_table(rows, header=("genres", "most probable", "notes"), left=3)


class MovieModel:
    """A model with its features and its decision rule; needs no Spark session.

    Args:
        folder: folder of a package, on this machine.
    """

    def __init__(self, folder: str | Path) -> None:
        root = str(folder)
        self.description = ModelDescription.load(root)
        self.specification: FeatureSpecification | None = None
        if (Path(root) / "features").is_dir():
            self.specification = FeatureSpecification.load(f"{root}/features")
            self._engine = FrameEngine(self.specification)
            backbone = Path(root) / "backbone.pt"
            self._embedders = Embedders(
                self.specification, self.description, str(backbone) if backbone.exists() else ""
            )
        self._part = open_part(root, self.description.part, self.description)

    def predict(self, frame: pd.DataFrame) -> MovieAnswers:
        """Predict the genres of movies.

        Args:
            frame: one row per movie with any of the columns of `INPUTS`; values may be missing.

        Raises:
            InvalidInputError: a value is of a type that its column cannot have.
        """
        notes: list[list[str]] = [[] for _ in range(len(frame))]
        held: list[FeatureRows] = []

        def features() -> FeatureRows:
            if not held:
                held.append(self._engine.transform(self._embedders.add(frame, notes)))
                for mine, found in zip(notes, held[0].notes, strict=True):
                    mine.extend(note for note in found if note not in mine)
            return held[0]

        with kept_memory() if len(frame) > 1 else nullcontext():
            scored = self._part.score(Movies(frame, notes, features, self.specification))
        return MovieAnswers(
            self.description.vocabulary,
            scored.probabilities,
            self._decide(scored),
            tuple(map(tuple, notes)),
            self.description.version,
        )

    def _decide(self, scored: Scored) -> NDArray[np.float64]:
        if self.description.rule == "own" and scored.decided is not None:
            return scored.decided
        limits: Any = np.array(self.description.thresholds)
        return (scored.probabilities >= limits).astype(np.float64)
