"""Run the notebooks and keep what they show, so that a page shows it without running them.

    make notebooks                     # all of them, some minutes each
    make notebooks NOTEBOOKS=posters   # this one

Progress lines are left out, and folders of this machine become relative.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"


def run_book(book: NotebookNode, folder: Path = FOLDER, *, timeout: int = 1700) -> NotebookNode:
    """Run a notebook in a folder and return it with its outputs, those that a reader wants.

    Args:
        book: the notebook, which is changed.
        folder: where its relative paths start.
        timeout: seconds per cell.
    """
    options = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=timeout, kernel_name="python3", resources=options).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            shown = [clean(output) for output in cell.outputs if not is_progress(output)]
            cell.outputs = join_prints(shown)
    return book


def is_progress(output: NotebookNode) -> bool:
    """Return whether an output is of a stage's progress: standard error, or a line that is gone."""
    if output.output_type == "stream":
        return bool(output.name == "stderr")
    return output.output_type == "display_data" and output.data.get("text/html") == ""


def join_prints(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return outputs in which what was printed in turn is one: a kernel sends it as it comes."""
    joined: list[NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def clean(output: NotebookNode) -> NotebookNode:
    """Return an output without folders of this machine."""
    if output.output_type == "stream":
        output.text = output.text.replace(str(ROOT), "..")
    for kind, value in output.get("data", {}).items():
        if isinstance(value, str) and not kind.startswith("image/"):
            output.data[kind] = value.replace(str(ROOT), "..")
    return output


def main() -> int:
    """Run what is asked for, in place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="of notebooks, without .ipynb; all by default")
    options = parser.parse_args()
    for file in sorted(FOLDER.glob("*.ipynb")):
        if options.names and file.stem not in options.names:
            continue
        print(f"{file.name}: running", flush=True)
        nbformat.write(run_book(nbformat.read(file, as_version=4)), file)
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
