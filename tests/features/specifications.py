"""Specifications made by hand, for tests of what is done with them."""

from __future__ import annotations

import numpy as np

from genre_spark.features import FeatureSpecification
from genre_spark.features.blocks import (
    CategoriesBlock,
    EmbeddingBlock,
    NumbersBlock,
    PosterForm,
    PosterSummaryBlock,
    WordsBlock,
)
from genre_spark.features.stop_words import STOP_WORDS

FORM = PosterForm(30, 20, "stretch", "jpeg", 90, True, 1_000_000, 1_000_000, 4)
VOCABULARY = ("ghost", "love", "don't", "हिन्दी", "été", "ghost story", "ιστορία", "映画", "fantôme")


def make_words(*, hashed: int = 0, ngrams: int = 2, unit_length: bool = False) -> WordsBlock:
    """Return a block of the words above, or of hashes."""
    size = hashed or len(VOCABULARY)
    return WordsBlock(
        texts=("name", "tagline", "description"),
        ngrams=ngrams,
        stop_words=STOP_WORDS,
        vocabulary=None if hashed else VOCABULARY,
        unit_length=unit_length,
        idf=np.linspace(0.3, 2.7, size),
    )


def make_specification(words: WordsBlock | None = None) -> FeatureSpecification:
    """Return a specification with every block, all of them small."""
    return FeatureSpecification(
        (
            NumbersBlock(("year", "minute", "rating"), (1994.0, 101.0, 3.3)),
            CategoriesBlock("decade", ("1990s", "2000s", "0s")),
            CategoriesBlock("countries", ("USA", "UK", "Côte d'Ivoire")),
            CategoriesBlock("languages", ("Language English", "Language हिन्दी")),
            CategoriesBlock("studios", ("A24", "Studio Ghibli")),
            CategoriesBlock("themes", ("Horror, the undead and monster classics",)),
            CategoriesBlock("people", ("actor Zoë", "director Ann")),
            words or make_words(),
            EmbeddingBlock("text_embedding", np.array([0.1, -0.2, 0.3]), marked=True),
            PosterSummaryBlock(
                "poster_summary", np.full(9, 0.25), marked=False, thumbnail=1, bins=2, form=FORM
            ),
            EmbeddingBlock("poster_embedding", np.array([1.0, 2.0]), marked=False),
        ),
        training_movies=100,
    )
