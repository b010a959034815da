"""One chunk of posters from its originals to its files: the work of a Python worker, no Spark."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genre_spark.config.posters import PostersConfig
from genre_spark.imaging import RejectedImage, store_poster
from genre_spark.imaging.decoding import Pixels
from genre_spark.imaging.process import settle_process
from genre_spark.posters.names import expected_format
from genre_spark.posters.plan.placeholders import content_hash
from genre_spark.posters.plan.receipts import STATE, PosterFacts, read_facts, write_facts
from genre_spark.posters.reading import Row, read_posters
from genre_spark.posters.rejects import Content, ReadFailure, write_rejects
from genre_spark.posters.writing import PartWriter
from genre_spark.schemas import IMAGE, MOVIE_ID, SOURCE
from genre_spark.storage.files import filesystem, join, read_checked_json
from genre_spark.storage.inventory import file_state


@dataclass(frozen=True)
class ChunkJob:
    """What every task of a run has in common.

    Attributes:
        source: folder or archive of the originals.
        table: folder of the posters table.
        rejects_table: folder of the rejects table.
        ledger: name of the plan's file in the table's folder.
        config: how posters are stored.
        earlier: folder of the table that has the chunks of earlier runs, where it is another one.
    """

    source: str
    table: str
    rejects_table: str
    ledger: str
    config: PostersConfig
    earlier: str | None = None


def prepare_chunk(job: ChunkJob, index: int, chunk: str) -> dict[str, Any]:
    """Make the files of a chunk and return its receipt.

    Args:
        job: what the tasks of the run have in common.
        index: row group of the chunk in the plan.
        chunk: the chunk's digest.
    """
    settle_process()
    rows = _read_plan(join(job.table, job.ledger), index)
    copies = _copied(job, rows)
    fresh = [row for row in rows if row[MOVIE_ID] not in copies]
    contents = read_posters(job.source, fresh, max_bytes=job.config.max_bytes)
    facts: list[PosterFacts] = []
    config = job.config
    with PartWriter(
        job.table, chunk, height=config.height, width=config.width, encoding=config.encoding
    ) as part:
        for row in rows:
            known = copies.get(row[MOVIE_ID])
            fact, image = (
                known if known is not None else _store(row, next(contents), config, part.slot())
            )
            facts.append(fact)
            if image is not None:
                part.add(fact.movie_id, fact.source, image)
    rejects = [(fact.source, fact.reason, fact.detail) for fact in facts if fact.reason]
    rejected = write_rejects(job.rejects_table, chunk, rejects) if rejects else None
    receipt = {
        "part": part.name,
        "part_state": part.state(),
        "rejects": rejected,
        "rejects_state": rejected and file_state(join(job.rejects_table, rejected)),
        "decoded": sum(not fact.reason and fact.movie_id not in copies for fact in facts),
        "misnamed": sum(
            expected_format(fact.source) not in (None, fact.format)
            for fact in facts
            if not fact.reason
        ),
    }
    return write_facts(job.table, chunk, facts, receipt)


def _store(
    row: Row, content: Content, config: PostersConfig, slot: Pixels | None
) -> tuple[PosterFacts, bytes | memoryview | None]:
    movie_id, source = row[MOVIE_ID], row[SOURCE]
    if isinstance(content, ReadFailure):
        return PosterFacts(movie_id, source, reason=content.reason, detail=content.detail), None
    digest = row["content_hash"] or (content_hash(content) if row["suspect"] else 0)
    try:
        poster = store_poster(
            content,
            height=config.height,
            width=config.width,
            fit=config.fit,
            encoding=config.encoding,
            quality=config.quality,
            keep_originals=config.keep_originals,
            max_pixels=config.max_pixels,
            min_side=config.min_side,
            out=slot,
        )
    except RejectedImage as flaw:
        return PosterFacts(movie_id, source, digest, flaw.reason, flaw.detail), None
    header = poster.header
    fact = PosterFacts(
        movie_id,
        source,
        digest,
        "",
        "",
        header.format,
        header.height,
        header.width,
        int(poster.kept),
    )
    return fact, poster.content


@functools.lru_cache(maxsize=1)
def _open_plan(path: str) -> pq.ParquetFile:
    """Keep the plan's footer for this worker's next task: it grows with the number of chunks."""
    system, inner = filesystem(path)
    return pq.ParquetFile(system.open(inner, "rb"))


def _read_plan(path: str, index: int) -> list[dict[str, Any]]:
    table = _open_plan(path).read_row_group(index, use_threads=False)
    columns = {name: _to_list(table[name]) for name in table.column_names}
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _to_list(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_integer(column.type):
        values: list[Any] = column.to_numpy().tolist()
        return values
    return column.to_pylist()


def _copied(job: ChunkJob, rows: Sequence[Row]) -> dict[int, tuple[PosterFacts, bytes | None]]:
    """Return what earlier chunks have of these posters: facts, and stored bytes if not rejected."""
    wanted: dict[str, set[int]] = {}
    for row in rows:
        if row["origin"]:
            wanted.setdefault(row["origin"], set()).add(row[MOVIE_ID])
    if not wanted:
        return {}
    table = job.earlier or job.table
    state = read_checked_json(join(table, STATE)) or {"receipts": {}}
    found: dict[int, tuple[PosterFacts, bytes | None]] = {}
    for origin, ids in wanted.items():
        receipt = state["receipts"].get(origin)
        if receipt is None:
            continue
        # A part without a row is not in the manifest, so it is gone; its facts still say why.
        try:
            images = (
                dict(_read_images(join(table, receipt["part"]), ids)) if receipt["rows"] else {}
            )
            facts = read_facts(table, receipt["facts"])
        except (OSError, pa.ArrowException):
            continue  # a damaged chunk: its posters are decoded again
        for fact in facts:
            if fact.movie_id in ids and (fact.reason or fact.movie_id in images):
                found[fact.movie_id] = fact, images.get(fact.movie_id)
    return found


def _read_images(path: str, ids: set[int]) -> Iterator[tuple[int, bytes]]:
    system, inner = filesystem(path)
    with system.open(inner, "rb") as file:
        for batch in pq.ParquetFile(file).iter_batches(
            64, columns=[MOVIE_ID, IMAGE], use_threads=False
        ):
            for position, movie_id in enumerate(batch.column(0).to_numpy().tolist()):
                if movie_id in ids:
                    yield movie_id, batch.column(1)[position].as_py()
