"""Names of files: which are posters, and of which movie."""

from __future__ import annotations

import re

DUPLICATE_ID = "duplicate id"
NOT_AN_ID = "name is not an id"
ID_OUT_OF_RANGE = "id out of range"
WRONG_EXTENSION = "wrong extension"

EXTENSIONS = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "webp": "webp", "gif": "gif"}
_NAME = re.compile(r"(?P<id>[0-9]+)\.(?P<extension>[A-Za-z0-9]+)")
_BYTE = re.compile(rb"\\x([0-9a-f]{2})")
_MAX_ID = 2**63 - 1


def parse_poster_name(name: str) -> int | str:
    """Return the movie id of a file's name such as `1000001.jpg`, or the reason why there is none.

    Args:
        name: a file's name, without its folder.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return NOT_AN_ID
    if match["extension"].lower() not in EXTENSIONS:
        return WRONG_EXTENSION
    digits = match["id"].lstrip("0") or "0"
    if len(digits) > 19 or int(digits) > _MAX_ID:
        return ID_OUT_OF_RANGE
    return int(digits)


def readable_name(name: str) -> str:
    r"""Return a file's name as text; bytes that are no UTF-8 become `\xe9` and the like.

    Args:
        name: as Python reads names, with surrogates for such bytes.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        content = name.encode("utf-8", "surrogateescape" if _is_escaped(name) else "replace")
        return content.decode("utf-8", "backslashreplace")
    return name


def file_name(name: str) -> str:
    """Return the name that Python opens a file by whose `readable_name` is known."""
    content = _BYTE.sub(lambda byte: bytes([int(byte[1], 16)]), name.encode())
    return content.decode("utf-8", "surrogateescape")


def _is_escaped(name: str) -> bool:
    return all(not "\ud800" <= char <= "\udfff" or "\udc80" <= char <= "\udcff" for char in name)


def expected_format(name: str) -> str | None:
    """Return the image format that a file's name promises, or None."""
    return EXTENSIONS.get(name.rpartition(".")[2].lower())
