"""Data sets in other layouts, imported: their tables as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from genre_spark.config import build_config
from genre_spark.config.root import Config
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.ingestion.import_data import run
from genre_spark.pipelines.stage import StageResult
from tests.stored_rows import read_rows


@dataclass(frozen=True)
class Imported:
    """What import-data made of a data set."""

    config: Config
    result: StageResult

    def rows(self, name: str) -> list[tuple]:
        rows = read_rows(Catalogue(self.config).imported(name).path)
        return sorted(tuple(row.values()) for row in rows)

    @property
    def rejects(self) -> list[tuple]:
        rows = read_rows(self.config.paths.rejects("import"))
        return sorted((row["reason"], row["content"]) for row in rows)


@pytest.fixture(scope="session")
def tracking_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def imported(spark, tmp_path: Path, tracking_store: str) -> Callable[..., Imported]:
    """Return a function that writes files into a folder, and imports the folder or one of them."""

    def go(layout: str, files: dict[str, bytes | str], *, source: str = "", **settings) -> Imported:
        folder = tmp_path / "source"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (folder / name).write_bytes(data)
        config = build_config(
            {
                "paths": {
                    "layout": layout,
                    "source": str(folder / source if source else folder),
                    "work": str(tmp_path / "work"),
                },
                "import_data": settings,
                "mlflow": {"tracking_uri": tracking_store},
            }
        )
        return Imported(config, run(spark, config))

    return go
