"""An error that ends a stage in a Python worker reaches the user as in this process."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from genre_spark import multilabel as ml
from genre_spark.config import load_config
from genre_spark.errors import InvalidInputError
from genre_spark.pipelines.stage import Stage, StageResult
from tests.multilabel.tables import forest, frame, matrices


def test_a_stage_that_scores_and_writes_a_bad_row_raises_its_error(
    spark: SparkSession, tmp_path: Path
) -> None:
    x, y = matrices(rows=20)
    model = ml.BinaryRelevance(classifier=forest()).fit(frame(spark, x, y))
    x[3, 1] = np.inf

    def body(spark, config, tracked):
        scored = model.transform(frame(spark, x, y))
        scored.write.parquet(f"{config.paths.work}/predictions")
        return StageResult()

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"paths: {{genres_csv: g, posters: p, metadata: m, work: {tmp_path}/work}}\n")
    stage = Stage(body, depends_on=lambda config: [], outputs=lambda config: [])
    with pytest.raises(InvalidInputError, match=r"^features: inf in feature 1, expected") as raised:
        stage(spark, load_config(recipe, []))
    text = "".join(traceback.format_exception(raised.value))
    assert [word for word in ("py4j", "Py4J", "org.apache.spark") if word in text] == []
