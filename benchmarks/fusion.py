"""What fusion adds to the time of its parts, and text embeddings through Spark against processes.

    python benchmarks/fusion.py stages --config conf/letterboxd_fused.yaml [key=value ...]
    python benchmarks/fusion.py answers --config conf/letterboxd_fused.yaml [key=value ...]
    python benchmarks/fusion.py texts --config RECIPE [--texts 1000] [--processes 2] [key=value ...]

`stages` reads the records of a finished run: seconds of train-stack against those of the stages
that make its parts. `answers` scores the test movies' feature vectors by each linear model of a
stack and by the stack, in this process. `texts` embeds the run's texts anew, by the stage's code
on local[N] into a folder of its own, and by N processes that share the texts; a first round, which
loads the models, does not count. At least 0.95 of the processes' speed is wanted. Run it on a quiet
machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from multiprocessing import get_context
from typing import Any

import numpy as np
from missing_blocks import features, read
from pyspark.sql import SparkSession

from genre_spark.config import Config, load_config
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.linear.model import LinearModel
from genre_spark.fusion.stacks.stacking import StackedModel, log_odds
from genre_spark.pipelines.features.text_embeddings import _texts
from genre_spark.spark.session import spark_session
from genre_spark.storage.files import join, read_checked_json
from genre_spark.text.embedding_table import TEXT, embed_texts
from genre_spark.text.encoders import encode_texts, open_encoder
from genre_spark.text.sources import find_source

PARTS = ("poster-embeddings", "text-embeddings", "build-features", "train-linear", "train-cnn")


def stages(config: Config) -> None:
    found = {}
    for name in (*PARTS, "train-fused", "train-stack"):
        record = read_checked_json(join(config.paths.table("stages"), f"{name}.json"))
        if record is not None:
            found[name] = float((record.get("result") or record)["seconds"])
    parts = sum(seconds for name, seconds in found.items() if name in PARTS)
    for name, seconds in found.items():
        print(f"{name:20} {seconds:10.1f} s")
    if parts and "train-stack" in found:
        print(f"train-stack adds {found['train-stack'] / parts:.1%} to its parts")


def answers(spark: SparkSession, config: Config, *, repeats: int) -> None:
    specification = FeatureSpecification.load(config.paths.model("features"))
    rows = features(spark, config, "test", specification.size)
    for name in config.stack.models if config.stack is not None else ():
        stack = StackedModel.from_bytes(read(join(config.paths.model(name), "stack.npz")))
        models = [
            LinearModel.from_bytes(read(join(config.paths.model(model), "linear.npz")))
            for model in stack.models
        ]
        for _ in range(repeats):
            begin = time.perf_counter()
            odds = [model.probabilities(rows) for model in models]
            parts = time.perf_counter() - begin
            begin = time.perf_counter()
            stack.probabilities(log_odds(odds))
            added = time.perf_counter() - begin
            print(
                f"{name}: parts {parts:.3f} s, stack {added:.3f} s ({added / parts:.1%}), "
                f"{rows.shape[0]} movies",
                flush=True,
            )


_encoder: list[Any] = []  # of a process, loaded once


def encode_share(job: tuple[str, Any, int, Sequence[str]]) -> int:
    """Encode texts in a process of its own; return how many."""
    model, max_tokens, batch_size, texts = job
    if not _encoder:
        import torch  # noqa: PLC0415 - in the process that needs it

        torch.set_num_threads(1)
        _encoder.append(open_encoder(find_source(model), max_tokens=max_tokens))
    return len(encode_texts(_encoder[0], list(texts), batch_size=batch_size).vectors)


def texts(spark: SparkSession, config: Config, *, most: int, processes: int, repeats: int) -> None:
    settings = config.text_embeddings
    rows = _texts(spark, config).orderBy("movie_id").limit(most).cache()
    every = [row[TEXT] for row in rows.collect()]
    source = find_source(settings.model)
    shares = [every[n::processes] for n in range(processes)]
    jobs = [(settings.model, settings.max_tokens, settings.batch_size, share) for share in shares]
    ratios = []
    with get_context("spawn").Pool(processes) as pool:
        for number in range(repeats + 1):  # the first loads the models
            with tempfile.TemporaryDirectory(prefix="texts-") as folder:
                begin = time.perf_counter()
                embed_texts(rows, join(folder, "table"), source, config=settings)
                through_spark = time.perf_counter() - begin
            begin = time.perf_counter()
            assert sum(pool.map(encode_share, jobs, chunksize=1)) == len(every)
            bare = time.perf_counter() - begin
            ratios.append(bare / through_spark)
            print(
                f"{number}: Spark {len(every) / through_spark:.1f} texts/s, processes "
                f"{len(every) / bare:.1f} texts/s, ratio {ratios[-1]:.3f}",
                flush=True,
            )
    median = np.median(ratios[1:])
    print(f"median ratio {median:.3f} of {len(every)} texts by {processes} processes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("stages", "answers", "texts"))
    parser.add_argument("--config", required=True)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1000, help="that are embedded (1000)")
    options, overrides = parser.parse_known_args()
    config = load_config(options.config, overrides)
    if options.what == "stages":
        stages(config)
        return
    with spark_session(
        app_name="fusion",
        master=f"local[{options.processes}]",
        conf_file=config.spark.conf_file,
        settings=config.spark.settings,
    ) as spark:
        if options.what == "answers":
            answers(spark, config, repeats=options.repeats)
        else:
            texts(
                spark,
                config,
                most=options.texts,
                processes=options.processes,
                repeats=options.repeats,
            )


if __name__ == "__main__":
    main()
