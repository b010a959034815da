"""Features of the frozen part of a network: where they are kept, and how a training gets them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError
from genre_spark.files import file_digest, fingerprint, join, read_json, write_json
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.session import job_progress
from genre_spark.vision.feed.embedded import embed_samples
from genre_spark.vision.inference.embedded_posters import EmbeddedPosters, embed_posters
from genre_spark.vision.inference.network_file import PosterForm, save_network
from genre_spark.vision.models import build_network, find_architecture
from genre_spark.vision.models.weights import load_pretrained
from genre_spark.vision.training.job import TrainingJob


@dataclass(frozen=True)
class Backbone:
    """A frozen network on storage.

    Attributes:
        file: as `save_network` writes it.
        version: digest of its weights' source and its input size.
        features: length of its feature vectors.
        table: the embeddings table that belongs to it.
    """

    file: str
    version: str
    features: int
    table: str


def pretrained_source(config: Config) -> list[object]:
    """Return what the weights depend on that a network of the recipe starts from.

    Raises:
        InvalidConfigError: unknown architecture.
        InvalidInputError: cnn.pretrained is a file that is not there.
    """
    cnn = config.cnn
    weights = find_architecture(cnn.architecture).weights
    if cnn.pretrained == "none" or (cnn.pretrained == "auto" and weights is None):
        return [cnn.architecture, "random", config.seed]
    if cnn.pretrained == "auto" and weights is not None:
        return [cnn.architecture, weights.package, weights.file]
    if cnn.pretrained == "download":
        return [cnn.architecture, "download"]
    return [cnn.architecture, file_digest(cnn.pretrained)]


def features_depend_on(config: Config) -> list[object]:
    """Return what the features of a poster depend on beside the poster."""
    return [
        pretrained_source(config),
        config.cnn.height,
        config.cnn.width,
        config.embeddings.mirror,
    ]


def store_backbone(config: Config) -> Backbone:
    """Write the pretrained network that computes features, for Spark's workers to load.

    Raises:
        InvalidConfigError: unknown architecture, or one that is never pretrained.
        InvalidInputError: its pretrained weights are missing.
    """
    cnn = config.cnn
    manifest = Catalogue(config).posters.manifest()
    if find_architecture(cnn.architecture).weights is None and cnn.pretrained == "auto":
        raise InvalidConfigError(
            f"cnn.architecture: {cnn.architecture!r} has no pretrained weights, expected one that "
            "has (efficientnet_lite0, ...) for features of a frozen network, or a file of "
            "weights in cnn.pretrained"
        )
    posters = PosterForm(config.posters.height, config.posters.width, config.posters.fit)
    height, width = cnn.height or posters.height, cnn.width or posters.width
    version = fingerprint(
        pretrained_source(config),
        height,
        width,
        posters,
        manifest.details.get("encoding"),
        config.embeddings.mirror,
    )
    table = Catalogue(config).embeddings.path
    file, note = join(table, f"backbone-{version}.pt"), join(table, f"backbone-{version}.json")
    network = build_network(cnn.architecture, 1, height, width, seed=config.seed)
    if read_json(note) is None:
        load_pretrained(network, cnn.pretrained)
        save_network(file, network, ["-"], posters, mirror=config.embeddings.mirror)
        write_json(note, {"features": network.feature_count})
    return Backbone(file, version, network.feature_count, table)


def embed_posters_table(spark: SparkSession, config: Config) -> tuple[Backbone, EmbeddedPosters]:
    """Compute the features of all posters that have none yet."""
    files = Catalogue(config).posters.files()
    backbone = store_backbone(config)
    with job_progress(spark, f"features of {config.cnn.architecture}"):
        embedded = embed_posters(
            spark,
            files,
            backbone.table,
            backbone.file,
            version=backbone.version,
            features=backbone.features,
            config=config.embeddings,
            device=config.cnn.device,
        )
    return backbone, embedded


def embed_for_training(spark: SparkSession, config: Config, job: TrainingJob) -> TrainingJob:
    """Return the job with the features of its samples, computed where they were missing."""
    backbone, _ = embed_posters_table(spark, config)
    embeddings = Catalogue(config).embeddings.files()
    folder = config.paths.table("tmp", "embedded", config.cnn.model_name)
    if "://" in folder:  # the arrays are mapped into memory, so they have to lie on a local disk
        folder = f"{tempfile.gettempdir()}/genre_spark-embedded-{fingerprint(folder)}"
    pair = [
        embed_samples(files, embeddings, features=backbone.features, folder=f"{folder}/{split}")
        for split, files in (("train", job.train_files), ("validation", job.validation_files))
    ]
    return replace(job, embedded=(pair[0], pair[1]))
