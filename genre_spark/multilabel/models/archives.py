"""How models become bytes: arrays as npz, scikit-learn estimators as skops archives, never pickle.

skops is imported when it is needed: it imports torch where that is installed, which costs 500 MB
and several seconds in every Spark worker that only scores arrays.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from genre_spark.errors import InvalidInputError

__all__ = [
    "Arrays",
    "dump_sklearn",
    "load_sklearn",
    "pack_arrays",
    "trust_types",
    "trusted_types",
    "unpack_arrays",
]

Arrays = Mapping[str, NDArray[Any]]
_trusted: set[str] = set()


def pack_arrays(arrays: Arrays) -> bytes:
    """Return arrays as npz bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack_arrays(payload: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of npz bytes; pickled objects are rejected (ValueError)."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def trust_types(*names: str) -> None:
    """Allow stored models to hold types from outside scikit-learn, numpy and scipy, by full name.

    Models are stored with skops, which builds only types that it is told to:
    `trust_types("xgboost.sklearn.XGBClassifier")`.
    """
    _trusted.update(names)


def trusted_types() -> tuple[str, ...]:
    """Return the types that `trust_types` has allowed so far."""
    return tuple(sorted(_trusted))


def load_sklearn(payload: bytes, role: str) -> BaseEstimator:
    """Return the scikit-learn estimator of a skops archive.

    Args:
        payload: the archive.
        role: name of the model in messages.

    Raises:
        InvalidInputError: it holds a type that is not of scikit-learn, numpy or scipy and that
            `trust_types` has not allowed.
    """
    import skops.io  # noqa: PLC0415

    types = list(skops.io.get_untrusted_types(data=payload))
    known = ("sklearn", "numpy", "scipy")
    unknown = [name for name in types if name.split(".")[0] not in known and name not in _trusted]
    if unknown:
        raise InvalidInputError(
            f"{role}: stored with types {unknown}, expected those of scikit-learn; if they are "
            "right, allow them with "
            f"genre_spark.multilabel.trust_types({', '.join(map(repr, unknown))})"
        )
    return skops.io.loads(payload, trusted=types)


def dump_sklearn(estimator: Any) -> bytes:
    """Return a scikit-learn estimator as a skops archive."""
    import skops.io  # noqa: PLC0415

    return bytes(skops.io.dumps(estimator))
