"""Raw columns to numbers, lists of clean names and lists of words, as Spark columns.

Plain texts are read in the JVM; the others, in which characters combine or whose script is young,
go through Python in Arrow batches, which reads them by the same functions as the frame engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DateType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from genre_spark.errors import InvalidInputError
from genre_spark.features.blocks import CHARACTERS, DECADE, WORDS
from genre_spark.features.tokens import APOSTROPHE, SHORTEST, SPLIT, tokenise
from genre_spark.raw_values import clean_name
from genre_spark.transforms.raw_columns import (
    finite,
    has_clean_names,
    is_plain,
    read_number,
    read_year,
    strip_blanks,
)

__all__ = ["PREFIX", "Preparation", "finite_vector", "number", "prepare_columns", "year"]

PREFIX = "_features_"
_LARGEST_DATE = 1e15
_NAMES = ArrayType(StringType())
# Java's lower case depends on the language of the machine; these letters are what it depends on.
_BY_LANGUAGE = {"I": "i", "\u00cc": "\u00ec", "\u00cd": "\u00ed", "\u0128": "\u0129"}


@dataclass(frozen=True)
class Preparation:
    """What is read of the raw columns.

    Attributes:
        fields: of `NUMBERS`, those wanted.
        categories: of `CATEGORIES`, those wanted.
        texts: raw fields whose words are wanted.
        stop_words: words that are left out.
        characters: raw fields whose characters are wanted.
    """

    fields: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    stop_words: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()


def prepare_columns(movies: DataFrame, wanted: Preparation) -> DataFrame:
    """Add a column for each thing that is wanted, its name after `PREFIX`.

    Numbers and years are finite or null, categories arrays of clean names (never null), words an
    array with the words of each text, and characters all texts as one.

    Args:
        movies: with any of the raw columns date, minute, rating, name, tagline, description,
            countries, languages, studios, themes, people; one that is not there counts as unknown.
        wanted: what to read.

    Raises:
        InvalidInputError: a raw column is there twice or has a type that it cannot have.
    """
    added: dict[str, Column] = {}
    if "year" in wanted.fields or DECADE in wanted.categories:
        added["year"] = year(movies, "date")
    for name in wanted.fields:
        if name != "year":
            added[name] = number(movies, name)
    for name in wanted.categories:
        if name != DECADE:
            added[name] = _clean_names(_names(movies, name))
    if wanted.texts:
        texts = [_words(_text(movies, name), wanted.stop_words) for name in wanted.texts]
        added[WORDS] = F.array(*texts)
    if wanted.characters:
        added[CHARACTERS] = F.concat_ws(" ", *[_text(movies, name) for name in wanted.characters])
    prepared = movies.withColumns({PREFIX + name: value for name, value in added.items()})
    if DECADE in wanted.categories:
        since = F.col(PREFIX + "year").cast("int")
        named = F.array(F.concat((since - since % 10).cast("string"), F.lit("s")))
        decades = F.when(since.isNotNull(), named).otherwise(_no_names())
        prepared = prepared.withColumn(PREFIX + DECADE, decades)
    return prepared


def year(movies: DataFrame, name: str) -> Column:
    """Return the year of a date as a double, null where it has none."""
    kind = _kind(movies, name)
    if kind is None:
        return F.lit(None).cast("double")
    column = _column(name)
    if isinstance(kind, (DateType, TimestampType, TimestampNTZType)):
        return F.year(column).cast("double")
    if not isinstance(kind, StringType):
        exact = F.abs(number(movies, name)) < _LARGEST_DATE
        column = F.when(exact, column.cast("bigint").cast("string"))
    return read_year(column)


def number(movies: DataFrame, name: str) -> Column:
    """Return a column of numbers, or of text with a number in it, as finite doubles or null."""
    kind = _kind(movies, name)
    if kind is None:
        return F.lit(None).cast("double")
    if isinstance(kind, StringType):
        return read_number(_column(name))
    if not isinstance(kind, NumericType):
        raise InvalidInputError(f"{name}: {kind.simpleString()}, expected numbers or text")
    return finite(_column(name).cast("double"))


def finite_vector(movies: DataFrame, name: str, length: int) -> Column:
    """Return a column of vectors or arrays as array<double>, null where a number is missing.

    A vector of another length fails the job.
    """
    values = vector(movies, name)
    problem = F.concat(F.lit(f"{name}: "), F.size(values), F.lit(f" numbers, expected {length}"))
    finite = F.forall(values, lambda value: value.isNotNull() & (F.abs(value) < float("inf")))
    return F.when(F.size(values) != length, F.raise_error(problem).cast("array<double>")).when(
        finite, values
    )


def vector(movies: DataFrame, name: str) -> Column:
    """Return a column of vectors or arrays of numbers as array<double>."""
    kind = _kind(movies, name)
    if kind is None:
        return F.lit(None).cast("array<double>")
    if isinstance(kind, VectorUDT):
        return F.when(_column(name).isNotNull(), vector_to_array(_column(name)))
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType):
        return _column(name).cast("array<double>")
    raise InvalidInputError(f"{name}: {kind.simpleString()}, expected vectors or arrays of numbers")


def _kind(movies: DataFrame, name: str) -> DataType | None:
    kinds = [item.dataType for item in movies.schema if item.name == name]
    if len(kinds) > 1:
        raise InvalidInputError(f"{name}: {len(kinds)} columns of this name, expected one")
    return kinds[0] if kinds else None


def _column(name: str) -> Column:
    return F.col(f"`{name}`")


def _no_names() -> Column:
    return F.array().cast("array<string>")


def _text(movies: DataFrame, name: str) -> Column:
    kind = _kind(movies, name)
    if kind is None:
        return F.lit(None).cast("string")
    if not isinstance(kind, (StringType, IntegralType)):
        raise InvalidInputError(f"{name}: {kind.simpleString()}, expected text")
    return _column(name).cast("string")


def _names(movies: DataFrame, name: str) -> Column:
    kind = _kind(movies, name)
    if kind is None:
        return _no_names()
    if isinstance(kind, StringType):
        return F.when(_column(name).isNotNull(), F.array(_column(name)))
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, (StringType, IntegralType)):
        return _column(name).cast("array<string>")
    raise InvalidInputError(f"{name}: {kind.simpleString()}, expected arrays of text")


def _clean_names(names: Column) -> Column:
    known = F.filter(names, lambda name: name.isNotNull())
    in_jvm = F.filter(F.transform(known, strip_blanks), lambda name: name != "")
    clean = has_clean_names(names)
    others = F.when(~clean & ~is_plain(F.array_join(names, "")), known)
    # null for all that the JVM reads; as JSON, because Arrow's writer counts the bytes of a batch
    # with every row, for which a column of lists needs the longer, the more rows there are
    in_python = _in_batches(_clean_all)(F.to_json(others))
    return F.coalesce(F.when(clean, names), in_python, in_jvm, _no_names())


def _words(text: Column, stop_words: Sequence[str]) -> Column:
    lower = F.replace(text, F.lit(APOSTROPHE), F.lit("'"))
    for upper_letter, letter in _BY_LANGUAGE.items():
        lower = F.replace(lower, F.lit(upper_letter), F.lit(letter))
    kept = F.split(F.lower(lower), SPLIT)
    in_jvm = F.filter(
        kept, lambda word: (F.length(word) >= SHORTEST) & ~word.isin(*stop_words or [""])
    )
    left_out = frozenset(stop_words)
    cut = _in_batches(lambda text: tokenise(text, left_out))
    in_python = cut(F.when(~is_plain(text), text))  # null for all that the JVM reads
    return F.coalesce(in_python, in_jvm, _no_names())


def _in_batches(read: Callable[[Any], list[str]]) -> Callable[[Column], Column]:
    """Return a function of values as a function of columns, computed by Spark's Python workers."""

    def convert(values: pd.Series) -> pd.Series:
        return values.map(read, na_action="ignore")  # nearly all are null: the JVM has read them

    make_udf: Any = pandas_udf  # its overloads know no such function
    udf: Callable[[Column], Column] = make_udf(convert, returnType=_NAMES)
    return udf


def _clean_all(names: str) -> list[str]:
    return [name for name in map(clean_name, json.loads(names)) if name]
