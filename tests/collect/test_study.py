"""The TMDb study in one recipe: collect, IMDb, posters, six methods, a network, their fusion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.collect.study import run_study, stage_seconds

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3000)]


def test_the_whole_study_runs_from_one_recipe(tmp_path: Path) -> None:
    small = ["multilabel.forest.trees=5", "cnn.epochs=1", "features.min_count=2"]
    done = run_study(tmp_path, 200, small)
    assert done.returncode == 0, done.stdout[-4000:]
    work = tmp_path / "work" / "tmdb_complete"
    assert {"collect-tmdb", "collect-imdb", "download-posters", "train-stack", "compare"} <= set(
        stage_seconds(work)
    )
    imdb = json.loads((work / "imdb" / "_manifest.json").read_text())
    posters = json.loads((work / "posters" / "_manifest.json").read_text())
    assert imdb["rows"] > 180
    assert posters["rows"] > 180
    models = {path.name for path in (work / "predictions").iterdir()}
    assert {"lenet", "fused", "linear_metadata", "homer", "rakel"} <= models
