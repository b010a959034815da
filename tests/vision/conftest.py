"""Small posters whose genres show in their colours, as arrays and as samples tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from genre_spark.config import Config, build_config
from genre_spark.imaging import encode_pixels
from genre_spark.sampling.class_weights import class_weights
from genre_spark.storage.tables import write_table
from tests.vision.small import HEIGHT, VOCABULARY, WIDTH, make_posters

slow = pytest.mark.slow


@pytest.fixture(scope="session")
def posters() -> tuple[np.ndarray, np.ndarray]:
    return make_posters(48)


def link_tables(sample_tables: Path, work: Path) -> Path:
    """A work folder of its own with the samples and posters of another one."""
    (work / "out").mkdir(parents=True)
    for table in ("samples", "posters"):
        shutil.copytree(sample_tables / "out" / table, work / "out" / table)
    return work


def make_config(work: Path, **cnn: object) -> Config:
    """A recipe for networks on the tables that `sample_tables` writes."""
    return build_config(
        {
            "paths": {
                "genres_csv": str(work / "genres.csv"),
                "posters": str(work / "jpg"),
                "metadata": str(work),
                "work": str(work / "out"),
            },
            "posters": {"height": HEIGHT, "width": WIDTH},
            "embeddings": {"rows_per_part": 8},
            "cnn": {"epochs": 2, "batch_size": 8, "threads": 1, "feed": {"workers": 1}, **cnn},
        }
    )


@pytest.fixture(scope="session")
def sample_tables(spark, tmp_path_factory) -> Path:
    """A work folder with stored posters and samples (48 train, 16 validation, 16 test)."""
    work = tmp_path_factory.mktemp("networks")
    config = make_config(work)
    details = {"vocabulary": list(VOCABULARY), "height": HEIGHT, "width": WIDTH, "encoding": "png"}
    every = []
    for number, (split, count) in enumerate((("train", 48), ("validation", 16), ("test", 16))):
        images, labels = make_posters(count, seed=number)
        rows = [
            (
                1000 * number + place,
                bytes(
                    encode_pixels(
                        np.ascontiguousarray(image.transpose(1, 2, 0)[:, :, ::-1]), encoding="png"
                    )
                ),
                HEIGHT,
                WIDTH,
                3,
                "png",
                [float(value) for value in label],
                1.0 + place % 2,
            )
            for place, (image, label) in enumerate(zip(images, labels, strict=True))
        ]
        counts = [sum(row[6][place] for row in rows) for place in range(len(VOCABULARY))]
        weights = class_weights([int(count) for count in counts], len(rows)).by_name(VOCABULARY)
        schema = (
            "movie_id long, image binary, height int, width int, channels int, encoding string, "
            "labels array<float>, weight float"
        )
        frame = (
            spark.createDataFrame(rows, schema)
            .repartition(2, "movie_id")
            .sortWithinPartitions("movie_id")
        )
        write_table(
            frame,
            config.paths.samples(split),
            fingerprint=f"{split}-1",
            details={**details, "class_weights": weights},
        )
        every.append(frame.drop("labels", "weight").selectExpr("*", "'somewhere' AS source"))
    posters = every[0].unionByName(every[1]).unionByName(every[2])
    write_table(
        posters,
        config.paths.posters_table,
        fingerprint="posters-1",
        details=details,
    )
    return work
