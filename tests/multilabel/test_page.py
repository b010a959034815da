"""What docs/multilabel.md shows can be pasted, and the package is imported alone."""

import re
import subprocess
import sys
from pathlib import Path

import genre_spark.multilabel as ml
from tests.multilabel.tables import ESTIMATORS, frame, matrices

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "multilabel.md"
OTHERS = [
    "cv2",
    "fsspec",
    "matplotlib",
    "mlflow",
    "optuna",
    "petastorm",
    "PIL",
    "psutil",
    "pydantic",
    "torch",
    "torchvision",
    "tqdm",
    "yaml",
    "genre_spark.config",
    "genre_spark.evaluation",
    "genre_spark.storage.files",
    "genre_spark.imaging",
    "genre_spark.pipelines",
    "genre_spark.posters",
    "genre_spark.sampling",
    "genre_spark.schemas",
    "genre_spark.storage.tables",
    "genre_spark.tracking",
    "genre_spark.transforms",
    "genre_spark.vision",
]
IMPORT = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {OTHERS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from genre_spark import multilabel
print(len(multilabel.__all__))
print(sorted(name for name in sys.modules if name in {OTHERS}))
"""


def test_the_page_can_be_pasted_and_shows_every_method(spark):
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    x, y = matrices(rows=40, labels=3)
    tables = (frame(spark, x, y, partitions=1).withColumnRenamed("w", "weight") for _ in range(3))
    names = dict(zip(("train", "validation", "test"), tables, strict=True))
    source = "\n".join(snippets).replace("n_estimators=100", "n_estimators=2")
    exec(compile(source, str(PAGE), "exec"), names)
    assert isinstance(names["forest_model"], ml.MultilabelRandomForestModel)
    assert "tuned" in names["decided"].columns
    assert len(names["first"]["prediction"]) == 3
    assert [name for name in ESTIMATORS if f"ml.{name}(" not in source] == []


def test_the_package_is_imported_without_the_others_and_what_they_need():
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(len(ml.__all__)), "[]"]
