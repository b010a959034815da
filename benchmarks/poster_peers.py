"""Other tools, used as documented, that make a table of posters."""

# ruff: noqa: PLC0415 - peers are imported where they are asked for: most need not be installed

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pyspark.sql import SparkSession

SIZE = (230, 345)  # width, height


def petastorm_writer(spark: SparkSession, names: list[str], out: Path) -> float:
    """Return the seconds of petastorm's writer: dict_to_spark_row over an RDD, then Parquet."""
    from petastorm.codecs import CompressedImageCodec, ScalarCodec
    from petastorm.etl.dataset_metadata import materialize_dataset
    from petastorm.unischema import Unischema, UnischemaField, dict_to_spark_row
    from pyspark.sql.types import LongType

    schema = Unischema(
        "Posters",
        [
            UnischemaField("movie_id", np.int64, (), ScalarCodec(LongType()), False),
            UnischemaField(
                "image", np.uint8, (SIZE[1], SIZE[0], 3), CompressedImageCodec("jpeg", 90), False
            ),
        ],
    )

    def row(item: tuple[int, str]) -> Any:
        image = cv2.resize(cv2.imread(item[1]), SIZE)
        return dict_to_spark_row(schema, {"movie_id": item[0], "image": image[:, :, ::-1]})

    begin = time.perf_counter()
    url = f"file://{out}"
    with materialize_dataset(spark, url, schema, 8):
        rows = spark.sparkContext.parallelize(list(enumerate(names)), 8).map(row)
        spark.createDataFrame(rows, schema.as_spark_schema()).write.mode("overwrite").parquet(url)
    return time.perf_counter() - begin


def binary_file_pillow(spark: SparkSession, folder: Path, out: Path, names: list[str]) -> float:
    """Return the seconds of Spark's binaryFile source and a Pillow UDF that returns JPEG."""
    from pyspark.sql.functions import col, udf

    @udf("binary")
    def convert(content: bytes) -> bytes:
        from PIL import Image

        target = io.BytesIO()
        Image.open(io.BytesIO(content)).convert("RGB").resize(SIZE).save(target, "JPEG", quality=90)
        return target.getvalue()

    begin = time.perf_counter()
    frame = spark.read.format("binaryFile").load(names if names else str(folder))
    frame.select(col("path"), convert("content").alias("image")).write.mode("overwrite").parquet(
        str(out)
    )
    return time.perf_counter() - begin


def huggingface_map(names: list[str], out: Path, *, processes: int) -> float | None:
    """Return the seconds of Hugging Face datasets: from_dict, map with processes, to_parquet.

    None where not installed.
    """
    try:
        from datasets import Dataset, disable_caching, disable_progress_bars
    except ImportError:
        return None
    disable_caching()
    disable_progress_bars()
    out.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    data = Dataset.from_dict({"movie_id": list(range(len(names))), "path": names})
    data = data.map(
        _encode_batch, batched=True, batch_size=256, num_proc=processes, remove_columns=["path"]
    )
    data.to_parquet(str(out / "posters.parquet"))
    return time.perf_counter() - begin


def _encode_batch(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    images = []
    for path in batch["path"]:
        pixels = cv2.resize(cv2.imread(path), SIZE)
        images.append(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return {"image": images}
