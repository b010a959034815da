"""What `training.py` measures, one function per comparison."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

import psutil
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from training_inputs import (
    HEIGHT,
    LABELS,
    VOCABULARY,
    WIDTH,
    FileDataset,
    Repeated,
    make_samples,
    one_batch,
)

from genre_spark.config import CnnConfig, EmbeddingsConfig
from genre_spark.vision.feed.poster_feed import PosterFeed
from genre_spark.vision.inference.decoded_posters import read_posters
from genre_spark.vision.inference.embedded_posters import embed_posters
from genre_spark.vision.inference.network_file import load_network, save_network
from genre_spark.vision.inference.row_groups import list_parts
from genre_spark.vision.models import build_network
from genre_spark.vision.plans.jobs import TrainingJob
from genre_spark.vision.plans.outcomes import TrainingPlan
from genre_spark.vision.plans.poster_form import PosterForm
from genre_spark.vision.plans.sample_facts import count_labels
from genre_spark.vision.training.checkpoints import Checkpoints
from genre_spark.vision.training.launch import launch
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.losses import BinaryCrossEntropy
from genre_spark.vision.training.processes import ProcessGroup
from genre_spark.workers.cores import cores


def train_with(
    feed, folder: Path, name: str, *, epochs: int, batch_size: int, device: torch.device, size=None
):
    height, width = size or (HEIGHT, WIDTH)
    settings = CnnConfig(architecture=name, epochs=epochs, batch_size=batch_size, patience=1000)
    network = build_network(name, LABELS, height, width, seed=0, dropout=0.25).to(device)
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
    """Return images per second of the best epoch; the first one, which warms up, is left out."""
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
    """Return the floating-point operations of one image, forward and backward."""
    height, width = size or (HEIGHT, WIDTH)
    network = build_network(name, LABELS, height, width, seed=0)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, height, width, dtype=torch.uint8)).sum().backward()
    return counter.get_total_flops() / 2


def peak_flops(device: torch.device) -> float:
    """Return the operations per second that a large bf16 matrix product reaches."""
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


def measure_plain_loop(folder: Path, device: torch.device, batch_size: int, count: int) -> float:
    """Run the loop of the study: float32, no workers, a loss that is read at every step."""
    network = build_network("lenet", LABELS, HEIGHT, WIDTH, seed=0, dropout=0.25)
    plain = nn.Sequential(network.backbone, network.head)
    plain.to(device, memory_format=torch.contiguous_format)
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
    """Train by TorchDistributor with one thread per process."""
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
        # one core per process, for training, decoding and reading
        os.sched_setaffinity(0, sorted(available)[:processes])
        try:
            speeds[processes] = best_speed(launch(job))
        finally:
            os.sched_setaffinity(0, available)
    return {"one": speeds[1], "two": speeds[2], "ratio": speeds[2] / speeds[1]}


def embed_bare(model_file: str, parts: list, threads: int, device: str) -> None:
    torch.set_num_threads(threads)
    model = load_network(model_file, device=torch.device(device))
    for part in parts:
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
    """Return the resident memory of this process after 1 and 20 epochs of a small data set."""
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
    """Print where the time of a step goes."""
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
