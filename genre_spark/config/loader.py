"""Loads recipes: a YAML file and `key=value` overrides become a checked configuration."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from genre_spark.config.mistakes import Keys, describe_mistakes
from genre_spark.config.root import Config
from genre_spark.config.yaml_values import Lines, parse_yaml
from genre_spark.errors import InvalidConfigError
from genre_spark.recipes import find_recipe
from genre_spark.redaction import remember_secrets

__all__ = ["build_config", "load_config"]

logger = logging.getLogger(__name__)

_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:/")


_NO_PATHS = frozenset({"layout", "tables"})  # of the section `paths`
# settings of the sections of `collect` that are paths
_COLLECT_PATHS = frozenset({"ids", "journal", "links", "movies", "source"})


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe, apply `dotted.key=value` overrides and check every value.

    Local paths become absolute: a relative one in the file starts at the file's folder, so that a
    recipe means the same wherever it is run from; one in an override starts at the current folder.
    `~` is the home folder. A bare name that is no file of the current folder means the recipe that
    came with the package (`recipes.find_recipe` says where its paths start).

    Raises:
        InvalidConfigError: the file cannot be read, or a key is unknown, of the wrong type or out
            of range.
    """
    file, folder = find_recipe(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidConfigError(
            f"--config {path}: {error.strerror}, expected a readable YAML file"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidConfigError(
            f"--config {path}: line {line} is not UTF-8, expected a YAML file in UTF-8"
        ) from None
    values, lines = parse_yaml(text, name=str(path), file=True)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InvalidConfigError(
            f"{path}: a {type(values).__name__}, expected sections such as `paths:`"
        )
    values = _absolute_paths(values, folder, settings=file.absolute().parent)
    overridden = [_override(values, word) for word in overrides]
    config = _checked(values, lambda keys: _place(path, keys, lines, overridden))
    if folder != file.absolute().parent:
        logger.info("recipe %s of the package; its paths start at %s", file.name, folder.parent)
    return config


def build_config(values: Mapping[str, Any]) -> Config:
    """Check plain values (nested mappings) and return the configuration.

    Relative paths start at the current folder.

    Raises:
        InvalidConfigError: a key is unknown, of the wrong type or out of range.
    """
    return _checked(values, lambda _: "")


def _checked(values: Mapping[str, Any], place: Callable[[Keys], str]) -> Config:
    """Check plain values; `place` says what stands before a wrong key."""
    remember_secrets(values)
    values = _absolute_paths(values, Path.cwd(), settings=Path.cwd())
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InvalidConfigError(describe_mistakes(error, Config, place)) from None


def _place(path: str | Path, keys: Keys, lines: Lines, overridden: Sequence[Keys]) -> str:
    """Return the file and the line of a key, nothing where an override has a part in it."""
    for changed in overridden:
        shared = min(len(changed), len(keys))
        if keys[:shared] == changed[:shared]:
            return ""
    return f"{path}, line {lines[keys]}: " if keys in lines else f"{path}: "


def _override(values: dict[str, Any], word: str) -> Keys:
    """Set one value and return its keys."""
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise InvalidConfigError(f"{word!r}: expected key=value, for example sampling.total=1000")
    section = values
    *parents, last = key.split(".")
    for parent in parents:
        inner = section.get(parent)
        if not isinstance(inner, dict):
            inner = section[parent] = {}
        section = inner
    section[last], _ = parse_yaml(text, name=key)
    return (*parents, last)


def _absolute_paths(values: Mapping[str, Any], folder: Path, *, settings: Path) -> dict[str, Any]:
    paths, spark = values.get("paths"), values.get("spark")
    changed = dict(values)
    if isinstance(paths, Mapping):
        changed["paths"] = {
            key: value if key in _NO_PATHS else _absolute(value, folder)
            for key, value in paths.items()
        }
    if isinstance(spark, Mapping) and "conf_file" in spark:
        changed["spark"] = {**spark, "conf_file": _absolute(spark["conf_file"], settings)}
    if isinstance(collect := values.get("collect"), Mapping):
        changed["collect"] = {
            name: {
                key: _absolute(value, folder) if key in _COLLECT_PATHS else value
                for key, value in section.items()
            }
            if isinstance(section, Mapping)
            else section
            for name, section in collect.items()
        }
    return changed


def _absolute(path: object, folder: Path) -> object:
    if not isinstance(path, str) or not path or _URL.match(path):
        return path
    return os.path.normpath(folder / Path(path).expanduser())
