"""What docs/multilabel.md shows can be pasted."""

import re
from pathlib import Path

import genre_spark.multilabel as ml
from tests.multilabel.tables import ESTIMATORS, frame, matrices

PAGE = Path(__file__).parents[2] / "docs" / "multilabel.md"


def test_the_page_can_be_pasted_and_shows_every_method(spark):
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    x, y = matrices(rows=40, labels=3)
    tables = (frame(spark, x, y, partitions=1).withColumnRenamed("w", "weight") for _ in range(3))
    names = dict(zip(("train", "validation", "test"), tables, strict=True))
    source = "\n".join(snippets).replace("n_estimators=100", "n_estimators=2")
    exec(compile(source, str(PAGE), "exec"), names)
    assert isinstance(names["forest_model"], ml.MultilabelRandomForestModel)
    assert "tuned" in names["decided"].columns
    assert [name for name in ESTIMATORS if f"ml.{name}(" not in source] == []
