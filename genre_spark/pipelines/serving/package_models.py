"""Stage package-models: each evaluated model as a folder that takes movies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import MissingTableError
from genre_spark.evaluation.scores import (
    FIXED,
    NO_RULE,
    Candidate,
    Score,
    choose_best,
    gather_candidates,
)
from genre_spark.features.blocks import POSTER_EMBEDDING, TEXT_EMBEDDING, PosterForm
from genre_spark.features.specification import FeatureSpecification
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, require_models, stage
from genre_spark.schemas import LABELS, WEIGHT
from genre_spark.serving.package_description import ModelDescription, TextSource
from genre_spark.serving.packaging import package_model, stored_class
from genre_spark.storage.files import fingerprint, join, read_checked_json, write_checked_json
from genre_spark.storage.one_pass import read_rows
from genre_spark.tracking import TrackedRun
from genre_spark.tracking.movie_models import log_movie_model

__all__ = ["BEST", "best_model", "model_folder", "run"]

BEST = "best.json"
OWN_THRESHOLD = 0.5
_FEATURE_FAMILIES = ("multilabel",)


def model_folder(config: Config, name: str) -> str:
    """Return the folder of a packaged model."""
    return config.paths.table("movie_models", name)


def best_model(config: Config) -> str:
    """Return the name of the packaged model that was best on validation.

    Raises:
        MissingTableError: no model has been packaged yet.
    """
    path = model_folder(config, BEST)
    found = read_checked_json(path)
    if found is None:
        raise MissingTableError(
            f"{path}: no packaged model yet; expected the output of `genre-spark package-models`"
        )
    return str(found["model"])


def _depends_on(config: Config) -> list[object]:
    tables = Catalogue(config)
    require_models(config)
    return [
        tables.evaluation.manifest().fingerprint,
        config.evaluation.best_by,
        config.mlflow.log_movie_models,
    ]


@dataclass(frozen=True)
class _Packages:
    """What the stage writes."""

    config: Config

    @property
    def path(self) -> str:
        """The file that names the best package."""
        return model_folder(self.config, BEST)

    def is_whole(self) -> bool:
        """Return whether the last file of the stage is there."""
        return read_checked_json(self.path) is not None

    def damage(self, *, full: bool = False) -> list[str]:  # noqa: ARG002 - the record has them all
        """Return nothing: the stage's record lists the packages' files."""
        return []


@stage(depends_on=_depends_on, outputs=lambda config: [_Packages(config)])
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Package every model with its features and the decision rule that validation chose.

    Counts: models that were packaged.
    """
    tables = Catalogue(config)
    details = tables.evaluation.manifest().details
    scores = [Score(**row) for row in read_rows(tables.evaluation)]
    candidates = [c for c in gather_candidates(scores) if c.rule != NO_RULE]
    prior = label_prior(tables.samples("train").read(spark))
    calibration = str(details.get("calibration", "none"))
    outputs: dict[str, str] = {}
    notes: list[str] = []
    for name in details["models"]:
        mine = [candidate for candidate in candidates if candidate.model == name]
        chosen = choose_best(mine, by=config.evaluation.best_by)
        packager = _Packager(config, scores, prior=prior, calibration=calibration)
        packaged = chosen and packager.package(chosen)
        if not packaged:
            notes.append(f"{name} is not packaged: nothing takes movies for models of its family")
            continue
        outputs[name] = model_folder(config, name)
        training_run = str(details.get("runs", {}).get(name, {}).get("run", ""))
        if config.mlflow.log_movie_models and training_run:
            log_movie_model(tracked, training_run, outputs[name], packaged)
    best = choose_best([c for c in candidates if c.model in outputs], by=config.evaluation.best_by)
    if best is not None:
        version = ModelDescription.load(outputs[best.model]).version
        write_checked_json(model_folder(config, BEST), {"model": best.model, "version": version})
    return StageResult(outputs=outputs, counts={"models": len(outputs)}, notes=tuple(notes))


def label_prior(train: DataFrame) -> tuple[float, ...]:
    """Return the share of the movies that have each genre, (L,), in the population.

    Args:
        train: rows with labels and weights, which undo the bias of a balanced sample.
    """
    weighted = train.select(F.posexplode(LABELS).alias("label", "on"), F.col(WEIGHT))
    share = F.sum(F.col("on") * F.col(WEIGHT)) / F.sum(WEIGHT)
    rows = weighted.groupBy("label").agg(share.alias("share")).orderBy("label").collect()  # L rows
    return tuple(float(row["share"]) for row in rows)


