"""How fast samples become batches: against threads that only read and decode, and against other loaders, in one run.
    python benchmarks/feed.py [--posters 10000] [--folder DIR] [--rounds 3] [--workers 2] [--json]

Two rates each: with the start (from nothing to the last batch) and without (from the first batch to
the last). Ratios: larger is better.
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
from collections.abc import Iterator
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
_ROWS_A_FILE = 2_000
_ROW_GROUP = 8 << 20


def main() -> None:
    options = _options()
    work = Path(tempfile.mkdtemp(prefix="genre_spark-feed-", dir=options.work))
    try:
        _run(options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


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
    rates: dict[str, list[tuple[float, float]]] = {}

    def note(name: str, batches: Iterator[Any] | None, begin: float) -> None:
        if batches is None:
            return
        first, seen, size = 0.0, 0, 0
        for batch in batches:
            seen += len(batch)
            if not first:
                first, size = time.perf_counter(), len(batch)
        end = time.perf_counter()
        if seen != len(names):
            raise RuntimeError(f"{name}: {seen} samples came, expected {len(names)}")
        rates.setdefault(name, []).append((seen / (end - begin), (seen - size) / (end - first)))
        _say(
            f"  {name:24} {rates[name][-1][1]:8.0f} images/s   with the start "
            f"{rates[name][-1][0]:8.0f}"
        )

    common = {"batch_size": options.batch_size, "workers": options.workers}
    for _ in range(options.rounds):
        for encoding, files in tables.items():
            spent = feed_limit(files, encoding=encoding, threads=options.workers, **SIZE)
            rates.setdefault(f"limit {encoding}", []).append(
                (len(names) / spent, len(names) / spent)
            )
            _say(f"  {'limit ' + encoding:24} {len(names) / spent:8.0f} images/s")
            begin = time.perf_counter()
            note(f"ours {encoding}", _ours(files, **common), begin)
        begin = time.perf_counter()
        note("torch DataLoader", feed_peers.torch_dataloader(names, **common), begin)
    if options.peers:
        for encoding, files in tables.items():
            begin = time.perf_counter()
            peer = feed_peers.petastorm_batches(files, encoding=encoding, **common, **SIZE)
            note(f"petastorm {encoding}", peer, begin)
        begin = time.perf_counter()
        note("Hugging Face", feed_peers.huggingface_batches(names, **common), begin)
        shards = write_shards(names, work / "shards")
        begin = time.perf_counter()
        note("webdataset", feed_peers.webdataset_batches(shards, **common), begin)
    medians = {
        name: tuple(statistics.median(column) for column in zip(*runs, strict=True))
        for name, runs in rates.items()
    }
    ratios = {}
    for encoding in tables:
        ours = medians[f"ours {encoding}"]
        ratios[f"feed_{encoding}_vs_limit"] = ours[1] / medians[f"limit {encoding}"][1]
        ratios[f"feed_{encoding}_vs_dataloader"] = ours[1] / medians["torch DataLoader"][1]
        ratios[f"feed_{encoding}_vs_dataloader_with_start"] = (
            ours[0] / medians["torch DataLoader"][0]
        )
        peers = [
            rate[1]
            for name, rate in medians.items()
            if not name.startswith(("ours", "limit", "petastorm"))
        ]
        same = [rate[1] for name, rate in medians.items() if name == f"petastorm {encoding}"]
        ratios[f"feed_{encoding}_vs_best_peer"] = ours[1] / max(peers + same)
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


def _ours(files: list[Path], *, batch_size: int, workers: int) -> Iterator[Any]:
    with PosterFeed(
        [str(file) for file in files], batch_size=batch_size, workers=workers, seed=7
    ) as feed:
        for batch in feed.epoch(0):
            yield batch.images


def write_samples(names: list[str], folder: Path, encoding: str) -> list[Path]:
    """Write a samples table: files of 2,000 rows, row groups of 8 MB."""
    folder.mkdir(parents=True)
    cv2.setNumThreads(0)
    rng = np.random.default_rng(1)
    files = []
    for start in range(0, len(names), _ROWS_A_FILE):
        some = names[start : start + _ROWS_A_FILE]
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
                path, table.schema, compression={"image": "none"}, write_batch_size=4
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
    """Return how much more a genre's share varies between batches than in uniform draws: 1 is as good as uniform.

    Args:
        in_order: the table is sorted by the label, the worst case; else in hash order, as the
            sample stage writes it.
        rows: of the table.
        group: rows of a row group.
        batch: samples of a batch.
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
        help="of every loader and the limit",
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
