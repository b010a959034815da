"""The reason why an image cannot be used, which becomes a row of the rejects table."""

from __future__ import annotations

from genre_spark.errors import GenreSparkError

__all__ = [
    "EMPTY",
    "NOT_AN_IMAGE",
    "NOT_DECODABLE",
    "NO_PIXELS",
    "TOO_MANY_PIXELS",
    "TOO_MANY_SCANS",
    "TOO_SMALL",
    "TRUNCATED",
    "RejectedImage",
]

EMPTY = "empty"
NOT_AN_IMAGE = "not an image"
TRUNCATED = "truncated"
NO_PIXELS = "no pixels"
TOO_SMALL = "too small"
TOO_MANY_PIXELS = "too many pixels"
TOO_MANY_SCANS = "too many scans"
NOT_DECODABLE = "not decodable"


# not named ...Error: the image is wrong, not the program
class RejectedImage(GenreSparkError):  # noqa: N818
    """An image that cannot be used.

    Attributes:
        reason: reason, one of this module's constants; rejects are counted by it.
        detail: what was found in the image.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
