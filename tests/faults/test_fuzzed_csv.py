"""Damaged CSV files: rows are used, rejected or the file is named, and every row is counted."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from genre_spark.config import build_config
from genre_spark.errors import UserError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.ingestion import group_genres
from genre_spark.transforms.metadata import read_metadata
from genre_spark.transforms.metadata_rejects import rejected_metadata
from tests.faults.mutations import fault_seconds, fault_seed, mutate

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
GENRES = "id,genre\n" + "".join(
    f"{i},Drama\r\n{i},{'Comedy' if i % 2 else 'War'}\n" for i in range(40)
)
MOVIES = "id,name,date,tagline,description,minute,rating\n" + "".join(
    f'{i},"The {i}th, of ""all""",19{i + 10},,"two\nlines",{i + 60},3.{i % 10}\n' for i in range(40)
)
COUNTRIES = "id,country\n" + "".join(f"{i},UK\n{i},França\n" for i in range(40))


def test_damaged_csv_files_are_read_as_far_as_they_go(spark: SparkSession, tmp_path: Path) -> None:
    draw = random.Random(fault_seed())
    paths = {"genres_csv": f"{tmp_path}/genres.csv", "posters": "p", "metadata": str(tmp_path)}
    store = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    config = build_config({"paths": {**paths, "work": f"{tmp_path}/work"}, "mlflow": store})
    texts = {"genres.csv": GENRES, "movies.csv": MOVIES, "countries.csv": COUNTRIES}
    counts: Counter[str] = Counter()
    end = time.monotonic() + fault_seconds(0.05)
    while time.monotonic() < end:
        victim = draw.choice(sorted(texts))
        for name, text in texts.items():
            content = text.encode()
            (tmp_path / name).write_bytes(mutate(content, draw) if name == victim else content)
        try:
            if victim == "genres.csv":
                found = group_genres.run(spark, config, force=True).counts
                assert found["rows"] == found["kept"] + found["merged"] + found["rejected"]
                rows = Catalogue(config).genres.read(spark).count()
                assert rows == found["movies"]
            else:
                ids = spark.range(40).withColumnRenamed("id", "movie_id")
                assert read_metadata(spark, str(tmp_path), ids).count() == 40
                rejected_metadata(spark, str(tmp_path)).count()
            counts[f"{victim}: read"] += 1
        except UserError as error:
            assert victim in str(error), error
            counts[f"{victim}: rejected"] += 1
    print(dict(counts))
