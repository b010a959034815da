"""Time binary relevance on hashed texts against a plain loop over Spark ML's own classifier.

    PYTHONPATH=. python benchmarks/sparse_text.py DATA/metadata/tmdb_5000_movies.csv.gz [--json]

The overviews of TMDb's movies become tf-idf vectors of 4,096 and of 262,144 features (HashingTF's
default), of which a movie stores some 40; the labels are its 20 most frequent genres. Both sides
fit Spark ML's logistic regression per label in this process, on the same cached table, in turn,
after each has run once: the loop label by label, binary relevance four labels at once. Ours checks
every row and turns the fitted models into arrays; both are part of its time. `time_...` is ours
over the loop's, at most 1 is what we aim at.

`--growth 1 2 4 8` fits binary relevance on that many copies of the movies instead, and prints the
seconds per million stored values that each step adds: where they are about equal, time is linear
in stored values. What the coefficients cost is the same for any rows and drops out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from multilabel_timing import compare, seconds
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import IDF, HashingTF, Tokenizer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import genre_spark.multilabel as ml
from genre_spark.spark.session import spark_session

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
}


def read_movies(file: Path, rows: int) -> pd.DataFrame:
    """Return the overviews and the genres' names of the first movies that have both."""
    table = pd.read_csv(file, usecols=["overview", "genres"]).dropna()
    table["genres"] = [[entry["name"] for entry in json.loads(text)] for text in table["genres"]]
    return table[table["genres"].str.len() > 0].head(rows)


def labelled(spark: SparkSession, movies: pd.DataFrame, labels: int) -> DataFrame:
    """Return the movies with their overview and a multi-hot vector of the frequent genres."""
    names = movies["genres"].explode().value_counts().index[:labels].tolist()
    table = spark.createDataFrame(movies)
    columns = [F.array_contains("genres", name).cast("double") for name in names]
    return table.select("overview", F.array(*columns).alias("labels"))


def hashed(data: DataFrame, features: int) -> DataFrame:
    """Return features and labels, cached in one partition per core."""
    stages = [
        Tokenizer(inputCol="overview", outputCol="words"),
        HashingTF(inputCol="words", outputCol="tf", numFeatures=features),
        IDF(inputCol="tf", outputCol="features"),
    ]
    table = Pipeline(stages=stages).fit(data).transform(data).select("features", "labels")
    table = table.repartition(2).cache()
    table.count()
    return table


def loop(data: DataFrame, labels: int, base: LogisticRegression) -> list:
    """Fit label by label, as one would write it."""
    return [
        base.copy().fit(data.select("features", F.col("labels")[label].alias("label")))
        for label in range(labels)
    ]


def measure(data: DataFrame, features: int, options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of both sides with that many features."""
    table = hashed(data, features)
    classifier = LogisticRegression(maxIter=options.iterations)
    relevance = ml.BinaryRelevance(classifier=classifier, parallelism=options.parallelism)
    found = compare(
        lambda: relevance.fit(table),
        lambda: loop(table, options.labels, classifier),
        options.rounds,
    )
    table.unpersist()
    return {
        f"time_{features}_features": found.ours / found.theirs,
        f"seconds_{features}_features": found.ours,
        f"seconds_{features}_features_loop": found.theirs,
    }


def measure_growth(data: DataFrame, features: int, options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of binary relevance on several copies of the movies, and per value."""
    classifier = LogisticRegression(maxIter=options.iterations, tol=0.0)  # as many passes for all
    relevance = ml.BinaryRelevance(classifier=classifier, parallelism=options.parallelism)
    found: dict[str, float] = {}
    before = (0, 0.0)
    for copies in options.growth:
        table = hashed(data.crossJoin(data.sparkSession.range(copies)), features)
        stored = table.select(F.sum(F.size(F.unwrap_udt("features")["indices"]))).first()[0]
        if not found:
            relevance.fit(table)  # the JVM compiles
        needed = min(
            seconds(lambda table=table: relevance.fit(table)) for _ in range(options.rounds)
        )
        table.unpersist()
        name = f"{features}_features_{stored}_values"
        found[f"seconds_{name}"] = needed
        if before[0]:
            millions = (stored - before[0]) / 1e6
            found[f"seconds_per_million_more_{name}"] = (needed - before[1]) / millions
        before = (stored, needed)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("movies", type=Path, help="tmdb_5000_movies.csv, or .csv.gz")
    parser.add_argument("--rows", type=int, default=4803)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--features", type=int, nargs="+", default=[4096, 262_144])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--parallelism", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", type=int, nargs="+", help="numbers of copies of the movies")
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with spark_session(app_name="sparse texts", master=options.master, settings=SETTINGS) as spark:
        movies = read_movies(options.movies, options.rows)
        data = labelled(spark, movies, options.labels)
        found: dict[str, float] = {"movies": len(movies)}
        for features in options.features:
            step = measure_growth if options.growth else measure
            found |= step(data, features, options)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:62} {value:10.2f}")


if __name__ == "__main__":
    main()