class _Packager:
    """Packages models of one recipe."""

    def __init__(
        self,
        config: Config,
        scores: list[Score],
        *,
        prior: tuple[float, ...],
        calibration: str,
    ) -> None:
        self._config, self._scores = config, scores
        self._prior, self._calibration = prior, calibration
        self._files: dict[str, str] = {}
        self._reads_features = False

    def package(self, chosen: Candidate) -> ModelDescription | None:
        """Write the package of a model under the rule that was chosen, or return None."""
        part = self._part(chosen.model, chosen.family)
        if part is None:
            return None
        part = self._calibrated(chosen.model, part)
        config, tables = self._config, Catalogue(self._config)
        manifest = tables.predictions(chosen.model, "test").manifest()
        rule, thresholds = self._decision(chosen, list(manifest.details["vocabulary"]))
        specification, backbone, texts = self._features()
        version = fingerprint(
            manifest.fingerprint,
            self._calibration,
            rule,
            thresholds,
            part,
            None if specification is None else specification.digest,
        )
        names = PosterForm.__dataclass_fields__
        description = ModelDescription(
            name=chosen.model,
            version=version,
            vocabulary=tuple(manifest.details["vocabulary"]),
            rule=rule,
            thresholds=thresholds,
            prior=self._prior,
            part=part,
            posters=PosterForm(**{key: getattr(config.posters, key) for key in names}),
            texts=texts,
        )
        package_model(
            model_folder(config, chosen.model),
            description,
            files=self._files,
            features=specification,
            backbone=backbone,
        )
        return description

    def _part(self, name: str, family: str) -> dict[str, Any] | None:
        folder = self._config.paths.model(name)
        if family in _FEATURE_FAMILIES:
            self._reads_features = True
            self._files[f"parts/{name}"] = folder
            return {"kind": "multilabel", "folder": f"parts/{name}", "class": stored_class(folder)}
        if family == "linear":
            self._reads_features = True
            self._files[f"parts/{name}.npz"] = join(folder, "linear.npz")
            return {"kind": "linear", "file": f"parts/{name}.npz"}
        if family == "cnn":
            self._files[f"parts/{name}.pt"] = join(folder, "network.pt")
            return {"kind": "network", "file": f"parts/{name}.pt"}
        if family == "fused":
            self._reads_features = True
            self._files[f"parts/{name}.pt"] = join(folder, "fused.pt")
            return {"kind": "fused", "file": f"parts/{name}.pt"}
        if family == "stack":
            return self._stack(name, folder)
        return None

    def _calibrated(self, name: str, part: dict[str, Any]) -> dict[str, Any]:
        """Return the part with its calibration around it, where the evaluation has one."""
        if self._calibration == "none":
            return part
        file = Catalogue(self._config).calibration_file(name)
        self._files[f"parts/{name}.calibration.json"] = file
        return {"kind": "calibrated", "file": f"parts/{name}.calibration.json", "model": part}

    def _stack(self, name: str, folder: str) -> dict[str, Any] | None:
        parts = []
        for model in Catalogue(self._config).predictions(name, "test").manifest().details["models"]:
            details: Mapping[str, Any] = (
                Catalogue(self._config).predictions(model, "test").manifest().details
            )
            part = self._part(model, str(details.get("family")))
            if part is None:
                return None
            parts.append(part)
        self._files[f"parts/{name}.npz"] = join(folder, "stack.npz")
        return {"kind": "stack", "file": f"parts/{name}.npz", "models": parts}

    def _decision(self, chosen: Candidate, vocabulary: list[str]) -> tuple[str, tuple[float, ...]]:
        found = [
            score
            for score in self._scores
            if (score.model, score.rule, score.metric) == (chosen.model, chosen.rule, "threshold")
        ]
        named = {score.label: float(score.value or 0.0) for score in found}
        thresholds = (
            (named[None],) if None in named else tuple(named[label] for label in vocabulary)
        )
        own = chosen.rule == FIXED and thresholds == (OWN_THRESHOLD,)
        own = own and self._calibration == "none"
        return ("own" if own else chosen.rule), thresholds

    def _features(self) -> tuple[FeatureSpecification | None, str | None, TextSource | None]:
        if not self._reads_features:
            return None, None, None
        config = self._config
        specification = FeatureSpecification.load(config.paths.model("features"))
        backbone = texts = None
        if POSTER_EMBEDDING in specification.blocks:
            from genre_spark.pipelines.features.network_features import (  # noqa: PLC0415 - torch
                store_embedder,
            )

            backbone = store_embedder(config).file
        if TEXT_EMBEDDING in specification.blocks:
            settings = config.text_embeddings
            texts = TextSource(settings.model, tuple(settings.fields), settings.max_tokens)
        return specification, backbone, texts
