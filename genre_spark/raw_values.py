"""How values of raw data are read: numbers, years, ids and names; the same in Python and in Spark.

No Spark in here. The patterns are written so that Java and Python match the same text with them:
explicit characters instead of classes that grow with each version of Unicode.
"""

from __future__ import annotations

import math
import re
import unicodedata

__all__ = [
    "BLANKS",
    "BLANK_CHARS",
    "ID",
    "ID_CHARS",
    "NUMBER",
    "NUMBER_CHARS",
    "PLAIN_CHARS",
    "YEAR",
    "clean_name",
    "is_plain",
    "read_id",
    "read_number",
    "read_year",
    "strip_blanks",
]

# Blanks, tabs, line breaks, controls and no-break spaces: what separates words and frames names.
BLANK_CHARS = (
    "\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200b\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff"
)
BLANKS = f"[{BLANK_CHARS}]++"
NUMBER = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
NUMBER_CHARS = 40  # longer text is no number that anybody meant
YEAR = "([0-9]{4})"
ID = r"^([+-]?[0-9]+)(?:\.0*)?$"  # whole numbers, also as a data frame with gaps writes them: 7.0

ID_CHARS = 20  # of the smallest bigint

# What is not in here goes through Python, which knows Unicode: of these characters every version of
# Java and Python says the same (letter or not, lower case), and NFC leaves them as they are.
# Latin, Cyrillic, punctuation, currency signs, kana, the common ideographs, Hangul syllables;
# without the soft hyphen and the dotted capital I, which become nothing and two characters.
PLAIN_CHARS = (
    "\\x00-\\xac\\xae-\\u012f\\u0131-\\u02ff\\u0400-\\u045f\\u2010-\\u2027\\u2030-\\u205e"
    "\\u20a0-\\u20bf\\u3041-\\u3096\\u30a1-\\u30fa\\u4e00-\\u9fa5\\uac00-\\ud7a3"
)

# Python has possessive quantifiers from 3.11 on; here the greedy ones match the same.
_BLANKS = re.compile(BLANKS.replace("++", "+"))
_INVISIBLE = re.compile("[\\xad\\u200c-\\u200f\\u202a-\\u202e\\u2060-\\u2064\\u2066-\\u206f]")
_NUMBER = re.compile(NUMBER, re.ASCII)
_YEAR = re.compile(YEAR, re.ASCII)
_ID = re.compile(ID, re.ASCII)
_NOT_PLAIN = re.compile(f"[^{PLAIN_CHARS}]")


def is_plain(text: str) -> bool:
    """Say whether Java and Python read a text the same way without any further care."""
    return _NOT_PLAIN.search(text) is None


def clean_name(text: str) -> str:
    """Return the name of a category as it is compared: NFC, single blanks, none at its ends.

    Tabs, no-break and wide spaces are blanks; characters that nobody sees are dropped.
    """
    if not is_plain(text):
        text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return strip_blanks(text)


def strip_blanks(text: str) -> str:
    """Return a text with single blanks for all runs of blanks, and none at its ends."""
    return _BLANKS.sub(" ", text).strip(" ")


def read_number(text: str) -> float | None:
    """Return a decimal number with blanks around it, or None for all else, infinity included."""
    text = strip_blanks(text)
    if len(text) > NUMBER_CHARS or not _NUMBER.match(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def read_id(text: str) -> int | None:
    """Return the whole number that an id is (7, also written 7.0), or None for all else."""
    found = _ID.match(strip_blanks(text))
    if found is None or len(found.group(1)) > ID_CHARS:
        return None
    value = int(found.group(1))
    return value if -(2**63) <= value < 2**63 else None


def read_year(text: str) -> float | None:
    """Return the first four digits in a row of a date (2023, 2023.0, 2023-05-01), or None."""
    found = _YEAR.search(text)
    return None if found is None else float(found.group(1))
