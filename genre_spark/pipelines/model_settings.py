"""Names that a recipe's models are given by, checked against the rest of the recipe."""

from __future__ import annotations

from collections.abc import Collection

from genre_spark.config import Config, FusedNetworkConfig, LinearConfig, StackConfig
from genre_spark.config.architectures import FAMILIES, KNOWN
from genre_spark.config.multilabel import BASELINES
from genre_spark.errors import InvalidConfigError
from genre_spark.extras import require
from genre_spark.storage.files import filesystem

__all__ = [
    "check_members",
    "check_models",
    "fused_settings",
    "linear_settings",
    "stack_settings",
]


def check_models(config: Config, stages: Collection[str]) -> None:
    """Check every name that would otherwise end a run when other models have been trained.

    Networks of other libraries (torchvision_NAME, timm_NAME) are left to their stage, which knows
    when it has imported the library.

    Args:
        config: the recipe.
        stages: names of the stages of the run.

    Raises:
        InvalidConfigError: an architecture, a block or a member of a stack is unknown.
    """
    if "train-cnn" in stages:
        _check_architecture("cnn.architecture", config.cnn.architecture)
    if "build-features" in stages and "poster_embedding" in config.features.on:
        for name in config.embeddings.networks or ():
            _check_architecture("embeddings.networks", name)
    if "train-linear" in stages:
        linear_settings(config)
    if "train-fused" in stages:
        fused_settings(config)
    if "train-stack" in stages:
        check_members(config, stages)


def linear_settings(config: Config) -> LinearConfig:
    """Return the section `linear`, checked against the rest of the recipe.

    Raises:
        InvalidConfigError: there is no such section, or a name or a block in it cannot be used.
    """
    if config.linear is None:
        raise InvalidConfigError(
            "linear: no such section, expected linear.models with the blocks that each model reads"
        )
    for name, model in config.linear.models.items():
        if name == config.cnn.model_name:
            raise InvalidConfigError(
                f"linear.models.{name}: the network's name, expected one of its own"
            )
        off = [block for block in model.blocks if block not in config.features.on]
        if off:
            raise InvalidConfigError(
                f"linear.models.{name}.blocks: {off[0]}, expected blocks that are switched on in "
                f"features.blocks: {', '.join(config.features.on)}"
            )
    return config.linear


def fused_settings(config: Config) -> FusedNetworkConfig:
    """Return the section `fused_network`, checked against the rest of the recipe.

    Raises:
        InvalidConfigError: there is no such section, or a name or a block in it cannot be used.
    """
    settings = config.fused_network
    if settings is None:
        raise InvalidConfigError(
            "fused_network: no such section, expected one (fused_network: {} for its defaults)"
        )
    others = {config.cnn.model_name}
    others |= set(config.linear.models if config.linear is not None else ())
    others |= set(config.stack.models if config.stack is not None else ())
    if settings.name in others:
        raise InvalidConfigError(
            f"fused_network.name: {settings.name}, another model's name, expected one of its own"
        )
    off = [
        block
        for blocks in settings.parts.values()
        for block in blocks
        if block not in config.features.on
    ]
    if off:
        raise InvalidConfigError(
            f"fused_network.parts: {off[0]}, expected blocks that are switched on in "
            f"features.blocks: {', '.join(config.features.on)}"
        )
    return settings


def stack_settings(config: Config) -> StackConfig:
    """Return the section `stack`, checked against the rest of the recipe.

    Raises:
        InvalidConfigError: there is no such section, or a stack has another model's name.
    """
    if config.stack is None:
        raise InvalidConfigError(
            "stack: no such section, expected stack.models with the models that each stack reads"
        )
    linear = config.linear.models if config.linear is not None else {}
    for name in config.stack.models:
        if name in linear or name == config.cnn.model_name:
            raise InvalidConfigError(
                f"stack.models.{name}: another model's name, expected one of its own"
            )
    return config.stack


def check_members(config: Config, stages: Collection[str] | None = None) -> None:
    """Check that each stack reads models that are trained before it or have predictions already.

    Args:
        config: the recipe.
        stages: names of the stages that train models; None: all whose models the recipe describes,
            where it does not matter yet whether they have been trained.

    Raises:
        InvalidConfigError: a stack reads another model; the text lists those that it can read.
    """
    known = _trained(config, stages)
    settings = stack_settings(config)
    known += [name for name in _predicted(config) if name not in {*known, *settings.models}]
    for stack, members in settings.models.items():
        for member in members:
            if member not in known:
                raise InvalidConfigError(
                    f"stack.models.{stack}: {member!r}, expected models that the recipe trains "
                    f"or that have predictions: {', '.join(known) or 'there are none'}"
                )
        known.append(stack)  # the next ones may read it


def _trained(config: Config, stages: Collection[str] | None) -> list[str]:
    """Return the names of the models that the recipe's stages train, stacks aside."""
    methods: list[str] = list(config.multilabel.methods)
    if config.multilabel.without_themes and "themes" in config.features.on:
        methods += [f"{name}_without_themes" for name in methods if name not in BASELINES]
    by_stage: dict[str, list[str]] = {
        "train-multilabel": methods,
        "train-linear": list(config.linear.models) if config.linear is not None else [],
        "train-cnn": [config.cnn.model_name],
        "train-fused": [config.fused_network.name] if config.fused_network is not None else [],
    }
    return [
        name
        for stage, names in by_stage.items()
        if stages is None or stage in stages
        for name in names
    ]


def _predicted(config: Config) -> list[str]:
    """Return the names of the models with a folder of predictions; whether it is whole, others see.

    Its stage says which files are missing.
    """
    system, inner = filesystem(config.paths.table("predictions"))
    entries = system.ls(inner, detail=False) if system.exists(inner) else []
    return sorted(str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries)


def _check_architecture(setting: str, name: str) -> None:
    if name in KNOWN or name.startswith(FAMILIES):
        return
    require("torch", "torchvision")
    from genre_spark.vision.models import find_architecture  # noqa: PLC0415 - torch, seconds

    find_architecture(name, setting=setting)
