"""A work folder whose configuration is one call away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genre_spark.config import Config, build_config


@pytest.fixture(scope="session")
def tracking_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def make_config(tmp_path: Path, tracking_store: str) -> Callable[..., Config]:
    """Return a function that builds a configuration over this test's folder.

    The MLflow store is shared.
    """

    def make(**sections) -> Config:
        paths = {
            "genres_csv": str(tmp_path / "genres.csv"),
            "posters": str(tmp_path / "posters"),
            "metadata": str(tmp_path / "metadata"),
            "work": str(tmp_path / "work"),
            **sections.pop("paths", {}),
        }
        return build_config(
            {"paths": paths, "mlflow": {"tracking_uri": tracking_store}, **sections}
        )

    return make
