"""Prediction at scale: each Spark worker loads the network once and reads its own posters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from genre_spark.schemas import LABELS, MOVIE_ID, PREDICTION, PREDICTIONS_SCHEMA, PROBABILITIES
from genre_spark.spark.gpu_stages import gpu_stage
from genre_spark.storage.inventory import FileState
from genre_spark.vision.inference.decoded_posters import count_decoders, read_posters
from genre_spark.vision.inference.row_groups import Part, list_parts, map_parts
from genre_spark.workers.gpus import assigned_gpu
from genre_spark.workers.tasks import short_task

if TYPE_CHECKING:
    from genre_spark.vision.inference.network_file import TrainedNetwork  # with torch, seconds

__all__ = ["predict_features", "predict_posters", "prediction_rows", "worker_network"]

_LISTS = pa.list_(pa.float32())
_ROWS_PER_TASK = 256
_BATCHES_PER_TASK = 32  # on a GPU: the first one is decoded before the network has anything to do
_TASKS = 20_000  # from which on they become larger, not more


def worker_network(path: str, version: str, threads: int, device: str) -> TrainedNetwork:
    """Return the network of this worker process, which Spark keeps for many tasks.

    Args:
        path: file that `save_network` wrote.
        version: digest that changes when the file does; a part of the cache's key.
        threads: CPU threads; Spark runs one task per core, so more than one would fight for it.
        device: auto, cpu or cuda; a GPU is the one that Spark has assigned to the task.
    """
    return _loaded(path, version, threads, device, assigned_gpu())


@lru_cache(maxsize=1)
def _loaded(path: str, version: str, threads: int, device: str, gpu: int | None) -> TrainedNetwork:  # noqa: ARG001
    """Return the network on a device; the next task's GPU may be another one."""
    # the driver, which imports this module too, computes nothing
    import torch  # noqa: PLC0415

    from genre_spark.vision.inference.network_file import load_network  # noqa: PLC0415
    from genre_spark.workers.task_device import task_device  # noqa: PLC0415

    torch.set_num_threads(threads)
    return load_network(path, device=task_device(device))


def predict_posters(
    spark: SparkSession,
    files: Sequence[str],
    model_file: str,
    *,
    version: str,
    labels: int | None,
    batch_size: int = 32,
    threads: int = 1,
    device: str = "auto",
    states: Mapping[str, FileState] | None = None,
    decoders: int | None = None,
) -> DataFrame:
    """Return predictions for every poster in the files.

    Args:
        spark: the session.
        files: Parquet files of a samples table or of a posters table.
        model_file: file of a trained network, on storage that the workers see.
        version: digest that changes when the model file does.
        labels: number of genres where the table has labels; None for a posters table: labels are
            empty then.
        batch_size: posters per forward pass.
        threads: CPU threads per task.
        device: auto, cpu or cuda.
        states: file -> what its table's manifest knows of it: the others are opened.
        decoders: threads per task that decode ahead of the network; None: see `count_decoders`.

    Returns:
        Rows of PREDICTIONS_SCHEMA; nothing has run yet.

    Raises:
        InvalidInputError: the files hold no posters.
    """
    extra = () if labels is None else (LABELS,)

    def predict(part: Part) -> Iterator[pa.RecordBatch]:
        model = worker_network(model_file, version, threads, device)
        reading = read_posters(
            part,
            batch_size=batch_size,
            extra=extra,
            decoders=count_decoders(decoders, model.device),
            pinned=model.device.type == "cuda",
        )
        for images, rows in reading:
            known = rows.column(LABELS) if extra else pa.array([[]] * len(rows), _LISTS)
            yield prediction_rows(rows.column(MOVIE_ID), known, model.probabilities(images))

    known = sum(sum(state.row_groups) for state in (states or {}).values())
    rows = max(_ROWS_PER_TASK, known // _TASKS)
    if device == "cuda" or gpu_stage(spark, device):
        rows = max(rows, _BATCHES_PER_TASK * batch_size)
    parts = list_parts(files, rows=rows, states=states)
    return map_parts(spark, parts, predict, PREDICTIONS_SCHEMA, device=device)


def predict_features(
    features: DataFrame, model_file: str, *, version: str, column: str, threads: int = 1
) -> DataFrame:
    """Return predictions of the head for rows of movie_id, labels and stored features."""

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = worker_network(model_file, version, threads, "cpu")
        for batch in batches:
            if batch.num_rows:
                values = batch.column(column)
                matrix = np.asarray(values.flatten(), np.float32).reshape(batch.num_rows, -1)
                yield prediction_rows(
                    batch.column(MOVIE_ID),
                    batch.column(LABELS),
                    model.probabilities_of_features(matrix),
                )

    return features.mapInArrow(short_task(predict), PREDICTIONS_SCHEMA)


def prediction_rows(
    movie_ids: pa.Array, labels: pa.Array, probabilities: np.ndarray
) -> pa.RecordBatch:
    """Return rows of the predictions table; predictions are at threshold 0.5."""
    decided = (probabilities >= 0.5).astype(np.float32)
    return pa.RecordBatch.from_arrays(
        [movie_ids, labels.cast(_LISTS), _nest(probabilities), _nest(decided)],
        names=[MOVIE_ID, LABELS, PROBABILITIES, PREDICTION],
    )


def _nest(values: np.ndarray) -> pa.Array:
    rows, columns = values.shape
    offsets = np.arange(0, rows * columns + 1, columns, dtype=np.int32)
    return pa.ListArray.from_arrays(
        offsets, pa.array(np.ascontiguousarray(values, np.float32).ravel())
    )
