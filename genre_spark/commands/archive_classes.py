"""`genre-spark archive-classes`: make the class data sharing archive of this user's JVM."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre_spark.errors import GenreSparkError, InvalidConfigError
from genre_spark.spark.class_archive import archive_file
from genre_spark.spark.settings import JAVA_OPTIONS
from genre_spark.user_cache import NAME

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Run a small session whose JVM keeps its classes, and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        file = archive_file()
        if file is None:
            raise InvalidConfigError(
                f"no Java, no pyspark, or no folder to keep classes in ({NAME} names one)"
            )
        if options.once and file.is_file():
            return 0
        print("keeping Spark's classes for faster starts (once, half a minute)", file=sys.stderr)
        _make(file)
    except GenreSparkError as error:
        print(f"genre-spark: archive-classes: {error}", file=sys.stderr)
        return error.exit_code
    size = file.stat().st_size / 1e6
    print(f"{file}: {size:,.0f} MB, mapped by local sessions of this user", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genre-spark archive-classes",
        description="Keep the classes that Spark loads, so that later sessions on this machine "
        "start with a third less work.",
    )
    parser.add_argument("--once", action="store_true", help="do nothing where they are kept")
    return parser


def _make(file: Path) -> None:
    from genre_spark.spark.jvm import end_jvm  # noqa: PLC0415 - pyspark, a second
    from genre_spark.spark.session import spark_session  # noqa: PLC0415

    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    settings = {
        JAVA_OPTIONS: f"-XX:ArchiveClassesAtExit={draft} -Xlog:cds=off -Xlog:cds+dynamic=off",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
    }
    try:
        with tempfile.TemporaryDirectory(prefix="genre_spark-") as folder:
            session = spark_session(
                app_name="classes",
                master="local[2]",
                settings=settings,
                log_file=Path(folder, "spark.log"),
            )
            with session as spark:
                _use(spark, folder)
            end_jvm()
        if not draft.is_file():
            raise InvalidConfigError("the JVM has kept no classes, expected Java 17 or newer")
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def _use(spark: SparkSession, folder: str) -> None:
    """Do a little of everything that stages do, so that its classes are loaded."""
    from pyspark.ml.feature import IDF, CountVectorizer  # noqa: PLC0415
    from pyspark.sql import Observation, Window  # noqa: PLC0415
    from pyspark.sql import functions as F  # noqa: PLC0415

    def same(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    Path(folder, "rows.csv").write_text("id,name\n" + "".join(f"{n},a b{n}\n" for n in range(99)))
    lines = spark.read.text(f"{folder}/rows.csv")
    lines.where(F.regexp_extract("value", r"^(\d+),", 1) != "").count()
    rows = spark.read.csv(f"{folder}/rows.csv", header=True, schema="id long, name string")
    words = rows.select("id", F.split(F.lower("name"), " ").alias("words"))
    order = Window.partitionBy(F.col("id") % 3).orderBy(F.desc("id"))
    numbered = words.withColumn("number", F.row_number().over(order))
    seen = Observation()
    numbered.observe(seen, F.count("*").alias("rows")).write.parquet(f"{folder}/numbered")
    stored = spark.read.parquet(f"{folder}/numbered")
    exploded = stored.select("id", F.explode("words").alias("word"))
    counted = exploded.groupBy("word").agg(F.count("*").alias("n"), F.collect_list("id"))
    counted.join(exploded, "word", "left").orderBy(F.desc("n"), "word").limit(5).collect()
    stored.repartition(2, F.xxhash64("id")).mapInArrow(same, stored.schema).cache().count()
    vectors = CountVectorizer(inputCol="words", outputCol="v", minDF=1).fit(words).transform(words)
    IDF(inputCol="v", outputCol="w").fit(vectors).transform(vectors).select("w").collect()
    rows.write.csv(f"{folder}/csv", header=True)
    spark.createDataFrame([(1, "a")], "id long, name string").toPandas()
