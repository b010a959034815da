"""The notebooks, run from top to bottom on small data; what is committed has no outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

pytestmark = pytest.mark.e2e

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))


def run_book(name: str, parameters: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a notebook with other parameters in its own folder; return the text that it printed."""
    for variable in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    book = nbformat.read(FOLDER / name, as_version=4)
    cell = next(cell for cell in book.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = parameters
    nbclient.NotebookClient(
        book, timeout=1700, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
    ).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pytest.mark.parametrize("file", BOOKS, ids=lambda file: file.name)
def test_a_notebook_is_committed_without_outputs(file) -> None:
    book = nbformat.read(file, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), (
                f"{file.name}: {cell.source[:60]}"
            )


@pytest.mark.timeout(1800)
@pytest.mark.slow
def test_the_quickstart_ends_with_a_table_of_all_models(tmp_path, monkeypatch) -> None:
    overrides = [
        "sample_data.movies=150",
        "spark.master=local[2]",
        "spark.settings={spark.driver.memory: 1g}",
        "posters.height=96",
        "posters.width=80",
        "features.text_words=50",
        "sampling.minimum_per_genre=3",
        "cnn.epochs=1",
        "cnn.batch_size=16",
        "multilabel.methods=[binary_relevance]",
        "multilabel.forest.trees=5",
    ]
    text = run_book(
        "quickstart.ipynb",
        f"recipe = '../conf/demo.yaml'\nwork = {str(tmp_path / 'work')!r}\noverrides = "
        f"{overrides!r}",
        monkeypatch,
    )
    for name in (
        "baseline_most_common",
        "baseline_random",
        "binary_relevance",
        "lenet",
        "best on validation",
        "mlflow ui",
    ):
        assert name in text


@pytest.mark.timeout(1800)
def test_the_multilabel_notebook_beats_the_most_common_labelset_with_every_method(
    monkeypatch,
) -> None:
    text = run_book("multilabel.ipynb", "rows = 400\ntrees = 10", monkeypatch)
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("method"))
    table = {
        line[:26].strip(): [float(value) for value in line[26:].split()]
        for line in lines[start + 1 : start + 8]
    }
    baseline = table.pop("most common labelset")
    assert len(table) == 6
    for name, (_, jaccard, _, f1_micro) in table.items():
        assert jaccard > baseline[1] and f1_micro > baseline[3], (name, table[name], baseline)
