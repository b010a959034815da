"""The stage explain-models on a forest, a linear model, a stack, a network and a baseline."""

from __future__ import annotations

import numpy as np
import pytest
from mlflow import MlflowClient
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from sklearn.ensemble import RandomForestClassifier

import genre_spark.multilabel as ml
from genre_spark.config import build_config
from genre_spark.errors import InvalidConfigError
from genre_spark.features.blocks import CategoriesBlock, NumbersBlock, WordsBlock
from genre_spark.features.specification import FeatureSpecification
from genre_spark.fusion.block_scaling import fit_scales
from genre_spark.fusion.linear.model import fit_linear
from genre_spark.fusion.network.inputs import FusedInputs
from genre_spark.fusion.network.model import FusedModel
from genre_spark.fusion.stacks.stacking import Penalty, fit_stack, log_odds
from genre_spark.imaging import encode_pixels
from genre_spark.pipelines import explain_models
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation import network_heat_maps
from genre_spark.storage.files import join, whole_file
from genre_spark.tracking import model_run, open_run, resolve_tracking_uri
from genre_spark.vision.inference.network_file import save_network
from genre_spark.vision.models import build_network
from genre_spark.vision.models.fused import build_fused
from genre_spark.vision.plans.poster_form import PosterForm
from tests.multilabel.tables import fit_in_process
from tests.stored_rows import store_rows

GENRES = ["Comedy", "Drama", "War"]
WORDS = ("jokes", "tears", "soldiers", "film")
ROWS = 150
SPECIFICATION = FeatureSpecification(
    (
        NumbersBlock(("year",), (1990.0,)),
        CategoriesBlock("countries", ("UK", "USA")),
        WordsBlock(("description",), 1, (), WORDS, False, np.ones(len(WORDS))),
    ),
    training_movies=ROWS,
)
NO_KINDS = {"dense": (), "numbers": ()}
FAMILIES = {
    "multilabel_random_forest": "multilabel",
    "text": "linear",
    "both": "stack",
    "looker": "cnn",
    "label_prior": "multilabel",
    "parts": "fused",
}


