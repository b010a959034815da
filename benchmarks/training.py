"""How fast networks train and embed posters, compared with the same work done in a plain way.

    python benchmarks/training.py [--posters 2000] [--embedded 10000] [--only NAME ...] [--json]

Every ratio compares two things that are measured in this run, one right after the other:

- train_fed_vs_memory: the training loop fed by Petastorm, against the same loop on one batch from
  memory. At 1 the loop never waits for the feed.
- train_vs_plain_loop: the same, against the loop of the study: float32, a DataLoader over the
  files, a step.
- two_processes_vs_one: two processes with one thread each (TorchDistributor, gloo), against one
  with one thread.
- embed_vs_bare: features of EfficientNet-Lite0 through Spark, against the same code in bare
  processes.
- memory_20_epochs_vs_1: resident memory after 20 epochs, against that after 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pyspark.sql import SparkSession
from training_inputs import make_samples
from training_measures import (
    measure_embedding,
    measure_feeding,
    measure_memory,
    measure_plain_loop,
    measure_processes,
    show_profile,
)

from genre_spark.spark.session import spark_session
from genre_spark.vision.devices import choose_device
from genre_spark.workers.cores import cores


def main() -> None:
    options = _options()
    wanted = set(options.only or ["feed", "plain", "processes", "embed", "memory", "gpu"])
    device = choose_device("auto")
    details: dict = {"device": str(device), "cores": cores(), "torch": torch.__version__}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_samples(folder, options.posters)
        _measure_loops(options, wanted, folder, files, device, details, ratios)
        if wanted & {"processes", "embed"}:
            with _session(folder) as spark:
                if "processes" in wanted:
                    details["processes"] = note("processes", measure_processes(files, folder))
                    ratios["two_processes_vs_one"] = details["processes"]["ratio"]
                if "embed" in wanted:
                    embedding = measure_embedding(spark, folder, options.embedded, device)
                    details["embedding"] = note("embedding", embedding)
                    ratios["embed_vs_bare"] = embedding["ratio"]
    ratios = {key: round(value, 3) for key, value in ratios.items()}
    result = {"ratios": ratios, "details": details}
    print(json.dumps(result, indent=None if options.json else 1))


def _measure_loops(
    options: argparse.Namespace,
    wanted: set[str],
    folder: Path,
    files: tuple[str, ...],
    device: torch.device,
    details: dict,
    ratios: dict[str, float],
) -> None:
    """Measure what needs no Spark session."""
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


def note(name: str, values: dict) -> dict:
    """Print figures as soon as they are there: the whole takes minutes."""
    rounded = {key: round(value, 3) for key, value in values.items()}
    print(name, rounded, file=sys.stderr, flush=True)
    return values


@contextmanager
def _session(folder: Path) -> Iterator[SparkSession]:
    settings = {
        "spark.driver.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
    }
    master = f"local[{cores()}]"
    log = folder / "spark.log"
    with spark_session(
        app_name="training", master=master, settings=settings, log_file=log
    ) as spark:
        yield spark


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posters", type=int, default=2000, help="posters to train on")
    parser.add_argument(
        "--embedded", type=int, default=10_000, help="posters whose features are computed"
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=32,
        help="posters per step on a CPU; on a GPU eight times as many",
    )
    parser.add_argument(
        "--only", nargs="*", help="feed, plain, processes, embed, memory, gpu, profile"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
