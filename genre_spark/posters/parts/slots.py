"""Slots: hashes that deal posters out to the parts of a table, the same on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from genre_spark.numeric.splitmix import mix64
from genre_spark.posters.archives import FILE, PARQUET
from genre_spark.posters.folders import shard_names
from genre_spark.schemas import MOVIE_ID

__all__ = ["hash_name", "slots"]

_ROWS_PER_SLOT = 15  # bits: neighbouring rows of a Parquet file that stay together
_BYTES_PER_SLOT = 30  # bits: neighbouring bytes of an archive that stay together


def slots(posters: pa.Table) -> npt.NDArray[np.int64]:
    """Return a hash per poster, 0 and more: of its id, or of where it lies in its shard.

    Neighbours in a shard share theirs, so that it is read forward and not by all parts.

    Args:
        posters: rows of LISTING_SCHEMA.
    """
    method = posters["method"].to_numpy()
    offset = posters["offset"].to_numpy()
    block = np.where(method == PARQUET, offset >> _ROWS_PER_SLOT, offset >> _BYTES_PER_SLOT)
    names = shard_names(posters).combine_chunks().dictionary_encode()
    names = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    hashes = np.array([hash_name(name) for name in names.dictionary.to_pylist()] or [0], np.uint64)
    shard = hashes[names.indices.to_numpy(zero_copy_only=False)]
    place = mix64(shard ^ mix64(block.astype(np.uint64)))
    ids = mix64(posters[MOVIE_ID].to_numpy().astype(np.uint64))
    found: npt.NDArray[np.uint64] = np.where(method == FILE, ids, place) >> np.uint64(1)
    return found.astype(np.int64)


def hash_name(name: str) -> int:
    """Return 64 bits of a digest of a name."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
