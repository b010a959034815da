"""Where a network looks: the test posters that it is most certain of, rightly and wrongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.imaging import decode_stored
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.explained_models import NothingToExplain
from genre_spark.schemas import (
    CHANNELS,
    ENCODING,
    HEAT_MAPS_SCHEMA,
    HEIGHT,
    IMAGE,
    LABELS,
    MOVIE_ID,
    PROBABILITIES,
    WIDTH,
)
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.storage.files import join
from genre_spark.tracking import TrackedRun
from genre_spark.vision.figures.heat_maps import LookedAt, draw_heat_maps
from genre_spark.workers.own_process import prepared_process, run_in_own_process

__all__ = ["explain_network", "most_certain_cases"]

_GRAD_CAM = "genre_spark.vision.inference.grad_cam"


@dataclass(frozen=True)
class _Case:
    movie_id: int
    label: int
    probability: float
    right: bool


def explain_network(
    spark: SparkSession, config: Config, name: str, run: TrackedRun | None, *, posters: int
) -> DataFrame:
    """Log pictures of where a network looks, and return the heat maps.

    Args:
        spark: the session.
        config: the recipe.
        name: of the network.
        run: the network's run; None where the store has none.
        posters: how many at most; half of them right, half wrong.

    Returns:
        Rows of HEAT_MAPS_SCHEMA.

    Raises:
        NothingToExplain: there is no poster to look at.
    """
    tables = Catalogue(config)
    with prepared_process([_GRAD_CAM]):  # torch, seconds
        cases = most_certain_cases(tables.predictions(name, "test").read(spark), posters=posters)
        wanted = sorted({case.movie_id for case in cases})
        found = _read_posters(tables.samples("test").read(spark), wanted)
        cases = [case for case in cases if case.movie_id in found]
        if not cases:
            raise NothingToExplain(f"{name} has no test poster to look at")
        vocabulary, heat = run_in_own_process(
            f"the heat maps of {name}",
            f"{_GRAD_CAM}:heat_maps_of_file",
            join(config.paths.model(name), "network.pt"),
            np.stack([found[case.movie_id][0] for case in cases]),
            [case.label for case in cases],
            device=config.cnn.device,
        )
    if run is not None:
        _log(
            run,
            name,
            [_look(vocabulary, *both, found) for both in zip(cases, heat, strict=True)],
        )
    rows = [
        (
            case.movie_id,
            vocabulary[case.label],
            case.probability,
            case.right,
            *values.shape,
            values.ravel().tolist(),
        )
        for case, values in zip(cases, heat, strict=True)
    ]
    return frame_of_rows(spark, rows, HEAT_MAPS_SCHEMA)


def most_certain_cases(predictions: DataFrame, *, posters: int) -> list[_Case]:
    """Return the genres of movies that a network is most certain of: one of a genre at most.

    Args:
        predictions: rows of PREDICTIONS_SCHEMA.
        posters: how many; half of them where the movie has the genre, half where it has not.
    """
    pairs = F.zip_with(PROBABILITIES, LABELS, lambda p, on: F.struct(p.alias("p"), on.alias("on")))
    exploded = predictions.select(MOVIE_ID, F.posexplode(pairs).alias("label", "pair")).select(
        "label",
        (F.col("pair.on") > 0).alias("right"),
        F.struct(F.col("pair.p").alias("p"), (-F.col(MOVIE_ID)).alias("minus_id")).alias("case"),
    )
    best = exploded.groupBy("label", "right").agg(F.max("case").alias("case")).collect()
    cases = [
        _Case(-row["case"]["minus_id"], row["label"], float(row["case"]["p"]), row["right"])
        for row in best  # two rows per genre
    ]
    cases.sort(key=lambda case: (-case.probability, case.label))
    chosen = [
        [case for case in cases if case.right is right][: -(-posters // 2)]
        for right in (True, False)
    ]
    return [*chosen[0], *chosen[1]][:posters]


def _read_posters(
    samples: DataFrame, movie_ids: list[int]
) -> dict[int, tuple[np.ndarray, list[float]]]:
    """Return movie -> pixels, uint8 (3, H, W), and labels, of movies with a poster."""
    if IMAGE not in samples.columns:
        return {}
    columns = (MOVIE_ID, IMAGE, HEIGHT, WIDTH, CHANNELS, ENCODING, LABELS)
    wanted = samples.where(F.col(MOVIE_ID).isin(movie_ids) & F.col(IMAGE).isNotNull())
    return {
        row[MOVIE_ID]: (
            decode_stored(row[IMAGE], row[ENCODING], row[HEIGHT], row[WIDTH], row[CHANNELS]),
            row[LABELS],
        )
        for row in wanted.select(*columns).collect()  # at most explanations.posters
    }


def _look(
    vocabulary: tuple[str, ...],
    case: _Case,
    heat: np.ndarray,
    found: dict[int, tuple[np.ndarray, list[float]]],
) -> LookedAt:
    pixels, labels = found[case.movie_id]
    true = tuple(name for name, label in zip(vocabulary, labels, strict=True) if label > 0)
    return LookedAt(pixels.transpose(1, 2, 0), heat, vocabulary[case.label], case.probability, true)


def _log(run: TrackedRun, name: str, looks: list[LookedAt]) -> None:
    for word in ("right", "wrong"):
        shown = [look for look in looks if (look.genre in look.true) is (word == "right")]
        if shown:
            title = f"{name}: where it looks for the genres that it is most certain of ({word})"
            run.log_figure(draw_heat_maps(shown, title=title), f"explanations/looks_{word}.png")
