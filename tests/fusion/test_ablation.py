"""Each block alone, all of them, and all but one; what a block gives away, and what leaks not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from genre_spark.config import AblationConfig
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.features.specification import FeatureSpecification
from genre_spark.pipelines import (
    ablate,
    build_features,
    group_genres,
    sample,
    train_linear,
    train_multilabel,
)
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.ablate import list_variants
from genre_spark.pipelines.evaluation.evaluate import reads_themes
from tests.fusion.test_linear_stage import hamming, recipe, write_movies
from tests.stored_rows import read_rows


@pytest.fixture(scope="module")
def config(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    write_movies(folder)
    models = {"all_blocks": {"blocks": {"words": 1, "countries": 1, "themes": 1}}}
    config = recipe(
        folder,
        linear={"models": models},
        multilabel={"methods": ["multilabel_random_forest"], "forest": {"trees": 10}},
    )
    for stage in (group_genres, build_features, sample):
        stage.run(spark, config)
    return config


def read_table(result) -> dict[str, list[float]]:
    """Return blocks -> Hamming loss, Jaccard, exact match, micro-F1, macro-F1."""
    lines = result.table.splitlines()[2:]
    return {
        line.split("  ")[0]: [float(value) for value in re.findall(r"(\d\.\d+) \(", line)[:5]]
        for line in lines
    }


def test_a_block_that_knows_labels_is_worth_most_and_what_is_there_is_not_fitted_again(
    spark, config
):
    result = ablate.run(spark, config)
    assert result.counts == {"variants": 7, "fitted": 7}
    rows = read_table(result)
    assert list(rows) == [
        *("countries", "themes", "words"),
        "all",
        *("all but countries", "all but themes", "all but words"),
    ]
    micro = {name: values[3] for name, values in rows.items()}
    assert micro["themes"] > micro["words"] > micro["countries"]
    assert micro["all but themes"] < micro["all but countries"]
    # as if it had been killed before its last variant
    work = Path(config.paths.work)
    (work / "stages" / "ablate.json").unlink()
    shutil.rmtree(work / "ablation" / "all_blocks" / "only_words")
    again = ablate.run(spark, config)
    assert again.counts["fitted"] == 1
    assert again.table == result.table
    assert ablate.run(spark, config).reused


def test_a_forest_can_be_the_model(spark, config):
    settings = AblationConfig(model="multilabel_random_forest")
    result = ablate.run(spark, config.model_copy(update={"ablation": settings}))
    rows = read_table(result)
    assert rows["themes"][3] > rows["countries"][3]
    assert rows["numbers"]  # a block that the linear model does not read


def test_a_forest_without_themes_stands_beside_the_one_that_reads_them(spark, config) -> None:
    settings = config.multilabel.model_copy(update={"without_themes": True})
    both = config.model_copy(update={"multilabel": settings})
    names = list(train_multilabel.run(spark, both).outputs)
    assert names == ["multilabel_random_forest", "multilabel_random_forest_without_themes"]
    assert hamming(both, names[0]) < hamming(both, names[1])
    assert [reads_themes(both, name) for name in names] == [True, False]
    assert train_multilabel.run(spark, both).reused


LISTS = ("country", "language", "studio", "theme", "actor")
BLOCKS = ("numbers", "decade", "countries", "languages", "studios", "themes", "people")
BLOCKS += ("words", "characters")


def plant_labels(folder, *, comedy_in: set[int]) -> None:
    """Every block names war in all movies that have it, and comedy in some movies only.

    Where a block does not say whether a movie is a comedy, it says either by chance.
    """
    rng = np.random.default_rng(5)
    genres, movies = ["id,genre"], ["id,name,date,tagline,description,minute,rating"]
    lists = {name: [f"id,{'name' if name == 'actor' else name}"] for name in LISTS}
    lists["language"] = ["id,type,language"]
    for movie in range(150):
        war, comedy, chance = (bool(value) for value in rng.random(3) < 0.4)
        genres += [f"{movie},{name}" for name, on in (("War", war), ("Comedy", comedy)) if on]
        genres += [f"{movie},Drama"]
        said = comedy if movie in comedy_in else chance
        told = f"{'soldiers' * war} {'jokes' * said}"
        year = 1955 + 20 * war + 10 * said
        movies.append(f"{movie},Movie,{year},{told},film,{60 + 60 * said},{1 + 4 * war}")
        for name, on in ((f"about {word}", word in told) for word in ("soldiers", "jokes")):
            for kind in LISTS:
                lists[kind] += [f"{movie},{'Language,' * (kind == 'language')}{name}"] * on
    files = {"countries": "country", "languages": "language", "studios": "studio"}
    files |= {"themes": "theme", "actors": "actor"}
    for file, kind in files.items():
        (folder / f"{file}.csv").write_text("\n".join(lists[kind]) + "\n")
    (folder / "genres.csv").write_text("\n".join(genres) + "\n")
    (folder / "movies.csv").write_text("\n".join(movies) + "\n")


def train_on_each_block(spark, folder):
    """Return the recipe of a run with one linear model per block, and what was learnt of each."""
    blocks = {**dict.fromkeys(BLOCKS, True), "poster_summary": False}
    models = {f"only_{name}": {"blocks": {name: 1}, "penalty": 0.01} for name in BLOCKS}
    config = recipe(
        folder, features={"blocks": blocks, "min_count": 2}, linear={"models": models}, stack=None
    )
    for stage in (group_genres, build_features, sample, train_linear):
        stage.run(spark, config)
    return config, FeatureSpecification.load(config.paths.model("features"))


def predicted(config, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    rows = read_rows(Catalogue(config).predictions(name, split).path)
    rows.sort(key=lambda row: row["movie_id"])
    return tuple(np.array([row[of] for row in rows]) for of in ("labels", "probabilities"))


def test_a_label_planted_in_a_block_is_found_and_one_planted_in_test_movies_moves_nothing(
    spark, tmp_path
):
    for name in ("plain", "leaking"):
        (tmp_path / name).mkdir()
    plant_labels(tmp_path / "plain", comedy_in=set())
    plain, learnt = train_on_each_block(spark, tmp_path / "plain")
    test = {row["movie_id"] for row in read_rows(Catalogue(plain).samples("test").path)}
    plant_labels(tmp_path / "leaking", comedy_in=test)
    leaking, learnt_again = train_on_each_block(spark, tmp_path / "leaking")
    assert learnt.digest == learnt_again.digest
    war = Catalogue(plain).vocabulary().index("War")
    for name in (f"only_{block}" for block in BLOCKS):
        truth, probabilities = predicted(plain, name, "test")
        assert np.array_equal(probabilities[:, war] >= 0.5, truth[:, war] > 0), name
        before, after = (predicted(each, name, "validation")[1] for each in (plain, leaking))
        assert np.array_equal(before, after), name


def test_models_that_cannot_be_are_told(spark, config) -> None:
    wrong = config.model_copy(update={"ablation": AblationConfig(model="forest")})
    with pytest.raises(InvalidConfigError, match=r"ablation.model: 'forest', expected a model of"):
        ablate.run.check(wrong)
    with pytest.raises(InvalidInputError, match="ablate: words, expected at least two blocks"):
        list_variants(["words"])
    assert [v.name for v in list_variants(["a", "b"])] == ["only_a", "only_b", "all"]
