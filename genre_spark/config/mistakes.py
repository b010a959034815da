"""What is wrong with a recipe's values, in one sentence per key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

__all__ = ["Keys", "describe_mistakes"]

Keys = tuple[str | int, ...]

_MOST = 120  # characters of a value that are shown
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "bool": "true or false",
    "invalid_key": "a key that is a text",
    "dict": "names with values, such as {name: value}",
}
_BOUNDS = {"ge": ">= {}", "gt": "> {}", "le": "<= {}", "lt": "< {}"}


def describe_mistakes(
    error: ValidationError, model: type[BaseModel], place: Callable[[Keys], str]
) -> str:
    """Return a line per wrong key: the key, its value and what was expected.

    Args:
        error: what pydantic has found.
        model: the model that was checked.
        place: returns what stands before a key: the file and line that it comes from.
    """
    by_key: dict[Keys, list[Any]] = {}
    for problem in error.errors():
        by_key.setdefault(_real_keys(model, problem["loc"]), []).append(problem)
    unions = {keys for keys in by_key if len(_members(_annotation(model, keys))) > 1}
    lines = []
    for keys, problems in by_key.items():
        below = [other for other in by_key if other != keys and other[: len(keys)] == keys]
        left = [problem for problem in problems if problem["type"] != "too_short"]
        if below and (not left or keys in unions):
            continue  # what is wrong further down says it
        lines.append(place(keys) + _sentence(model, keys, left or problems))
    return "\n".join(lines)


def _sentence(model: Any, keys: Keys, problems: Sequence[Any]) -> str:
    name, first = ".".join(map(str, keys)) or "recipe", problems[0]
    kind, value = first["type"], first["input"]
    if kind == "extra_forbidden":
        known = sorted(getattr(_section(_annotation(model, keys[:-1])), "model_fields", {}))
        return f"{name}: unknown key; known here: {', '.join(known)}"
    if kind == "missing" and isinstance(keys[-1], int):
        name, value = name.rpartition(".")[0], first["input"]
    elif kind == "missing":
        return f"{name}: missing, expected a value"
    expected: list[str] = []
    for problem in problems:
        text = _expected(model, keys, problem)
        if text not in expected:
            expected.append(text)
    wanted = " or ".join(expected)
    if kind == "value_error":
        if ", expected " in wanted or ", must " in wanted:
            return f"{name}: {wanted}"
        if isinstance(value, Mapping):  # a whole section
            return f"{name}: expected {wanted}"
    return f"{name}: {_shown(value)}, expected {wanted}"


def _expected(model: Any, keys: Keys, problem: Any) -> str:
    """Return in plain words what a value should have been."""
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    plain = _KINDS.get(kind) or _KINDS.get(kind.partition("_")[0])
    if plain is not None:
        text = " ".join([plain, " and ".join(_bounds(model, keys))]).rstrip()
    elif kind in ("model_type", "model_attributes_type"):
        fields = _section(_annotation(model, keys)).model_fields
        text = f"a section with settings such as {'.'.join(map(str, keys))}.{next(iter(fields))}"
    elif kind in ("tuple_type", "list_type"):
        text = f"a list such as [{value}]" if isinstance(value, str | int | float) else "a list"
    elif kind == "missing":  # of a tuple
        text = f"a list of {_length(model, keys[:-1])} values"
    elif kind == "too_long" and (length := _length(model, keys)) is not None:
        text = f"a list of {length} values"
    elif kind in ("too_short", "too_long"):
        text = f"at {_most(kind, context)} of them"
    elif kind == "string_type":
        text = f"a text such as '{value}'" if isinstance(value, int | float) else "a text"
    elif kind in ("string_too_short", "string_too_long"):
        text = f"a text of at {_most(kind, context)} character(s)"
    elif kind == "string_pattern_mismatch":
        text = f"a text of the form {context['pattern']}"
    else:
        text = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return text


def _most(kind: str, context: Mapping[str, Any]) -> str:
    if kind.endswith("short"):
        return f"least {context['min_length']}"
    return f"most {context['max_length']}"


def _bounds(model: Any, keys: Keys) -> list[str]:
    """Return the bounds of a number, such as '>= 0'."""
    found = _field(model, keys)
    return [
        words.format(getattr(rule, bound))
        for rule in (found.metadata if found is not None else ())
        for bound, words in _BOUNDS.items()
        if hasattr(rule, bound)
    ]


def _shown(value: object) -> str:
    text = repr(value)
    if value is None or isinstance(value, bool):  # as YAML has them
        text = "null" if value is None else text.lower()
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


def _real_keys(model: Any, location: Sequence[str | int]) -> Keys:
    """Return a location without the names of types in it, which pydantic adds where there are two.

    `sampling.minimum_per_genre.int` is sampling.minimum_per_genre.
    """
    keys: list[str | int] = []
    parts = iter(location)
    for part in parts:
        if part == "[key]":
            continue
        keys.append(part)
        if len(_members(_annotation(model, tuple(keys)))) > 1:
            next(parts, None)  # which of the types it is about
    return tuple(keys)


def _annotation(model: Any, keys: Keys) -> Any:
    """Return the type of what is below these keys, None where it cannot be told."""
    for key in keys:
        fields = getattr(_section(model), "model_fields", None)
        if fields is not None:
            model = fields[key].annotation if key in fields else None
            continue
        inner = [kind for kind in _members(model) if get_origin(kind) in (dict, tuple, list)]
        arguments = get_args(inner[0]) if inner else ()
        model = None
        if arguments:
            whole = get_origin(inner[0]) is tuple and arguments[-1] is not Ellipsis
            place = key if whole and isinstance(key, int) and key < len(arguments) else -1
            model = arguments[0] if arguments[-1] is Ellipsis else arguments[place]
    return model


def _field(model: Any, keys: Keys) -> FieldInfo | None:
    fields = getattr(_section(_annotation(model, keys[:-1])), "model_fields", {})
    found: FieldInfo | None = fields.get(keys[-1]) if keys else None
    return found


def _section(annotation: Any) -> Any:
    """Return the section that an annotation such as `StackConfig | None` stands for."""
    members = _members(annotation)
    return members[0] if len(members) == 1 else None


def _members(annotation: Any) -> list[Any]:
    """Return the types of a union, None aside, or the type itself."""
    if get_origin(annotation) in (Union, UnionType):
        return [kind for kind in get_args(annotation) if kind is not NoneType]
    return [] if annotation is None else [annotation]


def _length(model: Any, keys: Keys) -> int | None:
    """Return how many values a tuple of a fixed length has."""
    annotation = _section(_annotation(model, keys))
    arguments = get_args(annotation)
    if get_origin(annotation) is not tuple or not arguments or arguments[-1] is Ellipsis:
        return None
    return len(arguments)
