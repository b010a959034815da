"""One raw field of a movie to a value to compute with; anything may be missing."""

from __future__ import annotations

import datetime
import math
import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from genre_spark.errors import InvalidInputError
from genre_spark.features.blocks import Vector
from genre_spark.raw_values import clean_name, read_number, read_year, strip_blanks

__all__ = [
    "is_blank",
    "is_missing",
    "shown",
    "to_bytes",
    "to_names",
    "to_number",
    "to_text",
    "to_vector",
    "to_year",
]

_LARGEST_DATE = 1e15  # as a number; beyond it no digits of a year are exact


def is_missing(value: Any) -> bool:
    """Say whether a field is not there: None, NaN, NaT or pandas' NA."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, numbers.Real) and math.isnan(value)


def is_blank(value: Any) -> bool:
    """Say whether a field says nothing: it is missing, a text of blanks, or no point in time."""
    if isinstance(value, str):
        return not strip_blanks(value)
    return is_missing(value) or (isinstance(value, np.datetime64) and bool(np.isnat(value)))


def to_text(value: Any) -> str:
    """Return a text, empty where it is missing; a whole number (the name of a movie) is one."""
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if isinstance(value, (int, np.integer)) and type(value) is not bool:
        return str(int(value))
    raise InvalidInputError(f"{_shown(value)}, expected text")


def to_number(value: Any) -> float | None:
    """Return a finite number, or None: text that is no number counts as unknown."""
    if isinstance(value, str):
        return read_number(value)
    if is_missing(value):
        return None
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__float__"):
        raise InvalidInputError(f"{_shown(value)}, expected a number or text")
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def to_year(value: Any) -> float | None:
    """Return the year of a date, however it is written, or None."""
    if isinstance(value, str):
        return read_year(value)
    if is_blank(value):
        return None
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, datetime.date):
        return float(value.year)
    number = to_number(value)
    if number is None or abs(number) >= _LARGEST_DATE:
        return None
    return read_year(str(int(number)))


def to_names(value: Any) -> set[str]:
    """Return the cleaned names in a list; text alone is a list of one, a missing list is empty."""
    if isinstance(value, str):
        value = (value,)
    elif not isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        if is_missing(value):
            return set()
        raise InvalidInputError(f"{_shown(value)}, expected a list of text")
    names = {clean_name(to_text(name)) for name in value}
    names.discard("")
    return names


def to_bytes(value: Any) -> bytes | None:
    """Return the content of a file, or None where it is missing or empty."""
    if isinstance(value, bytes):
        return value or None
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value) or None
    if is_missing(value):
        return None
    raise InvalidInputError(f"{_shown(value)}, expected the bytes of an image file")


def to_vector(value: Any, length: int) -> Vector | None:
    """Return a vector of finite numbers, or None where it or any of its numbers is missing.

    Raises:
        InvalidInputError: it has another length.
    """
    if hasattr(value, "toArray"):
        value = value.toArray()
    if not isinstance(value, (list, tuple, np.ndarray)):
        if is_missing(value):
            return None
        raise InvalidInputError(f"{_shown(value)}, expected {length} numbers")
    try:
        vector = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{_shown(value)}, expected {length} numbers") from None
    if vector.shape != (length,):
        raise InvalidInputError(f"{vector.size} numbers, expected {length}")
    return vector if np.isfinite(vector).all() else None


def column(frame: pd.DataFrame, name: str) -> Iterable[Any]:
    """Return the values of a column, None for each row where the frame lacks it.

    Raises:
        InvalidInputError: there are two columns of the name.
    """
    if name not in frame.columns:
        return [None] * len(frame)
    copies = list(frame.columns).count(name)
    if copies > 1:
        raise InvalidInputError(f"{name}: {copies} columns of this name, expected one")
    return list(frame[name])


def shown(value: Any) -> str:
    """Return a value as a message shows it: text in quotes, all else plain, cut to a length."""
    return repr(value[:60]) if isinstance(value, str) else str(value)[:60]


def _shown(value: Any) -> str:
    return f"{str(value)[:60]!r} ({type(value).__name__})"
