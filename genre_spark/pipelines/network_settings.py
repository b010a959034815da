"""What a trained network depends on; no torch where the recipe's network starts from scratch."""

from __future__ import annotations

from typing import Any

from genre_spark.config import Config
from genre_spark.storage.files import file_digest, join
from genre_spark.vision.plans.from_scratch import FROM_SCRATCH

__all__ = ["pretrained_source", "training_note", "training_settings"]

# what changes how a training runs but not its outcome; `pretrained` is left out here because
# `starts_from` says which weights it stands for
_WITHOUT_EFFECT: dict[str, Any] = {
    "name": True,
    "pretrained": True,
    "threads": True,
    "device": True,
    "checkpoint_minutes": True,
    "distribution": {"where", "backend"},
    "feed": {"workers", "prefetch"},
}


def training_settings(config: Config) -> dict[str, Any]:
    """Return the settings that the trained weights depend on."""
    settings = config.cnn.model_dump(mode="json", exclude=_WITHOUT_EFFECT)
    settings["starts_from"] = pretrained_source(config)
    if config.cnn.freeze == "backbone":
        settings["mirror"] = config.embeddings.mirror
    return settings


def training_note(config: Config) -> str:
    """Return the file beside a trained network that says which run trained it."""
    return join(config.paths.model(config.cnn.model_name), "training.json")


def pretrained_source(config: Config) -> list[object]:
    """Return what the weights depend on that a network of the recipe starts from.

    Raises:
        InvalidConfigError: unknown architecture.
        InvalidInputError: cnn.pretrained is a file that is not there.
    """
    cnn = config.cnn
    if cnn.architecture in FROM_SCRATCH and cnn.pretrained in ("none", "auto"):
        return [cnn.architecture, "random", config.seed]
    from genre_spark.vision.models import find_architecture  # noqa: PLC0415 - torch, seconds

    weights = find_architecture(cnn.architecture).weights
    if cnn.pretrained == "none" or (cnn.pretrained == "auto" and weights is None):
        return [cnn.architecture, "random", config.seed]
    if cnn.pretrained == "auto" and weights is not None:
        return [cnn.architecture, weights.package, weights.file]
    if cnn.pretrained == "download":
        return [cnn.architecture, "download"]
    return [cnn.architecture, file_digest(cnn.pretrained, setting="cnn.pretrained")]
