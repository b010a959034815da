"""Columns of a listing of posters."""

from __future__ import annotations

import pyarrow as pa

from genre_spark.schemas import MOVIE_ID, SOURCE

__all__ = ["LISTING_SCHEMA"]

LISTING_SCHEMA = pa.schema(
    [
        pa.field(MOVIE_ID, pa.int64(), False),
        pa.field(SOURCE, pa.string(), False),  # path below the folder, or name in the archive
        # in the archive: of a zip member's header, a tar member's data; else -1
        pa.field("offset", pa.int64(), False),
        pa.field("stored", pa.int64(), False),  # bytes that the file takes in the archive
        pa.field("method", pa.int8(), False),  # how it is stored: FILE, TAR, ...
        pa.field("size", pa.int64(), False),  # bytes of the file itself
        # changes when the file does: time of modification, CRC, ETag
        pa.field("stamp", pa.int64(), False),
    ]
)
