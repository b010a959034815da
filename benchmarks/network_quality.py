"""The quality of a recipe's network on test posters over several seeds: mean and deviation.

    python benchmarks/network_quality.py --config FILE [key=value ...] [--forest] [--seeds 7 8 9]

Needs the genres and posters tables of the recipe (`genre-spark group-genres`, `prepare-posters`).
Each seed draws other splits, samples and weights. Thresholds are fitted on validation: one for
exact match, one for micro-F1, one per genre. --forest adds a multi-label forest on the same
features, as the TMDb study tried it with VGG-16 (its Hamming loss was 0.133, Jaccard 0.013, exact
match 0.003).
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
from collections import defaultdict

from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config, load_config
from genre_spark.multilabel import MultilabelEvaluator, ThresholdTuner
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.models.multilabel_methods import make_estimator
from genre_spark.pipelines.models.train_cnn import run as train_cnn
from genre_spark.pipelines.sampling.sample import run as sample
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID, PROBABILITIES
from genre_spark.spark.session import spark_session

METRICS = ("hamming_loss", "jaccard_samples", "subset_accuracy", "f1_micro", "f1_macro")
RULES = ("fixed", "exact_match", "f1_micro", "f1_per_label")


def measure(validation: DataFrame, test: DataFrame) -> dict[str, float]:
    """Return rule/metric -> value on test, with thresholds fitted on validation."""
    values = {}
    for rule in RULES:
        tuned = ThresholdTuner(rule=rule).fit(validation.select(LABELS, PROBABILITIES))
        decided = tuned.transform(test.select(LABELS, PROBABILITIES))
        for metric in METRICS:
            values[f"{rule}/{metric}"] = MultilabelEvaluator(metricName=metric).evaluate(decided)
    return values


def forest_on_features(spark: SparkSession, config: Config) -> dict[str, float]:
    names = list(Catalogue(config).samples("train").manifest().details["vocabulary"])
    forest = config.multilabel.forest.model_copy(
        update={"backend": "sklearn", "trees": 200, "min_leaf": 3}
    )
    settings = config.multilabel.model_copy(update={"forest": forest})
    embeddings = Catalogue(config).embeddings.read(spark)
    vectors = embeddings.select(
        MOVIE_ID, array_to_vector(F.col(FEATURES).cast("array<double>")).alias(FEATURES)
    )
    splits = {
        split: Catalogue(config)
        .samples(split)
        .read(spark)
        .select(MOVIE_ID, LABELS)
        .join(vectors, MOVIE_ID)
        for split in ("train", "validation", "test")
    }
    model = make_estimator(settings, "multilabel_random_forest", seed=config.seed, names=names).fit(
        splits["train"]
    )
    return measure(
        *(model.transform(splits[split]).drop("prediction") for split in ("validation", "test"))
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--forest", action="store_true")
    options, overrides = parser.parse_known_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    logging.getLogger("genre_spark").setLevel(logging.INFO)
    seen: dict[str, list[float]] = defaultdict(list)
    first = load_config(options.config, overrides)
    with spark_session(
        app_name="quality",
        master=first.spark.master,
        conf_file=first.spark.conf_file,
        settings=first.spark.settings,
    ) as spark:
        for seed in options.seeds:
            config = load_config(options.config, [*overrides, f"seed={seed}"])
            sample(spark, config)
            train_cnn(spark, config)
            tables = [
                Catalogue(config).predictions(config.cnn.model_name, split).read(spark)
                for split in ("validation", "test")
            ]
            for name, value in measure(*tables).items():
                seen[f"{config.cnn.model_name}/{name}"].append(value)
            if options.forest:
                for name, value in forest_on_features(spark, config).items():
                    seen[f"forest/{name}"].append(value)
            print(
                json.dumps(
                    {"seed": seed, **{name: round(values[-1], 4) for name, values in seen.items()}}
                ),
                flush=True,
            )
    print(
        "\n| model | thresholds | " + " | ".join(METRICS) + " |\n|---|---|" + "---|" * len(METRICS)
    )
    for model in dict.fromkeys(name.split("/")[0] for name in seen):
        for rule in RULES:
            cells = [seen[f"{model}/{rule}/{metric}"] for metric in METRICS]
            spread = [statistics.stdev(cell) if len(cell) > 1 else 0.0 for cell in cells]
            texts = [
                f"{statistics.mean(cell):.4f} ± {sd:.4f}"
                for cell, sd in zip(cells, spread, strict=True)
            ]
            print(f"| {model} | {rule} | " + " | ".join(texts) + " |")


if __name__ == "__main__":
    main()
