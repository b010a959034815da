"""How fast networks train and see posters here, against the same work without what could slow it down.

    python benchmarks/training.py [--posters 2000] [--embedded 10000] [--only NAME ...] [--json]

Every ratio compares two things measured in this run, one right after the other:

- train_fed_vs_memory: the training loop fed by Petastorm, against the same loop on one batch from
  memory. 1: the feed is never what waits.
- train_vs_plain_loop: the same, against the loop that the study wrote: float32, a DataLoader over
  the files, a step.
- two_processes_vs_one: two processes with a thread each (TorchDistributor, gloo), against one with
  one thread.
- embed_vs_bare: features of EfficientNet-Lite0 through Spark, against the same code in bare
  processes.
- memory_20_epochs_vs_1: resident memory after 20 epochs, against that after 1.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import functional as T

from genre_spark.config import CnnConfig, EmbeddingsConfig
from genre_spark.session import spark_session
from genre_spark.vision.devices import choose_device, cores
from genre_spark.vision.feed.memory_feed import MemoryBatch
from genre_spark.vision.feed.poster_feed import PosterFeed
from genre_spark.vision.inference.embedding_table import embed_posters
from genre_spark.vision.inference.network_file import PosterForm, load_network, save_network
from genre_spark.vision.inference.row_groups import list_parts, read_posters
from genre_spark.vision.models import build_network
from genre_spark.vision.training.checkpoints import Checkpoints
from genre_spark.vision.training.distribution import launch
from genre_spark.vision.training.job import TrainingJob
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.losses import BinaryCrossEntropy
from genre_spark.vision.training.outcomes import TrainingPlan
from genre_spark.vision.training.processes import ProcessGroup
from genre_spark.vision.training.sample_facts import count_labels

LABELS, HEIGHT, WIDTH = 19, 345, 230
VOCABULARY = tuple(f"genre {number}" for number in range(LABELS))


def make_samples(folder: Path, count: int) -> tuple[str, ...]:
    """Write JPEGs like posters (about 25 kB) as a samples table, and a few hundred of them as files."""
    rng = np.random.default_rng(0)
    (folder / "files").mkdir(parents=True)
    images, distinct = [], 200
    for number in range(distinct):
        coarse = rng.integers(0, 256, (24, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        noisy = np.asarray(picture, np.int16) + rng.integers(-12, 13, (HEIGHT, WIDTH, 3))
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        images.append(buffer.getvalue())
        (folder / "files" / f"{number}.jpg").write_bytes(buffer.getvalue())
    labels = (rng.random((count, LABELS)) < 0.13).astype(np.float32)
    half = count // 2
    files = []
    for part, (first, last) in enumerate(((0, half), (half, count))):
        size = last - first
        table = pa.table(
            {
                "movie_id": pa.array(range(first, last), pa.int64()),
                "image": pa.array(
                    [images[row % distinct] for row in range(first, last)], pa.binary()
                ),
                "height": pa.array([HEIGHT] * size, pa.int32()),
                "width": pa.array([WIDTH] * size, pa.int32()),
                "channels": pa.array([3] * size, pa.int32()),
                "encoding": pa.array(["jpeg"] * size),
                "labels": pa.array(labels[first:last].tolist(), pa.list_(pa.float32())),
                "weight": pa.array([1.0] * size, pa.float32()),
            }
        )
        files.append(str(folder / f"part-{part}.parquet"))
        pq.write_table(table, files[-1], row_group_size=256, compression="none")
    return tuple(files)


class Repeated:
    """One batch from memory, again and again."""

    def __init__(self, batch: MemoryBatch, batches: int) -> None:
        self.batch, self.batches_per_epoch = batch, batches
        self.rows = batches * len(batch.labels)

    def epoch(self, _epoch: int, skip_batches: int = 0):
        for _ in range(skip_batches, self.batches_per_epoch):
            yield self.batch


def one_batch(size: int, device: torch.device) -> MemoryBatch:
    images = torch.randint(0, 256, (size, 3, HEIGHT, WIDTH), dtype=torch.uint8, device=device)
    labels = (torch.rand(size, LABELS, device=device) < 0.13).float()
    return MemoryBatch(images, labels, torch.ones(size, device=device))


def train_with(
    feed, folder: Path, name: str, *, epochs: int, batch_size: int, device: torch.device, size=None
):
    height, width = size or (HEIGHT, WIDTH)
    settings = CnnConfig(architecture=name, epochs=epochs, batch_size=batch_size, patience=1000)
    network = build_network(name, LABELS, height, width, seed=0, dropout=0.25).to(device)
    if device.type == "cuda":
        network.channels_last = True
        network.to(memory_format=torch.channels_last)
    validation = Repeated(one_batch(8, device), 1)
    plan = TrainingPlan(settings, 0, epochs, 1e-3, name)
    return train(
        network,
        BinaryCrossEntropy(),
        (feed, validation),
        plan,
        Checkpoints(str(folder), name),
        group=ProcessGroup(device=device),
    )


def best_speed(outcome) -> float:
    """Images a second of the best epoch but the first, which warms up."""
    return max(record.images_per_second for record in outcome.history[1:])


def measure_feeding(
    files, folder: Path, device: torch.device, name: str, batch_size: int, size=None
) -> dict:
    with PosterFeed(files, batch_size=batch_size, workers=min(8, cores()), device=device) as feed:
        batches = feed.batches_per_epoch
        fed = best_speed(
            train_with(
                feed,
                folder / "fed",
                name,
                epochs=3,
                batch_size=batch_size,
                device=device,
                size=size,
            )
        )
    memory = best_speed(
        train_with(
            Repeated(one_batch(batch_size, device), batches),
            folder / "memory",
            name,
            epochs=3,
            batch_size=batch_size,
            device=device,
            size=size,
        )
    )
    result = {"fed": fed, "memory": memory, "ratio": fed / memory}
    if device.type == "cuda":
        result["share_of_peak"] = memory * flops(name, size) / peak_flops(device)
        result["peak_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return result


def flops(name: str, size=None) -> float:
    """Floating-point operations of an image forward and back."""
    height, width = size or (HEIGHT, WIDTH)
    network = build_network(name, LABELS, height, width, seed=0)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, height, width, dtype=torch.uint8)).sum().backward()
    return counter.get_total_flops() / 2


def peak_flops(device: torch.device) -> float:
    """What a large bf16 matrix product reaches on this device."""
    side = 8192
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(10):
        a @ b
    torch.cuda.synchronize()
    return 10 * 2 * side**3 / (time.perf_counter() - started)


class FileDataset(torch.utils.data.Dataset):
    """The study's: open, decode, convert, one image at a time."""

    def __init__(self, folder: Path, count: int) -> None:
        self.files, self.count = sorted(folder.glob("*.jpg")), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int):
        image = (
            Image.open(self.files[number % len(self.files)]).convert("RGB").resize((WIDTH, HEIGHT))
        )
        pixels = T.normalize(T.to_tensor(image), [0.5] * 3, [0.25] * 3)
        return pixels, torch.zeros(LABELS)


