"""Stage predict-posters: genres of every poster of a table, whether they are known or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError, MissingTableError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.network_settings import training_note
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import LABELS
from genre_spark.spark.session import job_progress
from genre_spark.storage.files import file_digest, filesystem, fingerprint, join, read_json
from genre_spark.storage.inventory import FileState
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun
from genre_spark.vision.inference.prediction import predict_posters
from genre_spark.vision.storage import load_tensors
from genre_spark.workers.errors import worker_errors


@dataclass(frozen=True)
class PosterSource:
    """Posters to predict.

    Attributes:
        files: Parquet files, paths or URLs.
        version: digest that changes when their content does.
        vocabulary: names of the labels in them, where a manifest has these.
        states: file -> what a manifest knows of it.
    """

    files: tuple[str, ...]
    version: str
    vocabulary: tuple[str, ...] | None = None
    states: Mapping[str, FileState] = field(default_factory=dict)


def _find_posters(config: Config) -> PosterSource:
    """Return the files of a table of this project, or of any folder of Parquet."""
    own, folder = Catalogue(config).posters, config.paths.predicted_posters
    table = own if folder is None else replace(own, path=folder)
    if folder is None or table.is_whole():
        manifest = table.manifest()
        vocabulary = manifest.details.get("vocabulary")
        known = tuple(vocabulary) if vocabulary else None
        states = {join(table.path, name): state for name, state in manifest.files.items()}
        files = tuple(sorted(name for name in states if name.endswith(".parquet")))
        return PosterSource(files or tuple(table.files()), manifest.fingerprint, known, states)
    system, inner = filesystem(folder)
    names = (
        [str(entry).rsplit("/", 1)[-1] for entry in system.ls(inner, detail=False)]
        if system.isdir(inner)
        else []
    )
    files = tuple(
        join(folder, name)
        for name in sorted(names)
        if name.endswith(".parquet") and name[0] not in "._"
    )
    if not files:
        raise InvalidInputError(
            f"paths.predicted_posters: {folder}, expected a posters or samples table or a folder "
            "of .parquet files"
        )
    return PosterSource(files, fingerprint(*[file_digest(file) for file in files]))


def _label_count(source: PosterSource, vocabulary: Sequence[str]) -> int | None:
    """Return the number of labels per row, or None where the posters have none.

    Raises:
        InvalidInputError: they are labels of another vocabulary than the network's.
    """
    system, inner = filesystem(source.files[0])
    with system.open(inner, "rb") as stream:
        file = pq.ParquetFile(stream)
        if LABELS not in file.schema_arrow.names:
            return None
        first = next(file.iter_batches(1, columns=[LABELS]), None)
    count = len(vocabulary) if first is None else pc.list_value_length(first.column(0))[0].as_py()
    if count != len(vocabulary) or (
        source.vocabulary is not None and source.vocabulary != tuple(vocabulary)
    ):
        known = ", ".join(source.vocabulary or ["of unknown names"])
        raise InvalidInputError(
            f"{source.files[0]}: {count} labels per row ({known}), expected the {len(vocabulary)} "
            f"of the network ({', '.join(vocabulary)}), or a table without labels"
        )
    return len(vocabulary)


def _model_file(config: Config) -> str:
    file = join(config.paths.model(config.cnn.model_name), "network.pt")
    system, inner = filesystem(file)
    if not system.exists(inner):
        raise MissingTableError(
            f"{file}: no such model yet; expected the output of `genre-spark train-cnn`"
        )
    return file


def _depends_on(config: Config) -> list[object]:
    return [_find_posters(config).version, file_digest(_model_file(config)), config.cnn.model_name]


def _table(config: Config) -> Table:
    return Catalogue(config).predictions(config.cnn.model_name, "posters")


@stage(depends_on=_depends_on, outputs=lambda config: [_table(config)])
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Predict with the trained network of the recipe.

    Labels are empty in the result where the posters have none.

    Counts: posters.
    """
    table, file, source = _table(config), _model_file(config), _find_posters(config)
    state = load_tensors(file) or {}
    details = {
        "vocabulary": state["vocabulary"],
        "family": "cnn",
        "method": state["architecture"],
        "run_id": (read_json(training_note(config)) or {}).get("run_id"),
    }
    predictions = predict_posters(
        spark,
        source.files,
        file,
        version=tracked.digest,
        labels=_label_count(source, state["vocabulary"]),
        batch_size=config.embeddings.batch_size,
        threads=config.embeddings.threads,
        device=config.cnn.device,
        states=source.states,
        decoders=config.embeddings.decoders,
    )
    with job_progress(spark, "predictions for all posters"), worker_errors():
        manifest = table.write(predictions, fingerprint=tracked.digest, details=details)
    return StageResult(
        outputs={"predictions": table.path},
        counts={"posters": manifest.rows},
    )
