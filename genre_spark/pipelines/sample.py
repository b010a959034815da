"""Stage sample: split the movies and draw the balanced samples, with the weights that undo the balancing."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.balance import balance_table, draw_balance, format_balance
from genre_spark.io import join, require_manifest, write_json
from genre_spark.pipelines.demands import explain_shortfalls, plan_demands
from genre_spark.pipelines.group_genres import read_vocabulary
from genre_spark.pipelines.sample_tables import poster_details, write_samples
from genre_spark.pipelines.splitting import eligible_movies, split_movies
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import WEIGHT
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.balance import Balance, describe_balance
from genre_spark.transforms.caching import cached
from genre_spark.transforms.sampling import apply_thresholds, count_labels
from genre_spark.transforms.splits import SPLIT, SPLITS, TRAIN
from genre_spark.transforms.thresholds import find_thresholds
from genre_spark.transforms.weights import class_weights

STAGE = "sample"
WEIGHTS_FILE = "class_weights.json"
_POPULATION = "all"


def _depends_on(config: Config) -> list[object]:
    tables = [require_manifest(config.paths.genres, made_by="group-genres").fingerprint]
    if config.sampling.require_poster:
        tables.append(require_manifest(config.paths.posters_table, made_by="prepare-posters").fingerprint)
    vocabulary = read_vocabulary(config)
    plan_demands(config.sampling, config.split, vocabulary)  # misspelt genres are told before Spark starts
    return [config.split.model_dump(mode="json"), config.sampling.model_dump(mode="json"), tables]


@stage(
    STAGE,
    depends_on=_depends_on,
    outputs=lambda config: [config.paths.samples(split) for split in SPLITS],
)
def run(spark: SparkSession, config: Config, run: TrackedRun) -> StageResult:
    """Split the movies that can be used and draw a balanced sample of each split."""
    vocabulary = read_vocabulary(config)
    demands = plan_demands(config.sampling, config.split, vocabulary)
    with cached(split_movies(spark, config, eligible_movies(spark, config))) as movies:
        counts = count_labels(movies, splits=SPLITS, labels=len(vocabulary))
        population = sum(count.movies for count in counts.values())
        if population == 0:
            raise InvalidInputError(_nothing_to_draw(config))
        thresholds = find_thresholds(movies, demands, counts, seed=config.seed)
        with cached(apply_thresholds(movies, thresholds, seed=config.seed)) as chosen:
            before = _describe_all(movies, len(vocabulary))
            drawn = describe_balance(chosen, splits=SPLITS, labels=len(vocabulary))
            weights = class_weights(drawn[TRAIN].labels, drawn[TRAIN].movies).by_name(vocabulary)
            details = {"vocabulary": vocabulary, **poster_details(spark, config), "class_weights": weights}
            for split in SPLITS:
                write_samples(
                    spark,
                    config,
                    chosen.where(F.col(SPLIT) == split),
                    split=split,
                    rows=drawn[split].movies,
                    fingerprint=run.digest,
                    details={**details, "counts": _genre_counts(drawn[split], vocabulary)},
                )
    write_json(join(config.paths.table("samples"), WEIGHTS_FILE), weights)
    described = {_POPULATION: before, **drawn}
    table = balance_table(described, vocabulary)
    run.log_table(table, "balance.json")
    run.log_dict(weights, WEIGHTS_FILE)
    for name, figure in draw_balance(before, drawn[TRAIN], vocabulary).items():
        run.log_figure(figure, f"balance/{name}.png")
    return StageResult(
        STAGE,
        outputs={split: config.paths.samples(split) for split in SPLITS},
        counts={"movies": population, **{split: drawn[split].movies for split in SPLITS}},
        metrics=_metrics(described),
        notes=explain_shortfalls(demands, counts, drawn, vocabulary),
        table=format_balance(table),
    )


def _describe_all(movies: DataFrame, labels: int) -> Balance:
    whole = movies.withColumns({SPLIT: F.lit(_POPULATION), WEIGHT: F.lit(1.0)})
    return describe_balance(whole, splits=[_POPULATION], labels=labels)[_POPULATION]


def _genre_counts(balance: Balance, vocabulary: list[str]) -> dict[str, Any]:
    return {
        "movies": balance.movies,
        "weight": balance.weight,
        "genres": dict(zip(vocabulary, balance.labels, strict=True)),
        "weighted_genres": dict(zip(vocabulary, balance.weighted_labels, strict=True)),
    }


def _metrics(described: dict[str, Balance]) -> dict[str, float]:
    return {
        f"{name}/{split}": value
        for split, balance in described.items()
        for name, value in (
            ("label_cardinality", balance.cardinality),
            ("weighted_label_cardinality", balance.weighted_cardinality),
            ("effective_sample_size", balance.effective),
        )
    }


def _nothing_to_draw(config: Config) -> str:
    genres = require_manifest(config.paths.genres, made_by="group-genres").rows
    if not config.sampling.require_poster:
        return f"sample: {config.paths.genres} has {genres:,} movies, expected at least one"
    posters = require_manifest(config.paths.posters_table, made_by="prepare-posters").rows
    return (
        f"sample: no movie has both genres and a poster ({genres:,} movies with genres, {posters:,} posters), "
        "expected the same ids in paths.genres_csv and paths.posters"
    )
