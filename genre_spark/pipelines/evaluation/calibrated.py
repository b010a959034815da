"""A model's predictions with probabilities that mean what they say."""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import DataFrame

from genre_spark.config import Config
from genre_spark.fusion.calibration.calibrators import Kind
from genre_spark.fusion.calibration.tables import CalibratedModel, calibrate, fit_calibration
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.measuring.model_evaluation import PredictedModel
from genre_spark.schemas import MOVIE_ID, WEIGHT
from genre_spark.storage.files import whole_file

__all__ = ["calibrated", "calibrated_validation"]


def calibrated(config: Config, model: PredictedModel) -> PredictedModel:
    """Return the model with calibrated predictions, and save the curves.

    Validation is calibrated in folds, so that thresholds fitted on it hold for new movies; a
    balanced sample's bias is undone by its weights.
    """
    kind = config.evaluation.calibration
    if kind == "none":
        return model
    found = _fit(config, model.predictions["validation"], kind)
    with whole_file(Catalogue(config).calibration_file(model.name)) as file:
        file.write(found.whole.to_json().encode())
    predictions = {
        split: calibrate(rows, found, fitted_rows=split == "validation")
        for split, rows in model.predictions.items()
    }
    return replace(model, predictions=predictions, tables={})


def calibrated_validation(config: Config, validation: DataFrame) -> DataFrame:
    """Return a model's predictions of validation, calibrated by folds that have not seen them."""
    kind = config.evaluation.calibration
    if kind == "none":
        return validation
    return calibrate(validation, _fit(config, validation, kind), fitted_rows=True)


def _fit(config: Config, validation: DataFrame, kind: Kind) -> CalibratedModel:
    sample = Catalogue(config).samples("validation")
    if sample.is_whole():
        weights = sample.read(validation.sparkSession).select(MOVIE_ID, WEIGHT)
        validation = validation.join(weights, MOVIE_ID)
    return fit_calibration(validation, kind, seed=config.seed)
