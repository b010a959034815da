"""What models are trained and measured on, as their MLflow runs show it."""

from __future__ import annotations

from genre_spark.config import Config
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.storage.tables import Table
from genre_spark.tracking import DataInput

__all__ = ["feature_input", "sample_inputs"]

_CONTEXTS = {"train": "training", "validation": "validation", "test": "test"}


def sample_inputs(config: Config) -> list[DataInput]:
    """Return the samples of training, validation and test, as far as they have been written."""
    return [
        _describe(table, f"sample-{split}", context)
        for split, context in _CONTEXTS.items()
        if (table := Catalogue(config).samples(split)).is_whole()
    ]


def feature_input(config: Config) -> DataInput:
    """Return the features table."""
    return _describe(Catalogue(config).features, "features", "features")


def _describe(table: Table, name: str, context: str) -> DataInput:
    manifest = table.manifest()
    columns = {field.name: field.dataType.simpleString() for field in table.schema}
    return DataInput(context, name, manifest.fingerprint, manifest.rows, table.path, columns)
