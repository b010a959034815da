"""UTF-8 that was taken for another encoding and written again: recognised, and put right.

`Pokémon` becomes `PokÃ©mon` when its bytes are read as Windows-1252, and `PokÌ©mon` or `Pokí©mon`
when a Macintosh stood in between, once or twice (Kaggle's MovieGenre.csv has all of them). What was
lost on the way (`_` in place of a character) cannot come back and stays as it is. No Spark.
"""

from __future__ import annotations

import re

__all__ = ["is_double_encoded", "repair_accents"]

_RUN = re.compile(r"[^\x00-\x7f]+")
_LIKELY = re.compile(r"[\xa0-\u024f\u2010-\u203a\u20ac\u2122]+")  # Latin letters and signs
_FEWEST = 3  # runs that look like it before a file is taken for double-encoded
_SHARE = 0.25  # of all runs; what was lost on the way does not look like it
_MACINTOSH = 2  # times that text was written as Mac Roman and read as Latin-1


def repair_accents(text: str) -> str:
    """Return a text in which the runs of characters that were encoded twice are put right."""
    return text if text.isascii() else _RUN.sub(lambda run: _repair(run.group()), text)


def is_double_encoded(text: str) -> bool:
    """Say whether most of what is not ASCII in a text looks as if it was encoded twice."""
    runs = _RUN.findall(text)
    repaired = sum(_repair(run) != run for run in runs)
    return repaired >= _FEWEST and repaired >= _SHARE * len(runs)


def _repair(run: str) -> str:
    seen, otherwise = run, run
    for times in range(_MACINTOSH + 1):
        try:
            meant = _bytes_of(seen).decode("utf-8")
        except UnicodeError:
            meant = ""
        if meant and _LIKELY.fullmatch(meant):
            return meant
        otherwise = meant or run if times == 0 else otherwise  # of other scripts
        try:
            seen = seen.encode("cp1252").decode("mac_roman")
        except UnicodeError:
            break
    return otherwise


def _bytes_of(text: str) -> bytes:
    """Encode as Windows-1252, with the five bytes that it leaves out as Latin-1 has them."""
    return b"".join(
        letter.encode("latin-1") if letter in "\x81\x8d\x8f\x90\x9d" else letter.encode("cp1252")
        for letter in text
    )
