"""Stage explain-models: what each model looks at, by permutation and by heat maps."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import SparkSession

from genre_spark.config import Config, ExplanationsConfig
from genre_spark.errors import InvalidConfigError
from genre_spark.evaluation.scores import Score, choose_best, gather_candidates, thresholds_of
from genre_spark.evaluation.text_tables import align_columns
from genre_spark.explanations.figures import draw_genres, draw_groups, draw_inputs
from genre_spark.explanations.first_look import choose_inputs, correlate_inputs
from genre_spark.explanations.importances import (
    Explained,
    genre_table,
    group_table,
    importance_rows,
    input_table,
)
from genre_spark.explanations.measures import MICRO_F1
from genre_spark.explanations.permutation import Unit, measure_baseline
from genre_spark.explanations.permutation_tasks import permute_in_tasks
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.evaluated_models import read_scores
from genre_spark.pipelines.evaluation.explained_models import (
    FAMILIES,
    Explainable,
    ModelOpener,
    NothingToExplain,
)
from genre_spark.pipelines.stage import StageResult, require_models, stage
from genre_spark.schemas import IMPORTANCES_SCHEMA
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.storage.files import fingerprint, read_json, write_json
from genre_spark.storage.tables import Table, read_manifest
from genre_spark.tracking import TrackedRun, find_model_run

__all__ = ["run"]

logger = logging.getLogger("genre_spark")
_VERSION = 1  # of what is written: tables of an older one are written again
_NETWORK = "cnn"
_SHOWN = 4  # blocks per model in the terminal


def _depends_on(config: Config) -> list[object]:
    settings, tables = _settings(config), Catalogue(config)
    require_models(config)
    manifest = tables.evaluation.manifest()
    _chosen_models(settings, list(manifest.details["models"]))
    found = [read_manifest(table.path) for table in (tables.features, tables.samples("validation"))]
    read = [None if one is None else one.fingerprint for one in found]
    return [_VERSION, manifest.fingerprint, settings.model_dump(mode="json"), read]


@dataclass(frozen=True)
class _Explanations:
    """What the stage writes: a table for each model that could be explained, and their list."""

    config: Config

    @property
    def path(self) -> str:
        """The file that lists the models and their tables."""
        return self.config.paths.table("importances", "explained.json")

    def is_whole(self) -> bool:
        """Return whether the list and all of its tables are there."""
        done = read_json(self.path)
        return done is not None and all(table.is_whole() for table in self._tables())

    def damage(self, *, full: bool = False) -> list[str]:
        """Return a sentence per file of a table that is not what was written."""
        return [flaw for table in self._tables() for flaw in table.damage(full=full)]

    def _tables(self) -> list[Table]:
        listed = (read_json(self.path) or {}).get("families", {})
        return [_table(self.config, name, family) for name, family in listed.items()]


def _table(config: Config, name: str, family: str) -> Table:
    """Return the table of what is found about a model."""
    tables = Catalogue(config)
    return tables.heat_maps(name) if family == _NETWORK else tables.importances(name)


@stage(depends_on=_depends_on, outputs=lambda config: [_Explanations(config)], logs_metrics=False)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Explain every evaluated model, into its own run and a table; finished ones are kept.

    Counts: models that were explained, and those of them that had been before.
    """
    settings, tables = _settings(config), Catalogue(config)
    details = tables.evaluation.manifest().details
    scores = read_scores(config)
    runs = details.get("runs", {})  # an older evaluation table has none
    calibration = str(details.get("calibration", "none"))
    opener = ModelOpener(spark, config, settings, calibration=calibration)
    outputs: dict[str, str] = {}
    families: dict[str, str] = {}
    notes: list[str] = []
    kept = 0
    for name in _chosen_models(settings, list(details["models"])):
        job = _Job(name, _family(config, name), _thresholds(config, scores, name), calibration)
        if job.family == _NETWORK and not settings.posters:
            continue
        table = _table(config, name, job.family)
        digest = job.digest(config, settings)
        if table.is_whole() and table.manifest().fingerprint == digest and not tracked.force:
            kept += 1
        else:
            logger.info("  %s: looking at what it looks at", name)
            model_run = find_model_run(tracked, runs.get(name, {}).get("run", ""), name=name)
            try:
                _explain(spark, config, opener, job, model_run, table=table, digest=digest)
            except NothingToExplain as error:
                notes.append(f"not explained: {error}")
                continue
        outputs[name], families[name] = table.path, job.family
    write_json(_Explanations(config).path, {"families": families})
    counts = {"models": len(outputs), "kept": kept}
    return StageResult(outputs=outputs, counts=counts, notes=tuple(notes), table=_format(outputs))


@dataclass(frozen=True)
class _Job:
    """A model that is to be explained.

    Attributes:
        name: of the model.
        family: multilabel, linear, stack, cnn, ...
        thresholds: of the rule that validation chose; one, or one per genre.
        calibration: of the evaluation; `none`, platt, ....
    """

    name: str
    family: str
    thresholds: tuple[float, ...]
    calibration: str

    def digest(self, config: Config, settings: ExplanationsConfig) -> str:
        """Return a digest of everything that the explanation depends on."""
        tables = Catalogue(config)
        read = [tables.predictions(self.name, split) for split in ("validation", "test")]
        if self.family in FAMILIES[:3]:
            read += [tables.features, tables.samples("validation")]
        fingerprints = [table.manifest().fingerprint for table in read]
        if self.family == _NETWORK:
            return fingerprint(_VERSION, settings.posters, fingerprints)
        chosen = settings.model_dump(mode="json", exclude={"models", "posters"})
        mine = [self.thresholds, self.calibration]
        return fingerprint(_VERSION, config.seed, chosen, mine, fingerprints)


