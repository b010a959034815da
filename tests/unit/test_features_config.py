"""The settings of features: blocks, switches of earlier recipes, and contradictions."""

from __future__ import annotations

import pytest

from genre_spark.config import FeaturesConfig, build_config
from genre_spark.errors import InvalidConfigError

PATHS = {"genres_csv": "g", "posters": "p", "metadata": "m", "work": "w"}


def test_blocks_are_switched_one_by_one() -> None:
    everything = set(FeaturesConfig().on)
    assert set(FeaturesConfig(blocks={"themes": False}).on) == everything - {"themes"}
    assert set(FeaturesConfig(blocks={"decade": True}).on) == everything | {"decade"}
    assert set(FeaturesConfig(text_words=0).on) == everything - {"words"}


def test_switches_of_earlier_recipes_stand_for_blocks() -> None:
    assert FeaturesConfig(posters=False) == FeaturesConfig(blocks={"poster_summary": False})
    alone = FeaturesConfig(metadata=False, posters=False, embeddings=True)
    assert alone.on == ("poster_embedding",)
    assert not alone.metadata
    assert alone.of_posters
    assert FeaturesConfig(metadata=True, numbers=True) == FeaturesConfig()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"metadata": False, "posters": False}, "no block is true, expected at least one of"),
        (
            {"blocks": {"colours": True}},
            "features.blocks.colours: unknown key; known here: charact",
        ),
        (
            {"blocks": {"words": "perhaps"}},
            "features.blocks.words: 'perhaps', expected true or false",
        ),
        (
            {"posters": False, "blocks": {"poster_summary": True}},
            "posters=false contradicts blocks",
        ),
        ({"posters": "no idea"}, "posters is 'no idea', expected true or false"),
        ({"thumbnail": 0, "histogram_bins": 0}, "thumbnail 0 and histogram_bins 0, expected one"),
        ({"text_fields": ["title"]}, "features.text_fields.0: 'title', expected 'name', 'tagline'"),
        ({"text_fields": []}, "features.text_fields"),
    ],
)
def test_a_mistake_is_told_with_its_path(features, message) -> None:
    with pytest.raises(InvalidConfigError) as told:
        build_config({"paths": PATHS, "features": features})
    assert message in str(told.value)
