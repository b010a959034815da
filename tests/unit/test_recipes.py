"""Recipes by their bare names, and `genre-spark init`."""

from __future__ import annotations

from pathlib import Path

import pytest

from genre_spark.__main__ import main
from genre_spark.config import load_config
from genre_spark.errors import InvalidConfigError
from genre_spark.recipes import shipped_recipes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder without recipes, and the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_bare_name_is_the_recipe_of_the_package_and_writes_under_the_current_folder(
    here, name
) -> None:
    config = load_config(name)
    assert Path(config.paths.work).parent == here / "work"
    assert Path(str(config.spark.conf_file)).is_file()


def test_a_file_of_the_current_folder_wins_over_the_package_s_recipe(here) -> None:
    (here / "demo.yaml").write_text(
        "paths: {genres_csv: g.csv, posters: p, metadata: m, work: mine}\n"
    )
    assert load_config("demo.yaml").paths.work == str(here / "mine")


def test_a_recipe_that_is_not_there_is_answered_with_the_names_of_those_that_are(here) -> None:
    with pytest.raises(InvalidConfigError, match=r"conf/demo\.yaml: no such file.*demo\.yaml, i"):
        load_config("conf/demo.yaml")


def test_where_the_package_s_recipe_writes_is_shown(here, capsys) -> None:
    assert main(["group-genres", "--config", "demo.yaml"]) == 2
    assert f"recipe demo.yaml of the package; its paths start at {here}\n" in (
        capsys.readouterr().err
    )


def test_init_copies_recipes_jobs_and_notebooks_and_says_what_is_next(here, capsys) -> None:
    assert main(["init", "mine"]) == 0
    assert "next: cd mine && genre-spark run --config conf/demo.yaml" in capsys.readouterr().out
    for name in ("conf", "jobs", "notebooks"):
        files = {path.relative_to(ROOT) for path in (ROOT / name).rglob("*.*") if path.is_file()}
        kept = {path for path in files if "." not in path.parent.name and path.suffix != ".pyc"}
        assert {
            path.relative_to(here / "mine") for path in (here / "mine" / name).rglob("*.*")
        } == kept
    assert load_config(here / "mine/conf/demo.yaml").paths.work == str(here / "mine/work/demo")


def test_init_twice_changes_nothing(here, capsys) -> None:
    main(["init", "mine"])
    assert main(["init", "mine"]) == 0
    assert "0 new files" in capsys.readouterr().out


def test_init_overwrites_nothing_that_was_changed_and_copies_nothing_then(here, capsys) -> None:
    (here / "conf").mkdir()
    (here / "conf" / "demo.yaml").write_text("mine: true\n")
    assert main(["init", "."]) == 2
    assert "conf/demo.yaml: there with other content" in capsys.readouterr().err
    assert not (here / "jobs").exists()


def test_init_into_a_file_is_rejected(here, capsys) -> None:
    (here / "taken").write_text("")
    assert main(["init", "taken"]) == 2
    assert "taken" in capsys.readouterr().err