def _settings(config: Config) -> ExplanationsConfig:
    if config.explanations is None:
        raise InvalidConfigError(
            "explanations: no such section, expected one (`explanations: {}` for its defaults)"
        )
    return config.explanations


def _chosen_models(settings: ExplanationsConfig, evaluated: list[str]) -> list[str]:
    """Return the models to explain.

    Raises:
        InvalidConfigError: one of those that the recipe names has not been evaluated.
    """
    wanted = evaluated if settings.models is None else list(settings.models)
    for name in wanted:
        if name not in evaluated:
            raise InvalidConfigError(
                f"explanations.models: {name!r}, expected some of the evaluated "
                f"{', '.join(evaluated)}"
            )
    return wanted


def _family(config: Config, name: str) -> str:
    details: Mapping[str, object] = Catalogue(config).predictions(name, "test").manifest().details
    return str(details.get("family", "other"))


def _thresholds(config: Config, scores: list[Score], name: str) -> tuple[float, ...]:
    mine = [candidate for candidate in gather_candidates(scores) if candidate.model == name]
    best = choose_best(mine, by=config.evaluation.best_by)
    genres = list(Catalogue(config).predictions(name, "test").manifest().details["vocabulary"])
    found = [] if best is None else thresholds_of(scores, best, genres)
    return tuple(found) or (config.evaluation.threshold,)


def _explain(
    spark: SparkSession,
    config: Config,
    opener: ModelOpener,
    job: _Job,
    model_run: TrackedRun | None,
    *,
    table: Table,
    digest: str,
) -> None:
    """Explain one model and write its table, which makes it finished.

    Raises:
        NothingToExplain: there is nothing to look into.
    """
    settings = _settings(config)
    if job.family == _NETWORK:
        from genre_spark.pipelines.evaluation.network_heat_maps import (  # noqa: PLC0415 - an extra
            explain_network,
        )

        maps = explain_network(spark, config, job.name, model_run, posters=settings.posters)
        table.write(maps, fingerprint=digest, partitions=1)
        return
    if job.family not in FAMILIES:
        raise NothingToExplain(f"{job.name} is of family {job.family}, into which nothing looks")
    opened = opener.open(job.name, job.family)
    found = _permute(spark, opened, settings, seed=config.seed, thresholds=job.thresholds)
    if model_run is not None:
        _log(model_run, found)
    mean = found.overall(found.group_drops, MICRO_F1)[0].tolist()
    table.write(
        frame_of_rows(spark, list(importance_rows(found)), IMPORTANCES_SCHEMA),
        fingerprint=digest,
        details={
            "rows": found.rows,
            "repeats": settings.repeats,
            "thresholds": list(job.thresholds),
            "blocks": dict(zip(found.groups, mean, strict=True)),
        },
        partitions=1,
    )


def _permute(
    spark: SparkSession,
    model: Explainable,
    settings: ExplanationsConfig,
    *,
    seed: int,
    thresholds: tuple[float, ...],
) -> Explained:
    """Measure what a model loses without its groups and without single inputs."""
    rows = model.rows
    baseline = measure_baseline(model.score, rows.inputs, rows.labels, thresholds=thresholds)
    looks = model.impurity
    if looks is None:
        looks = correlate_inputs(rows.inputs, baseline.probabilities)
        read = set().union(*(columns.tolist() for columns in model.groups.values()))
        looks[:, [place for place in range(looks.shape[1]) if place not in read]] = 0.0
    chosen = choose_inputs(looks, settings.features)
    units = [Unit(f"block {name}", columns) for name, columns in model.groups.items()]
    units += [Unit(": ".join(model.names[place]), chosen[[k]]) for k, place in enumerate(chosen)]
    drops = permute_in_tasks(
        spark, model.score, baseline, units, repeats=settings.repeats, seed=seed
    )
    count = len(model.groups)
    return Explained(
        model=model.name,
        labels=model.labels,
        groups=tuple(model.groups),
        sizes=tuple(len(columns) for columns in model.groups.values()),
        group_drops=drops[:count],
        inputs=[model.names[place] for place in chosen],
        input_drops=drops[count:],
        first_look="correlation" if model.impurity is None else "impurity",
        looks=looks[:, chosen],
        values=baseline.values,
        support=rows.labels.sum(axis=0),
        rows=len(rows.labels),
    )


def _log(run: TrackedRun, found: Explained) -> None:
    """Log tables and pictures to a model's run; earlier ones are replaced."""
    run.log_table(group_table(found), "explanations/blocks.json")
    run.log_figure(draw_groups(found), "explanations/blocks.png")
    run.log_table(genre_table(found), "explanations/genres.json")
    if found.inputs:
        run.log_table(input_table(found), "explanations/features.json")
        run.log_figure(draw_inputs(found), "explanations/features.png")
        run.log_figure(draw_genres(found), "explanations/genres.png")


def _format(outputs: Mapping[str, str]) -> str:
    """Return per model the blocks that it loses most without, as text for a terminal."""
    lines = [["model", "what it loses in micro-F1 without a block"]]
    for name, path in outputs.items():
        manifest = read_manifest(path)
        blocks = {} if manifest is None else manifest.details.get("blocks", {})
        order = sorted(blocks.items(), key=lambda item: -item[1])[:_SHOWN]
        if order:
            lines.append([name, ", ".join(f"{block} {loss:.3f}" for block, loss in order)])
    return "\n".join(align_columns(lines, left=2)) if len(lines) > 1 else ""
