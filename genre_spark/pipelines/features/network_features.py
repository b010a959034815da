"""Features of the frozen part of a network: where they are kept, and how a training gets them."""

from __future__ import annotations

import atexit
import tempfile
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.network_settings import pretrained_source
from genre_spark.spark.session import job_progress
from genre_spark.storage.files import fingerprint, join, read_json, remove_folder, write_json
from genre_spark.storage.ownership import claimed
from genre_spark.vision.feed.embedded import embed_samples
from genre_spark.vision.inference.embedded_posters import EmbeddedPosters, embed_posters
from genre_spark.vision.inference.network_file import save_network
from genre_spark.vision.inference.poster_embedder import save_embedder
from genre_spark.vision.models import PosterNetwork, build_network, find_architecture
from genre_spark.vision.models.weights import load_pretrained
from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.poster_form import PosterForm


@dataclass(frozen=True)
class Backbone:
    """A frozen network, or several side by side, on storage.

    Attributes:
        file: as `save_network` or `save_embedder` writes it.
        version: digest of its weights' source and its input size.
        features: length of its feature vectors.
        table: the embeddings table that belongs to it.
    """

    file: str
    version: str
    features: int
    table: str


def features_depend_on(config: Config) -> list[object]:
    """Return what the vector of a poster in the block poster_embedding depends on, beside it."""
    return [
        [pretrained_source(each) for each in _by_network(config)],
        config.embeddings.depths,
        config.embeddings.precision,
        config.cnn.height,
        config.cnn.width,
        config.embeddings.mirror,
    ]


def store_backbone(config: Config) -> Backbone:
    """Write the pretrained network that a head is trained on, for Spark's workers to load.

    Raises:
        InvalidConfigError: unknown architecture, or one that is never pretrained.
        InvalidInputError: its pretrained weights are missing.
    """
    posters = _poster_form(config)
    version = _version(config, [pretrained_source(config)])
    table = Catalogue(config).embeddings.path
    file, note = join(table, f"backbone-{version}.pt"), join(table, f"backbone-{version}.json")
    network = _build(config)
    if read_json(note) is None:
        load_pretrained(network, config.cnn.pretrained)
        save_network(file, network, ["-"], posters, mirror=config.embeddings.mirror)
        write_json(note, {"features": network.feature_count})
    return Backbone(file, version, network.feature_count, table)


def store_embedder(config: Config) -> Backbone:
    """Write the networks of the block poster_embedding, for Spark's workers to load.

    Raises:
        InvalidConfigError: unknown network, or one that is never pretrained.
        InvalidInputError: weights are missing.
    """
    settings, each = config.embeddings, _by_network(config)
    plain = not settings.depths and settings.precision == "auto"
    if plain and [one.cnn.architecture for one in each] == [config.cnn.architecture]:
        return store_backbone(each[0])
    sources = [pretrained_source(one) for one in each]
    kind: list[object] = ["depths" if settings.depths else "last"]
    kind += [settings.precision] if settings.precision != "auto" else []
    version = _version(config, [*sources, kind])
    table = Catalogue(config).poster_embeddings.path
    file, note = join(table, f"networks-{version}.pt"), join(table, f"networks-{version}.json")
    known = read_json(note)
    if known is None:
        networks = [_build(one) for one in each]
        for network, one in zip(networks, each, strict=True):
            load_pretrained(network, one.cnn.pretrained)
        length = save_embedder(
            file,
            networks,
            _poster_form(config),
            mirror=settings.mirror,
            depths=settings.depths,
            precision=settings.precision,
        )
        known = {"features": length}
        write_json(note, known)
    return Backbone(file, version, int(known["features"]), table)


def _by_network(config: Config) -> list[Config]:
    """Return the recipe once per network of the block, each as if it were cnn.architecture."""
    settings = config.embeddings
    found = []
    for name in settings.networks or (config.cnn.architecture,):
        own = config.cnn.pretrained if name == config.cnn.architecture else "auto"
        changed = {"architecture": name, "pretrained": settings.weights.get(name, own)}
        found.append(config.model_copy(update={"cnn": config.cnn.model_copy(update=changed)}))
    return found


def _build(config: Config) -> PosterNetwork:
    cnn, posters = config.cnn, config.posters
    if find_architecture(cnn.architecture).weights is None and cnn.pretrained == "auto":
        raise InvalidConfigError(
            f"cnn.architecture: {cnn.architecture!r} has no pretrained weights, expected one that "
            "has (efficientnet_lite0, ...) for features of a frozen network, or a file of "
            "weights in cnn.pretrained or embeddings.weights"
        )
    height, width = cnn.height or posters.height, cnn.width or posters.width
    return build_network(cnn.architecture, 1, height, width, seed=config.seed)


def _poster_form(config: Config) -> PosterForm:
    return PosterForm(config.posters.height, config.posters.width, config.posters.fit)


def _version(config: Config, sources: list[list[object]]) -> str:
    cnn, posters = config.cnn, _poster_form(config)
    return fingerprint(
        *sources,
        cnn.height or posters.height,
        cnn.width or posters.width,
        posters,
        Catalogue(config).posters.manifest().details.get("encoding"),
        config.embeddings.mirror,
    )


def embed_posters_table(spark: SparkSession, config: Config) -> tuple[Backbone, EmbeddedPosters]:
    """Compute the vectors of the block poster_embedding for all posters that have none yet."""
    return _embed(spark, config, store_embedder(config))


def _embed(
    spark: SparkSession, config: Config, backbone: Backbone
) -> tuple[Backbone, EmbeddedPosters]:
    with (
        claimed([backbone.table], "poster-embeddings", otherwise=config.second_writer),
        job_progress(spark, f"features of {backbone.table.rsplit('/', 1)[-1]}"),
    ):
        embedded = embed_posters(
            spark,
            Catalogue(config).posters.files(),
            backbone.table,
            backbone.file,
            version=backbone.version,
            features=backbone.features,
            config=config.embeddings,
            device=config.cnn.device,
            states=Catalogue(config).posters.states(),
        )
    return backbone, embedded


def embed_for_training(spark: SparkSession, config: Config, job: TrainingJob) -> TrainingJob:
    """Return the job with the features of its samples, computed where they were missing."""
    backbone, _ = _embed(spark, config, store_backbone(config))
    embeddings = Catalogue(config).embeddings.files()
    folder = config.paths.table("tmp", "embedded", config.cnn.model_name)
    if "://" in folder:  # the arrays are mapped into memory, so they have to lie on a local disk
        folder = tempfile.mkdtemp(prefix="genre_spark-embedded-")  # readable by this user alone
        atexit.register(remove_folder, folder)
    pair = [
        embed_samples(files, embeddings, features=backbone.features, folder=f"{folder}/{split}")
        for split, files in (("train", job.train_files), ("validation", job.validation_files))
    ]
    return replace(job, embedded=(pair[0], pair[1]))
