"""Each block alone, all of them, and all but one, by a linear model and by a forest."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from genre_spark.config import AblationConfig
from genre_spark.errors import InvalidConfigError, InvalidInputError
from genre_spark.pipelines import ablate, build_features, group_genres, sample, train_multilabel
from genre_spark.pipelines.evaluation.ablate import list_variants
from genre_spark.pipelines.evaluation.evaluate import reads_themes
from tests.fusion.test_linear_stage import hamming, recipe, write_movies


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
    assert hamming(spark, both, names[0]) < hamming(spark, both, names[1])
    assert [reads_themes(both, name) for name in names] == [True, False]
    assert train_multilabel.run(spark, both).reused


def test_models_that_cannot_be_are_told(spark, config) -> None:
    wrong = config.model_copy(update={"ablation": AblationConfig(model="forest")})
    with pytest.raises(InvalidConfigError, match=r"ablation.model: 'forest', expected a model of"):
        ablate.run.check(wrong)
    with pytest.raises(InvalidInputError, match="ablate: words, expected at least two blocks"):
        list_variants(["words"])
    assert [v.name for v in list_variants(["a", "b"])] == ["only_a", "only_b", "all"]
