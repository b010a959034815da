"""A recipe with several seeds: what is repeated, what is shared, and what is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from genre_spark.config import LinearConfig
from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.headline import format_spreads, spread_over_seeds
from genre_spark.evaluation.scores import SHOWN, Candidate
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.run import run
from genre_spark.pipelines.seeds import seed_configs
from genre_spark.tracking import resolve_tracking_uri
from tests.fusion.test_linear_stage import recipe, write_movies

SKIPPED = ("prepare-posters", "train-multilabel", "train-cnn", "package-models")
MODELS = {"models": {"text": {"blocks": {"words": 1}}, "themes": {"blocks": {"themes": 1}}}}
STACK = {"models": {"fused": ["text", "themes"]}, "folds": 2}


def test_splits_and_models_are_made_per_seed_and_genres_once(spark, tmp_path) -> None:
    write_movies(tmp_path)
    config = recipe(tmp_path, seeds=2, skip_stages=SKIPPED, linear=MODELS, stack=STACK)
    results = {result.stage: result for result in run(lambda: spark, config)}
    (second,) = seed_configs(config)
    assert second.seed == config.seed + 1
    assert "train-linear (seed 8)" in results
    assert "group-genres (seed 8)" not in results
    assert not (Path(second.paths.work) / "genres").exists()
    test = [
        {row.movie_id for row in Catalogue(own).predictions("text", "test").read(spark).collect()}
        for own in (config, second)
    ]
    assert test[0] != test[1]
    table = results["compare"].table
    assert table.startswith("Means and standard deviations over 2 seeds")
    assert "±" in next(line for line in table.splitlines() if line.startswith("themes"))
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    named = {run.data.tags["mlflow.runName"]: run for run in runs}
    parents = {
        run.data.tags["mlflow.parentRunId"]
        for run in runs
        if run.data.tags["mlflow.runName"] == "text"
    }
    assert parents == {named["pipeline"].info.run_id, named["seed 8"].info.run_id}
    assert named["seed 8"].data.tags["mlflow.parentRunId"] == named["pipeline"].info.run_id
    assert any("f1_micro_seeds_sd" in run.data.metrics for run in runs)
    assert all(result.reused for result in run(lambda: spark, config))
    cnn = config.cnn.model_copy(update={"batch_size": 4096})
    few = config.model_copy(update={"skip_stages": ("prepare-posters",), "cnn": cnn})
    begun = list[str]()
    with pytest.raises(InvalidInputError, match=r"cnn\.batch_size: 4096, expected at most \d+"):
        list(run(lambda: spark, few, announce=lambda entry, *_: begun.append(entry.name)))
    assert begun[-1] == "sample", "before any model is trained"


def test_a_spread_is_the_mean_and_the_deviation_of_what_every_seed_has() -> None:
    def make(model: str, value: float) -> Candidate:
        metrics = dict.fromkeys(SHOWN, value)
        return Candidate(model, "linear", "m", "fixed", {"test": metrics})

    spreads = spread_over_seeds(
        [[make("a", 0.2), make("b", 0.5)], [make("a", 0.4), make("only here", 1.0)]]
    )
    assert [spread.candidate.model for spread in spreads] == ["a"]
    assert spreads[0].means["f1_micro"] == pytest.approx(0.3)
    assert spreads[0].deviations["f1_micro"] == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert "0.3000 ±0.1414*" in format_spreads(spreads)


def test_a_linear_model_that_reads_themes_has_a_twin_that_does_not() -> None:
    def models(**blocks):
        return LinearConfig(models={name: {"blocks": own} for name, own in blocks.items()}).models

    twin = models(everything={"words": 2, "themes": 1})["everything_without_themes"]
    assert twin.blocks == {"words": 2}
    assert set(models(both={"words": 2, "themes": 1}, text={"words": 1})) == {"both", "text"}
    assert set(models(themes={"themes": 1})) == {"themes"}
