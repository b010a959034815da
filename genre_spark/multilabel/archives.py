"""skops, imported when it is needed: it brings torch along where that is installed.

That is 500 MB and several seconds in every Spark worker that only wants to score arrays.
"""

from __future__ import annotations

from typing import Any

__all__ = ["dumps", "get_untrusted_types", "loads"]


def dumps(model: Any) -> bytes:
    """Return a model as a skops archive."""
    import skops.io  # noqa: PLC0415

    return bytes(skops.io.dumps(model))


def loads(archive: bytes, trusted: list[str]) -> Any:
    """Return the model of a skops archive, building only types of scikit-learn and those that are trusted."""
    import skops.io  # noqa: PLC0415

    return skops.io.loads(archive, trusted=trusted)


def get_untrusted_types(archive: bytes) -> list[str]:
    """Return the full names of types in an archive that skops does not trust by itself."""
    import skops.io  # noqa: PLC0415

    return list(skops.io.get_untrusted_types(data=archive))
