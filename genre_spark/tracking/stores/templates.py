"""New stores as copies of an empty one: by itself MLflow takes seconds to make all its tables."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from contextlib import closing, suppress
from pathlib import Path

import mlflow
from mlflow import MlflowClient

from genre_spark.user_cache import cached_file

__all__ = ["make_store"]

logger = logging.getLogger("genre_spark")


def make_store(file: Path) -> None:
    """Make MLflow's store in a new file: a copy of an empty one, or by MLflow itself.

    The empty one is kept for the next new store of this user, by MLflow's version.

    Args:
        file: where the store shall be; nothing is there, or an empty file.
    """
    template = cached_file(f"mlflow-{mlflow.__version__}.db")
    if template is not None and template.is_file():
        try:
            _copy(template, file)
            return
        except sqlite3.Error as error:
            logger.debug("%s: %s", template, error)
            template.unlink(missing_ok=True)
    MlflowClient(f"sqlite:///{file}").get_experiment("0")
    if template is not None:
        with suppress(OSError, sqlite3.Error):
            _copy(file, template)


def _copy(source: Path, target: Path) -> None:
    """Copy a store without runs; its default experiment has the place that MLflow gives it here."""
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(draft)) as new,
        ):
            old.backup(new)
            here = str(Path.cwd() / "mlruns" / "0")
            with new:
                new.execute("UPDATE experiments SET artifact_location = ?", (here,))
            (version,) = new.execute("SELECT COUNT(*) FROM alembic_version").fetchone()
            (runs,) = new.execute("SELECT COUNT(*) FROM runs").fetchone()
            if version != 1 or runs:
                raise sqlite3.DatabaseError("not an empty store of MLflow")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
