"""Small training tables and the stages that the tests of all estimators go through."""

import numpy as np
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql.types import ArrayType, DoubleType, LongType, StructField, StructType
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier

import genre_spark.multilabel as ml
from genre_spark.multilabel.fitting.multilabel_trees import grow_trees
from genre_spark.multilabel.fitting.statistics import TrainingStatistics
from genre_spark.multilabel.fitting.training_data import TrainingMatrix
from genre_spark.multilabel.fitting.with_sklearn import fit_part
from genre_spark.multilabel.models.parts import FittedPart

LABELS = 4
SCHEMA = StructType(
    [
        StructField("id", LongType()),
        StructField("features", VectorUDT()),
        StructField("labels", ArrayType(DoubleType())),
        StructField("w", DoubleType()),
    ]
)


def matrices(rows=80, labels=LABELS, features=5, seed=0):
    """Return features and labels that depend on them."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(rows, features)), 3)
    y = (
        x @ rng.normal(size=(features, labels)) + rng.normal(size=(rows, labels)) * 0.3 > 0.3
    ).astype(float)
    return x, y


def frame(spark, x, y, partitions=2, weights=None):
    weights = np.ones(len(x)) if weights is None else weights
    rows = [
        (index, Vectors.dense(a), b.tolist(), float(w))
        for index, (a, b, w) in enumerate(zip(x, y, weights, strict=True))
    ]
    return spark.createDataFrame(rows, SCHEMA).repartition(partitions, "id")


def forest(trees=3):
    return RandomForestClassifier(n_estimators=trees, max_depth=4)


def logistic():
    return LogisticRegression(maxIter=3)


# name -> how to build it small; the contract test covers exactly the estimators that the package
# exports
ESTIMATORS = {
    "BinaryRelevance": lambda **k: ml.BinaryRelevance(classifier=forest(), **k),
    "ClassifierChain": lambda **k: ml.ClassifierChain(classifier=forest(), **k),
    "EnsembleOfClassifierChains": lambda **k: ml.EnsembleOfClassifierChains(
        classifier=forest(), numModels=2, **k
    ),
    "LabelPowerset": lambda **k: ml.LabelPowerset(classifier=forest(), **k),
    "RAkEL": lambda **k: ml.RAkEL(classifier=forest(), labelsetSize=2, numModels=3, **k),
    "PrunedSets": lambda **k: ml.PrunedSets(classifier=forest(), **k),
    "EnsembleOfPrunedSets": lambda **k: ml.EnsembleOfPrunedSets(
        classifier=forest(), numModels=2, **k
    ),
    "HOMER": lambda **k: ml.HOMER(classifier=forest(), clusters=2, **k),
    "MultilabelRandomForest": lambda **k: ml.MultilabelRandomForest(classifier=forest(), **k),
    "MostCommonLabelset": ml.MostCommonLabelset,
    "RandomLabels": ml.RandomLabels,
    "LabelPrior": ml.LabelPrior,
}
ON_SPARK = {
    "BinaryRelevance": lambda **k: ml.BinaryRelevance(classifier=logistic(), **k),
    "ClassifierChain": lambda **k: ml.ClassifierChain(classifier=logistic(), **k),
    "EnsembleOfClassifierChains": lambda **k: ml.EnsembleOfClassifierChains(
        classifier=logistic(), numModels=2, **k
    ),
    "LabelPowerset": lambda **k: ml.LabelPowerset(classifier=logistic(), **k),
    "RAkEL": lambda **k: ml.RAkEL(classifier=logistic(), labelsetSize=2, numModels=3, **k),
    "PrunedSets": lambda **k: ml.PrunedSets(classifier=logistic(), **k),
    "EnsembleOfPrunedSets": lambda **k: ml.EnsembleOfPrunedSets(
        classifier=logistic(), numModels=2, **k
    ),
    "HOMER": lambda **k: ml.HOMER(classifier=logistic(), clusters=2, **k),
}


def scored(data):
    """Return ids, probabilities and predictions in the order of the ids."""
    rows = data.select("id", "probabilities", "prediction").orderBy("id").collect()
    return np.array([r["probabilities"].toArray() for r in rows]), np.array(
        [r["prediction"].toArray() for r in rows]
    )


def fit_in_process(estimator, x, y, weights=None, matrix=None):
    """Make the fits of a local estimator here, by the code of its Spark tasks."""
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=float)
    statistics = TrainingStatistics(
        len(x), x.shape[1], y.shape[1], y.sum(axis=0), float(w.sum()), w @ y, lambda: y.T @ y
    )
    matrix = matrix or TrainingMatrix(
        x.astype(np.float32), y.astype(np.uint8), None if weights is None else w
    )
    classifier = estimator.getClassifier()
    if isinstance(estimator, ml.MultilabelRandomForest):
        scorer = grow_trees(classifier, matrix, range(classifier.n_estimators), estimator.getSeed())
        return estimator._finish([FittedPart(scorer)], {}, statistics)
    fits, structure = estimator._plan(statistics)
    return estimator._finish(
        [FittedPart(*fit_part(fit, matrix, classifier)) for fit in fits], structure, statistics
    )


class ShareOfPositives(ClassifierMixin, BaseEstimator):
    """A classifier from outside scikit-learn: answers with the share of each class in training."""

    def fit(self, x, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = counts / len(x)
        return self

    def predict_proba(self, x):
        return np.tile(self.shares_, (len(x), 1))


def readable_params(stage):
    """Return the values of all Params by name.

    A classifier as what prints of it, its copies being objects anew.
    """
    return {
        param.name: str(value) if param.name == "classifier" else value
        for param, value in stage.extractParamMap().items()
    }
