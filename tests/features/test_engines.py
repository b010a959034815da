"""Both engines give the same vectors, whatever the movies."""

from __future__ import annotations

import base64
import csv
import gzip
import math
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F

from genre_spark.config import FeaturesConfig, PostersConfig
from genre_spark.errors import InvalidInputError
from genre_spark.features import FeatureRows, FeatureSpecification, FrameEngine
from genre_spark.features.fitting import configured_columns, fit_specification
from genre_spark.features.spark_columns import prepare_columns
from genre_spark.features.spark_engine import add_features
from genre_spark.features.spark_posters import summarise_posters
from genre_spark.imaging import store_poster
from tests.features.specifications import (
    VOCABULARY,
    make_characters,
    make_specification,
    make_words,
)

LISTS = ("countries", "languages", "studios", "themes", "people")
SCHEMA = (
    "movie_id long, name string, date string, minute {kind}, rating {kind}, tagline string, "
    "description string, countries array<string>, languages array<string>, studios array<string>, "
    "themes array<string>, people array<string>, text_embedding array<float>, "
    "poster_summary array<double>, poster_embedding array<double>"
)

letters = st.characters(exclude_categories=("Cs",))
sentences = st.lists(
    st.sampled_from(
        [
            *VOCABULARY,
            "The",
            "of",
            "GHOST",
            "Story",
            "story",
            "e\u0301te\u0301",
            "don\u2019t",
            "'love'",
            "\u0130",
            "\u03a3\u03a3",
            "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd",
            "\u00ad",
            "\u200d",
            "_",
            "\t",
            "x\u0301\u0323",
        ]
    ),
    max_size=12,
).map(" ".join)
texts = st.none() | sentences | st.text(letters, max_size=30)
texts = texts | texts.filter(bool).map(lambda text: unicodedata.normalize("NFD", text))
dates = (
    st.none() | st.sampled_from(["2023", "1999.0", "1990-05-01", "soon", "", "12", "0042"]) | texts
)
written = st.sampled_from(["", "90", " 101.0\t", "inf", "NaN", "1e400", "-7.5e-1", "\uff11", "1_0"])
numbers = st.none() | st.floats() | st.integers(0, 300).map(float)
names = st.sampled_from(
    [
        "USA",
        " UK\t",
        "UK\r",
        "C\u00f4te d'Ivoire",
        "Co\u0302te\u00a0d'Ivoire",
        "Atlantis",
        "",
        " ",
        "A24",
        "Studio  Ghibli",
        "Language \u0939\u093f\u0928\u094d\u0926\u0940",
        "actor Zoe\u0308",
        "director Ann",
        "Horror, the undead and monster classics",
    ]
)
lists = st.none() | st.lists(st.none() | names | st.text(letters, max_size=8), max_size=4)


def vectors(length: int) -> st.SearchStrategy[list[float] | None]:
    """Return vectors that are there, missing, or hold a number that is none."""
    values = st.floats(-10, 10, width=32) | st.sampled_from([math.nan, math.inf])
    return st.none() | st.lists(values, min_size=length, max_size=length)


def movies(kind: str) -> st.SearchStrategy[list[tuple]]:
    """Return a few movies as rows; numbers are text or doubles."""
    number = st.none() | written | texts if kind == "string" else numbers
    one = st.tuples(
        texts,
        dates,
        number,
        number,
        texts,
        texts,
        *[lists] * len(LISTS),
        vectors(3),
        vectors(9),
        vectors(2),
    )
    return st.lists(one, min_size=15, max_size=60)


def transform_both(
    spark, specification: FeatureSpecification, rows: list[tuple], kind: str = "string"
) -> FeatureRows:
    """Return what the frame engine says, once it has been compared with the Spark engine."""
    numbered = [(number, *row) for number, row in enumerate(rows)]
    frame = spark.createDataFrame(numbered, SCHEMA.format(kind=kind))
    columns = frame.columns
    found = add_features(frame.repartition(2), specification).orderBy("movie_id").collect()
    assert found[0].asDict().keys() == {*columns, "features"}
    answered = FrameEngine(specification).transform(pd.DataFrame(numbered, columns=columns))
    expected = np.stack([row["features"].toArray() for row in found])
    assert answered.matrix.shape == (len(rows), specification.size)
    np.testing.assert_allclose(answered.dense(), expected, rtol=1e-9, atol=1e-9)
    return answered


@pytest.mark.parametrize("kind", ["string", "double"])
def test_generated_movies_have_the_same_vectors(spark, kind) -> None:
    specification = make_specification()

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows=movies(kind))
    def compare(rows: list[tuple]) -> None:
        transform_both(spark, specification, rows, kind)

    compare()


