"""Placeholders, such as "no poster" or a studio's logo: pictures whose bytes many files share.

Files with the same bytes have the same size, so only sizes that many files have are looked at.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre_spark.posters.reading import read_posters
from genre_spark.schemas import MOVIE_ID, SOURCE

PLACEHOLDER = "placeholder"
# files with the same bytes from which on they are counted as placeholders, where none is dropped
PLACEHOLDER_FROM = 50
_BATCH = 256


def content_hash(content: bytes) -> int:
    """Return 64 bits of a digest of a file's bytes, never 0."""
    value = int.from_bytes(
        hashlib.sha1(content, usedforsecurity=False).digest()[:8], "little", signed=True
    )
    return value or 1


def hash_candidates(
    posters: pa.Table,
    suspect: npt.NDArray[np.bool_],
    known: pa.Table,
    source: str,
    *,
    max_bytes: int,
) -> npt.NDArray[np.int64]:
    """Return the content hash of suspect posters, read now unless an earlier run did.

    0 for the others.

    Args:
        posters: rows of LISTING_SCHEMA.
        suspect: which rows to hash.
        known: rows of PLAN_SCHEMA of an earlier run, with their hashes.
        source: the folder or archive.
        max_bytes: larger files are not read.
    """
    hashes = np.zeros(posters.num_rows, np.int64)
    if known.num_rows:
        keys = [MOVIE_ID, SOURCE, "size", "stamp"]
        here = posters.select(keys).append_column("row", pa.array(np.arange(posters.num_rows)))
        found = here.join(known.select([*keys, "content_hash"]), keys=keys, join_type="inner")
        hashes[found["row"].to_numpy()] = found["content_hash"].to_numpy()
    wanted = np.flatnonzero(suspect & (hashes == 0))
    for start in range(0, len(wanted), _BATCH):
        positions = wanted[start : start + _BATCH]
        rows = posters.take(pa.array(positions)).to_pylist()
        for position, content in zip(
            positions, read_posters(source, rows, max_bytes=max_bytes), strict=True
        ):
            if isinstance(content, bytes):
                hashes[position] = content_hash(content)
    return np.where(suspect, hashes, 0)
