"""From samples tables and configuration to a training job."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.sampling.class_weights import class_weights
from genre_spark.spark.session import job_progress
from genre_spark.storage.files import join, read_json, write_json
from genre_spark.storage.tables import TableManifest
from genre_spark.vision.inference.poster_channels import measure_channels
from genre_spark.vision.inference.row_groups import list_parts
from genre_spark.vision.plans.from_scratch import FROM_SCRATCH, check_size
from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.poster_form import Normalisation, PosterForm
from genre_spark.vision.plans.sample_facts import LabelWeights, SampleFacts, count_labels


def plan_training(spark: SparkSession, config: Config, *, digest: str) -> TrainingJob:
    """Look at the samples and return everything that the training processes need.

    Args:
        spark: computes the channels' mean and deviation, and the features of a frozen backbone.
        config: the recipe.
        digest: of the settings and the samples; the checkpoints of a killed run are found by it.

    Raises:
        MissingTableError: the samples are not there yet.
        InvalidInputError: they have no images, or there are none.
        InvalidConfigError: unknown architecture.
    """
    minimum, normalisation = _architecture(config.cnn.architecture)
    tables = Catalogue(config)
    manifest = tables.samples("train").manifest()
    files = {split: tuple(tables.samples(split).files()) for split in ("train", "validation")}
    for split, found in files.items():
        if not list_parts(found, rows=1):
            raise InvalidInputError(
                f"{tables.samples(split).path}: no samples, expected posters to train on"
            )
    vocabulary = tuple(manifest.details["vocabulary"])
    posters = PosterForm(
        int(manifest.details["height"]), int(manifest.details["width"]), config.posters.fit
    )
    size = config.cnn.height or posters.height, config.cnn.width or posters.width
    check_size(config.cnn.architecture, minimum, *size)
    checkpoints = join(config.paths.table("checkpoints"), config.cnn.model_name, digest)
    if normalisation is None:
        normalisation = _channels(spark, files["train"], join(checkpoints, "channels.json"))
    facts = count_labels(files["train"], len(vocabulary))
    label_weights, negative_rate = _genre_weights(config, manifest, facts)
    job = TrainingJob(
        settings=config.cnn,
        seed=config.seed,
        train_files=files["train"],
        validation_files=files["validation"],
        vocabulary=vocabulary,
        posters=posters,
        facts=facts,
        normalisation=normalisation,
        checkpoints=checkpoints,
        model_file=join(config.paths.model(config.cnn.model_name), "network.pt"),
        mirror=config.cnn.freeze == "backbone" and config.embeddings.mirror,
        label_weights=label_weights,
        negative_rate=negative_rate,
    )
    if config.cnn.freeze == "none":
        return job
    from genre_spark.pipelines.features.network_features import (  # noqa: PLC0415 - torch
        embed_for_training,
    )

    return embed_for_training(spark, config, job)


def _architecture(name: str) -> tuple[tuple[int, int], Normalisation | None]:
    """Return the smallest height and width, and the normalisation of pretrained weights."""
    if name in FROM_SCRATCH:
        return FROM_SCRATCH[name], None
    from genre_spark.vision.models import find_architecture  # noqa: PLC0415 - torch, seconds

    found = find_architecture(name)
    return found.minimum, found.normalisation


def _genre_weights(
    config: Config, manifest: TableManifest, facts: SampleFacts
) -> tuple[LabelWeights | None, tuple[float, ...] | None]:
    """Return genres' weights in the loss, and the shares of their negatives that steps see.

    They come from the samples as they were drawn; where samples are weighted, from the movies that
    they stand for.
    """
    cnn = config.cnn
    if cnn.label_weights == "none" and not cnn.negative_sampling:
        return None, None
    stored: dict[str, Any] | None = manifest.details.get("class_weights")
    if not stored:
        raise InvalidInputError(
            f"{config.paths.samples('train')}: no class weights, expected them for "
            "cnn.label_weights and cnn.negative_sampling: run `genre-spark sample --force`"
        )
    vocabulary = manifest.details["vocabulary"]
    if cnn.weights == "sampling":
        stored = class_weights(
            [round(count) for count in facts.weighted_counts],
            round(facts.weight),
            beta=stored["beta"],
            negatives_per_positive=stored["negatives_per_positive"],
        ).by_name(vocabulary)
    chosen: dict[str, Any] = stored

    def by_label(kind: str) -> tuple[float, ...]:
        return tuple(float(chosen[kind][genre]) for genre in vocabulary)

    weights = None
    if cnn.label_weights == "balanced":
        weights = LabelWeights(by_label("positive"), by_label("negative"))
    elif cnn.label_weights != "none":
        weights = LabelWeights(by_label(cnn.label_weights), by_label(cnn.label_weights))
    return weights, by_label("negative_rate") if cnn.negative_sampling else None


def _channels(spark: SparkSession, files: tuple[str, ...], cache: str) -> Normalisation:
    known = read_json(cache)
    if known is None:
        with job_progress(spark, "mean and deviation of the training posters"):
            measured = measure_channels(spark, files)
        known = measured._asdict()
        write_json(cache, known)
    return Normalisation(tuple(known["mean"]), tuple(known["std"]))
