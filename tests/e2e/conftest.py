"""One small pipeline, run once as a user runs it, for all tests of its results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import standalone_cluster
from tests.e2e.running import run_json, write_recipe

__all__ = ["Finished", "finished", "standalone_cluster"]


@dataclass(frozen=True)
class Finished:
    """A finished run: its recipe, its work folder and what it printed."""

    recipe: Path
    work: Path
    stages: dict[str, Any]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole pipeline on generated data, run through the command line."""
    folder = tmp_path_factory.mktemp("pipeline")
    recipe = write_recipe(folder)
    value = run_json("run", recipe)
    return Finished(recipe, folder / "work", {stage["stage"]: stage for stage in value["stages"]})
