"""Recipes: every shipped one loads; a mistake is reported with its dotted path."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_spark.config import build_config, load_config
from genre_spark.errors import InvalidConfigError

ROOT = Path(__file__).resolve().parents[2]
PATHS = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": "w"}


@pytest.mark.parametrize(
    "recipe", sorted((ROOT / "conf").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_shipped_recipe_loads(recipe: Path) -> None:
    assert load_config(recipe).paths.work


@pytest.mark.parametrize(
    "recipe", sorted((ROOT / "conf").glob("*.yaml")), ids=lambda path: path.name
)
def test_no_path_of_a_shipped_recipe_swallows_its_comment(recipe: Path) -> None:
    """YAML needs a blank before `#`; without one the comment becomes a part of the path."""
    config = load_config(recipe)
    paths = [*config.paths.model_dump().values(), config.spark.conf_file]
    assert not [
        path for path in paths if path is not None and ("#" in path or path.strip() != path)
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "paths: missing, expected a value"),
        (
            {"paths": PATHS, "split": {"tst": 0.1}},
            "split.tst: unknown key; known here: .*test, validation",
        ),
        (
            {"paths": PATHS, "cnn": {"epochs": "many"}},
            "cnn.epochs: 'many', expected a valid integer",
        ),
        ({"paths": PATHS, "split": {"test": 1.5}}, "split.test: 1.5, expected less than 1"),
        (
            {"paths": PATHS, "sampling": {"minimum_per_genre": -1}},
            "sampling.minimum_per_genre: -1, expected .*>= 0",
        ),
        (
            {"paths": PATHS, "posters": {"encoding": "bmp"}},
            "posters.encoding: 'bmp', expected 'jpeg', 'png' or 'raw'",
        ),
        (
            {"paths": PATHS, "cnn": {"loss": "hinge"}},
            "cnn.loss: 'hinge', expected 'bce', 'bce_positive', 'asym.* 'bpmll'",
        ),
        (
            {"paths": PATHS, "cnn": {"optimizer": "lion"}},
            "cnn.optimizer: 'lion', expected 'sgd' or 'adamw'",
        ),
        (
            {"paths": PATHS, "cnn": {"loss": "bpmll", "label_weights": "balanced"}},
            "expected label_weights: none and negative_sampling: false with loss: bpmll",
        ),
        (
            {"paths": PATHS, "cnn": {"loss": "bpmll", "negative_sampling": True}},
            "negative_sampling: false with loss: bpm",
        ),
        (
            {"paths": PATHS, "cnn": {"loss": "bce_positive", "label_weights": "balanced"}},
            "expected loss: bce with label_weights: balanced",
        ),
        (
            {"paths": PATHS, "cnn": {"batch_size": 9, "distribution": {"processes": 2}}},
            "expected batch_size a multiple of distribution.processes, not 9 for 2",
        ),
        ({"paths": PATHS, "no_such_section": 1}, "no_such_section: unknown key"),
    ],
)
def test_a_mistake_is_told_with_its_path_and_what_was_expected(values: dict, message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        build_config(values)


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        build_config({"paths": PATHS, "cnn": {"epochs": 0, "batch_size": 0}})
    assert len(str(caught.value).splitlines()) == 2


def test_relative_paths_start_at_the_recipe_and_overrides_at_the_current_folder(
    tmp_path: Path, monkeypatch
) -> None:
    recipe = tmp_path / "conf" / "r.yaml"
    recipe.parent.mkdir()
    recipe.write_text(
        "paths: {genres_csv: ../g.csv, posters: s3a://bucket/p, metadata: m, work: ../w}\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    paths = load_config(recipe, ["paths.metadata=mine"]).paths
    assert paths.genres_csv == str(tmp_path / "g.csv")
    assert paths.posters == "s3a://bucket/p"
    assert paths.metadata == str(elsewhere / "mine")


def test_overrides_are_yaml_values_and_learning_rates_may_be_written_1e_minus_3(
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("paths: {genres_csv: g, posters: p, metadata: m, work: w}\n")
    words = [
        "cnn.learning_rate=1e-3",
        "multilabel.methods=[binary_relevance]",
        "sampling.total=null",
    ]
    config = load_config(recipe, words)
    assert config.cnn.learning_rate == 0.001
    assert config.multilabel.methods == ("binary_relevance",)
    assert config.sampling.total is None


@pytest.mark.parametrize("word", ["cnn.epochs", "=3", "epochs 3"])
def test_an_override_that_is_no_assignment_is_told(tmp_path: Path, word: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("paths: {genres_csv: g, posters: p, metadata: m, work: w}\n")
    with pytest.raises(InvalidConfigError, match="expected key=value"):
        load_config(recipe, [word])


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("- 1", "expected sections")]
)
def test_a_file_that_is_no_recipe_is_told(tmp_path: Path, text: str, message: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(text)
    with pytest.raises(InvalidConfigError, match=message):
        load_config(recipe)


def test_a_recipe_that_is_not_there_is_told() -> None:
    with pytest.raises(InvalidConfigError, match=r"no-such\.yaml.*expected a YAML file"):
        load_config("no-such.yaml")
