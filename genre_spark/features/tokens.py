"""Text to words: the whole words of any script, in one form however they are written.

Spark's engine cuts plain texts (see `raw_values.PLAIN_CHARS`) in the JVM, with `SPLIT`, and leaves
all others to `tokenise`; a test holds the two together on every plain character.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["APOSTROPHE", "SHORTEST", "SPLIT", "fold_case", "join_words", "tokenise"]

SHORTEST = 2  # characters of a word that counts
APOSTROPHE = "\u2019"  # written for ' in don't
# What lies between the words of a plain text in lower case, as Java reads it. An apostrophe belongs
# to a word between two of its letters only. Possessive, so that Java does not recurse.
SPLIT = r"(?:[^\p{L}\p{N}']|(?<![\p{L}\p{N}])'|'(?![\p{L}\p{N}]))++"

_JOINERS = "\u200c\u200d"  # Persian and Indic words have them inside
_INVISIBLE = re.compile("[\\xad\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2064\\u2066-\\u206f\\ufeff]")
# combining marks are in the first two planes and, for variants of ideographs, in one more block
_MARKS_WITHIN = [*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)]


@functools.lru_cache(maxsize=1)
def _word() -> re.Pattern[str]:
    r"""Return the pattern of a word: letters, digits and the marks that combine with them.

    Unicode's default word boundaries (UAX 29) for letters, digits, Extend and the apostrophe.
    Python's \w has no combining marks, without which Hindi or Thai falls to pieces.
    """
    ranges = []
    marks = (code for code in _MARKS_WITHIN if unicodedata.category(chr(code))[0] == "M")
    for _, run in itertools.groupby(enumerate(marks), key=lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in run]
        ranges.append(f"{chr(codes[0])}-{chr(codes[-1])}")
    letter = rf"\w[\w{''.join(ranges)}{_JOINERS}]*"
    return re.compile(f"{letter}(?:'{letter})*")


def tokenise(text: str, stop_words: frozenset[str] = frozenset()) -> list[str]:
    """Return the words of a text in their order: lower case, NFC, of two characters at least.

    Args:
        text: of any script and length.
        stop_words: words that are left out.
    """
    text = fold_case(text).replace("_", " ")
    return [
        word for word in _word().findall(text) if len(word) >= SHORTEST and word not in stop_words
    ]


def fold_case(text: str) -> str:
    """Return a text in lower case and NFC, with one kind of apostrophe, nothing invisible in it."""
    text = unicodedata.normalize("NFC", text).lower().replace(APOSTROPHE, "'")
    if not text.isascii():
        # lower case may decompose (a dotted capital I), so the form is made again
        text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return text


def join_words(words: list[str], length: int) -> Iterable[str]:
    """Return the n-grams of one length, 2 or more: neighbours with a blank between them."""
    return map(" ".join, zip(*(words[start:] for start in range(length)), strict=False))
