"""All stages in order, as one MLflow run with a child run per stage."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines.ahead import Ahead, start_early
from genre_spark.pipelines.ingestion.import_metadata import large_csvs
from genre_spark.pipelines.model_settings import check_models
from genre_spark.pipelines.seeds import list_steps, run_of_seed
from genre_spark.pipelines.stage import StageResult, git_commit
from genre_spark.pipelines.stage_list import STAGES, StageEntry
from genre_spark.sampling.splits import TRAIN
from genre_spark.storage.files import require_writable
from genre_spark.tracking import TrackedRun, open_run

__all__ = ["run", "run_stage", "stages_of"]

logger = logging.getLogger("genre_spark")

_IMPORT = "import-metadata"


def stages_of(config: Config) -> list[StageEntry]:
    """Return the stages that a whole run of this recipe has.

    Raises:
        InvalidConfigError: the recipe leaves none.
    """
    skipped = {
        *config.skip_stages,
        *(name for name, section in _sections(config).items() if section is None),
    }
    stages = [entry for entry in STAGES.values() if entry.in_run and entry.name not in skipped]
    if not stages:
        raise InvalidConfigError(
            f"skip_stages: {list(config.skip_stages)}, expected at least one stage to be left"
        )
    return stages


def run(
    session: Callable[[], SparkSession],
    config: Config,
    *,
    force: bool = False,
    announce: Callable[[StageEntry, int, int], None] | None = None,
) -> Iterator[StageResult]:
    """Run every stage in order and yield each result as it comes; finished stages are not repeated.

    With several seeds, what depends on the seed is run again for each of them before the models
    are compared, below an MLflow run of its own.

    Args:
        session: gives the session that all stages use; called when the first stage has something to
            do.
        config: the recipe.
        force: repeat finished stages too.
        announce: called with the stage, its number and the number of stages before each begins.

    Raises:
        UserError: an input is missing or cannot be used; those of every stage are looked at first,
            and the names of models.
    """
    entries = stages_of(config)
    checked = _check_inputs(entries, config)
    digest: str | None = checked
    require_writable(config.paths.work, "paths.work")
    started = time.monotonic()
    if force or not entries[0].load().stands(config, checked):
        start_early(session, config)
    ahead = Ahead(session, entries, config)
    with (
        closing(ahead),
        open_run(config, "pipeline", tags={"stage": "run", "git_commit": git_commit()}) as tracked,
    ):
        steps = list_steps(entries, config)
        for seed, part in groupby(steps, key=lambda step: step.config.seed):
            with run_of_seed(config, seed, tracked) as parent:
                for step in part:
                    if announce is not None:
                        announce(step.entry, step.number, len(steps))
                    result = step.entry.load().start(
                        ahead.session_of(step.entry),
                        step.config,
                        digest=digest,
                        parent=parent.run_id,
                        force=force,
                    )
                    if step.entry.name == "compare" and result.reused:
                        _restate(tracked, result)
                    yield step.name(result)
                    if step.entry.name == "sample":
                        _require_a_batch(entries, step.config, result)
                    digest = None  # the others depend on tables that this one may have written
        tracked.log_metrics({"seconds": round(time.monotonic() - started, 2)})


def run_stage(
    session: Callable[[], SparkSession],
    config: Config,
    entry: StageEntry,
    *,
    force: bool = False,
    announce: Callable[[StageEntry, int, int], None] | None = None,
) -> Iterator[StageResult]:
    """Run one stage, after the recipe's ingestion where it asks for that, and yield the results.

    Posters that are not there are left out.

    Args:
        session: gives the session that all stages use.
        config: the recipe.
        entry: the stage.
        force: repeat the stage, not the ingestion, even if nothing has changed.
        announce: called with the stage, its number and the number of stages before each begins.

    Raises:
        UserError: an input is missing or cannot be used.
    """
    before: list[StageEntry] = []
    if entry.ingests:
        before = [one for one in stages_of(config) if one.place.startswith("ingestion.")]
    entries = [*before, entry]
    for number, one in enumerate(entries, start=1):
        stage = one.load()
        try:
            digest = stage.check(config)
        except InvalidInputError as error:
            if one is entry or one.name != "prepare-posters":
                raise
            logger.warning("%s: left out: %s", one.name, error)
            continue
        if announce is not None:
            announce(one, number, len(entries))
        yield stage.start(session, config, digest=digest, force=force and one is entry)


def _sections(config: Config) -> dict[str, object]:
    """Return stage -> the section without which it is not part of a run.

    Metadata files are imported where one of them is large now.
    """
    collect = config.collect
    return {
        "make-sample": config.sample_data,
        "collect-tmdb": collect.tmdb,
        "collect-imdb": collect.imdb,
        "download-posters": collect.downloads,
        "import-data": None if config.paths.layout == "letterboxd" else config.import_data,
        _IMPORT: config.import_metadata if large_csvs(config) else None,
        "promote": config.promotion if config.promotion.in_run else None,
        "train-linear": config.linear,
        "train-fused": config.fused_network,
        "train-stack": config.stack,
        "explain-models": config.explanations,
    }


def _require_a_batch(entries: Sequence[StageEntry], config: Config, sample: StageResult) -> None:
    """Raise before the other models are trained what train-cnn would raise after them."""
    wanted = config.cnn.batch_size
    drawn = sample.counts[TRAIN]
    if drawn < wanted and any(entry.name == "train-cnn" for entry in entries):
        raise InvalidInputError(
            f"cnn.batch_size: {wanted}, expected at most {drawn:,.0f}, the number of movies that "
            "were drawn for training; or skip_stages=[train-cnn] for a run without a network"
        )


def _restate(tracked: TrackedRun, result: StageResult) -> None:
    """Say in a run that repeated nothing what an earlier one found, and which."""
    tracked.log_metrics(result.metrics)
    earlier = "Nothing that is compared has changed since an earlier run."
    tracked.describe("\n\n".join([earlier, *result.notes]))


def _check_inputs(entries: Sequence[StageEntry], config: Config) -> str:
    """Check names, what the first stage reads, and the user's files of the others.

    Returns the first stage's digest.
    """
    check_models(config, [entry.name for entry in entries])
    if config.multilabel.forest.backend == "spark":
        from genre_spark.pipelines.models.multilabel_methods import (  # noqa: PLC0415 - sklearn
            require_backend,
        )

        require_backend(config)
    digest = entries[0].load().check(config)
    others = {name: section for name, section in _sections(config).items() if name != _IMPORT}
    if not any(others.values()):  # else the files appear in the course of the run
        for entry in entries[1:]:
            entry.load().check_paths(config)
    return digest
