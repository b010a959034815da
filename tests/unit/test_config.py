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
            "cnn.epochs: 'many', expected a whole number >= 1$",
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
        (
            {"paths": PATHS, "import_data": {"columns": {"id": "i", "genres": "g", "dat": "x"}}},
            "^import_data.columns.dat: unknown key; known here: actors, budget, .* votes$",
        ),
        (
            {"paths": PATHS, "multilabel": {"methods": ["foo"]}},
            "^multilabel.methods.0: 'foo', expected 'binary_relevance', .* or 'label_prior'$",
        ),
        (
            {"paths": PATHS, "sampling": {"minimum_per_genre": "lots"}},
            "^sampling.minimum_per_genre: 'lots', expected a whole number or names with values, "
            "such as {name: value}$",
        ),
        (
            {"paths": PATHS, "sampling": {"minimum_per_genre": {"Drama": "x"}}},
            "^sampling.minimum_per_genre.Drama: 'x', expected a whole number$",
        ),
        (
            {"paths": PATHS, "spark": {"serverless": "maybe"}},
            "^spark.serverless: 'maybe', expected 'auto' or true or false$",
        ),
        ({"paths": PATHS, "cnn": 3}, "^cnn: 3, expected a section with settings such as cnn.arch"),
        (
            {"paths": PATHS, "spark": {"master": "foo"}},
            r"^spark.master: 'foo', expected local\[\*\], .* or yarn$",
        ),
        ({"paths": PATHS, "spark": {"master": "local[x]"}}, r"^spark.master: 'local\[x\]', exp"),
        (
            {"paths": PATHS, "mlflow": {"tracking_uri": "foo://x"}},
            "^mlflow.tracking_uri: 'foo://x', expected an address that MLflow knows: https://host",
        ),
        ({"paths": PATHS, "cnn": None}, "^cnn: null, expected a section"),
        ({"paths": PATHS, "seed": 1e99}, r"^seed: 1e\+99, expected a whole number >= 0 and < 2147"),
        (
            {"paths": PATHS, "genres": {"vocabulary": "Drama"}},
            r"^genres.vocabulary: 'Drama', expected a list such as \[Drama\]$",
        ),
        (
            {"paths": PATHS, "search": {"learning_rate": [1]}},
            r"^search.learning_rate: \[1\], expected a list of 2 values$",
        ),
        (
            {"paths": PATHS, "stack": {"models": {"Fused!": ["one"]}}},
            "^stack: model 'Fused!', expected small letters, digits and underscores$",
        ),
        (
            {"paths": PATHS, "linear": {"models": {"a": {"blocks": {"words": -1}}}}},
            "^linear.models.a.blocks: words: -1.0, must be > 0; leave the block out instead$",
        ),
    ],
)
def test_a_mistake_is_told_with_its_path_and_what_was_expected(values: dict, message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        build_config(values)


@pytest.mark.parametrize(
    "master",
    [
        "local",
        "local[*]",
        "local[4]",
        "local[*,2]",
        "local-cluster[2,1,1024]",
        "yarn",
        "spark://a:7077,b:7077",
        "k8s://https://host:443",
    ],
)
def test_every_kind_of_master_is_taken(master: str) -> None:
    assert build_config({"paths": PATHS, "spark": {"master": master}}).spark.master == master


@pytest.mark.parametrize(
    "uri",
    [
        "http://host:5000",
        "sqlite:///a.db",
        "postgresql+psycopg2://u@host/db",
        "file:/x",
        "runs",
        "databricks",
        "databricks://profile",
    ],
)
def test_every_kind_of_mlflow_store_is_taken(uri: str) -> None:
    config = build_config({"paths": PATHS, "mlflow": {"tracking_uri": uri}})
    assert config.mlflow.tracking_uri == uri


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
    ("text", "message"),
    [
        ("", ": paths: missing, expected a value"),
        ("- 1", ": a list, expected sections such as `paths:`"),
        (
            "a: [1,\n  2",
            ", line 2: not valid YAML: expected ',' or ']', but got the end of the file",
        ),
        (
            "a:\n\t- b",
            ", line 2: not valid YAML: found character '\\t' that cannot start any token",
        ),
        ("a: \x07", ", line 1: not valid YAML: the character '\\x07' is not allowed"),
        ("a: 2020-13-45", ": not valid YAML: month must be in 1..12"),
        (
            "cnn: {epochs: 3}\nseed: 7\ncnn: {batch_size: 4}",
            ", line 3: cnn is there already in line 1, expected each key once",
        ),
        (
            "cnn:\n  epochs: 3\n  epochs: 4",
            ", line 3: cnn.epochs is there already in line 2, expected each key once",
        ),
    ],
)
def test_a_file_that_is_no_recipe_is_told(tmp_path: Path, text: str, message: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(text)
    with pytest.raises(InvalidConfigError) as caught:
        load_config(recipe)
    assert str(caught.value) == f"{recipe}{message}"


def test_a_recipe_in_another_encoding_is_told(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_bytes("seed: 7\n# Am\u00e9lie\n".encode("latin-1"))
    with pytest.raises(InvalidConfigError, match="line 2 is not UTF-8, expected a YAML file in UT"):
        load_config(recipe)


def test_keys_of_yaml_anchors_may_be_given_again(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "paths: {genres_csv: g, posters: p, metadata: m, work: w}\n"
        "linear:\n  models:\n    a: &a {penalty: 2, blocks: {words: 1}}\n"
        "    b: {<<: *a, penalty: 3}\n"
    )
    models = load_config(recipe).linear.models
    assert (models["a"].penalty, models["b"].penalty) == (2, 3)
    assert models["b"].blocks == {"words": 1}


def test_a_mistake_names_the_recipe_and_the_line_where_it_comes_from_there(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "paths: {genres_csv: g, posters: p, metadata: m, work: w}\ncnn:\n  epochs: many\n"
    )
    with pytest.raises(InvalidConfigError) as caught:
        load_config(recipe, ["cnn.batch_size=few", "explore.words=3"])
    found = str(caught.value).splitlines()
    assert found[0].startswith("explore.words: unknown key")
    assert found[1] == f"{recipe}, line 3: cnn.epochs: 'many', expected a whole number >= 1"
    assert found[2] == "cnn.batch_size: 'few', expected a whole number >= 1"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=[", "seed: '[': not valid YAML: expected the node content, but found the end"),
        (
            "cnn={epochs: 1, epochs: 2}",
            "cnn: '{epochs: 1, epochs: 2}': epochs is there already, expected each key once",
        ),
    ],
)
def test_an_override_that_is_no_yaml_is_told(tmp_path: Path, word: str, message: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("paths: {genres_csv: g, posters: p, metadata: m, work: w}\n")
    with pytest.raises(InvalidConfigError) as caught:
        load_config(recipe, [word])
    assert str(caught.value) == message


def test_a_recipe_that_is_not_there_is_told() -> None:
    with pytest.raises(InvalidConfigError, match=r"no-such\.yaml.*expected a YAML file"):
        load_config("no-such.yaml")
