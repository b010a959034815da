"""Stage sample: split the movies and draw balanced samples, with weights that undo the bias."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config, SamplingConfig
from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.sample_balance import (
    balance_table,
    co_occurrence_tables,
    draw_balance,
    format_balance,
)
from genre_spark.evaluation.style import encode_figure
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.sampling.sample_tables import poster_details, write_samples
from genre_spark.pipelines.sampling.splitting import eligible_movies, split_inputs, split_movies
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.sampling.class_weights import class_weights
from genre_spark.sampling.cutoff_search import find_cutoffs
from genre_spark.sampling.cutoffs import LabelCounts, apply_cutoffs
from genre_spark.sampling.demands import explain_shortfalls, plan_demands
from genre_spark.sampling.description import ALL, Balance, count_labelsets, describe_labelsets
from genre_spark.sampling.splits import SPLIT, SPLITS, TRAIN
from genre_spark.schemas import WEIGHT
from genre_spark.spark.threads import run_in_threads
from genre_spark.storage.caching import cached
from genre_spark.storage.files import join, whole_file, write_json
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun

WEIGHTS_FILE = "class_weights.json"


def _depends_on(config: Config) -> list[object]:
    genres = Catalogue(config).genres.manifest().fingerprint
    inputs = split_inputs(config)
    # misspelt genres are reported before Spark starts
    plan_demands(config.sampling, config.split, Catalogue(config).vocabulary())
    return [
        config.split.model_dump(mode="json"),
        config.sampling.model_dump(mode="json"),
        genres,
        inputs,
    ]


def _outputs(config: Config) -> list[Table]:
    return [Catalogue(config).samples(split) for split in SPLITS]


@stage(depends_on=_depends_on, outputs=_outputs)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Split the movies that can be used and draw a balanced sample of each split."""
    vocabulary = Catalogue(config).vocabulary()
    labels, samples = len(vocabulary), config.paths.table("samples")
    demands = plan_demands(config.sampling, config.split, vocabulary)
    with cached(split_movies(spark, config, eligible_movies(spark, config))) as movies:
        described = describe_labelsets(
            count_labelsets(movies.withColumn(WEIGHT, F.lit(1.0))), splits=SPLITS, labels=labels
        )
        before = described[ALL]
        if before.movies == 0:
            raise InvalidInputError(_nothing_to_draw(config))
        counts = {
            split: LabelCounts(described[split].movies, tuple(described[split].labels))
            for split in SPLITS
        }
        _require_all_splits(config, counts)
        cutoffs = find_cutoffs(movies, demands, counts, seed=config.seed)
        with cached(apply_cutoffs(movies, cutoffs, seed=config.seed)) as chosen:
            drawn = describe_labelsets(count_labelsets(chosen), splits=SPLITS, labels=labels)
            weights = _class_weights(config.sampling, drawn[TRAIN], vocabulary)
            posters = poster_details(spark, config)
            details = {"vocabulary": vocabulary, **posters, "class_weights": weights}
            writes: list[Callable[[], object]] = [
                partial(
                    write_samples,
                    spark,
                    config,
                    chosen.where(F.col(SPLIT) == split),
                    split=split,
                    rows=drawn[split].movies,
                    fingerprint=tracked.digest,
                    details={**details, "counts": _genre_counts(drawn[split], vocabulary)},
                )
                for split in SPLITS
            ]
            folder = join(samples, "balance")
            draw = partial(_log_pictures, tracked, before, drawn[TRAIN], vocabulary, folder=folder)
            writes.append(draw)
            run_in_threads(spark, writes, parallelism=len(writes))
    write_json(join(samples, WEIGHTS_FILE), weights)
    tracked.log_dict(weights, WEIGHTS_FILE)
    selections = {ALL: before, **{split: drawn[split] for split in SPLITS}}
    table = balance_table(selections, vocabulary)
    tracked.log_table(table, "balance.json")
    return StageResult(
        outputs={
            **{split: config.paths.samples(split) for split in SPLITS},
            "pictures": join(samples, "balance"),
        },
        counts={"movies": before.movies, **{split: drawn[split].movies for split in SPLITS}},
        metrics=_metrics(selections),
        notes=explain_shortfalls(demands, counts, drawn, vocabulary),
        table=format_balance(table),
    )


def _log_pictures(
    tracked: TrackedRun, before: Balance, after: Balance, vocabulary: list[str], *, folder: str
) -> None:
    if before.pairs:
        tracked.log_dict(co_occurrence_tables(before, after, vocabulary), "co_occurrence.json")
    for name, figure in draw_balance(before, after, vocabulary).items():
        picture = encode_figure(figure)
        tracked.log_bytes(picture, f"balance/{name}.png")
        with whole_file(join(folder, f"{name}.png")) as file:
            file.write(picture)


def _class_weights(
    config: SamplingConfig, balance: Balance, vocabulary: list[str]
) -> dict[str, object]:
    weights = class_weights(
        balance.labels,
        balance.movies,
        beta=config.effective_number_beta,
        negatives_per_positive=config.negatives_per_positive,
    )
    return {"vocabulary": vocabulary, **weights.by_name(vocabulary)}


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


def _require_all_splits(config: Config, counts: Mapping[str, LabelCounts]) -> None:
    """Raise an error where a later stage would find no movies to train on, or to evaluate on."""
    empty = [split for split in SPLITS if counts[split].movies == 0]
    if empty:
        found = ", ".join(f"{split} {counts[split].movies:,}" for split in SPLITS)
        raise InvalidInputError(
            f"sample: no movies for {' and '.join(empty)} (movies that can be drawn: {found}); "
            f"expected some in each: more movies, or other shares than split.test="
            f"{config.split.test} and split.validation={config.split.validation}"
        )


def _nothing_to_draw(config: Config) -> str:
    genres = Catalogue(config).genres.manifest().rows
    if not config.sampling.require_poster:
        return f"sample: {config.paths.genres} has {genres:,} movies, expected at least one"
    posters = Catalogue(config).posters.manifest().rows
    return (
        f"sample: no movie has both genres and a poster ({genres:,} movies with genres, "
        f"{posters:,} posters), expected the same ids in paths.genres_csv and paths.posters"
    )
