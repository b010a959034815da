"""The stage on movies with planted facts: what was planted is found, and nothing is done twice."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from genre_spark.config import Config, build_config
from genre_spark.errors import MissingTableError
from genre_spark.exploration.facts import Facts
from genre_spark.exploration.page.charts import draw_charts
from genre_spark.exploration.page.findings import leaking_columns
from genre_spark.pipelines.exploration import explore
from genre_spark.pipelines.ingestion import group_genres, prepare_posters
from genre_spark.pipelines.run import run_stage
from genre_spark.pipelines.stage_list import STAGES
from genre_spark.tracking import resolve_tracking_uri

MOVIES = 240
HORROR = range(0, MOVIES, 3)  # a third
DRAMA, HOSTILE = "Drama", "<b>West</b>"


def genres_of(movie: int) -> list[str]:
    drama = [DRAMA] if movie % 2 else []
    found = (["Horror"] if movie % 3 == 0 else []) + drama + ([HOSTILE] if movie % 40 == 1 else [])
    return found or [DRAMA]


def write_data(folder: Path, posters: bool = True) -> None:
    """Write movies of which only Horror has "vampire", budget is 0 or known, and one is twice."""
    folder.mkdir(parents=True)
    rows = [f"{m},{genre}" for m in range(MOVIES) for genre in genres_of(m)]
    (folder / "genres.csv").write_text("id,genre\n" + "\n".join(rows) + "\nnone,Drama\n")
    movies = ["id,name,date,tagline,description,minute,rating"]
    numbers = ["id,budget,revenue,votes,popularity"]
    themes = ["id,theme"]
    actors = ["id,name"]
    for movie in range(MOVIES):
        horror = movie in HORROR
        # 6 and 9 have the title and year of 3, in other letters
        name = {3: "Twice told", 6: "twice  told", 9: "TWICE TOLD"}.get(movie, f"Film {movie}")
        words = f"some words {'vampire' if horror and movie % 2 else ''} <script>x</script>"
        year = 1999 if movie in (3, 6, 9) else 1950 + movie % 70
        movies.append(f"{movie},{name},{year},,{words},90,{'3.5' if movie % 2 else ''}")
        numbers.append(f"{movie},{0 if movie % 4 else 1000 * (movie + 1)},7,{int(horror)},1.5")
        themes.append(f"{movie},{'Fear' if horror else 'Calm'}")
        actors.append(f"{movie},{'Count Orlok' if horror and movie % 4 == 0 else 'Jo'}")
    for name, lines in {
        "movies": movies,
        "numbers": numbers,
        "themes": themes,
        "actors": actors,
    }.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    if posters:
        (folder / "posters").mkdir()
        for movie in range(0, 60):
            light = 20 if movie in HORROR else 200
            picture = np.full((30, 20, 3), light, np.uint8)
            picture[0, 0] = 0 if movie in (4, 5) else movie  # two are the same to the last byte
            cv2.imwrite(str(folder / "posters" / f"{movie}.png"), picture)


def recipe(folder: Path, **explore_settings) -> Config:
    return build_config(
        {
            "paths": {
                "genres_csv": str(folder / "genres.csv"),
                "posters": str(folder / "posters"),
                "metadata": str(folder),
                "work": str(folder / "work"),
            },
            "posters": {"height": 30, "width": 20, "encoding": "png"},
            "explore": explore_settings,
        }
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("explore") / "data"
    write_data(folder)
    return recipe(folder, posters_per_genre=4)


@pytest.fixture(scope="module")
def explored(spark: SparkSession, config: Config) -> tuple[Facts, list]:
    """Run the command's stages, and keep the facts that the page was made from."""
    kept: list[Facts] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            explore, "draw_charts", lambda facts: kept.append(facts) or draw_charts(facts)
        )
        results = list(run_stage(lambda: spark, config, STAGES["explore"]))
    return kept[0], results


@pytest.fixture(scope="module")
def facts(explored) -> Facts:
    return explored[0]


def test_the_command_runs_the_ingestion_that_it_needs(explored) -> None:
    assert [result.stage for result in explored[1]] == [
        "group-genres",
        "prepare-posters",
        "explore",
    ]
    counts = explored[1][-1].counts
    assert (counts["movies"], counts["genres"], counts["movies with repeated titles"]) == (
        MOVIES,
        3,
        3,
    )


def test_rows_that_earlier_stages_could_not_use_are_counted_by_reason(explored) -> None:
    notes = explored[1][-1].notes
    assert "Rows with flaws: id is not a number (1); they are in `rejects/genres`." in notes


def test_genres_and_pairs_are_counted(facts: Facts) -> None:
    expected = {g: sum(g in genres_of(m) for m in range(MOVIES)) for g in facts.counts.genres}
    assert dict(zip(facts.counts.genres, facts.counts.per_genre.tolist(), strict=True)) == expected
    drama, horror = facts.counts.genres.index(DRAMA), facts.counts.genres.index("Horror")
    both = sum({DRAMA, "Horror"} <= set(genres_of(m)) for m in range(MOVIES))
    assert facts.counts.together[drama, horror] == facts.counts.together[horror, drama] == both
    assert sum(size * n for size, n in facts.counts.sizes.items()) == sum(expected.values())


