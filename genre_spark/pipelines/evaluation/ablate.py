"""Stage ablate: what each block of the features is worth, alone and beside the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pyspark.ml.feature import VectorSlicer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config, LinearModelConfig
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.evaluation.comparison import draw_comparison
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.linear.shared_fits import fit_side_by_side, read_model, store_training_rows
from genre_spark.fusion.linear.tables import predict_linear
from genre_spark.multilabel.base import MultilabelModel
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.ablation_results import ALL, Variant, measure_variants
from genre_spark.pipelines.models.multilabel_methods import make_estimator
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import FEATURES, LABELS, MOVIE_ID, PREDICTION, PROBABILITIES, WEIGHT
from genre_spark.storage.caching import cached
from genre_spark.storage.files import fingerprint, join, remove_folder
from genre_spark.storage.tables import Table
from genre_spark.tracking import TrackedRun

__all__ = ["list_variants", "run"]

logger = logging.getLogger("genre_spark")
_WHOLE = "whole"
_SPLITS = ("train", "validation", "test")
Rows = Mapping[str, DataFrame]


def _depends_on(config: Config) -> list[object]:
    tables = Catalogue(config)
    read = [tables.features, *(tables.samples(split) for split in _SPLITS)]
    linear = _linear(config)
    settings = config.multilabel if linear is None else linear
    return [
        config.ablation.model_dump(mode="json"),
        settings.model_dump(mode="json"),
        [table.manifest().fingerprint for table in read],
    ]


@stage(depends_on=_depends_on, outputs=lambda _: [], logs_metrics=False)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Fit a model on each block alone, on all, and on all but one, and compare them on test.

    Features are read once; a variant whose predictions are there is not fitted again. Each metric
    stands under the rule that validation tunes for it.

    Counts: variants, and those of this run.
    """
    specification = FeatureSpecification.load(config.paths.model("features"))
    linear = _linear(config)
    blocks = tuple(specification.blocks)
    if linear is not None:
        blocks = tuple(name for name in blocks if name in linear.blocks)
    variants = list_variants(blocks)
    vocabulary = list(Catalogue(config).samples("train").manifest().details["vocabulary"])
    tracked.log_params({"model": _model_name(config), "blocks": list(blocks)})
    left = [v for v in variants if tracked.force or not _is_done(config, v, tracked.digest)]
    if left:
        logger.info("  %s: %s of %s variants", _model_name(config), len(left), len(variants))
        rows = {split: _with_features(spark, config, split) for split in _SPLITS}
        if linear is None:
            _predict_by_method(config, rows, specification, left, vocabulary, tracked.digest)
        else:
            _predict_by_linear(config, rows, specification, left, linear, tracked.digest)
    predictions = {
        v.name: {split: _table(config, v, split).read(spark) for split in _SPLITS[1:]}
        for v in variants
    }
    found = measure_variants(
        spark,
        variants,
        predictions,
        labels=len(vocabulary),
        seed=config.seed,
        parallelism=config.multilabel.parallelism,
    )
    title = f"{_model_name(config)}: blocks alone, all of them, and all but one, on test"
    tracked.log_text(found.csv(), "ablation.csv")
    tracked.log_figure(draw_comparison(found.candidates(), title=title), "ablation.png")
    return StageResult(
        outputs={"predictions": config.paths.table("ablation")},
        counts={"variants": len(variants), "fitted": len(left)},
        notes=(
            f"model: {_model_name(config)}; each metric under the rule that validation tunes for "
            "it (Hamming loss at 0.5), with 95 % intervals of a paired bootstrap",
        ),
        table=found.table(),
    )


def list_variants(blocks: Sequence[str]) -> list[Variant]:
    """Return each block alone, all blocks, and all but one.

    Raises:
        InvalidInputError: there are fewer than two blocks.
    """
    if len(blocks) < 2:
        raise InvalidInputError(
            f"ablate: {', '.join(blocks) or 'no block'}, expected at least two blocks of features"
        )
    alone = [Variant(f"only_{name}", "alone", (name,)) for name in blocks]
    others = [
        Variant(f"without_{name}", "all but one", tuple(b for b in blocks if b != name))
        for name in blocks
    ]
    # of two blocks, all but one is the other alone
    return [*alone, Variant(ALL, ALL, tuple(blocks)), *(others if len(blocks) > 2 else [])]


