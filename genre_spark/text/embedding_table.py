"""Text embeddings computed by Spark once and kept; only new and changed texts are done again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import TextEmbeddingsConfig
from genre_spark.schemas import FEATURES, MOVIE_ID, TEXT_EMBEDDINGS_SCHEMA
from genre_spark.spark.gpu_stages import gpu_stage
from genre_spark.spark.session import literal_path
from genre_spark.storage.caching import cached
from genre_spark.storage.files import filesystem, fingerprint, join, whole_file
from genre_spark.storage.tables import TableManifest, commit_table, read_manifest, remove_damaged
from genre_spark.text.encoders import TextEncoder, encode_texts, open_encoder
from genre_spark.text.sources import EncoderSource
from genre_spark.workers.errors import worker_errors
from genre_spark.workers.gpus import assigned_gpu
from genre_spark.workers.kept_memory import kept_memory
from genre_spark.workers.spreading import spread_by
from genre_spark.workers.task_device import task_device
from genre_spark.workers.tasks import short_task

__all__ = ["TEXT", "EmbeddedTexts", "embed_texts"]

TEXT = "text"
_HASH = "text_hash"
_FILE = "file"
_RECEIPT = "file string, rows long, truncated long, empty long, features long"
_ARROW_SCHEMA = pa.schema(
    [
        pa.field(MOVIE_ID, pa.int64(), nullable=False),
        pa.field(FEATURES, pa.list_(pa.float32()), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("empty", pa.bool_(), nullable=False),
        pa.field(_HASH, pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class EmbeddedTexts:
    """The table of text embeddings.

    Attributes:
        manifest: manifest of the table; details has `features`, the length of a vector.
        computed: texts of this run; the others were there.
        truncated: texts longer than the model reads.
        empty: texts with nothing that the model knows.
    """

    manifest: TableManifest
    computed: int
    truncated: int
    empty: int


@lru_cache(maxsize=1)
def _worker_encoder(
    source: EncoderSource, max_tokens: int | None, threads: int, device: str, _gpu: int | None
) -> TextEncoder:
    """Return the encoder of this worker process, which Spark keeps for many tasks.

    `_gpu` is the one that Spark has assigned to the task; the next task's may be another one.
    """
    torch.set_num_threads(threads)
    chosen = task_device(device, setting="text_embeddings.device")
    return open_encoder(source, max_tokens=max_tokens, device=chosen)


def embed_texts(
    texts: DataFrame, table: str, source: EncoderSource, *, config: TextEmbeddingsConfig
) -> EmbeddedTexts:
    """Write the vectors of all texts, and go on where a killed run stopped.

    Each worker loads the model once and writes a file of some hundred texts at a time. A row
    carries the hash of its text, so the next run computes what is new or has changed, and drops
    what is gone.

    Args:
        texts: movie_id, once each, and text.
        table: folder of the embeddings.
        source: the encoder, on a disk that every worker sees.
        config: tokens, batch size, threads, size of the files.

    Raises:
        InvalidInputError: the encoder's files cannot be used.
    """
    digest = fingerprint("text-embeddings", source.digest, config.max_tokens)
    folder = join(table, f"data-{digest}")
    remove_damaged(table)
    spark = texts.sparkSession
    wanted = texts.select(MOVIE_ID, TEXT, F.xxhash64(TEXT).alias(_HASH))
    with cached(wanted) as wanted, worker_errors():
        missing = wanted
        files = _list_files(folder)
        if files:
            missing = wanted.join(_stored(spark, folder, files), [MOVIE_ID, _HASH], "left_anti")
        receipts = _encode_missing(missing, folder, source, config)
        if files:
            kept = _drop_stale(spark, folder, wanted.select(MOVIE_ID, _HASH))
            totals = _count(spark, folder, kept)
        else:
            kept, totals = sorted(row[_FILE] for row in receipts), _sum(receipts)
    manifest = TableManifest(
        fingerprint=fingerprint(digest, *kept),
        paths=tuple(join(f"data-{digest}", name) for name in kept),
        rows=totals["rows"],
        details={"features": totals["features"], "model": config.model},
    )
    computed = sum(row["rows"] for row in receipts)
    if computed or read_manifest(table) != manifest:
        commit_table(table, manifest)
    _remove_others(folder, kept)
    return EmbeddedTexts(manifest, computed, totals["truncated"], totals["empty"])


def _sum(receipts: Sequence[Row]) -> dict[str, int]:
    """Return the counts of files together, and the length of their vectors."""
    found = {name: sum(row[name] for row in receipts) for name in ("rows", "truncated", "empty")}
    return {**found, "features": max((row["features"] for row in receipts), default=0)}


def _count(spark: SparkSession, folder: str, files: Sequence[str]) -> dict[str, int]:
    """Return what `_sum` returns of files that are there."""
    if not files:
        return _sum([])
    frame = spark.read.schema(TEXT_EMBEDDINGS_SCHEMA).parquet(
        *(literal_path(join(folder, name)) for name in files)
    )
    counts = [
        F.count("*").alias("rows"),
        F.count_if("truncated").alias("truncated"),
        F.count_if("empty").alias("empty"),
        F.lit(0).alias("features"),  # vectors are not read for their length
    ]
    [first] = frame.select(F.size(FEATURES)).take(1)
    return {**_sum(frame.agg(*counts).collect()), "features": int(first[0])}


def _encode_missing(
    missing: DataFrame, folder: str, source: EncoderSource, config: TextEmbeddingsConfig
) -> list[Row]:
    """Encode texts; a text goes to the same file in every try of its task.

    Returns:
        A receipt per file, of some hundred texts: its name and counts.
    """
    count = missing.count()
    if not count:
        return []
    rows, batch_size, threads = config.rows_per_part, config.batch_size, config.threads
    max_tokens, device = config.max_tokens, config.device if source.kind == "sentence" else "cpu"

    def encode(batch: pa.Table) -> pa.Table:
        encoder = _worker_encoder(source, max_tokens, threads, device, assigned_gpu())
        with kept_memory():
            found = encode_texts(encoder, batch.column(TEXT).to_pylist(), batch_size=batch_size)
        size = encoder.size
        values = pa.array(found.vectors.ravel())
        vectors = pa.FixedSizeListArray.from_arrays(values, size).cast(pa.list_(pa.float32()))
        columns = [batch.column(MOVIE_ID), vectors, found.tokens, found.truncated, found.empty]
        return pa.table([*columns, batch.column(_HASH)], schema=_ARROW_SCHEMA)

    parts = max(1, -(-count // rows))
    dealt = spread_by(missing, MOVIE_ID, parts).sortWithinPartitions(MOVIE_ID)
    write = short_task(_writer(folder, encode, rows))
    return dealt.mapInArrow(write, _RECEIPT, **gpu_stage(missing.sparkSession, device)).collect()


def _writer(
    folder: str, change: Callable[[pa.Table], pa.Table], rows: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function of a mapInArrow that writes files of `rows` changed rows."""

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in _cut(batches, rows):
            ids, hashes = part.column(MOVIE_ID).to_pylist(), part.column(_HASH).to_pylist()
            name = f"part-{fingerprint(ids, hashes)}.parquet"
            written = change(part)
            with whole_file(join(folder, name)) as file:
                pq.write_table(written, file, compression="zstd")
            counts = {
                "rows": len(written),
                "truncated": pc.sum(written.column("truncated")).as_py(),
                "empty": pc.sum(written.column("empty")).as_py(),
                "features": len(written.column(FEATURES)[0]),
            }
            columns = {key: pa.array([value], pa.int64()) for key, value in counts.items()}
            yield pa.RecordBatch.from_pydict({_FILE: pa.array([name]), **columns})

    return write


