"""The embeddings table: features of posters by the frozen part of a network, computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StringType, StructField, StructType

from genre_spark.config import EmbeddingsConfig
from genre_spark.progress import counting
from genre_spark.schemas import FEATURES, MOVIE_ID
from genre_spark.storage.files import filesystem, fingerprint, join, whole_file
from genre_spark.storage.inventory import FileState
from genre_spark.storage.tables import TableManifest, commit_table, read_manifest, remove_damaged
from genre_spark.vision.inference.decoded_posters import count_decoders, read_posters
from genre_spark.vision.inference.poster_embedder import worker_embedder
from genre_spark.vision.inference.row_groups import Part, list_parts, map_parts
from genre_spark.workers.errors import worker_errors

__all__ = ["EmbeddedPosters", "embed_posters"]

_RECEIPT_SCHEMA = StructType(
    [StructField("file", StringType(), False), StructField("rows", LongType(), False)]
)
_ARROW_SCHEMA = pa.schema(
    [
        pa.field(MOVIE_ID, pa.int64(), nullable=False),
        pa.field(FEATURES, pa.list_(pa.float32()), nullable=False),
    ]
)


@dataclass(frozen=True)
class EmbeddedPosters:
    """The embeddings table after a run.

    Attributes:
        manifest: manifest of the table.
        computed: posters that this run has computed; the others were there.
    """

    manifest: TableManifest
    computed: int


def embed_posters(
    spark: SparkSession,
    files: Sequence[str],
    table: str,
    model_file: str,
    *,
    version: str,
    features: int,
    config: EmbeddingsConfig,
    device: str = "auto",
    states: Mapping[str, FileState] | None = None,
) -> EmbeddedPosters:
    """Write the features of every poster in the files, one Parquet file per part.

    Each worker loads the network once, reads its posters and writes its file itself; Spark moves
    file names only. The name of a file says which row groups of which posters it belongs to and by
    which network, so the next run (with more posters, or after a kill) computes what is missing.
    Posters that were prepared again and came out the same keep their features.

    Args:
        spark: the session.
        files: Parquet files of the posters table, or of a samples table.
        table: folder of the embeddings.
        model_file: networks as `save_embedder` or `save_network` writes them, on storage that the
            workers see.
        version: digest of the weights and of the size of the network's input.
        features: length of a feature vector.
        config: batch size, threads, mirror images, size of the parts.
        device: auto, cpu or cuda.
        states: file -> its size and checksum, where they are known; a file without is known by its
            name.

    Returns:
        The table's manifest; its columns are movie_id and features, array<float>.

    Raises:
        InvalidInputError: a row has no image, or one that cannot be decoded.
        StageFailedError: a GPU ran out of memory.
    """
    digest = fingerprint("embeddings", version, config.mirror)
    folder = join(table, f"data-{digest}")
    remove_damaged(table)
    parts = list_parts(files, rows=config.rows_per_part, states=states)
    names = {_part_name(part, states or {}): part for part in parts}
    done = _existing(folder)
    missing = [part for name, part in sorted(names.items()) if name not in done]
    embed = _embedder(
        folder,
        model_file,
        names={part: name for name, part in names.items()},
        version=version,
        config=config,
        device=device,
    )
    computed = 0
    if missing:
        wanted = sum(part.rows for part in missing)
        with worker_errors(), counting("posters", wanted, by_tasks=True):
            # one short row per part of some hundred posters
            receipts = map_parts(spark, missing, embed, _RECEIPT_SCHEMA, device=device).collect()
        computed = sum(receipt["rows"] for receipt in receipts)
    paths = tuple(join(f"data-{digest}", name) for name in sorted(names))
    manifest = TableManifest(
        fingerprint=fingerprint(digest, *sorted(names)),
        paths=paths,
        rows=sum(part.rows for part in parts),
        details={"features": features, "version": version, "mirror": config.mirror},
    )
    if computed or read_manifest(table) != manifest:
        commit_table(table, manifest)
    _remove_others(folder, names)
    return EmbeddedPosters(manifest, computed)


def _embedder(
    folder: str,
    model_file: str,
    *,
    names: Mapping[Part, str],
    version: str,
    config: EmbeddingsConfig,
    device: str,
) -> Callable[[Part], Iterator[pa.RecordBatch]]:
    """Return the function that writes a part's features into the folder and yields a receipt."""
    batch_size, threads, decoders = config.batch_size, config.threads, config.decoders

    def embed(part: Part) -> Iterator[pa.RecordBatch]:
        model = worker_embedder(model_file, version, threads, device)
        batches = []
        reading = read_posters(
            part,
            batch_size=batch_size,
            decoders=count_decoders(decoders, model.device),
            pinned=model.device.type == "cuda",
        )
        for images, rows in reading:
            values = model.features(images)
            offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
            vectors = pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))
            batches.append(
                pa.RecordBatch.from_arrays([rows.column(0), vectors], schema=_ARROW_SCHEMA)
            )
        name = names[part]
        with whole_file(join(folder, name)) as file:
            pq.write_table(pa.Table.from_batches(batches), file, compression="zstd")
        yield pa.RecordBatch.from_pydict(
            {"file": [name], "rows": pa.array([part.rows], pa.int64())}
        )

    return embed


def _part_name(part: Part, states: Mapping[str, FileState]) -> str:
    """Return a name that changes with the part's content."""
    state = states.get(part.file)
    if state is not None:
        return f"part-{fingerprint(state.digest, list(part.groups))}.parquet"
    system, inner = filesystem(part.file)
    size = system.info(inner).get("size")
    return f"part-{fingerprint(part.file.rsplit('/', 2)[-2:], size, list(part.groups))}.parquet"


def _remove_others(folder: str, names: Iterable[str]) -> None:
    """Remove features of posters that are not there any more."""
    system, inner = filesystem(folder)
    for name in _existing(folder) - set(names):
        system.rm(f"{inner.rstrip('/')}/{name}")


def _existing(folder: str) -> set[str]:
    system, inner = filesystem(folder)
    if not system.exists(inner):
        system.makedirs(inner, exist_ok=True)
        return set()
    return {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in system.ls(inner, detail=False)}
