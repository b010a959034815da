"""pyproject.toml, its two files of constraints and genre_spark.extras say the same."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from genre_spark.extras import EXTRAS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.10", "3.11", "3.12")


def requirements(*extras: str) -> list[Requirement]:
    """Return the dependencies and those of the extras; extras of extras are followed."""
    found = [Requirement(text) for text in PROJECT["dependencies"]]
    waiting = list(extras)
    while waiting:
        for text in PROJECT["optional-dependencies"][waiting.pop()]:
            requirement = Requirement(text)
            if requirement.name == "genre_spark":
                waiting.extend(requirement.extras)
            else:
                found.append(requirement)
    return found


def releases(file: str, python: str) -> dict[str, str]:
    """Return package -> release of a file of constraints for one Python."""
    found = {}
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        requirement = Requirement(line)
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), line
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert normal(requirement.name) not in found, line
            found[normal(requirement.name)] = str(requirement.specifier)[2:]
    return found


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("constraints.txt", ("dev", "all", "benchmarks", "docs")),
        ("constraints-multilabel.txt", ("spark", "test")),
    ],
)
def test_every_dependency_has_one_release_within_its_limits(file, extras, python) -> None:
    known = releases(file, python)
    for requirement in requirements(*extras):
        release = known.get(normal(requirement.name))
        assert release is not None, f"{requirement.name}: not in {file}; run `make constraints`"
        assert requirement.specifier.contains(release), f"{requirement} but {file} has {release}"


def test_the_estimators_own_dependencies_have_no_upper_limit() -> None:
    for requirement in requirements("spark"):
        assert all(part.operator == ">=" for part in requirement.specifier), requirement


def test_every_extra_that_an_error_names_exists_and_is_part_of_all() -> None:
    every = {requirement.name for requirement in requirements("all")}
    for extra in EXTRAS:
        assert {requirement.name for requirement in requirements(extra)} <= every
