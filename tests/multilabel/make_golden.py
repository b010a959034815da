"""Write the golden models of tests/golden/multilabel: only for a new storage format, beside the old ones."""

import shutil
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

import genre_spark.multilabel as ml
from genre_spark.session import spark_session
from tests.multilabel.tables import frame, logistic, matrices

FOLDER = Path(__file__).parents[1] / "golden" / "multilabel"


def main() -> None:
    x, y = matrices()
    small = RandomForestClassifier(n_estimators=2, max_depth=3)
    with spark_session(app_name="golden models", master="local[1]", settings={"spark.ui.enabled": "false"}) as spark:
        data = frame(spark, x, y)
        for name, estimator in (
            ("chain", ml.ClassifierChain(classifier=small, seed=3)),
            ("powerset", ml.LabelPowerset(classifier=logistic(), seed=3)),
        ):
            model = estimator.fit(data)
            shutil.rmtree(FOLDER / name, ignore_errors=True)
            model.write().save(str(FOLDER / name))
            np.savetxt(FOLDER / f"{name}.csv", model.predict_proba(x), fmt="%.17g", delimiter=",")
        for checksum in FOLDER.rglob(".*.crc"):
            checksum.unlink()


if __name__ == "__main__":
    main()
