"""How a file of text is written: its encoding, what separates its fields, what quotes them.

A form is recognised from the first bytes of a file, or given; a guess that does not fit is an error
with a hint. No Spark.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from genre_spark.errors import InvalidInputError
from genre_spark.transforms.accents import is_double_encoded, repair_accents

__all__ = ["COMMA_UTF8", "TextForm", "decode_head", "recognise_encoding", "recognise_form"]

_BOMS = (  # the longer ones first
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
_SPARK_NAMES = {  # Spark 4 knows no others
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16LE",
    "utf-16-be": "UTF-16BE",
    "utf-32": "UTF-32",
}
_TAIL = 4  # bytes of a character that the end of the head may cut
_HIGH = re.compile(rb"[\x80-\xff]+")
_SEQUENCE = re.compile(  # characters of UTF-8 that are not ASCII
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
# what texts in Latin letters have of Windows-1252: letters, dashes, quotes, a few signs
_LATIN = re.compile(
    rb"[\x80\x85\x8a\x8c\x91-\x97\x99-\x9c\xa0-\xa3\xa9-\xab\xae\xb0\xb2-\xb4"
    rb"\xb7\xba-\xbf\xc0-\xd6\xd8-\xf6\xf8-\xfe]"
)


@dataclass(frozen=True)
class TextForm:
    """How a file of delimited text is written.

    Attributes:
        encoding: Python's name of it.
        delimiter: between fields.
        quote: around fields, or empty where quotes mean nothing.
        repaired: UTF-8 that was taken for another encoding and written as UTF-8 again
            (`PokÃ©mon`) is put right.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    repaired: bool = False

    @property
    def spark_encoding(self) -> str:
        """The encoding that Spark reads the file in: of others than Unicode, byte by byte."""
        return _SPARK_NAMES.get(self.encoding, "ISO-8859-1")

    @property
    def needs_python(self) -> bool:
        """Whether texts that Spark has read must be corrected in Python."""
        return self.repaired or self.encoding not in _SPARK_NAMES

    def correct(self, text: str) -> str:
        """Return a text that Spark has read as it is meant."""
        if self.encoding not in _SPARK_NAMES:
            text = text.encode("latin-1", errors="replace").decode(self.encoding, errors="replace")
        return repair_accents(text) if self.repaired else text

    @property
    def is_byte_utf8(self) -> bool:
        """Whether the file is UTF-8 as it should be, so that its bytes show fields and quotes."""
        utf8 = self.encoding in ("utf-8", "utf-8-sig")
        return utf8 and self.quote == '"' and not self.repaired

    @property
    def is_plain(self) -> bool:
        """Whether the lines of the file are UTF-8 with commas, as RFC 4180 has them."""
        return self.is_byte_utf8 and self.delimiter == ","

    def __str__(self) -> str:
        """Return the form as people say it: `tab, UTF-16`."""
        named = _DELIMITERS.get(self.delimiter, repr(self.delimiter))
        known = {"utf-8-sig": "UTF-8 with a byte order mark", "cp1252": "Windows-1252 (Latin-1)"}
        words = [named, known.get(self.encoding, self.encoding.upper())]
        if not self.quote:
            words.append("no quotes")
        if self.repaired:
            words.append("accents encoded twice, repaired")
        return ", ".join(words)


COMMA_UTF8 = TextForm()


def recognise_encoding(path: str, head: bytes, given: str | None = None) -> str:
    """Return the encoding of a file by its first bytes.

    Args:
        path: of the file, for messages.
        head: its first bytes.
        given: the encoding that the user names; it is checked.

    Raises:
        InvalidInputError: it cannot be told, or the given one does not fit.
    """
    if given is not None:
        return _check_given(path, head, given)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    sample = head[:4096]
    if sample.count(0) > len(sample) // 5:
        return "utf-16-be" if sample[0::2].count(0) > sample[1::2].count(0) else "utf-16-le"
    return "utf-8" if _is_utf8(head) else _recognise_bytes(path, head)


