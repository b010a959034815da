"""Names of files: which are posters, and of which movie."""

from __future__ import annotations

import re

DUPLICATE_ID = "duplicate id"
NOT_AN_ID = "name is not an id"
ID_OUT_OF_RANGE = "id out of range"
WRONG_EXTENSION = "wrong extension"

EXTENSIONS = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "webp": "webp", "gif": "gif"}
_NAME = re.compile(r"(?P<id>[0-9]+)\.(?P<extension>[A-Za-z0-9]+)")
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


def expected_format(name: str) -> str | None:
    """Return the image format that a file's name promises, or None."""
    return EXTENSIONS.get(name.rpartition(".")[2].lower())
