"""Write the golden models that are missing: `python tests/multilabel/make_golden.py [FOLDER]`.

tests/golden/multilabel-0.1 was written by version 0.1 with this file, tests/golden/multilabel by
the version that stores `genre_spark.multilabel.X` as the class of a stage.
"""

import sys
from pathlib import Path

import numpy as np
from pyspark.ml import Pipeline
from pyspark.ml.classification import NaiveBayes
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB

import genre_spark.multilabel as ml
from genre_spark.spark.session import spark_session
from tests.multilabel.tables import frame, logistic, matrices

GOLDEN_FOLDER = Path(__file__).parents[1] / "golden"
FOLDER = GOLDEN_FOLDER / "multilabel"
FOLDERS = [GOLDEN_FOLDER / "multilabel-0.1", FOLDER]
SMALL = RandomForestClassifier(n_estimators=2, max_depth=3)

# Functions, for a classifier of Spark ML needs a session.
GOLDEN = {
    "chain": lambda: ml.ClassifierChain(classifier=SMALL, seed=3),
    "powerset": lambda: ml.LabelPowerset(classifier=logistic(), seed=3),
    "native": lambda: ml.MultilabelRandomForest(classifier=SMALL, seed=3),
    "homer": lambda: ml.HOMER(classifier=SMALL, clusters=2, seed=3),
    "skops": lambda: ml.BinaryRelevance(classifier=GaussianNB(), seed=3, balanced=True),
    "rakel": lambda: ml.RAkEL(classifier=SMALL, labelsetSize=2, numModels=2, seed=3),
    "pruned": lambda: ml.EnsembleOfPrunedSets(classifier=logistic(), numModels=2, seed=3),
    "prior": lambda: ml.LabelPrior(seed=3, decision="cardinality"),
    "random": lambda: ml.RandomLabels(seed=3),
    "on_spark": lambda: ml.LabelPowerset(classifier=NaiveBayes(modelType="gaussian"), seed=3),
}


def stages():
    """Return an unfitted stage of every module of version 0.1, with values that are no defaults."""
    return [
        ml.BinaryRelevance(
            classifier=GaussianNB(), threshold=0.4, balanced=True, labelNames=[*"abcd"]
        ),
        ml.ClassifierChain(classifier=logistic(), order=[2, 0, 1, 3], parallelism=2),
        ml.EnsembleOfPrunedSets(classifier=SMALL, pruningThreshold=1, strategy="B", keep=1),
        ml.RAkEL(classifier=SMALL, overlapping=False, labelsetSize=2, scores="mean"),
        ml.HOMER(classifier=SMALL, clusters=2, handleInvalid="keep"),
        ml.MultilabelRandomForest(classifier=SMALL, weightCol="w"),
        ml.LabelPrior(decision="cardinality", probabilitiesCol="p"),
        ml.ThresholdTuner(rule="top", top=2, labelCardinality=1.5, neverEmpty=True),
    ]


def read_golden(folder, name):
    """Return what a stored model answered when it was written, (rows, labels)."""
    return np.loadtxt(folder / f"{name}.csv", delimiter=",")


def probabilities(data):
    """Return the probabilities of the rows, in the order of their ids."""
    rows = data.select("id", "probabilities").orderBy("id").collect()
    return np.array([row["probabilities"].toArray() for row in rows])


def main(folder: Path) -> None:
    with spark_session(
        app_name="golden models", master="local[1]", settings={"spark.ui.enabled": "false"}
    ) as spark:
        data = frame(spark, *matrices())

        def write(name, stage, answers=None):
            if not (folder / name).exists():
                stage.write().save(str(folder / name))
                if answers is not None:
                    np.savetxt(folder / f"{name}.csv", answers, fmt="%.17g", delimiter=",")

        for name, make in GOLDEN.items():
            if not (folder / name).exists():
                model = make().fit(data)
                write(name, model, probabilities(model.transform(data)))
        chain = ml.ClassifierChainModel.load(str(folder / "chain"))
        tuner = ml.ThresholdTuner(neverEmpty=True, predictionCol="tuned").fit(chain.transform(data))
        write("tuner", tuner, tuner.predict(read_golden(folder, "chain")))
        relevance = ml.BinaryRelevance(classifier=SMALL, seed=3, predictionCol="")
        fitted = Pipeline(stages=[relevance, ml.ThresholdTuner(rule="f1_micro")]).fit(data)
        write("fitted_pipeline", fitted, probabilities(fitted.transform(data)))
        write("pipeline", Pipeline(stages=stages()))
        grid = ParamGridBuilder().addGrid(relevance.threshold, [0.3, 0.5]).build()
        evaluator = ml.MultilabelEvaluator(metricName="hamming_loss", weightCol="w")
        search = CrossValidator(
            estimator=relevance, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2
        )
        write("search", search)
        for checksum in folder.rglob(".*.crc"):
            checksum.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else FOLDER)