def _recognise_bytes(path: str, head: bytes) -> str:
    """Return the encoding of text that is not all UTF-8: Windows-1252, or UTF-8 in most rows."""
    runs = _HIGH.findall(_SEQUENCE.sub(b" ", head))
    others, known = sum(map(len, runs)), sum(map(len, _SEQUENCE.findall(head)))
    alone = sum(len(run) == 1 for run in runs)
    if known > others:
        return "utf-8"  # some rows of it are not, and are rejected
    if 2 * alone >= len(runs):
        likely = sum(len(_LATIN.findall(run)) for run in runs)
        return "cp1252" if likely >= 0.95 * others else "utf-8"
    raise InvalidInputError(
        f"{path}: the encoding cannot be told from its first bytes, expected UTF-8, UTF-16 or "
        "Latin-1; name it (paths.layout: table with import_data.encoding), for example "
        "windows-1251, gb18030, shift_jis"
    )


def decode_head(head: bytes, encoding: str) -> str:
    """Return the first bytes of a file as text; a character that is cut at their end is dropped."""
    if len(head) % 4:
        head = head[: len(head) // 4 * 4] if encoding.startswith("utf-32") else head
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    return decoder.decode(head).removeprefix("\ufeff")


def recognise_form(
    path: str,
    head: bytes,
    columns: Sequence[str],
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    quote: str = '"',
) -> tuple[TextForm, str, tuple[str, ...]]:
    """Return the form of a file of delimited text, its header, and the names in it.

    The delimiter is the one that shows most of the columns in the header, then the most fields.

    Args:
        path: of the file, for messages.
        head: its first bytes.
        columns: names, in lower case, that the header may have.
        encoding: given by the user, else recognised.
        delimiter: the same.
        quote: around fields, or empty.

    Raises:
        InvalidInputError: the encoding cannot be told or does not fit.
    """
    found = recognise_encoding(path, head, encoding)
    text = decode_head(head, found)
    header = text.splitlines()[0] if text.strip() else ""
    wanted = {name.casefold() for name in columns}
    candidates = [delimiter] if delimiter else list(_DELIMITERS)
    fields = {candidate: _names(header, candidate, quote) for candidate in candidates}

    def fit(candidate: str) -> tuple[int, int]:
        names = {name.casefold() for name in fields[candidate]}
        return len(wanted & names), len(fields[candidate])

    chosen = max(candidates, key=fit)  # of equal ones the first
    return TextForm(found, chosen, quote, is_double_encoded(text)), header, fields[chosen]


def _names(header: str, delimiter: str, quote: str) -> tuple[str, ...]:
    lines = io.StringIO(header)
    if quote:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return tuple(name.strip() for name in next(reader, []))


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - _TAIL and error.reason == "unexpected end of data"
    return True


def _check_given(path: str, head: bytes, given: str) -> str:
    try:
        name = codecs.lookup(given).name
    except LookupError:
        raise InvalidInputError(
            f"import_data.encoding: {given!r}, expected an encoding such as utf-8, utf-16, latin-1"
        ) from None
    name = {"iso8859-1": "cp1252", "utf_8_sig": "utf-8-sig"}.get(name, name)
    is_utf8 = _is_utf8(head) and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if name == "utf-8" and not is_utf8:
        raise InvalidInputError(
            f"{path}: not {given}, which import_data.encoding says; expected another one, such as "
            f"{'utf-16' if 0 in head[:4096] else 'latin-1'}"
        )
    single = name.startswith(("cp12", "iso8859", "mac", "koi8"))
    if single and is_utf8 and _HIGH.search(head):
        raise InvalidInputError(
            f"{path}: UTF-8, but import_data.encoding is {given}; expected utf-8, else accents "
            "become two characters each"
        )
    if single and 0 in head[:4096]:
        raise InvalidInputError(
            f"{path}: has zero bytes, but import_data.encoding is {given}; expected utf-16"
        )
    return name
