"""Cells of text as numbers, dates and lists of names."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import ArrayType, StringType

from genre_spark.raw_values import YEAR
from genre_spark.transforms.raw_columns import read_number, strip_blanks

__all__ = [
    "Step",
    "amount_steps",
    "date_steps",
    "guess_separator",
    "in_steps",
    "is_list_of_python",
    "is_no_value",
    "list_steps",
    "text_or_null",
]

Step = Callable[[Column], Column]

_NULLS = ("", "\\N", "N/A")
_NO_VALUES = (*_NULLS, "nan", "NaN", "None", "null", "NULL", "-", "--", "[]", "{}")
_MARKED = r"^[\[{]"  # a list of JSON or Python
_LONGEST = 5_000_000  # characters of a list
_GROUPED = r"^[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$"  # 1,234,567


def text_or_null(cell: Column) -> Column:
    """Return a text without blanks around it, null where it stands for nothing."""
    text = F.btrim(cell, F.lit(" \t\r\n\u00a0\u200b\ufeff"))
    return F.when(text.isin(*_NULLS), None).otherwise(text)


def is_no_value(text: Column) -> Column:
    """Return whether a text of `text_or_null` stands for nothing: N/A, NaN, [], ...."""
    return F.coalesce(text, F.lit("")).isin(*_NO_VALUES)


# Expressions are kept short: one that names a column twice is copied when it is nested, and steps
# of their own, each over the columns of the one before, are not.


def amount_steps() -> list[Step]:
    """Return steps from a text to a number: 7, `$1,234,567`, `142 min`; else null."""

    def without_units(text: Column) -> Column:
        return F.regexp_replace(text, r"^[$€£] ?|(?i: ?min(ute)?s?\.?)$", "")

    def without_commas(text: Column) -> Column:
        return F.when(F.rlike(text, F.lit(_GROUPED)), F.regexp_replace(text, ",", "")).otherwise(
            text
        )

    return [without_units, without_commas, read_number]


def date_steps() -> list[Step]:
    """Return steps from a text to a date that begins with its year as it stands, else its year."""

    def year_first(text: Column) -> Column:
        iso = F.regexp_extract(text, r"^[0-9]{4}(-[0-9]{1,2}){0,2}", 0)
        year = F.regexp_extract(text, YEAR, 1)
        return F.when(iso != "", iso).when(year != "", year)

    return [year_first]


def list_steps(*, separator: str, lists: bool) -> list[Step]:
    """Return steps from a text to what it lists, array<struct<name, role>>.

    It is null where a list cannot be read.

    Args:
        separator: between entries; empty where there is one alone.
        lists: whether texts may be lists of JSON or Python; roles are the entries' `job`.
    """

    def split(text: Column) -> Column:
        return F.split(text, re.escape(separator)) if separator else F.array(text)

    def plain(text: Column) -> Column:
        return F.when(is_no_value(text), F.array().cast("array<string>")).otherwise(split(text))

    def both(text: Column) -> Column:
        marked = F.rlike(text, F.lit(_MARKED))
        return F.struct(
            F.when(marked & ~is_no_value(text), text).alias("marked"),
            F.when(marked & ~is_no_value(text), F.from_json(text, "array<string>")).alias("json"),
            F.when(~marked | is_no_value(text), plain(text)).alias("plain"),
        )

    def by_python(read: Column) -> Column:
        left = F.when(read["json"].isNull(), read["marked"])
        return F.coalesce(read["plain"], read["json"], _python_list()(left))

    return [*([both, by_python] if lists else [plain]), _items]


def _items(parts: Column) -> Column:
    items = F.transform(
        parts,
        lambda part: F.when(
            F.startswith(part, F.lit("{")),
            F.struct(
                F.get_json_object(part, "$.name").alias("name"),
                F.get_json_object(part, "$.job").alias("role"),
            ),
        ).otherwise(
            F.struct(strip_blanks(part).alias("name"), F.lit(None).cast("string").alias("role"))
        ),
    )
    return F.filter(items, lambda item: item["name"].isNotNull() & ~item["name"].isin(*_NO_VALUES))


def in_steps(frame: DataFrame, columns: Mapping[str, tuple[Column, Sequence[Step]]]) -> DataFrame:
    """Add columns that are worked out in steps.

    Args:
        frame: rows.
        columns: name -> what it begins with, and the steps from there.
    """
    frame = frame.withColumns({name: begin for name, (begin, _) in columns.items()})
    for number in range(max((len(steps) for _, steps in columns.values()), default=0)):
        frame = frame.withColumns(
            {
                name: steps[number](F.col(name))
                for name, (_, steps) in columns.items()
                if number < len(steps)
            }
        )
    return frame


def guess_separator(cells: Iterable[str]) -> str:
    """Return what separates the entries of a column, from some of its cells; empty for nothing."""
    counted: Counter[str] = Counter()
    known = 0
    for cell in cells:
        text = cell.strip()
        if not text or text.startswith(("[", "{")):
            continue
        known += 1
        counted[next((sign for sign in ("|", ";", ",") if sign in text), "")] += 1
    del counted[""]
    best = max(counted, key=lambda sign: counted[sign], default="")
    return best if best and counted[best] >= max(1, known // 20) else ""


def is_list_of_python(cells: Iterable[str]) -> bool:
    """Say whether some cells are lists of JSON or Python."""
    return any(cell.strip().startswith(("[", "{")) for cell in cells)


def _python_list() -> Any:
    """Return a function that reads lists as Python writes them, in batches."""

    def convert(cells: pd.Series) -> pd.Series:
        return cells.map(_parse, na_action="ignore")

    make_udf: Any = pandas_udf  # its overloads know no such function
    return make_udf(convert, returnType=ArrayType(StringType()))


def _parse(text: str) -> list[str] | None:
    if len(text) > _LONGEST:
        return None
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    values = [found] if isinstance(found, dict) else found
    if not isinstance(values, list | tuple | set):
        return None
    return [
        json.dumps(value, default=str) if isinstance(value, dict) else str(value)
        for value in values
    ]
