"""How fast samples become batches, compared with threads that only read and decode, and others.

    python benchmarks/feed.py [--posters 10000] [--folder DIR] [--rounds 3] [--workers 2] [--json]

There are two rates: with the start (from nothing to the last batch) and without (from the first
batch to the last). Ratios: larger is better.
"""

# ruff: noqa: PLC0415 - peers are imported where they are asked for: most need not be installed

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import feed_peers
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feed_limits import feed_limit
from poster_files import make_posters, warm

from genre_spark.imaging import store_poster
from genre_spark.vision.feed.order import plan_batches, plan_segments
from genre_spark.vision.feed.poster_feed import PosterFeed

SIZE = {"height": 345, "width": 230}
GENRES = 19
_ROWS_PER_FILE = 2_000
_ROW_GROUP = 8 << 20


def main() -> None:
    options = _options()
    work = Path(tempfile.mkdtemp(prefix="genre_spark-feed-", dir=options.work))
    try:
        _run(options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


class _Measured:
    """Images per second of every loader: with the start, and from the first batch on."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.rates: dict[str, list[tuple[float, float]]] = {}

    def note_limit(self, encoding: str, seconds: float) -> None:
        rate = self.images / seconds
        self.rates.setdefault(f"limit {encoding}", []).append((rate, rate))
        _say(f"  {'limit ' + encoding:24} {rate:8.0f} images/s")

    def note(self, name: str, start: Callable[[], Iterator[Any] | None]) -> None:
        """Measure a loader that `start` makes; None stands for one that is not installed."""
        begin = time.perf_counter()
        batches = start()
        if batches is None:
            return
        first, seen, size = 0.0, 0, 0
        for batch in batches:
            seen += len(batch)
            if not first:
                first, size = time.perf_counter(), len(batch)
        end = time.perf_counter()
        if seen != self.images:
            raise RuntimeError(f"{name}: {seen} samples came, expected {self.images}")
        whole, steady = seen / (end - begin), (seen - size) / (end - first)
        self.rates.setdefault(name, []).append((whole, steady))
        _say(f"  {name:24} {steady:8.0f} images/s   with the start {whole:8.0f}")

    def medians(self) -> dict[str, tuple[float, ...]]:
        return {
            name: tuple(statistics.median(column) for column in zip(*runs, strict=True))
            for name, runs in self.rates.items()
        }


def _run(options: argparse.Namespace, work: Path) -> None:
    folder = options.folder or make_posters(work / "posters", options.posters, **SIZE)
    names = [str(path) for path in sorted(folder.glob("*.jpg"))]
    warm(folder)
    tables = {
        encoding: write_samples(names, work / encoding, encoding) for encoding in ("jpeg", "raw")
    }
    for files in tables.values():
        warm(files[0].parent)
    _say(
        f"{len(names)} posters, {options.workers} workers, batches of {options.batch_size}, "
        f"rounds: {options.rounds}"
    )
    measured = _Measured(len(names))
    _measure(measured, tables, names, work, options)
    medians = measured.medians()
    ratios = {name: value for encoding in tables for name, value in _ratios(medians, encoding)}
    result = {
        "posters": len(names),
        "workers": options.workers,
        "rates": {
            name: {"steady": round(rate[1]), "with_start": round(rate[0])}
            for name, rate in medians.items()
        },
        "label_mix": {
            "hash order": round(label_mix(False), 3),
            "sorted by genre": round(label_mix(True), 3),
        },
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }
    for name, value in ratios.items():
        _say(f"  {name:36} {value:6.2f}")
    _say(f"  label mix against a uniform draw (1 is equal): {result['label_mix']}")
    if options.json:
        print(json.dumps(result))


def _measure(
    measured: _Measured,
    tables: dict[str, list[Path]],
    names: list[str],
    work: Path,
    options: argparse.Namespace,
) -> None:
    common = {"batch_size": options.batch_size, "workers": options.workers}
    for _ in range(options.rounds):
        for encoding, files in tables.items():
            spent = feed_limit(files, encoding=encoding, threads=options.workers, **SIZE)
            measured.note_limit(encoding, spent)
            measured.note(f"ours {encoding}", partial(_ours, files, **common))
            alone = partial(_ours, files, reading="parquet", **common)
            measured.note(f"pyarrow alone {encoding}", alone)
        measured.note("torch DataLoader", partial(feed_peers.torch_dataloader, names, **common))
    if options.peers:
        for encoding, files in tables.items():
            peer = partial(feed_peers.petastorm_batches, files, encoding=encoding, **common, **SIZE)
            measured.note(f"petastorm {encoding}", peer)
        measured.note("Hugging Face", partial(feed_peers.huggingface_batches, names, **common))
        shards = write_shards(names, work / "shards")
        measured.note("webdataset", partial(feed_peers.webdataset_batches, shards, **common))


def _ratios(medians: dict[str, tuple[float, ...]], encoding: str) -> Iterator[tuple[str, float]]:
    ours, loader = medians[f"ours {encoding}"], medians["torch DataLoader"]
    limit, alone = medians[f"limit {encoding}"], medians[f"pyarrow alone {encoding}"]
    yield f"feed_{encoding}_vs_limit", ours[1] / limit[1]
    yield f"feed_{encoding}_by_pyarrow_vs_limit", alone[1] / limit[1]
    yield f"feed_{encoding}_vs_dataloader", ours[1] / loader[1]
    yield f"feed_{encoding}_vs_dataloader_with_start", ours[0] / loader[0]
    peers = [
        rate[1]
        for name, rate in medians.items()
        if not name.startswith(("ours", "pyarrow alone", "limit", "petastorm"))
        or name == f"petastorm {encoding}"
    ]
    yield f"feed_{encoding}_vs_best_peer", ours[1] / max(peers)


def _ours(
    files: list[Path], *, batch_size: int, workers: int, reading: str = "petastorm"
) -> Iterator[Any]:
    with PosterFeed(
        [str(file) for file in files],
        batch_size=batch_size,
        workers=workers,
        seed=7,
        reading=reading,
    ) as feed:
        for batch in feed.epoch(0):
            yield batch.images


def write_samples(names: list[str], folder: Path, encoding: str) -> list[Path]:
    """Write a samples table as the stage does: files of 2,000 rows, row groups of 8 MB."""
    folder.mkdir(parents=True)
    cv2.setNumThreads(0)
    rng = np.random.default_rng(1)
    files = []
    for start in range(0, len(names), _ROWS_PER_FILE):
        some = names[start : start + _ROWS_PER_FILE]
        first = store_poster(Path(some[0]).read_bytes(), encoding=encoding, **SIZE)
        rows = max(1, _ROW_GROUP // len(first.content))
        path = folder / f"part-{start:08d}.parquet"
        writer = None
        for begin in range(0, len(some), rows):
            images = [
                store_poster(Path(name).read_bytes(), encoding=encoding, **SIZE)
                for name in some[begin : begin + rows]
            ]
            count = len(images)
            table = pa.table(
                {
                    "movie_id": pa.array(np.arange(start + begin, start + begin + count)),
                    "image": pa.array([bytes(image.content) for image in images], pa.binary()),
                    "labels": pa.array(
                        list(rng.integers(0, 2, (count, GENRES)).astype(np.float32))
                    ),
                    "weight": pa.array(np.ones(count, np.float32)),
                    "height": pa.array(np.full(count, SIZE["height"], np.int32)),
                    "width": pa.array(np.full(count, SIZE["width"], np.int32)),
                    "channels": pa.array(np.full(count, 3, np.int32)),
                    "encoding": pa.array([encoding] * count),
                }
            )
            writer = writer or pq.ParquetWriter(
                path,
                table.schema,
                compression={"image": "none"},
                use_dictionary=[name for name in table.column_names if name != "image"],
                write_batch_size=4,
            )
            writer.write_table(table)
        if writer is not None:
            writer.close()
        files.append(path)
    return files


def write_shards(names: list[str], folder: Path) -> list[str]:
    """Write tar shards for webdataset."""
    import tarfile

    folder.mkdir()
    shards = []
    for start in range(0, len(names), 1000):
        shards.append(str(folder / f"{start:06d}.tar"))
        with tarfile.open(shards[-1], "w") as archive:
            for name in names[start : start + 1000]:
                archive.add(name, Path(name).name)
    return shards


def label_mix(
    in_order: bool, *, rows: int = 40_000, group: int = 280, batch: int = 64, buffer: int = 2048
) -> float:
    """Return the variance of a genre's share between batches, divided by that of uniform draws.

    Args:
        in_order: whether the table is sorted by the label, the worst case; else it is in hash
            order, as the sample stage writes it.
        rows: number of rows of the table.
        group: rows per row group.
        batch: samples per batch.
        buffer: rows that are mixed.
    """
    share = 0.3
    labels = np.zeros(rows)
    labels[: int(rows * share)] = 1
    if not in_order:
        labels = np.random.default_rng(0).permutation(labels)
    sizes = [min(group, rows - start) for start in range(0, rows, group)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    segments = plan_segments(sizes, seed=7, epoch=0, rank=0, world_size=1, shuffle=True)
    batches = plan_batches(
        segments, [batch] * (rows // batch), seed=7, epoch=0, rank=0, buffer=buffer, shuffle=True
    )
    first = np.array([starts[segment.group] for segment in segments])
    shares = [labels[first[planned.segments] + planned.rows].mean() for planned in batches]
    return float(np.var(shares) / (share * (1 - share) / batch))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posters", type=int, default=10_000, help="posters to generate")
    parser.add_argument(
        "--folder", type=Path, help="a folder of ID.jpg to use instead, all 230x345 for fair peers"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the median counts")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(16, os.cpu_count() or 2),
        help="workers of every loader and threads of the limit",
    )
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--peers", type=int, default=1, help="0: only torch's DataLoader")
    parser.add_argument("--work", type=Path, help="folder for all files; default: a temporary one")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output"
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
