"""The wheel in an environment of its own, without the repository: its files, and a run."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("build")
pytest.importorskip("hatchling")

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    options = ["--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([sys.executable, "-m", "build", *options, str(ROOT)], check=True, timeout=300)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A virtual environment with the wheel; its dependencies are those of the running one."""
    folder = tmp_path_factory.mktemp("wheel") / "venv"
    venv.create(folder, symlinks=True)
    version = "python{}.{}".format(*sys.version_info[:2])
    packages = folder / "lib" / version / "site-packages"
    options = ["-q", "--no-deps", "--no-index", "--target", str(packages)]
    install = [sys.executable, "-m", "pip", "install", *options, str(wheel)]
    subprocess.run(install, check=True, timeout=300)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run_installed(environment: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `genre-spark` of the environment in a folder, as a user who has no repository."""
    names = ("PYTHONPATH", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "MLFLOW_TRACKING_URI")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [str(environment / "bin" / "python"), "-m", "genre_spark", *words],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_wheel_holds_recipes_jobs_notebooks_and_licence(wheel) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("conf", "jobs", "notebooks"):
        files = {file.name for file in (ROOT / folder).glob("*.*") if file.suffix != ".pyc"}
        assert {f"genre_spark/starter/{folder}/{name}" for name in files} <= set(names)
    assert "genre_spark/starter/conf/spark/local.conf" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]


def test_every_link_of_the_long_description_is_absolute(wheel) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
    text = archive.read(metadata).decode()
    targets = [part.partition(")")[0] for part in text.split("](")[1:]]
    assert targets
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


def test_the_demo_s_recipe_runs_from_any_folder_and_writes_there(environment, tmp_path) -> None:
    words = ("--config", "demo.yaml", "sample_data.movies=40", "spark.master=local[2]")
    made = run_installed(environment, tmp_path, "make-sample", *words)
    assert made.returncode == 0, made.stderr
    assert f"its paths start at {tmp_path}\n" in made.stderr
    grouped = run_installed(environment, tmp_path, "group-genres", *words)
    assert grouped.returncode == 0, grouped.stderr
    assert (tmp_path / "work/demo/genres/_manifest.json").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"work"}


def test_init_gives_a_folder_whose_recipes_load(environment, tmp_path) -> None:
    assert run_installed(environment, tmp_path, "init", "mine").returncode == 0
    done = run_installed(environment, tmp_path, "group-genres", "--config", "mine/conf/demo.yaml")
    assert done.returncode == 2, done.stderr
    assert f"{tmp_path}/mine/work/demo/data/genres.csv: no such file" in done.stderr
