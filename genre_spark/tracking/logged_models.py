"""Models as MLflow logs them, without MLflow's trial of their input example."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mlflow.models import Model as MlflowModel

__all__ = ["log_model"]


def log_model(flavor: Any, *, name: str, **settings: Any) -> str:
    """Log a model with the active run and return its URI.

    MLflow would load what it has just stored and ask it about the input example, which takes
    longer than all else, and write a warning where that fails. Tests do so once and for all.

    Args:
        flavor: a flavour of MLflow, or what saves a model like one.
        name: of the logged model.
        settings: what the flavour saves, and what `mlflow.models.Model.log` takes.
    """

    def save(*, validate_serving_input: bool, **kept: Any) -> None:  # noqa: ARG001 - not for it
        flavor.save_model(**kept)

    info = MlflowModel.log(
        artifact_path=None,
        name=name,
        flavor=SimpleNamespace(__name__=flavor.__name__, save_model=save),
        validate_serving_input=False,
        **settings,
    )
    return str(info.model_uri)
