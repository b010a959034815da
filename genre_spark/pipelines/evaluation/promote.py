"""Stage promote: the challenger becomes the champion if it is better by more than noise."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError, InvalidInputError, StageFailedError
from genre_spark.evaluation.bootstrap import Bootstrap, Interval, paired_bootstrap
from genre_spark.evaluation.headline import SHORT_NAMES
from genre_spark.evaluation.passes.batch_sums import group_sums
from genre_spark.evaluation.passes.decisions import decide_labels
from genre_spark.evaluation.scores import SHOWN
from genre_spark.evaluation.verdict import describe_interval
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.calibrated import calibrated_validation
from genre_spark.pipelines.serving.known_movies import known_movies
from genre_spark.pipelines.serving.package_models import model_folder
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.storage.caching import cached
from genre_spark.storage.files import join, read_json
from genre_spark.tracking import (
    CHALLENGER,
    CHAMPION,
    RegisteredModel,
    RegisteredVersion,
    TrackedRun,
    describe_version,
    find_version,
    has_registry,
    make_champion,
    open_registered,
    roll_back,
)


def _depends_on(config: Config) -> list[object]:
    if not config.mlflow.registered_model:
        raise InvalidConfigError(
            "mlflow.registered_model: not set, expected the name of the registered model"
        )
    if config.promotion.rollback:
        return []
    return [Catalogue(config).samples("validation").manifest().fingerprint]


@stage(depends_on=_depends_on, outputs=lambda _: [], always=True)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Compare challenger and champion on the same validation movies, and promote the better one.

    Both are loaded from the registry and predict anew, from raw fields and posters, each under its
    own decision rule. Metrics: those of both, and the gain.
    """
    name = str(config.mlflow.registered_model)
    if not has_registry(tracked):
        raise StageFailedError(f"{name}: MLflow's server, which has its versions, is down")
    if config.promotion.rollback:
        return _roll_back(tracked, name)
    challenger, champion = (
        find_version(tracked, name, CHALLENGER),
        find_version(tracked, name, CHAMPION),
    )
    if challenger is None:
        raise InvalidInputError(
            f"{name}: no version has the alias {CHALLENGER}, expected one that "
            "`genre-spark compare` registered"
        )
    if champion is not None and champion.version == challenger.version:
        note = f"version {champion.version} of {name} is the champion already"
        return StageResult(notes=(note,), counts={"promoted": 0})
    found = _compare(spark, config, tracked, challenger, champion)
    return _decide(config, tracked, challenger, champion, found)


def _compare(
    spark: SparkSession,
    config: Config,
    tracked: TrackedRun,
    challenger: RegisteredVersion,
    champion: RegisteredVersion | None,
) -> Bootstrap:
    """Measure both on the validation movies."""
    genres = list(Catalogue(config).samples("validation").manifest().details["vocabulary"])
    versions = {CHALLENGER: challenger, CHAMPION: champion}
    models = {
        alias: open_registered(tracked, version)
        for alias, version in versions.items()
        if version is not None
    }
    with cached(known_movies(spark, config, "validation")) as movies:
        sums = {
            alias: group_sums(
                _unseen(spark, config, model) or model.predict(movies, genres), labels=len(genres)
            )
            for alias, model in models.items()
        }
    return paired_bootstrap(sums, seed=config.seed)


def _unseen(spark: SparkSession, config: Config, model: RegisteredModel) -> DataFrame | None:
    """Return predictions of validation by the folds that have not seen each movie.

    Stacks may be fitted on validation, and calibration is: their own predictions of these movies
    are too good.

    Returns:
        None for all other models, and for those that were not fitted in this work folder.
    """
    mine = model.description
    description = read_json(join(model_folder(config, mine.name), "movie_model.json"))
    known = (description or {}).get("version") == mine.version
    if not known or mine.part["kind"] not in ("stack", "calibrated"):
        return None
    predicted = Catalogue(config).predictions(mine.name, "validation").read(spark)
    if mine.part["kind"] == "calibrated":
        predicted = calibrated_validation(config, predicted)
    return predicted if mine.rule == "own" else decide_labels(predicted, thresholds=mine.thresholds)


def _decide(
    config: Config,
    tracked: TrackedRun,
    challenger: RegisteredVersion,
    champion: RegisteredVersion | None,
    found: Bootstrap,
) -> StageResult:
    """Promote the challenger or not, and write the verdict on its version."""
    by, dry = config.evaluation.best_by, config.promotion.dry_run
    gain = None if champion is None else found.gain(CHALLENGER, CHAMPION, by)
    better = gain is None or gain.is_positive
    words = _describe(config, challenger, champion, found, gain)
    figures = {
        f"{alias}/{short}": round(values[metric], 4)
        for alias, values in found.values.items()
        for metric, short in SHORT_NAMES.items()
    }
    if gain is not None:
        figures |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    if not dry:
        verdict = "promoted" if better else "kept as challenger"
        tags = {"verdict": verdict, "metric": SHORT_NAMES[by], "promotion_run": tracked.run_id}
        tags |= {name.replace("/", "_"): f"{value:.4f}" for name, value in figures.items()}
        describe_version(tracked, challenger, text=words, tags=tags)
        if better:
            make_champion(tracked, challenger)
    tracked.describe(words)
    promoted = better and not dry
    notes = [words, "dry run: nothing was changed"] if dry else [words]
    return StageResult(counts={"promoted": int(promoted)}, metrics=figures, notes=tuple(notes))


def _describe(
    config: Config,
    challenger: RegisteredVersion,
    champion: RegisteredVersion | None,
    found: Bootstrap,
    gain: Interval | None,
) -> str:
    by = config.evaluation.best_by
    rows = Catalogue(config).samples("validation").manifest().rows
    own = describe_interval(found.interval(CHALLENGER, by))
    start = f"Version {challenger.version} ({challenger.tags.get('model', '?')})"
    measured = f"{SHOWN[by]} {own} on {rows:,} validation movies"
    if champion is None or gain is None:
        return f"{start} is the first champion: {measured}."
    other = f"version {champion.version} ({champion.tags.get('model', '?')})"
    difference = describe_interval(gain, sign=True)
    if gain.is_positive:
        return f"{start} beats {other} by more than noise, {difference}: {measured}."
    short = f"It fell short by {-gain.low:.3f}: the whole interval has to lie above 0."
    return f"{start} does not beat {other}: {difference}, {measured}. {short}"


def _roll_back(tracked: TrackedRun, name: str) -> StageResult:
    before, now = roll_back(tracked, name)
    note = f"{name}: version {now.version} is the champion again, in place of {before.version}"
    describe_version(tracked, before, text=note, tags={"verdict": "rolled back"})
    return StageResult(notes=(note,), counts={"champion": int(now.version)})
