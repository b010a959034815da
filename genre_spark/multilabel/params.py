"""How stages of this package set, check and document their Params."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from pyspark.ml.param import Param, Params

from genre_spark.errors import InvalidConfigError

__all__ = ["CheckedParams", "params_setter", "set_params"]

P = TypeVar("P", bound=Params)
Stage = TypeVar("Stage", bound="CheckedParams")
Keywords = ParamSpec("Keywords")


def set_params(instance: P, values: Mapping[str, Any]) -> P:
    """Set Params by name; None leaves a Param as it is.

    Raises:
        InvalidConfigError: a value is of the wrong type.
    """
    for name, value in values.items():
        if value is not None:
            try:
                instance._set(**{name: value})
            except TypeError as error:
                raise InvalidConfigError(
                    f"{type(instance).__name__}.{name}: {value!r} ({error})"
                ) from error
    return instance


def params_setter(
    constructor: Callable[Concatenate[Stage, Keywords], None],
) -> Callable[Concatenate[Stage, Keywords], Stage]:
    """Return the method `setParams` that takes the keywords of a constructor.

    As in pyspark.ml, it sets those that it is given; the defaults of the others stand in its
    signature only.
    """
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def setParams(self: Stage, *args: Keywords.args, **params: Keywords.kwargs) -> Stage:
        """Set Params by name."""
        try:
            signature.bind(self, *args, **params)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}.setParams: {error}") from None
        return set_params(self, params)

    setParams.__name__ = "setParams"
    setParams.__qualname__ = constructor.__qualname__.replace("__init__", "setParams")
    setParams.__doc__ = "Set Params by name."
    return cast("Callable[Concatenate[Stage, Keywords], Stage]", setParams)


class CheckedParams(Params):
    """Params with docs in the help of their class, whose values are checked before any use.

    Each class checks its own Params and calls the next.
    """

    _input_kwargs: dict[str, Any]  # what pyspark's keyword_only keeps of the constructor's call

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Append the docs of the Params to the docstring."""
        super().__init_subclass__(**kwargs)
        own = vars(cls).get("__doc__")
        if own:
            cls.__doc__ = f"{inspect.cleandoc(own)}\n\nParams:\n{_describe_params(cls)}"

    def _set_given(self) -> None:
        """Set the Params that the constructor was given."""
        set_params(self, self._input_kwargs)

    def _check_params(self) -> None:
        """Raise InvalidConfigError for values out of range, before any data is read."""

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            value = self.getOrDefault(name)
            raise InvalidConfigError(f"{type(self).__name__}.{name}: {value!r}, {expected}")

    def _if_defined(self, name: str) -> Any:
        """Return the value of a Param, None where it has none."""
        return self.getOrDefault(name) if self.isDefined(name) else None


def _describe_params(kind: type[Params]) -> str:
    """Return one entry for each Param of a class, with the default that its constructor shows."""
    found = {name: getattr(kind, name, None) for name in dir(kind)}
    docs = {name: value.doc for name, value in found.items() if isinstance(value, Param)}
    shown = inspect.signature(kind.__init__).parameters
    names = [name for name in shown if name in docs]
    entries = []
    for name in [*names, *(name for name in docs if name not in names)]:
        default = shown[name].default if name in shown else None
        text = f"{name}: {docs[name]}" + ("" if default is None else f" (default: {default!r})")
        entries.append(textwrap.fill(text, 96, initial_indent=" " * 4, subsequent_indent=" " * 8))
    return "\n".join(entries)