def test_a_word_and_a_person_that_only_horror_has_are_first_for_horror(facts: Facts) -> None:
    horror = facts.counts.genres.index("Horror")
    word, person = facts.telling["words"][horror][0], facts.telling["people"][horror][0]
    assert (word.value, word.share) == ("vampire", 1.0)
    assert (person.value, person.share) == ("actor Count Orlok", 1.0)
    others = [
        one.value
        for place, values in enumerate(facts.telling["words"])
        for one in values
        if place != horror
    ]
    assert "some" not in others


def test_columns_that_equal_a_genre_are_named_as_leaks(facts: Facts) -> None:
    leaks = leaking_columns(facts)
    assert leaks["votes"] == [("Horror", 1.0)]  # a number
    assert leaks["themes"] == [("Horror", 1.0)]  # a list
    assert set(leaks) == {"votes", "themes"}
    sure = {(one.kind, one.value): one for one in facts.sure}
    assert sure["themes", "Fear"].information == pytest.approx(1.0)
    assert facts.counts.genres[sure["themes", "Fear"].genre] == "Horror"


def test_a_column_of_one_value_knows_nothing(facts: Facts) -> None:
    assert facts.aucs["revenue"][0] == pytest.approx(0.5)


def test_zero_budget_and_no_rating_are_missing_but_zero_votes_are_not(facts: Facts) -> None:
    assert facts.numbers.missing["budget"][-1] == pytest.approx(0.75)
    assert facts.numbers.missing["rating"][-1] == pytest.approx(0.5)
    assert facts.numbers.missing["tagline"][-1] == 1.0
    assert facts.numbers.missing["votes"][-1] == 0.0
    assert facts.numbers.missing["poster"][-1] == pytest.approx(0.75)
    assert facts.numbers.known["budget"][-1] == MOVIES / 4
    assert facts.numbers.quantiles["budget"][-1, 0] >= 1000


def test_duplicates_are_counted_with_the_question_whether_their_genres_agree(facts: Facts) -> None:
    assert (facts.titles.groups, facts.titles.movies, facts.titles.other_genres) == (1, 3, 1)
    (example,) = facts.titles.examples
    assert example.ids == (3, 6, 9)
    assert not example.same_genres
    assert (facts.pictures.groups, facts.pictures.movies) == (1, 2)
    assert facts.pictures.examples[0].ids == (4, 5)


def test_horror_is_darkest_and_has_a_contact_sheet(facts: Facts) -> None:
    light = dict(zip(facts.counts.genres, facts.colours.brightness, strict=True))
    assert light["Horror"] == min(light.values()) == pytest.approx(20, abs=1)
    assert facts.colours.sampled == facts.colours.total == 60
    horror = facts.counts.genres.index("Horror")
    (sheet,) = [one for one in facts.sheets if one.genre == horror]
    assert sheet.posters == 4
    pixels = cv2.imdecode(np.frombuffer(sheet.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (sheet.height, sheet.width, 3)
    assert abs(int(pixels[60, 40, 0]) - 20) < 5


def test_the_page_is_one_file_that_escapes_what_it_shows(explored, config: Config) -> None:
    text = Path(explored[1][-1].outputs["page"]).read_text()
    assert "<script" not in text
    assert "<b>West" not in text
    assert "&lt;b&gt;West&lt;/b&gt;" in text
    assert "http" not in text
    assert "vampire" in text


def test_mlflow_has_the_page_its_pictures_and_tables(explored, config: Config) -> None:
    client = MlflowClient(resolve_tracking_uri(config.mlflow, config.paths.work))
    run = explored[1][-1].run_id
    names = {item.path for item in client.list_artifacts(run)}
    assert {"explore.html", "genres.json", "telling.json", "leaks.json"} <= names
    pictures = {item.path for item in client.list_artifacts(run, "pictures")}
    assert {"pictures/genre_counts.png", "pictures/leaks.png", "pictures/missing.png"} <= pictures


def test_unchanged_inputs_are_not_counted_again_until_a_setting_changes(
    explored, config: Config, spark: SparkSession, monkeypatch
) -> None:
    page = Path(explored[1][-1].outputs["page"])
    before = page.stat().st_mtime_ns
    assert explore.run(None, config).reused
    assert page.stat().st_mtime_ns == before
    monkeypatch.setattr(explore, "_gather", lambda *_: pytest.fail("counted again"))
    changed = recipe(page.parent.parent, posters_per_genre=3)
    assert explore.run.earlier(changed) is None
    page.unlink()  # a page that is gone is made anew
    assert explore.run.earlier(config) is None


def test_without_metadata_and_posters_the_page_counts_genres(spark, tmp_path: Path) -> None:
    (tmp_path / "genres.csv").write_text("id,genre\n1,Drama\n2,Drama\n2,Crime\n")
    config = recipe(tmp_path)
    config = build_config(
        {
            **config.model_dump(mode="json"),
            "paths": {
                **config.paths.model_dump(),
                "metadata": str(tmp_path / "nowhere"),
            },
        }
    )
    results = list(run_stage(lambda: spark, config, STAGES["explore"]))
    assert [result.stage for result in results] == ["group-genres", "explore"]
    assert any("Metadata: paths.metadata:" in note for note in results[-1].notes)
    assert any("Posters: There is no table of posters" in note for note in results[-1].notes)
    json.dumps(results[-1].counts)


def test_explore_alone_names_the_stage_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError, match="group-genres"):
        explore.run(None, recipe(tmp_path))
    assert group_genres.run.name == "group-genres"
    assert prepare_posters.run.name == "prepare-posters"