def draw(seed):
    """Movies whose words name their genres, in most cases; years and countries know nothing."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((ROWS, 3)) < [0.4, 0.5, 0.15]).astype(float)
    told = labels * (rng.random(labels.shape) < 0.9)
    blind = [rng.integers(1950, 2020, ROWS), np.zeros(ROWS), *(rng.random((2, ROWS)) < 0.5)]
    return np.column_stack([*blind, told, np.ones(ROWS)]), labels


def config_of(folder, **explanations):
    paths = {"genres_csv": "g.csv", "posters": "p", "metadata": "m", "work": str(folder)}
    chosen = {"features": 6, "repeats": 3, "posters": 4, **explanations}
    return build_config({"paths": paths, "explanations": chosen})


def write_features(spark, config, features, *, partitions=1, fingerprint="features"):
    table = Catalogue(config).features
    rows = [(n, Vectors.sparse(len(v), {k: v[k] for k in np.flatnonzero(v)})) for n, v in features]
    table.write(
        spark.createDataFrame(rows, table.schema).repartition(partitions), fingerprint=fingerprint
    )


def write_sample(spark, config, split, labels, first=0):
    image = bytes(encode_pixels(np.zeros((20, 16, 3), np.uint8), encoding="png"))
    rows = [
        (first + n, bytearray(image), 20, 16, 3, "png", label.tolist(), 1.0)
        for n, label in enumerate(labels)
    ]
    table = Catalogue(config).samples(split)
    store_rows(table.path, table.schema, rows, fingerprint=split)


def write_predictions(spark, config, name, split, labels, odds, run_id, first=0):
    rows = [
        (first + n, labels[n].tolist(), odds[n].tolist(), (odds[n] >= 0.5).astype(float).tolist())
        for n in range(len(labels))
    ]
    details = {"vocabulary": GENRES, "family": FAMILIES[name], "method": name, "run_id": run_id}
    table = Catalogue(config).predictions(name, split)
    fingerprint = f"{name}-{split}"
    store_rows(table.path, table.schema, rows, fingerprint=fingerprint, details=details)


def write_models(spark, config, features, labels):
    """Train and store every model; return its probabilities of the validation movies."""
    forest = RandomForestClassifier(n_estimators=10, max_depth=6)
    fitted = fit_in_process(ml.MultilabelRandomForest(classifier=forest, seed=1), features, labels)
    fitted.write().save(config.paths.model("multilabel_random_forest"))
    prior = ml.LabelPriorModel(structure={"prior": [0.4, 0.5, 0.1]}, numLabels=3, numFeatures=8)
    prior.write().save(config.paths.model("label_prior"))
    places = SPECIFICATION.blocks
    linear = fit_linear(csr_matrix(features), labels, places, {"words": 1.0}, penalty=0.1)
    with whole_file(join(config.paths.model("text"), "linear.npz")) as file:
        file.write(linear.to_bytes())
    odds = {
        "multilabel_random_forest": fitted.predict_proba(features),
        "text": linear.probabilities(csr_matrix(features)),
    }
    noise = np.random.default_rng(4).random(labels.shape)
    inputs = log_odds([odds["text"], noise])
    penalty = Penalty(3.0, None)
    stack = fit_stack(inputs, labels, models=["text", "looker"], penalty=penalty)
    with whole_file(join(config.paths.model("both"), "stack.npz")) as file:
        file.write(stack.to_bytes())
    network = build_network("scratch_cnn_one", 3, 20, 16, seed=1)
    save_network(
        join(config.paths.model("looker"), "network.pt"), network, GENRES, PosterForm(20, 16)
    )
    parts = {"texts": ("words",), "places": ("countries",)}
    scales = fit_scales(csr_matrix(features), places, {"words": 1.0, "countries": 1.0}, **NO_KINDS)
    read_of = FusedInputs(parts, scales)
    fused = build_fused(read_of.sizes, 3, seed=1, hidden=4)
    saved = FusedModel(read_of, fused.eval(), tuple(GENRES))
    saved.save(join(config.paths.model("parts"), "fused.pt"))
    odds["parts"] = saved.probabilities(SPECIFICATION, csr_matrix(features))
    return {**odds, "both": stack.probabilities(inputs), "looker": noise, "label_prior": noise}


@pytest.fixture(scope="module")
def work(spark, tmp_path_factory):
    config = config_of(tmp_path_factory.mktemp("explained"))
    features, labels = draw(1)
    write_features(spark, config, list(enumerate(features)))
    SPECIFICATION.save(config.paths.model("features"))
    write_sample(spark, config, "validation", labels)
    write_sample(spark, config, "test", labels, first=1000)
    odds = write_models(spark, config, features, labels)
    runs = {}
    with open_run(config, "pipeline") as run:
        for name, family in FAMILIES.items():
            with model_run(run, name, family=family, method=name) as child:
                runs[name] = child.run_id
    for name in FAMILIES:
        for split, first in (("validation", 0), ("test", 1000)):
            write_predictions(spark, config, name, split, labels, odds[name], runs[name], first)
    table = Catalogue(config).evaluation
    start = ("validation", "f1_micro")
    rows = [
        (name, family, name, *start, metric, None, value)
        for name, family in FAMILIES.items()
        for metric, value in (("threshold", 0.4), ("f1_micro", 0.7))
    ]
    store_rows(
        table.path,
        table.schema,
        rows,
        fingerprint="evaluation",
        details={
            "models": sorted(FAMILIES),
            "vocabulary": GENRES,
            "runs": {name: {"run": run_id} for name, run_id in runs.items()},
        },
    )
    return config, features


@pytest.fixture(scope="module")
def killed(spark, work):
    """A first run that ends at the network, after the stack and before the others."""
    config, _ = work

    def end(*_arguments, **_settings):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(network_heat_maps, "explain_network", end)
        explain_models.run(spark, config)
    return read(spark, config, "both")


@pytest.fixture(scope="module")
def explained(spark, work, killed):
    config, _ = work
    return config, explain_models.run(spark, config)


def read(spark, config, name):
    table = Catalogue(config).importances(name)
    return [row.asDict() for row in table.read(spark).collect()]


def losses(rows, level, metric="average_precision"):
    """Return (block, feature or None) -> loss of each genre."""
    found = {}
    for row in rows:
        if (row["level"], row["metric"]) == (level, metric) and row["label"] is not None:
            key = row["block"] if level == "block" else row["feature"]
            found.setdefault(key, {})[row["label"]] = row["mean"]
    return found


def artifacts(config, name):
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    details = Catalogue(config).evaluation.manifest().details
    return {f.path for f in client.list_artifacts(details["runs"][name]["run"], "explanations")}


def test_a_killed_stage_goes_on_without_the_models_that_were_finished(spark, explained, killed):
    config, result = explained
    assert (result.counts["models"], result.counts["kept"]) == (5, 1)
    assert read(spark, config, "both") == killed
    assert explain_models.run(spark, config).reused


def test_what_cannot_be_explained_is_a_note(explained):
    _, result = explained
    assert result.notes == ("not explained: label_prior looks at no feature",)
    assert "label_prior" not in result.outputs


@pytest.mark.parametrize("name", ["multilabel_random_forest", "text"])
def test_the_word_that_names_a_genre_is_first_for_it_and_no_other(spark, explained, name):
    rows = read(spark, explained[0], name)
    single = losses(rows, "feature")
    for word, genre in zip(WORDS, GENRES, strict=False):
        assert max(single, key=lambda feature: single[feature][genre]) == word
        assert single[word][genre] > 0.2
        others = [value for label, value in single[word].items() if label != genre]
        assert max(map(abs, others)) < 0.05
    blocks = losses(rows, "block")
    assert min(blocks["words"].values()) > 0.2
    blind = [value for block in blocks if block != "words" for value in blocks[block].values()]
    assert max([*blind, 0.0]) < 0.05
    assert set(blocks) == ({"words"} if name == "text" else {"numbers", "countries", "words"})


def test_the_first_look_is_impurity_where_there_are_trees(spark, explained):
    kinds = {
        name: {row["metric"] for row in read(spark, explained[0], name)}
        for name in ("multilabel_random_forest", "text")
    }
    measured = {"average_precision", "f1", "f1_micro"}
    assert kinds["multilabel_random_forest"] == measured | {"impurity"}
    assert kinds["text"] == measured | {"correlation"}


def test_a_stack_looks_at_the_model_that_knows_something(spark, explained):
    rows = read(spark, explained[0], "both")
    blocks = losses(rows, "block")
    for genre in GENRES:
        assert blocks["text"][genre] > blocks["looker"][genre] + 0.2
    micro = {row["block"]: row["mean"] for row in rows if row["metric"] == "f1_micro"}
    assert set(micro) == {"text", "looker"}


def test_a_fused_network_is_asked_for_the_blocks_that_it_reads(spark, explained):
    blocks = losses(read(spark, explained[0], "parts"), "block")
    assert set(blocks) == {"words", "countries"}


def test_heat_maps_are_of_the_most_certain_posters(spark, explained):
    rows = Catalogue(explained[0]).heat_maps("looker").read(spark).collect()
    assert [row["right"] for row in rows] == [True, True, False, False]
    assert all(len(row["heat"]) == row["height"] * row["width"] for row in rows)
    predicted = Catalogue(explained[0]).predictions("looker", "test").read(spark)
    for row in rows:
        place = GENRES.index(row["label"])
        found = predicted.where(F.col("labels")[place] == float(row["right"]))
        best = found.agg(F.max(F.col("probabilities")[place])).first()[0]
        assert row["probability"] == pytest.approx(best)


def test_tables_and_pictures_are_in_the_models_own_runs(explained):
    config, _ = explained
    names = ("blocks.json", "blocks.png", "features.json", "features.png", "genres.json")
    expected = {f"explanations/{name}" for name in (*names, "genres.png")}
    for name in ("multilabel_random_forest", "text", "both"):
        assert artifacts(config, name) == expected
    expected = {"explanations/looks_right.png", "explanations/looks_wrong.png"}
    assert artifacts(config, "looker") == expected
    assert artifacts(config, "label_prior") == set()


def test_the_same_table_whatever_the_partitions_and_only_what_changed_is_done_again(
    spark, work, explained
):
    config, features = work
    before = {name: read(spark, config, name) for name in ("multilabel_random_forest", "text")}
    dealt = list(enumerate(features))[::-1]
    write_features(spark, config, dealt, partitions=5, fingerprint="dealt otherwise")
    result = explain_models.run(spark, config)
    assert (result.counts["models"], result.counts["kept"]) == (5, 2)
    assert {name: read(spark, config, name) for name in before} == before


def test_fewer_rows_are_drawn_where_the_recipe_says_so(spark, work, explained):
    config, _ = work
    fewer = config_of(config.paths.work, rows=40, models=["text"])
    assert explain_models.run(spark, fewer).counts["models"] == 1
    assert Catalogue(config).importances("text").manifest().details["rows"] == 40


def test_models_that_were_not_evaluated_and_a_missing_section_are_rejected(spark, work):
    config, _ = work
    with pytest.raises(InvalidConfigError, match=r"explanations.models: 'vgg', expected some of"):
        explain_models.run(spark, config_of(config.paths.work, models=["vgg"]))
    with pytest.raises(InvalidConfigError, match=r"explanations: no such section, expected one"):
        explain_models.run(spark, config.model_copy(update={"explanations": None}))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rows": 5}, r"explanations.rows: 5, expected .*10"),
        ({"repeats": 1}, r"explanations.repeats: 1, expected .*2"),
        ({"features": -1}, r"explanations.features: -1, expected .*0"),
        ({"posters": 1000}, r"explanations.posters: 1000, expected .*100"),
        ({"blocks": 1}, "explanations.blocks: unknown key"),
    ],
)
def test_settings_that_cannot_be_are_rejected(tmp_path, setting, message):
    with pytest.raises(InvalidConfigError, match=message):
        config_of(tmp_path, **setting)
