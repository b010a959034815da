"""Posters by genre: a few to look at, and their mean colours; both from a bounded sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from genre_spark.imaging import decode_stored
from genre_spark.sampling.priorities import fraction_to_priority, priority
from genre_spark.schemas import CHANNELS, ENCODING, HEIGHT, IMAGE, LABEL_IDS, MOVIE_ID, WIDTH
from genre_spark.workers.tasks import short_task

__all__ = ["ContactSheet", "PosterColours", "contact_sheets", "poster_colours"]

Matrix = npt.NDArray[np.float64]
_STORED = (IMAGE, ENCODING, HEIGHT, WIDTH, CHANNELS)
_THUMBNAIL = (80, 120)  # pixels, width and height
_GAP = 4
_QUALITY = 80
_COLOURS = "movie_id bigint, red double, green double, blue double, spread double"


@dataclass(frozen=True)
class PosterColours:
    """Mean colours of posters.

    Attributes:
        posters: posters of each genre that were measured, (L,).
        colours: their mean red, green and blue, (L, 3), 0..255; NaN where there is none.
        contrast: mean standard deviation of a poster's brightness, (L,), 0..255.
        sampled: posters measured in all.
        total: posters there are.
    """

    posters: npt.NDArray[np.int64]
    colours: Matrix
    contrast: Matrix
    sampled: int
    total: int

    @property
    def brightness(self) -> Matrix:
        """Mean luma of each genre, (L,), 0..255 (ITU-R BT.601)."""
        return self.colours @ np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class ContactSheet:
    """Some posters of a genre in one picture.

    Attributes:
        genre: position among the shown genres.
        jpeg: the picture.
        width: pixels.
        height: pixels.
        posters: number of posters in it.
    """

    genre: int
    jpeg: bytes
    width: int
    height: int
    posters: int


def poster_colours(
    movies: DataFrame, posters: DataFrame, *, shown: Sequence[int], most: int, seed: int
) -> PosterColours:
    """Return the mean colours of each genre over at most about `most` posters.

    Args:
        movies: movie_id and label_ids.
        posters: the posters table.
        shown: label ids, in the order wanted.
        most: posters to decode; which ones is a function of id and seed.
        seed: of the choice.
    """
    ids = posters.select(MOVIE_ID).join(movies.select(MOVIE_ID), MOVIE_ID, "left_semi")
    total = ids.count()
    chosen = posters.join(movies.select(MOVIE_ID), MOVIE_ID, "left_semi")
    if total > most:
        chosen = chosen.where(priority(seed, "colours") < fraction_to_priority(most / total))
    measured = chosen.select(MOVIE_ID, *_STORED).mapInArrow(short_task(_measure), _COLOURS)
    wanted = F.filter(LABEL_IDS, lambda label: label.isin(list(shown)))
    groups = F.explode(F.concat(wanted, F.array(F.lit(-1)))).alias("genre")
    names = ("red", "green", "blue", "spread")
    rows = (
        measured.join(movies.select(MOVIE_ID, LABEL_IDS), MOVIE_ID)
        .select(groups, *names)
        .groupBy("genre")
        .agg(F.count(F.lit(1)).alias("posters"), *[F.avg(name).alias(name) for name in names])
        .collect()
    )
    by_genre = {row["genre"]: row for row in rows}
    nothing = {"posters": 0, **dict.fromkeys(names, float("nan"))}
    found = [by_genre.get(label, nothing) for label in shown]
    return PosterColours(
        posters=np.array([row["posters"] for row in found], np.int64),
        colours=np.array([[row[name] for name in names[:3]] for row in found], np.float64),
        contrast=np.array([row["spread"] for row in found], np.float64),
        sampled=by_genre[-1]["posters"] if -1 in by_genre else 0,
        total=total,
    )


def contact_sheets(
    movies: DataFrame, posters: DataFrame, *, shown: Sequence[int], per_genre: int, seed: int
) -> list[ContactSheet]:
    """Return a picture with some posters of each genre that has any.

    Args:
        movies: movie_id and label_ids.
        posters: the posters table.
        shown: label ids, in the order wanted.
        per_genre: posters per genre; which ones is a function of id and seed.
        seed: of the choice.
    """
    # by movie and genre, so that a movie of two genres is not on both sheets
    drawn = priority(seed, "contact sheets", F.xxhash64(MOVIE_ID, "label"))
    by_chance = Window.partitionBy("label").orderBy(drawn, MOVIE_ID)
    chosen = (
        movies.join(posters.select(MOVIE_ID), MOVIE_ID, "left_semi")
        .select(MOVIE_ID, F.explode(LABEL_IDS).alias("label"))
        .where(F.col("label").isin(list(shown)))
        .withColumn("rank", F.row_number().over(by_chance))
        .where(F.col("rank") <= per_genre)
        .select(MOVIE_ID, "label", "rank")
    )
    thumbnails = F.broadcast(chosen).join(posters.select(MOVIE_ID, *_STORED), MOVIE_ID)
    rows = thumbnails.select("label", "rank", *_STORED).orderBy("label", "rank").collect()
    pictures: dict[int, list[npt.NDArray[np.uint8]]] = {}
    for row in rows:  # per_genre posters of each genre shown
        pictures.setdefault(row["label"], []).append(_thumbnail(*(row[name] for name in _STORED)))
    return [
        _sheet(place, pictures[label]) for place, label in enumerate(shown) if label in pictures
    ]


def _measure(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    cv2.setNumThreads(0)  # Spark runs one worker per core already
    for batch in batches:
        columns = [batch.column(index).to_pylist() for index in range(1, 6)]
        facts = np.array([_colours(*row) for row in zip(*columns, strict=True)]).reshape(-1, 4)
        arrays = [batch.column(0), *[pa.array(facts[:, place]) for place in range(4)]]
        yield pa.RecordBatch.from_arrays(arrays, names=[MOVIE_ID, "red", "green", "blue", "spread"])


def _colours(image: bytes, encoding: str, height: int, width: int, channels: int) -> Matrix:
    """Return mean red, green, blue, and the spread of brightness, of a small copy: it is enough."""
    pixels = decode_stored(image, encoding, height, width, channels).transpose(1, 2, 0)
    small = cv2.resize(np.ascontiguousarray(pixels), (24, 36), interpolation=cv2.INTER_AREA)
    luma = small @ np.array([0.299, 0.587, 0.114])
    return np.array([*small.reshape(-1, 3).mean(axis=0), luma.std()])


def _thumbnail(
    image: bytes, encoding: str, height: int, width: int, channels: int
) -> npt.NDArray[np.uint8]:
    pixels = decode_stored(image, encoding, height, width, channels).transpose(1, 2, 0)
    small = cv2.resize(np.ascontiguousarray(pixels), _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _sheet(genre: int, pictures: Sequence[npt.NDArray[np.uint8]]) -> ContactSheet:
    columns = min(6, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = _THUMBNAIL
    shape = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    sheet = np.full(shape, 128, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = row * (height + _GAP), column * (width + _GAP)
        sheet[top : top + height, left : left + width] = picture
    bgr = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return ContactSheet(genre, data.tobytes(), shape[1], shape[0], len(pictures))
