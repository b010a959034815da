"""N-grams of characters: those of scikit-learn's analyser, counted over arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from genre_spark.features.blocks import CharactersBlock
from genre_spark.features.characters import CharacterCounter, chunks, pad_words
from tests.features.specifications import make_characters

TEXTS = [
    "The ghost's story, a GHOST!",
    "",
    "it",
    "\u0939\u093f\u0928\u094d\u0926\u0940 e\u0301te\u0301",
    "aaaaaa a",
]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab\u00e9 \U0001f600\t"), max_size=12), max_size=6),
    st.sampled_from([(2, 2), (2, 5), (3, 5), (4, 8)]),
)
def test_counts_are_those_of_tfidf_with_char_wb(texts, ngrams) -> None:
    padded = [pad_words(text) for text in [*texts, *TEXTS]]
    # words shorter than the shortest n-gram have none here, and one in scikit-learn
    reference = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=ngrams,
        sublinear_tf=True,
        lowercase=False,
    ).fit(padded)
    names = [name for name in reference.get_feature_names_out() if len(name) >= ngrams[0]]
    reference = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=ngrams,
        sublinear_tf=True,
        lowercase=False,
        vocabulary=names,
    ).fit(padded)
    part = CharactersBlock(("name",), ngrams, tuple(names), reference.idf_)
    found = CharacterCounter(part).count(padded)
    np.testing.assert_allclose(
        found.toarray(), reference.transform(padded).toarray(), rtol=1e-12, atol=1e-12
    )


def test_a_movie_has_the_same_n_grams_whatever_movies_stand_beside_it() -> None:
    padded = [pad_words(text) for text in TEXTS]
    for part in (make_characters(), make_characters(hashed=64)):
        counter = CharacterCounter(part)
        together = counter.count(padded).toarray()
        alone = np.vstack([counter.count([text]).toarray() for text in padded])
        np.testing.assert_array_equal(together, alone)
        assert not together[1].any()
        np.testing.assert_allclose(np.linalg.norm(together[0]), 1.0)
    assert [len(chunk) for chunk in chunks(["x" * 300_000] * 3)] == [2, 1]
    assert CharacterCounter(make_characters()).count([]).shape == (0, 10)