def _model_name(config: Config) -> str:
    """Return the linear model or the method that is fitted on every set of blocks."""
    if config.ablation.model:
        return config.ablation.model
    if config.linear is None:
        return config.multilabel.methods[0]
    models = config.linear.models
    return max(models, key=lambda name: len(models[name].blocks))


def _linear(config: Config) -> LinearModelConfig | None:
    """Return the linear model of the ablation, or None for a multi-label method.

    Raises:
        InvalidConfigError: the recipe has no such model and no such method.
    """
    name = _model_name(config)
    models = {} if config.linear is None else config.linear.models
    if name in models:
        return models[name]
    if name not in config.multilabel.methods:
        raise InvalidConfigError(
            f"ablation.model: {name!r}, expected a model of linear.models or a method of "
            f"multilabel.methods: {', '.join([*models, *config.multilabel.methods])}"
        )
    return None


def _table(config: Config, variant: Variant, split: str) -> Table:
    folder = config.paths.table("ablation", _model_name(config), variant.name, split)
    return Table(folder, Catalogue(config).predictions(variant.name, split).schema, "ablate")


def _digest(variant: Variant, digest: str) -> str:
    return fingerprint(digest, variant.name, variant.blocks)


def _is_done(config: Config, variant: Variant, digest: str) -> bool:
    tables = [_table(config, variant, split) for split in _SPLITS[1:]]
    wanted = _digest(variant, digest)
    return all(t.is_whole() and t.manifest().fingerprint == wanted for t in tables)


def _with_features(spark: SparkSession, config: Config, split: str) -> DataFrame:
    tables = Catalogue(config)
    samples = tables.samples(split).read(spark).select(MOVIE_ID, LABELS, WEIGHT)
    return samples.join(tables.features.read(spark), MOVIE_ID)


def _write(
    config: Config, variant: Variant, digest: str, predict: Callable[[str], DataFrame]
) -> None:
    for split in _SPLITS[1:]:
        _table(config, variant, split).write(predict(split), fingerprint=_digest(variant, digest))


def _predict_by_linear(
    config: Config,
    rows: Rows,
    specification: FeatureSpecification,
    variants: Sequence[Variant],
    model: LinearModelConfig,
    digest: str,
) -> None:
    folder = config.paths.table("tmp", f"ablation-{digest}")
    size = specification.size
    store_training_rows(rows["train"], join(folder, "train.npz"), size=size)
    files = fit_side_by_side(
        rows["train"],
        join(folder, "train.npz"),
        folder,
        {v.name: {block: model.blocks[block] for block in v.blocks} for v in variants},
        specification.blocks,
        size=size,
        penalty=model.penalty,
    )
    for variant in variants:
        fitted = read_model(files[variant.name])
        found = {split: predict_linear(rows[split], fitted, size=size) for split in _SPLITS[1:]}
        _write(config, variant, digest, found.__getitem__)
    remove_folder(folder)


def _predict_by_method(
    config: Config,
    rows: Rows,
    specification: FeatureSpecification,
    variants: Sequence[Variant],
    vocabulary: list[str],
    digest: str,
) -> None:
    with cached(rows["train"]) as train:
        for variant in variants:
            columns = specification.columns(variant.blocks).tolist()
            cut = VectorSlicer(inputCol=_WHOLE, outputCol=FEATURES, indices=columns)
            estimator = make_estimator(
                config.multilabel, _model_name(config), seed=config.seed, names=vocabulary
            )
            fitted = estimator.fit(_select(train, cut))
            _write(config, variant, digest, partial(_predict, fitted, cut, rows))


def _select(rows: DataFrame, cut: VectorSlicer) -> DataFrame:
    return cut.transform(rows.withColumnRenamed(FEATURES, _WHOLE)).drop(_WHOLE)


def _predict(model: MultilabelModel, cut: VectorSlicer, rows: Rows, split: str) -> DataFrame:
    found = model.transform(_select(rows[split], cut))
    arrays = [
        vector_to_array(F.col(name), "float32").alias(name) for name in (PROBABILITIES, PREDICTION)
    ]
    return found.select(MOVIE_ID, LABELS, *arrays)
