"""Specifications made by hand, for tests of what is done with them."""

from __future__ import annotations

import numpy as np

from genre_spark.features import FeatureSpecification
from genre_spark.features.blocks import (
    CategoriesBlock,
    CharactersBlock,
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


NGRAMS = (
    " gh",
    "host",
    "ost ",
    "lov",
    "n't",
    "\u0939\u093f\u0928",
    "\u00e9t\u00e9 ",
    "\u03b9\u03b1 ",
    "\u6620\u753b ",
    "'s ",
)


def make_characters(*, hashed: int = 0, ngrams: tuple[int, int] = (3, 5)) -> CharactersBlock:
    """Return a block of the n-grams above, or of hashes."""
    idf = np.linspace(1.0, 3.0, hashed or len(NGRAMS))
    texts = ("name", "tagline", "description")
    return CharactersBlock(texts, ngrams, None if hashed else NGRAMS, idf)


def make_specification(
    words: WordsBlock | None = None, characters: CharactersBlock | None = None
) -> FeatureSpecification:
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
            characters or make_characters(),
            EmbeddingBlock("text_embedding", np.array([0.1, -0.2, 0.3]), marked=True),
            PosterSummaryBlock(
                "poster_summary", np.full(9, 0.25), marked=False, thumbnail=1, bins=2, form=FORM
            ),
            EmbeddingBlock("poster_embedding", np.array([1.0, 2.0]), marked=False),
        ),
        training_movies=100,
    )
