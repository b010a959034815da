"""The stage make-sample: what it reports, rejects and does not repeat."""

from __future__ import annotations

import shutil

import pytest

from genre_spark.config import build_config
from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines.ingestion.make_sample import run


def recipe(folder, **sections):
    paths = {
        "genres_csv": f"{folder}/in/genres.csv",
        "posters": f"{folder}/in/posters",
        "metadata": f"{folder}/in",
        "work": f"{folder}/work",
    }
    return build_config({"paths": paths, "sample_data": {"movies": 24}, **sections})


def test_it_needs_no_spark_and_is_not_repeated_until_the_data_is_gone(tmp_path) -> None:
    config = recipe(tmp_path)
    first = run(None, config)
    assert first.counts["movies"] == 24
    assert first.counts["flaws"] > 0 and "truncated" in first.notes[0]
    assert run(None, config).reused
    shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name} moved"))
    assert run(None, recipe(tmp_path.with_name(f"{tmp_path.name} moved"))).reused
    (tmp_path / "in" / "genres.csv").unlink()
    assert not run(None, config).reused
    assert (tmp_path / "in" / "genres.csv").is_file()
    shutil.rmtree(tmp_path / "in" / "posters")
    assert not run(None, config).reused


def test_without_its_section_it_touches_nothing(tmp_path) -> None:
    with pytest.raises(InvalidConfigError, match="sample_data: missing"):
        run(None, recipe(tmp_path, sample_data=None))
    assert not (tmp_path / "in").exists()
