"""The notebooks: what is committed shows what a run gives, and they run on small data."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
SMALL = [
    "spark.settings={spark.driver.memory: 1g}",
    "spark.master=local[2]",
    "features.text_words=50",
    "sampling.minimum_per_genre=3",
    "multilabel.forest.trees=5",
    "cnn.batch_size=16",
]
PARAMETERS = {
    "quickstart": {
        "movies": 150,
        "epochs": 1,
        "more": [*SMALL, "posters.height=96", "posters.width=80"],
    },
    "your_data": {"movies": 300},
    "comparing": {"movies": 200, "more": SMALL},
    "posters": {"movies": 120, "network": "lenet", "more": SMALL},
}


def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_notebooks", ROOT / "tools/run_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_small(name: str, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> Any:
    """Run a notebook with other parameters in its own folder."""
    for variable in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    cell = next(cell for cell in book.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source += "\n" + "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    return runner().run_book(book, FOLDER)


def kinds(book: Any) -> list[Any]:
    """Return the kinds of outputs of each code cell: printed text, tables, pictures."""
    return [
        [(output.output_type, *sorted(output.get("data", {}))) for output in cell.outputs]
        for cell in book.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.parametrize("file", BOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_committed_with_small_outputs_in_the_order_of_its_cells(file) -> None:
    book = nbformat.read(file, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert file.stat().st_size < 300_000
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert str(ROOT) not in file.read_text(encoding="utf-8")


@pytest.mark.timeout(1800)
@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_notebook_gives_outputs_of_the_kinds_that_are_committed(
    name, tmp_path, monkeypatch
) -> None:
    found = run_small(name, monkeypatch, work=str(tmp_path / "work"), **PARAMETERS[name])
    assert kinds(found) == kinds(nbformat.read(FOLDER / f"{name}.ipynb", as_version=4))


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_the_estimators_notebook_beats_the_most_common_labelset_with_every_method(
    monkeypatch,
) -> None:
    found = run_small("multilabel", monkeypatch, rows=400, words=300)
    assert kinds(found) == kinds(nbformat.read(FOLDER / "multilabel.ipynb", as_version=4))
    (cell,) = [cell for cell in found.cells if cell.source.startswith("from sklearn.ensemble")]
    lines = cell.outputs[0].data["text/plain"].splitlines()[1:]
    table = {line[:22].strip(): [float(value) for value in line[22:].split()] for line in lines}
    baseline = table.pop("most common labelset")
    assert len(table) == 6
    for name, (_, jaccard, _, f1_micro) in table.items():
        assert jaccard > baseline[1] and f1_micro > baseline[3], (name, table[name], baseline)
