"""Names under which version 0.1 stored its classes: the modules they were in."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from genre_spark.errors import InvalidInputError

__all__ = ["alias_modules_of_0_1", "check_stored_class"]

_PACKAGE = __package__ or "genre_spark.multilabel"
_MOVED = {
    "baselines": ["methods.baselines"],
    "chains": ["methods.chains"],
    "evaluation": ["evaluation.evaluator"],  # a package now
    "homer": ["methods.homer"],
    "labelsets": ["methods.label_powerset", "methods.pruned_sets"],
    "native": ["methods.random_forest"],
    "rakel": ["methods.rakel"],
    "relevance": ["methods.binary_relevance"],
    "thresholds": ["evaluation.threshold_tuner"],
}


def alias_modules_of_0_1() -> None:
    """Make the modules of 0.1 importable.

    A stored Pipeline imports its stages by the names in their metadata.
    """
    package = sys.modules[_PACKAGE]
    for old, places in _MOVED.items():
        name = f"{_PACKAGE}.{old}"
        module = sys.modules.setdefault(name, ModuleType(name, "Names of version 0.1."))
        setattr(package, old, module)
        for place in places:
            moved = import_module(f"{_PACKAGE}.{place}")
            vars(module).update({public: getattr(moved, public) for public in moved.__all__})


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
        modules |= {f"{_PACKAGE}.{old}" for old in _MOVED}
    if name != wanted.__name__ or module not in modules:
        raise InvalidInputError(
            f"{path}: holds a {stored}, expected a {wanted.__module__}.{wanted.__name__}"
        )
