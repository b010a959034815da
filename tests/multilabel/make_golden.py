"""Write the golden models of tests/golden/multilabel that are not there: new ones, or all for a new storage format."""

from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB

import genre_spark.multilabel as ml
from genre_spark.session import spark_session
from tests.multilabel.tables import frame, logistic, matrices

FOLDER = Path(__file__).parents[1] / "golden" / "multilabel"
SMALL = RandomForestClassifier(n_estimators=2, max_depth=3)
GOLDEN = {
    "chain": ml.ClassifierChain(classifier=SMALL, seed=3),
    "powerset": ml.LabelPowerset(seed=3),
    "native": ml.MultilabelRandomForest(classifier=SMALL, seed=3),
    "homer": ml.HOMER(classifier=SMALL, clusters=2, seed=3),
    "skops": ml.BinaryRelevance(classifier=GaussianNB(), seed=3, balanced=True),
}


def read_golden(name):
    """Return what a stored model answered when it was written, (rows, labels)."""
    return np.loadtxt(FOLDER / f"{name}.csv", delimiter=",")


def main() -> None:
    x, y = matrices()
    with spark_session(
        app_name="golden models", master="local[1]", settings={"spark.ui.enabled": "false"}
    ) as spark:
        data = frame(spark, x, y)
        for name, estimator in GOLDEN.items():
            if (FOLDER / name).exists():
                continue
            if name == "powerset":
                estimator.setClassifier(logistic())  # a classifier of Spark needs the session
            model = estimator.fit(data)
            model.write().save(str(FOLDER / name))
            np.savetxt(FOLDER / f"{name}.csv", model.predict_proba(x), fmt="%.17g", delimiter=",")
        if not (FOLDER / "tuner").exists():
            chain = ml.ClassifierChainModel.load(str(FOLDER / "chain"))
            tuner = ml.ThresholdTuner(neverEmpty=True, predictionCol="tuned").fit(
                chain.transform(data)
            )
            tuner.write().save(str(FOLDER / "tuner"))
            np.savetxt(
                FOLDER / "tuner.csv", tuner.predict(read_golden("chain")), fmt="%g", delimiter=","
            )
        for checksum in FOLDER.rglob(".*.crc"):
            checksum.unlink()


if __name__ == "__main__":
    main()