def measure_plain_loop(folder: Path, device: torch.device, batch_size: int, count: int) -> float:
    """The loop of the study: float32, no workers, a loss that is read at every step."""
    network = build_network("lenet", LABELS, HEIGHT, WIDTH, seed=0, dropout=0.25)
    plain = nn.Sequential(network.backbone, network.head).to(device)
    optimizer, loss = torch.optim.SGD(plain.parameters(), lr=1e-3), nn.BCEWithLogitsLoss()
    loader = torch.utils.data.DataLoader(
        FileDataset(folder / "files", count), batch_size=batch_size, shuffle=True
    )
    speeds = []
    for _ in range(2):
        started, rows = time.perf_counter(), 0
        for images, labels in loader:
            optimizer.zero_grad()
            value = loss(plain(images.to(device)), labels.to(device))
            value.backward()
            optimizer.step()
            value.item()
            rows += len(images)
        speeds.append(rows / (time.perf_counter() - started))
    return max(speeds)


def measure_processes(files, folder: Path) -> dict:
    """Train by TorchDistributor with one thread a process."""
    speeds = {}
    for processes in (1, 2):
        place = folder / f"processes-{processes}"
        settings = CnnConfig(
            architecture="lenet",
            epochs=3,
            batch_size=32,
            threads=1,
            device="cpu",
            distribution={"processes": processes},
            feed={"workers": 1},
        )
        job = TrainingJob(
            settings=settings,
            seed=0,
            train_files=files,
            validation_files=files[:1],
            vocabulary=VOCABULARY,
            posters=PosterForm(HEIGHT, WIDTH),
            facts=count_labels(files, LABELS),
            normalisation=None,
            checkpoints=str(place),
            model_file=str(place / "network.pt"),
        )
        available = os.sched_getaffinity(0)
        # a core a process, for training, decoding and reading
        os.sched_setaffinity(0, sorted(available)[:processes])
        try:
            speeds[processes] = best_speed(launch(job))
        finally:
            os.sched_setaffinity(0, available)
    return {"one": speeds[1], "two": speeds[2], "ratio": speeds[2] / speeds[1]}


def embed_bare(model_file: str, lots: list, threads: int, device: str) -> None:
    torch.set_num_threads(threads)
    model = load_network(model_file, device=torch.device(device))
    for part in lots:
        for images, _ in read_posters(part, batch_size=16):
            model.features(images)


