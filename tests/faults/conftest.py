"""One finished pipeline for all injected faults, in a folder with an odd name."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Finished
from tests.e2e.running import run_json, write_recipe


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole pipeline on generated data, run through the command line."""
    folder = tmp_path_factory.mktemp("runs") / "of [2024] {a,b} #1 50% * é"
    recipe = write_recipe(folder)
    value = run_json("run", recipe)
    return Finished(recipe, folder / "work", {stage["stage"]: stage for stage in value["stages"]})
