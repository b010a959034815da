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
from genre_spark.multilabel.stored_trees import check_trees
from genre_spark.multilabel.trusted_types import KNOWN_NAMES, find_untrusted

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
    """Allow stored models to hold further types and functions, by full name.

    Models are stored with skops. Of scikit-learn, numpy and scipy only what classifiers need is
    built without being named here, and no function:
    `trust_types("xgboost.sklearn.XGBClassifier")`. Whatever is trusted can be called by a stored
    model: trust nothing in a model whose origin you do not know.

    Raises:
        InvalidInputError: a name is no full name.
    """
    for name in names:
        if not isinstance(name, str) or "." not in name or "*" in name:
            raise InvalidInputError(
                f"trust_types: {name!r}, expected the full name of a type or function"
            )
    _trusted.update(names)


def trusted_types() -> tuple[str, ...]:
    """Return the names that `trust_types` has allowed so far."""
    return tuple(sorted(_trusted))


def load_sklearn(payload: bytes, role: str) -> BaseEstimator:
    """Return the scikit-learn estimator of a skops archive.

    Args:
        payload: the archive.
        role: name of the model in messages.

    Raises:
        InvalidInputError: it is no skops archive; or it holds a type or function that is not on the
            list of those that classifiers need, and that `trust_types` has not allowed.
    """
    unknown = find_untrusted(payload, _trusted, role)
    if unknown:
        raise InvalidInputError(
            f"{role}: stored with {unknown}, which scikit-learn's classifiers do not need; if you "
            "know where the model is from and they are right, allow them with "
            f"genre_spark.multilabel.trust_types({', '.join(map(repr, unknown))})"
        )
    import skops.io  # noqa: PLC0415

    try:
        types = set(skops.io.get_untrusted_types(data=payload))
        # skops reads an archive in its own way: what it finds must be on our list or the user's
        if hidden := sorted(types - KNOWN_NAMES - _trusted):
            raise InvalidInputError(f"{role}: stored with {hidden} where no classifier has it")
        model = skops.io.loads(payload, trusted=sorted(types))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{role}: {type(error).__name__} in the stored model, expected a skops archive"
        ) from None
    check_trees(model, role)
    return model


def dump_sklearn(estimator: Any) -> bytes:
    """Return a scikit-learn estimator as a skops archive."""
    import skops.io  # noqa: PLC0415

    return bytes(skops.io.dumps(estimator))