def measure_embedding(spark, folder: Path, count: int, device: torch.device) -> dict:
    files = list(make_samples(folder / "embedded", count))
    network = build_network("efficientnet_lite0", LABELS, 224, 224, seed=0)
    model_file = str(folder / "backbone.pt")
    save_network(model_file, network, VOCABULARY, PosterForm(HEIGHT, WIDTH))
    workers = cores()

    def through_spark(version: str) -> float:
        started = time.perf_counter()
        embed_posters(
            spark,
            files,
            str(folder / f"table-{version}"),
            model_file,
            version=version,
            features=network.feature_count,
            config=EmbeddingsConfig(rows_per_part=256),
            device=device.type,
        )
        return count / (time.perf_counter() - started)

    parts = list_parts(files, rows=256)
    started = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    running = [
        context.Process(
            target=embed_bare, args=(model_file, parts[number::workers], 1, device.type)
        )
        for number in range(workers)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
    if any(process.exitcode for process in running):
        raise RuntimeError(
            f"bare processes ended with {[process.exitcode for process in running]}, expected 0"
        )
    bare = count / (time.perf_counter() - started)
    spark_speed = through_spark("cold")
    return {"spark": spark_speed, "bare": bare, "ratio": spark_speed / bare}


def measure_memory(files, folder: Path, device: torch.device) -> dict:
    """Resident memory of this process after 1 and after 20 epochs of a small data set."""
    process = psutil.Process()
    seen = {}
    with PosterFeed(files, batch_size=32, workers=2, device=device) as feed:
        for epochs in (1, 20):
            train_with(
                feed,
                folder / f"memory-{epochs}",
                "lenet",
                epochs=epochs,
                batch_size=32,
                device=device,
            )
            seen[epochs] = process.memory_info().rss / 1e6
    return {"after_1": seen[1], "after_20": seen[20], "ratio": seen[20] / seen[1]}


def show_profile(folder: Path, device: torch.device) -> None:
    """Where the time of a step goes."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds) as seen:
        train_with(
            Repeated(one_batch(32, device), 5),
            folder / "p",
            "lenet",
            epochs=1,
            batch_size=32,
            device=device,
        )
    key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(
        seen.key_averages().table(sort_by=key, row_limit=8, max_name_column_width=40),
        file=sys.stderr,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posters", type=int, default=2000, help="posters of a training")
    parser.add_argument(
        "--embedded", type=int, default=10_000, help="posters whose features are computed"
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=32,
        help="posters a step on a CPU; on a GPU eight times as many",
    )
    parser.add_argument(
        "--only", nargs="*", help="feed, plain, processes, embed, memory, gpu, profile"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    wanted = set(options.only or ["feed", "plain", "processes", "embed", "memory", "gpu"])
    device = choose_device("auto")
    details: dict = {"device": str(device), "cores": cores(), "torch": torch.__version__}
    ratios: dict[str, float] = {}

    def note(name: str, values: dict) -> dict:
        """Show figures as they come: the whole takes minutes."""
        print(
            name,
            {key: round(value, 3) for key, value in values.items()},
            file=sys.stderr,
            flush=True,
        )
        return values

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_samples(folder, options.posters)
        batch = options.batch * (8 if device.type == "cuda" else 1)
        if wanted & {"feed", "plain"}:
            details["lenet"] = note("lenet", measure_feeding(files, folder, device, "lenet", batch))
            ratios["train_fed_vs_memory"] = details["lenet"]["ratio"]
        if "plain" in wanted:
            plain = measure_plain_loop(folder, device, options.batch, min(options.posters, 1000))
            details["plain_loop"] = plain
            print(f"plain loop: {plain:.1f} images/s", file=sys.stderr)
            ratios["train_vs_plain_loop"] = details["lenet"]["fed"] / plain
        if "memory" in wanted:
            small = make_samples(folder / "small", 256)
            details["memory_mb"] = note("memory", measure_memory(small, folder, device))
            ratios["memory_20_epochs_vs_1"] = details["memory_mb"]["ratio"]
        if "gpu" in wanted and device.type == "cuda":
            resnet = measure_feeding(files, folder / "r", device, "resnet50", 256, (224, 224))
            details["resnet50_224_bf16"] = note("resnet50", resnet)
        if "profile" in wanted:
            show_profile(folder, device)
        if wanted & {"processes", "embed"}:
            settings = {
                "spark.driver.memory": "1g",
                "spark.ui.enabled": "false",
                "spark.driver.host": "127.0.0.1",
            }
            log = folder / "spark.log"
            with spark_session(
                app_name="training", master=f"local[{cores()}]", settings=settings, log_file=log
            ) as spark:
                if "processes" in wanted:
                    details["processes"] = note("processes", measure_processes(files, folder))
                    ratios["two_processes_vs_one"] = details["processes"]["ratio"]
                if "embed" in wanted:
                    details["embedding"] = note(
                        "embedding", measure_embedding(spark, folder, options.embedded, device)
                    )
                    ratios["embed_vs_bare"] = details["embedding"]["ratio"]
    ratios = {key: round(value, 3) for key, value in ratios.items()}
    if options.json:
        print(json.dumps({"ratios": ratios, "details": details}))
    else:
        print(json.dumps({"ratios": ratios, "details": details}, indent=1))


if __name__ == "__main__":
    main()
