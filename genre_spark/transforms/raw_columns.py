"""Raw text columns as Spark columns of numbers, years and ids; see `raw_values`."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import StringType

from genre_spark.raw_values import BLANKS, ID, NUMBER, NUMBER_CHARS, YEAR
from genre_spark.transforms.text_form import TextForm

__all__ = ["correct", "finite", "read_id", "read_number", "read_year", "strip_blanks"]

_ID_CHARS = 20  # of the smallest bigint


def strip_blanks(text: Column) -> Column:
    """Return a text with single blanks for every run of blanks, and none at its ends."""
    return F.trim(F.regexp_replace(text, BLANKS, " "))


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
    short = F.when(F.length(stripped) <= NUMBER_CHARS, stripped)
    return finite(F.when(F.rlike(short, F.lit(NUMBER)), short).cast("double"))


def read_year(text: Column) -> Column:
    """Return the first four digits in a row of a date, as a double, or null."""
    digits = F.regexp_extract(text, YEAR, 1)
    return F.when(digits != "", digits).cast("double")


def read_id(text: Column) -> Column:
    """Return the whole number that an id is (7, also written 7.0), as a bigint, or null."""
    digits = F.regexp_extract(strip_blanks(text), ID, 1)
    fits = F.when(F.length(digits).between(1, _ID_CHARS), digits).cast(f"decimal({_ID_CHARS},0)")
    return F.when(fits.between(-(2**63), 2**63 - 1), fits).cast("bigint")
