"""Raw text columns as Spark columns of numbers, years, ids and names; see `raw_values`.

Nearly all values of a column are clean already. A pattern that only looks says so in one pass over
a text, at a tenth of what it costs to search and replace; the rest is left for the others.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import StringType

from genre_spark.raw_values import (
    BLANK_CHARS,
    BLANKS,
    ID,
    ID_CHARS,
    NUMBER,
    NUMBER_CHARS,
    PLAIN_CHARS,
    YEAR,
)
from genre_spark.transforms.text_form import TextForm

__all__ = [
    "correct",
    "finite",
    "has_clean_names",
    "is_plain",
    "read_id",
    "read_number",
    "read_year",
    "strip_blanks",
]

_DIGITS = r"\A[0-9]{1,18}\z"  # an id as nearly all are written
# Java's: possessive, so that nothing is tried twice, and ASCII first, which is one comparison.
_WORD = f"(?:[!-~]++|[^{BLANK_CHARS}]++)++"
_CLEAN = rf"\A{_WORD}(?: {_WORD})*+\z"
_PLAIN = rf"\A(?:[\x00-\x7f]++|[{PLAIN_CHARS}]++)*+\z"
_SEPARATOR = "|"  # a letter like any other: a name with it inside is no reason to look again
_PLAIN_WORD = rf"(?:[!-{{}}~]++|[{PLAIN_CHARS}&&[^\x00-\x7f{BLANK_CHARS}]]++)++"
_PLAIN_NAME = f"{_PLAIN_WORD}(?: {_PLAIN_WORD})*+"
_PLAIN_NAMES = rf"\A{_PLAIN_NAME}(?:\|{_PLAIN_NAME})*+\z"


def strip_blanks(text: Column) -> Column:
    """Return a text with single blanks for every run of blanks, and none at its ends."""
    stripped = F.trim(F.regexp_replace(text, BLANKS, " "))
    return F.when(F.rlike(text, F.lit(_CLEAN)), text).otherwise(stripped)


def is_plain(text: Column) -> Column:
    """Say whether Java and Python read a text the same way; null for null."""
    return F.rlike(text, F.lit(_PLAIN))


def has_clean_names(names: Column) -> Column:
    """Say whether `clean_name` leaves an array of plain names as it is; null for null."""
    joined = F.array_join(names, _SEPARATOR, "")
    return (F.size(names) == 0) | F.rlike(joined, F.lit(_PLAIN_NAMES))


def correct(text: Column, form: TextForm) -> Column:
    """Return a text of a file as it is meant: decoded and repaired in batches, where it must be."""
    if not form.needs_python:
        return text

    def corrected(texts: pd.Series) -> pd.Series:
        return texts.map(form.correct, na_action="ignore")

    make_udf: Any = pandas_udf  # its overloads know no such function
    column: Column = make_udf(corrected, returnType=StringType())(text)
    return column


def finite(value: Column) -> Column:
    """Return a double, null where it is NaN or infinite."""
    return F.when(F.abs(value) < float("inf"), value)  # for Spark, NaN is above all numbers


def read_number(text: Column) -> Column:
    """Return the decimal number that a text is, as a finite double, or null."""
    stripped = strip_blanks(text)
    meant = (F.length(stripped) <= NUMBER_CHARS) & F.rlike(stripped, F.lit(NUMBER))
    return finite(F.when(meant, stripped).cast("double"))


def read_year(text: Column) -> Column:
    """Return the first four digits in a row of a date, as a double, or null."""
    digits = F.regexp_extract(text, YEAR, 1)
    return F.when(digits != "", digits).cast("double")


def read_id(text: Column) -> Column:
    """Return the whole number that an id is (7, also written 7.0), as a bigint, or null."""
    digits = F.regexp_extract(strip_blanks(text), ID, 1)
    fits = F.when(F.length(digits).between(1, ID_CHARS), digits).cast(f"decimal({ID_CHARS},0)")
    other = F.when(fits.between(-(2**63), 2**63 - 1), fits).cast("bigint")
    return F.when(F.rlike(text, F.lit(_DIGITS)), text.cast("bigint")).otherwise(other)