@pytest.mark.parametrize(
    ("words", "characters"),
    [
        (make_words(hashed=8, ngrams=1), make_characters(hashed=8, ngrams=(2, 3))),
        (make_words(hashed=2**14, ngrams=3), make_characters(hashed=2**14)),
        (make_words(ngrams=3, unit_length=True), make_characters()),
        (make_words(hashed=64, ngrams=2, unit_length=True), make_characters(hashed=64)),
    ],
    ids=["few hashes", "many hashes", "unit length", "hashes of unit length"],
)
def test_texts_are_counted_the_same_with_and_without_a_vocabulary(spark, words, characters) -> None:
    rows = [
        (
            "Ghost ghost",
            None,
            None,
            None,
            "a ghost story",
            "\u0907\u0924\u093f\u0939\u093e\u0938 \u00e9t\u00e9 ghost story love",
            *[None] * 8,
        ),
        (None, None, None, None, "", "the of a", *[None] * 8),
    ]
    matrix = transform_both(spark, make_specification(words, characters), rows).matrix
    assert matrix[0].nnz > matrix[1].nnz


def test_hostile_movies_have_the_same_vectors(spark) -> None:
    long = "love ghost\u2019s \u0939\u093f\u0928\u094d\u0926\u0940 " * 40_000
    assert len(long.encode()) > 10**6
    rows = [
        (None,) * 14,
        ("",) * 6 + ([],) * 5 + (None,) * 3,
        (
            long,
            long,
            long,
            long,
            long[::-1],
            "'" * 10**6,
            [long],
            [None],
            ["x"] * 5000,
            [],
            None,
            *[None] * 3,
        ),
        (
            "a'" * 300_000,
            "9" * 10**5,
            "9" * 10**5,
            "-" * 10**5,
            "_" * 10**5,
            "\u0301" * 10**5,
            *[None] * 8,
        ),
        ("\x00", "\x00", "\x00", "\x00", "\ufeff", "\ufffe\U0010ffff", ["\x00"], *[None] * 7),
        ("love",) * 6 + (["UK", "UK ", "UK"],) * 5 + ([math.nan] * 3, [math.inf] * 9, [0.0, -0.0]),
    ]
    answered = transform_both(spark, make_specification(), rows)
    specification = make_specification()
    empty = dict(zip(specification.names, answered.dense()[0], strict=True))
    assert empty["numbers: minute"] == 101.0
    assert empty["numbers: minute missing"] == empty["text_embedding: missing"] == 1.0
    assert empty["poster_embedding: 1"] == 2.0
    assert not any(known[0] or known[1] for known in answered.known.values())
    assert answered.known["words"].tolist() == [False, False, True, True, False, True]
    assert answered.known["characters"].tolist() == [False, False, True, True, True, True]


def test_numbers_that_are_not_finite_are_missing_and_marked(spark) -> None:
    rows = [
        ("x", "2001", value, value, None, None, *[None] * 8)
        for value in (math.nan, math.inf, -math.inf, None, 90.0)
    ]
    answered = transform_both(spark, make_specification(), rows, "double").dense()
    assert answered[:, 1].tolist() == [101.0] * 4 + [90.0]
    assert answered[:, 4].tolist() == [1.0] * 4 + [0.0]


def test_columns_may_be_of_other_types_be_missing_or_stand_beside_strange_ones(spark) -> None:
    specification = make_specification().select(
        ["numbers", "decade", "countries", "poster_embedding"]
    )
    frame = spark.createDataFrame(
        [(1, 2003, 90, "UK", Vectors.sparse(2, [1], [4.0])), (2, 1990, None, None, None)],
        ["movie_id", "date", "minute", "countries", "poster_embedding"],
    )
    beside = frame.select(
        "*", F.lit(1).alias("a`b"), F.lit(1).alias("twice"), F.lit(2).alias("twice")
    )
    found = add_features(beside, specification).orderBy("movie_id").collect()
    assert [row["a`b"] for row in found] == [1, 1]
    local = pd.DataFrame(
        {
            "date": [2003, 1990],
            "minute": [90, None],
            "countries": ["UK", None],
            "poster_embedding": [np.array([0.0, 4.0]), None],
        }
    )
    answered = FrameEngine(specification).transform(local).dense()
    np.testing.assert_array_equal(answered, [row["features"].toArray() for row in found])
    dates = spark.sql("select date'1994-03-01' date")
    years = add_features(dates, specification).first()["features"].toArray()
    stamps = pd.DataFrame({"date": [pd.Timestamp("1994-03-01")]})
    np.testing.assert_array_equal(FrameEngine(specification).transform(stamps).dense()[0], years)


