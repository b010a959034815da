"""YAML as recipes and overrides have it: numbers such as 1e-3, every key once, short messages."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from genre_spark.errors import InvalidConfigError

__all__ = ["Lines", "parse_yaml"]

Lines = dict[tuple[Hashable, ...], int]
"""Keys from the outermost on -> the line, from 1, that the last of them is in."""


class _Loader(yaml.SafeLoader):
    """A safe loader that reads 1e-3 as a number; YAML 1.1 takes it for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
_MERGE = "tag:yaml.org,2002:merge"


class _RepeatedKeyError(Exception):
    """A mapping has a key twice.

    Args:
        key: all keys to it.
        line: where it is the second time.
        first: where it is the first time.
    """

    def __init__(self, key: str, line: int, first: int) -> None:
        super().__init__(key)
        self.key, self.line, self.first = key, line, first


def parse_yaml(text: str, *, name: str, file: bool = False) -> tuple[Any, Lines]:
    """Return the value of a YAML text, and the lines of its keys.

    Args:
        text: the text.
        name: what it is, for messages: a file, or the key of an override.
        file: whether it is a file, whose lines are told.

    Raises:
        InvalidConfigError: it is not valid YAML, or has a key of a mapping twice.
    """
    given = name if file else f"{name}: {text!r}"
    loader: Any = None
    try:
        loader = _Loader(text)  # a SafeLoader
        node = loader.get_single_node()
        lines: Lines = {}
        _note_lines(node, (), lines, set())
        return None if node is None else loader.construct_document(node), lines
    except _RepeatedKeyError as error:
        place, first = f", line {error.line}", f"in line {error.first}"
        raise InvalidConfigError(
            f"{given}{place if file else ''}: {error.key} is there already"
            f"{f' {first}' if file else ''}, expected each key once"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}" if file and mark is not None else ""
        raise InvalidConfigError(
            f"{given}{place}: not valid YAML: {_plain(error.problem or error.context, file)}"
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        place = f", line {line}" if file else ""
        raise InvalidConfigError(
            f"{given}{place}: not valid YAML: the character {_character(error)!r} is not allowed"
        ) from None
    except ValueError as error:  # of a date that no calendar has
        raise InvalidConfigError(f"{given}: not valid YAML: {error}") from None
    except RecursionError:
        raise InvalidConfigError(f"{name}: not valid YAML: nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()


def _note_lines(node: Any, keys: tuple[Hashable, ...], lines: Lines, seen: set[int]) -> None:
    """Note the line of every key at and below a node, and raise where one is there twice."""
    if id(node) in seen:  # an alias, maybe of what it is in
        return
    seen.add(id(node))
    entries: list[tuple[tuple[Hashable, ...], int, Any]] = []
    if isinstance(node, yaml.SequenceNode):
        for number, entry in enumerate(node.value):
            entries.append(((*keys, number), entry.start_mark.line + 1, entry))
    elif isinstance(node, yaml.MappingNode):
        found: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            inner, line = (*keys, key.value), key.start_mark.line + 1
            first = found.setdefault((key.tag, key.value), line)
            if len(found) == len(entries):  # it was there
                raise _RepeatedKeyError(".".join(map(str, inner)), line, first)
            entries.append((inner, line, value))
    for inner, line, value in entries:
        lines[inner] = line
        _note_lines(value, inner, lines, seen)


def _character(error: Any) -> str:
    return chr(error.character) if isinstance(error.character, int) else str(error.character)


def _plain(problem: str | None, file: bool) -> str:
    """Return what the parser says in words that need no knowledge of it."""
    end = "the end of the file" if file else "the end"
    text = " ".join((problem or "it cannot be read").split())
    text = re.sub(r"'?<(?:stream end|document end|block end)>'?", end, text)
    return re.sub(r"'?<([a-z ]+)>'?", r"\1", text)
