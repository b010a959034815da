"""Checksums of stored files; the text of one says how it was worked out.

`xxh128:` and 32 hexadecimal digits are XXH3-128, which `xxhsum -H2` prints too: tens of gigabytes
per second and core. 64 digits alone are SHA-256, which `sha256sum` prints too: about two, and a
few hundred megabytes where the processor has no instructions for it.

Either finds damage. Neither finds a forger: a checksum lies beside its file, and who can change the
one can change the other. XXH3 can even be met on purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, Protocol

from genre_spark.extras import require

__all__ = ["SHA256", "XXH128", "Algorithm", "Checksum", "algorithm_of", "digest_of", "title_of"]

Algorithm = Literal["xxh128", "sha256"]

XXH128: Algorithm = "xxh128"
"""For what this package writes and reads itself."""
SHA256: Algorithm = "sha256"
"""For packages of models, which go elsewhere; and in what was stored before there was the other."""

_MARK = f"{XXH128}:"
_TITLES: dict[Algorithm, str] = {XXH128: "XXH3-128", SHA256: "SHA-256"}


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class Checksum:
    """The checksum of bytes that come one after the other."""

    def __init__(self, algorithm: Algorithm = XXH128) -> None:
        self._prefix = _MARK if algorithm == XXH128 else ""
        self._hash = _xxh128() if algorithm == XXH128 else hashlib.sha256()
        self.update: Callable[[bytes | memoryview], None] = self._hash.update

    def text(self) -> str:
        """Return the checksum of all bytes so far, with its algorithm."""
        return self._prefix + self._hash.hexdigest()


def digest_of(content: bytes, algorithm: Algorithm = XXH128) -> str:
    """Return the checksum of a content, with its algorithm."""
    checksum = Checksum(algorithm)
    checksum.update(content)
    return checksum.text()


def algorithm_of(digest: str) -> Algorithm | None:
    """Return how a stored checksum was worked out, or None where that is not known here."""
    mark, colon, _ = digest.rpartition(":")
    if not colon:
        return SHA256
    return XXH128 if mark == XXH128 else None


def title_of(algorithm: Algorithm) -> str:
    """Return an algorithm's name for people."""
    return _TITLES[algorithm]


def _xxh128() -> _Hash:
    # packaged models are checked by SHA-256, and answer where this is not installed
    try:
        from xxhash import xxh3_128  # noqa: PLC0415
    except ImportError:
        require("xxhash")
        raise
    return xxh3_128()