def test_values_that_a_column_cannot_have_are_told(spark) -> None:
    engine = FrameEngine(make_specification())
    for column, value, message in [
        ("name", 1.5, r"name of row 0: '1\.5' \(float\), expected text"),
        ("countries", 7, r"countries of row 0: '7' \(int\), expected a list of text"),
        ("minute", [1], r"minute of row 0: .*expected a number or text"),
        ("image", "poster.jpg", r"image of row 0: .*expected the bytes of an image file"),
        ("text_embedding", [1.0, 2.0], r"text_embedding of row 0: 2 numbers, expected 3"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            engine.transform(pd.DataFrame({column: [value]}))
    twice = spark.sql("select 'a' name, 'b' name")
    with pytest.raises(InvalidInputError, match="name: 2 columns of this name, expected one"):
        add_features(twice, make_specification())
    with pytest.raises(InvalidInputError, match="minute: array<int>, expected numbers or text"):
        add_features(spark.sql("select array(1) minute"), make_specification())
    wrong = add_features(spark.sql("select array(1.0d) text_embedding"), make_specification())
    with pytest.raises(Exception, match="text_embedding: 1 numbers, expected 3"):
        wrong.collect()


def test_no_rows_have_no_vectors() -> None:
    specification = make_specification()
    assert FrameEngine(specification).transform(pd.DataFrame()).matrix.shape == (
        0,
        specification.size,
    )


def make_jpeg(value: int) -> bytes:
    """Return a JPEG of one colour, 40 by 30."""
    return cv2.imencode(".jpg", np.full((40, 30, 3), value, np.uint8))[1].tobytes()


def test_an_image_that_cannot_be_read_is_said_and_the_movie_answered_from_the_rest() -> None:
    good = make_jpeg(200)
    frame = pd.DataFrame(
        {
            "name": ["Ghost", "Ghost", "Ghost", "Ghost", "Ghost"],
            "image": [good, good[:-30], b"no image", b"", base64.b64encode(good)],
        }
    )
    specification = make_specification()
    answered = FrameEngine(specification).transform(frame)
    assert answered.notes[0] == answered.notes[3] == ()
    assert answered.notes[1] == (
        f"image not used: truncated: jpeg of {len(good) - 30} bytes without its end",
    )
    assert all(
        note[0].startswith("image not used: not an image")
        for note in (answered.notes[2], answered.notes[4])
    )
    assert answered.known["poster_summary"].tolist() == [True, False, False, False, False]
    place = specification.blocks["poster_summary"]
    np.testing.assert_allclose(answered.dense()[0, place][:3], 200 / 255, atol=0.01)
    np.testing.assert_array_equal(answered.dense()[1:, place], 0.25)
    assert answered.known["words"].all()


def test_a_number_or_date_that_cannot_be_read_is_said_and_counts_as_unknown() -> None:
    specification = make_specification()
    wrong = pd.DataFrame(
        {
            "date": ["tomorrow", " ", "1959", np.datetime64("NaT")],
            "minute": ["abc", "", None, float("inf")],
        }
    )
    found = FrameEngine(specification).transform(wrong)
    assert found.notes == (
        ("date not used: 'tomorrow' has no year", "minute not used: 'abc' is not a number"),
        (),
        (),
        ("minute not used: inf is not a number",),
    )
    unknown = FrameEngine(specification).transform(pd.DataFrame({"date": [None, None, "1959", ""]}))
    np.testing.assert_array_equal(found.dense(), unknown.dense())


def test_real_movies_and_posters_have_the_same_vectors(spark, real_data: Path) -> None:
    folder = real_data / "letterboxd"
    with gzip.open(folder / "movies.csv.gz", "rt", newline="", encoding="utf-8") as file:
        described = {int(row["id"]): row for row in csv.DictReader(file)}
    posters = sorted(real_data.glob("posters/*.jpg"))[::24]
    lists: dict[str, dict[int, list[str]]] = {name: {} for name in LISTS}
    for name, file_name in [*[(name, name) for name in LISTS[:4]], ("people", "crew")]:
        with gzip.open(folder / f"{file_name}.csv.gz", "rt", newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                if row[0] != "id":
                    lists[name].setdefault(int(row[0]), []).append(" ".join(row[1:]))
    fields = ("name", "date", "minute", "rating", "tagline", "description")
    rows, stored, images = [], [], []
    form = PostersConfig()
    for path in posters:
        movie = int(path.stem)
        told = tuple(described.get(movie, {}).get(field) or None for field in fields)
        rows.append((movie, *told, *[lists[name].get(movie) for name in LISTS]))
        images.append(path.read_bytes())
        poster = store_poster(images[-1], height=form.height, width=form.width)
        stored.append((movie, bytearray(poster.content), form.height, form.width, 3, "jpeg"))
    kinds = SCHEMA.format(kind="string").split(", text_embedding")[0]
    frame = spark.createDataFrame(rows, kinds)
    table = spark.createDataFrame(
        stored, "movie_id long, image binary, height int, width int, channels int, encoding string"
    )
    config = FeaturesConfig(
        min_count=2,
        text_ngrams=2,
        text_fields=("name", "tagline", "description"),
        blocks={"decade": True, "characters": True},
    )
    summaries = summarise_posters(table, thumbnail=config.thumbnail, bins=config.histogram_bins)
    train = prepare_columns(frame, configured_columns(config)).join(summaries, "movie_id").cache()
    specification = fit_specification(train, config, form)
    assert len(specification.blocks) == 10
    found = (
        add_features(frame.join(summaries, "movie_id"), specification).orderBy("movie_id").collect()
    )
    local = pd.DataFrame(rows, columns=frame.columns).assign(image=images)
    answered = FrameEngine(specification).transform(local.sort_values("movie_id"))
    assert answered.notes == ((),) * len(rows)
    expected = np.stack([row["features"].toArray() for row in found])
    np.testing.assert_allclose(answered.dense(), expected, rtol=1e-9, atol=1e-9)
    assert answered.known["countries"].mean() > 0.9
