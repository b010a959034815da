"""Stored stages: those of version 0.1 and of this one load, answer as before, and no others do."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyspark
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.tuning import CrossValidator
from sklearn.neighbors import KNeighborsClassifier

import genre_spark.multilabel as ml
from genre_spark.errors import InvalidInputError
from tests.multilabel.make_golden import (
    FOLDER,
    FOLDERS,
    GOLDEN,
    probabilities,
    read_golden,
    stages,
)
from tests.multilabel.tables import forest, frame, matrices

EVERY_FOLDER = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
CHAIN = FOLDER / "chain"


@pytest.fixture(scope="module")
def data(spark):
    return frame(spark, *matrices())


def stored_class(folder: Path) -> str:
    (text,) = (folder / "metadata").glob("part-*")
    return json.loads(text.read_text())["class"]


def params_by_name(stage):
    """Return the values of all Params by name, of a classifier its type."""
    return {
        param.name: type(value).__name__ if param.name == "classifier" else value
        for param, value in stage.extractParamMap().items()
    }


@EVERY_FOLDER
@pytest.mark.parametrize("name", GOLDEN)
def test_a_stored_model_gives_the_scores_of_the_version_that_stored_it(spark, data, folder, name):
    kind = GOLDEN[name]().model_class
    model = kind.load(str(folder / name))
    assert type(model) is kind
    found = probabilities(model.transform(data))
    assert found == pytest.approx(read_golden(folder, name), abs=1e-12)


@EVERY_FOLDER
@pytest.mark.parametrize("name", [name for name in GOLDEN if name != "on_spark"])
def test_a_stored_model_gives_the_same_scores_without_spark(spark, folder, name):
    model = GOLDEN[name]().model_class.loadLocal(str(folder / name))
    found = model.predict_proba(pd.DataFrame(matrices()[0]))
    assert found == pytest.approx(read_golden(folder, name), abs=1e-12)


@pytest.mark.parametrize("name", [*GOLDEN, "fitted_pipeline", "tuner"])
def test_fits_of_this_version_answer_as_those_of_version_0_1_did(name):
    first, *others = (read_golden(folder, name) for folder in FOLDERS)
    for other in others:
        assert other == pytest.approx(first, abs=1e-12)


@EVERY_FOLDER
def test_a_stored_tuner_decides_as_before(spark, folder):
    model = ml.ThresholdTunerModel.load(str(folder / "tuner"))
    assert (model.predict(read_golden(folder, "chain")) == read_golden(folder, "tuner")).all()


@EVERY_FOLDER
def test_a_stored_pipeline_has_its_stages_with_all_their_params(spark, folder):
    found = Pipeline.load(str(folder / "pipeline")).getStages()
    assert [type(stage) for stage in found] == [type(stage) for stage in stages()]
    assert [params_by_name(stage) for stage in found] == [params_by_name(s) for s in stages()]
    assert found[1].getClassifier().getMaxIter() == 3
    assert found[2].getClassifier().get_params() == stages()[2].getClassifier().get_params()


@EVERY_FOLDER
def test_a_stored_fitted_pipeline_gives_the_same_scores(spark, data, folder):
    model = PipelineModel.load(str(folder / "fitted_pipeline"))
    assert [type(s) for s in model.stages] == [ml.BinaryRelevanceModel, ml.ThresholdTunerModel]
    found = probabilities(model.transform(data))
    assert found == pytest.approx(read_golden(folder, "fitted_pipeline"), abs=1e-12)


@pytest.mark.skipif(
    tuple(map(int, pyspark.__version__.split(".")[:2])) >= (4, 1),
    reason="PySpark 4.1 and newer cannot read the grid of any search that 4.0 stored",
)
@EVERY_FOLDER
def test_a_stored_search_has_its_estimator_grid_and_evaluator(spark, folder):
    search = CrossValidator.load(str(folder / "search"))
    assert type(search.getEstimator()) is ml.BinaryRelevance
    assert [list(one.values()) for one in search.getEstimatorParamMaps()] == [[0.3], [0.5]]
    evaluator = search.getEvaluator()
    assert type(evaluator) is ml.MultilabelEvaluator
    assert (evaluator.getMetricName(), evaluator.getWeightCol()) == ("hamming_loss", "w")


@pytest.mark.parametrize(
    "stage",
    [ml.RAkEL, ml.LabelPrior, ml.ThresholdTuner, ml.ThresholdTunerModel, ml.MultilabelEvaluator],
)
def test_stages_are_stored_as_classes_of_the_package_not_of_its_modules(spark, tmp_path, stage):
    stage().write().save(str(tmp_path / "stage"))
    assert stored_class(tmp_path / "stage") == f"genre_spark.multilabel.{stage.__name__}"


@pytest.mark.parametrize("name", [*GOLDEN, "tuner"])
def test_models_are_stored_as_classes_of_the_package_and_were_as_those_of_modules(name):
    old, new = (stored_class(folder / name) for folder in FOLDERS)
    assert new.startswith("genre_spark.multilabel.")
    assert len(new.split(".")) == 3
    assert len(old.split(".")) == 4
    assert new.split(".")[-1] == old.split(".")[-1]


def test_every_public_class_names_the_package_as_its_module():
    assert {getattr(ml, name).__module__ for name in ml.__all__} == {"genre_spark.multilabel"}


@EVERY_FOLDER
@pytest.mark.parametrize(
    ("stored", "reader"),
    [
        ("chain", ml.HOMERModel),
        ("chain", ml.ThresholdTunerModel),
        ("tuner", ml.ClassifierChainModel),
        ("tuner", ml.MultilabelEvaluator),
        ("pipeline", ml.ThresholdTuner),
        ("pipeline", ml.BinaryRelevance),
    ],
)
def test_a_stored_stage_of_another_class_is_rejected(spark, folder, stored, reader):
    path = str(folder / stored)
    expected = f"{stored}: holds a .*, expected a genre_spark.multilabel.{reader.__name__}$"
    with pytest.raises(InvalidInputError, match=expected):
        reader.load(path)


def test_a_class_of_the_same_name_from_elsewhere_is_rejected(spark, tmp_path):
    shutil.copytree(CHAIN, tmp_path / "chain")
    (text,) = (tmp_path / "chain" / "metadata").glob("part-*")
    text.write_text(text.read_text().replace("genre_spark.multilabel.", "somewhere.else."))
    with pytest.raises(InvalidInputError, match=r"holds a somewhere\.else\.ClassifierChainModel"):
        ml.ClassifierChainModel.loadLocal(str(tmp_path / "chain"))


def test_a_stored_model_of_another_format_is_rejected(spark, tmp_path):
    shutil.copytree(CHAIN, tmp_path / "chain")
    (text,) = (tmp_path / "chain" / "metadata").glob("part-*")
    text.write_text(text.read_text().replace('"format":1', '"format":9'))
    for load in (ml.ClassifierChainModel.load, ml.ClassifierChainModel.loadLocal):
        with pytest.raises(InvalidInputError, match="stored in format 9, expected 1"):
            load(str(tmp_path / "chain"))


def test_a_folder_without_a_model_is_rejected(tmp_path):
    with pytest.raises(InvalidInputError, match="no stored model, expected a folder with metadata"):
        ml.HOMERModel.loadLocal(str(tmp_path))


def test_other_scikit_learn_classifiers_are_stored_and_loaded(spark, tmp_path):
    x, y = matrices(rows=40)
    model = ml.ClassifierChain(classifier=KNeighborsClassifier(3)).fit(frame(spark, x, y))
    model.write().save(str(tmp_path / "model"))
    loaded = ml.ClassifierChainModel.load(str(tmp_path / "model"))
    assert (loaded.predict_proba(x) == model.predict_proba(x)).all()


def test_a_stored_model_is_loaded_and_scores_without_java(spark, tmp_path):
    x, y = matrices(rows=30)
    model = ml.BinaryRelevance(classifier=forest(), threshold=0.3).fit(frame(spark, x, y))
    model.write().save(str(tmp_path / "model"))
    np.save(tmp_path / "x.npy", x)
    program = (
        "import sys, numpy as np, pandas as pd\n"
        "from genre_spark.multilabel import BinaryRelevanceModel\n"
        "model = BinaryRelevanceModel.loadLocal(sys.argv[1] + '/model')\n"
        "x = np.load(sys.argv[1] + '/x.npy')\n"
        "np.save(sys.argv[1] + '/p.npy', model.predict_proba(pd.DataFrame(x)))\n"
        "assert model.getThreshold() == 0.3 and model.predict(x[0]).shape == (1, 4)\n"
    )
    # no Java is to be found in this process
    root = str(Path(__file__).parents[2])
    environment = {"PATH": "", "JAVA_HOME": "/nowhere", "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=environment)
    assert (np.load(tmp_path / "p.npy") == model.predict_proba(x)).all()