def _cut(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Put batches together, and cut them into tables of `rows` rows, the last one shorter."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += len(batch)
        while count >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows).combine_chunks()
            rest = table.slice(rows)
            held, count = rest.to_batches(), len(rest)
    if count:
        yield pa.Table.from_batches(held).combine_chunks()


def _list_files(folder: str) -> list[str]:
    system, inner = filesystem(folder)
    if not system.exists(inner):
        return []
    names = [str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in system.ls(inner, detail=False)]
    return sorted(name for name in names if name.startswith("part-") and name.endswith(".parquet"))


def _stored(spark: SparkSession, folder: str, files: list[str]) -> DataFrame:
    paths = [literal_path(join(folder, name)) for name in files]
    return spark.read.schema(TEXT_EMBEDDINGS_SCHEMA).parquet(*paths).select(MOVIE_ID, _HASH)


def _drop_stale(spark: SparkSession, folder: str, wanted: DataFrame) -> list[str]:
    """Return files that have each wanted row once; files with other rows are written anew."""
    files = _list_files(folder)
    if not files:
        return []
    frame = spark.read.schema(TEXT_EMBEDDINGS_SCHEMA).parquet(
        *(literal_path(join(folder, n)) for n in files)
    )
    placed = frame.withColumn(_FILE, F.element_at(F.split(F.input_file_name(), "/"), -1))
    chosen = (
        placed.select(MOVIE_ID, _HASH, _FILE)
        .join(wanted, [MOVIE_ID, _HASH])
        .groupBy(MOVIE_ID, _HASH)
        .agg(F.min(_FILE).alias(_FILE))
    )
    total = placed.groupBy(_FILE).agg(F.count("*").alias("rows"))
    good = chosen.groupBy(_FILE).agg(F.count("*").alias("good"))
    found = total.join(good, _FILE, "left").collect()  # a row per file
    whole = [row[_FILE] for row in found if row["good"] == row["rows"]]
    mixed = [row[_FILE] for row in found if row["good"] and row["good"] != row["rows"]]
    if mixed:
        rest = placed.where(F.col(_FILE).isin(mixed)).join(chosen, [MOVIE_ID, _HASH, _FILE])
        names = [field.name for field in _ARROW_SCHEMA]
        dealt = spread_by(rest.select(*names), MOVIE_ID, len(mixed))
        write = _writer(folder, lambda part: part.cast(_ARROW_SCHEMA), 2**31)
        ordered = dealt.sortWithinPartitions(MOVIE_ID)
        whole += [row["file"] for row in ordered.mapInArrow(write, _RECEIPT).collect()]
    return sorted(whole)


def _remove_others(folder: str, kept: list[str]) -> None:
    system, inner = filesystem(folder)
    for name in set(_list_files(folder)) - set(kept):
        system.rm(join(inner, name))
