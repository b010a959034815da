"""Names under which version 0.1 stored its classes: the modules they were in, which have moved since."""

from __future__ import annotations

import sys
from importlib import import_module

from genre_spark.errors import InvalidInputError

__all__ = ["alias_modules_of_0_1", "check_stored_class"]

_PACKAGE = __package__ or "genre_spark.multilabel"
_MOVED = {
    "baselines": "methods.baselines",
    "chains": "methods.chains",
    "homer": "methods.homer",
    "labelsets": "methods.label_powerset",
    "native": "methods.random_forest",
    "rakel": "methods.rakel",
    "relevance": "methods.binary_relevance",
    "thresholds": "evaluation.threshold_tuner",
}
_EVALUATION = f"{_PACKAGE}.evaluation"  # a module in 0.1, a package now


def alias_modules_of_0_1() -> None:
    """Make the modules of 0.1 importable.

    A stored Pipeline imports its stages by the names in their metadata.
    """
    package = sys.modules[_PACKAGE]
    for old, new in _MOVED.items():
        module = import_module(f"{_PACKAGE}.{new}")
        sys.modules[f"{_PACKAGE}.{old}"] = module
        setattr(package, old, module)
    evaluator = import_module(f"{_EVALUATION}.evaluator").MultilabelEvaluator
    vars(sys.modules[_EVALUATION])["MultilabelEvaluator"] = evaluator


def check_stored_class(stored: str, wanted: type, path: str) -> None:
    """Check that a stored stage is of the class that reads it.

    Args:
        stored: full name in the stage's metadata, of this version or of 0.1.
        wanted: the class that reads.
        path: of the stored stage, for the message.

    Raises:
        InvalidInputError: it is of another class.
    """
    module, _, name = stored.rpartition(".")
    modules = {wanted.__module__}
    if wanted.__module__ == _PACKAGE:
        modules |= {_EVALUATION, *(f"{_PACKAGE}.{old}" for old in _MOVED)}
    if name != wanted.__name__ or module not in modules:
        raise InvalidInputError(
            f"{path}: holds a {stored}, expected a {wanted.__module__}.{wanted.__name__}"
        )
