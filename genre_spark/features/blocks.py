"""The blocks of a feature vector: what was learnt from training movies about each kind of feature.

A block knows its name, its size and the name of each of its features. It computes nothing: that is
for the engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from genre_spark.errors import InvalidInputError

__all__ = [
    "BLOCKS",
    "CATEGORIES",
    "CHARACTERS",
    "DECADE",
    "EMBEDDINGS",
    "KINDS",
    "LISTS",
    "NUMBERS",
    "POSTER_EMBEDDING",
    "POSTER_SUMMARY",
    "TEXT_EMBEDDING",
    "WORDS",
    "Block",
    "CategoriesBlock",
    "CharactersBlock",
    "EmbeddingBlock",
    "NumbersBlock",
    "PosterForm",
    "PosterSummaryBlock",
    "Vector",
    "WordsBlock",
]

NUMBERS = ("year", "minute", "rating", "budget", "revenue", "votes", "popularity")
DECADE = "decade"
LISTS = ("countries", "languages", "studios", "themes", "people")
CATEGORIES = (DECADE, *LISTS)
WORDS = "words"
CHARACTERS = "characters"
TEXT_EMBEDDING = "text_embedding"
POSTER_SUMMARY = "poster_summary"
POSTER_EMBEDDING = "poster_embedding"
EMBEDDINGS = (TEXT_EMBEDDING, POSTER_EMBEDDING)
BLOCKS = (
    "numbers",
    *CATEGORIES,
    WORDS,
    CHARACTERS,
    TEXT_EMBEDDING,
    POSTER_SUMMARY,
    POSTER_EMBEDDING,
)

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NumbersBlock:
    """Numbers with their medians in place of missing ones, then a mark of what was missing.

    Attributes:
        fields: of `NUMBERS`, those that any training movie has.
        medians: of the training movies that have them.
    """

    kind: ClassVar[str] = "numbers"
    fields: tuple[str, ...]
    medians: tuple[float, ...]
    name: str = "numbers"

    def __post_init__(self) -> None:
        _check(len(self.fields) == len(self.medians), self.name, "one median per number")
        _check(set(self.fields) <= set(NUMBERS), self.name, f"numbers of {', '.join(NUMBERS)}")
        _check(bool(np.isfinite(self.medians).all()), self.name, "finite medians")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        return (*self.fields, *(f"{name} missing" for name in self.fields))


@dataclass(frozen=True, eq=False)
class CategoriesBlock:
    """0/1 for each of the most frequent categories of one kind.

    Attributes:
        name: of `CATEGORIES`.
        categories: their names, the most frequent first; none twice.
    """

    kind: ClassVar[str] = "categories"
    name: str
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        _check(self.name in CATEGORIES, self.name, f"one of {', '.join(CATEGORIES)}")
        _check_distinct(self.categories, self.name)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        return self.categories


@dataclass(frozen=True, eq=False)
class WordsBlock:
    """Words or n-grams of the texts, counted and weighted by inverse document frequency.

    Attributes:
        texts: raw fields whose words are counted.
        ngrams: 1 counts words, 2 also pairs of neighbours, 3 also triples.
        stop_words: words that are left out before n-grams are made.
        vocabulary: the words, the most frequent first; None where `hashed`.
        hashed: a word's feature is its hash (MurmurHash3, seed 42, modulo the size), as in
            Spark's HashingTF; there is no vocabulary then.
        unit_length: whether the block's values are divided by their Euclidean length.
        idf: the weight of each feature, (size,), > 0.
    """

    kind: ClassVar[str] = "words"
    texts: tuple[str, ...]
    ngrams: int
    stop_words: tuple[str, ...]
    vocabulary: tuple[str, ...] | None
    unit_length: bool
    idf: Vector = field(repr=False)
    name: str = WORDS

    def __post_init__(self) -> None:
        if self.vocabulary is not None:
            _check_distinct(self.vocabulary, self.name)
            _check(len(self.vocabulary) == len(self.idf), self.name, "one weight per word")
        _check(1 <= self.ngrams <= 3, self.name, "n-grams of 1 to 3 words")
        _check(self.idf.ndim == 1 and bool(np.isfinite(self.idf).all()), self.name, "finite IDF")

    @property
    def hashed(self) -> bool:
        """Whether features are hashes of words."""
        return self.vocabulary is None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        if self.vocabulary is None:
            return tuple(f"hash {number}" for number in range(len(self.idf)))
        return self.vocabulary


@dataclass(frozen=True, eq=False)
class CharactersBlock:
    """N-grams of characters within words: (1 + log count) x IDF, divided by a movie's length.

    After the analyser `char_wb` and the weights of scikit-learn's TfidfVectorizer.

    Attributes:
        texts: raw fields whose characters are counted, as one text.
        ngrams: characters of the shortest and of the longest n-gram, a blank on either side of a
            word among them.
        vocabulary: the n-grams, the most frequent first; None: a feature is a hash.
        idf: the weight of each feature, (size,), > 0.
    """

    kind: ClassVar[str] = "characters"
    texts: tuple[str, ...]
    ngrams: tuple[int, int]
    vocabulary: tuple[str, ...] | None
    idf: Vector = field(repr=False)
    name: str = CHARACTERS

    def __post_init__(self) -> None:
        shortest, longest = self.ngrams
        _check(2 <= shortest <= longest <= 8, self.name, "n-grams of 2 to 8 characters")
        if self.vocabulary is not None:
            _check_distinct(self.vocabulary, self.name)
            _check(len(self.vocabulary) == len(self.idf), self.name, "one weight per n-gram")
            lengths = set(map(len, self.vocabulary))
            _check(lengths <= {*range(shortest, longest + 1)}, self.name, "n-grams of its lengths")
        _check(self.idf.ndim == 1 and len(self.idf) > 0, self.name, "at least one feature")
        _check(bool(np.isfinite(self.idf).all()), self.name, "finite IDF")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        if self.vocabulary is None:
            return tuple(f"hash {number}" for number in range(len(self.idf)))
        return self.vocabulary


@dataclass(frozen=True)
class PosterForm:
    """How a poster is stored before it is summarised; see `imaging.store_poster`.

    Attributes:
        height: pixels.
        width: pixels.
        fit: stretch, cover or contain.
        encoding: jpeg, png or raw.
        quality: of a JPEG, 1..100.
        keep_originals: an original that has the form already is stored as it is.
        max_pixels: larger originals are not read.
        max_bytes: larger files are not read.
        min_side: originals with a shorter side, in pixels, are not read.
    """

    height: int
    width: int
    fit: Literal["stretch", "cover", "contain"]
    encoding: Literal["jpeg", "png", "raw"]
    quality: int
    keep_originals: bool
    max_pixels: int
    max_bytes: int
    min_side: int


@dataclass(frozen=True, eq=False)
class EmbeddingBlock:
    """A vector that something else has computed; the training movies' mean where it is missing.

    Attributes:
        name: of `EMBEDDINGS`.
        fill: what stands for a missing vector, (length,).
        marked: whether a further feature says that it is missing: some training movie lacked it.
    """

    kind: ClassVar[str] = "embedding"
    name: str
    fill: Vector = field(repr=False)
    marked: bool

    def __post_init__(self) -> None:
        _check(self.fill.ndim == 1 and bool(np.isfinite(self.fill).all()), self.name, "finite fill")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        return (*map(str, range(len(self.fill))), *(["missing"] if self.marked else []))


@dataclass(frozen=True, eq=False)
class PosterSummaryBlock(EmbeddingBlock):
    """A thumbnail of the poster and a histogram of each of its colours.

    Attributes:
        thumbnail: side in pixels; 0 for none.
        bins: of each histogram; 0 for none.
        form: what posters are brought to first.
    """

    kind: ClassVar[str] = "poster_summary"
    thumbnail: int
    bins: int
    form: PosterForm

    def __post_init__(self) -> None:
        super().__post_init__()
        length = 3 * (self.thumbnail**2 + self.bins)
        _check(len(self.fill) == length, self.name, f"{length} values")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        colours = ("red", "green", "blue")
        side = range(self.thumbnail)
        pixels = [
            f"{colour} at row {y} column {x}" for colour in colours for y in side for x in side
        ]
        bars = [
            f"{colour} {number * 256 // self.bins} to {(number + 1) * 256 // self.bins - 1}"
            for colour in colours
            for number in range(self.bins)
        ]
        return (*pixels, *bars, *(["missing"] if self.marked else []))


Block = NumbersBlock | CategoriesBlock | WordsBlock | CharactersBlock | EmbeddingBlock
KINDS: Mapping[str, Any] = {
    kind.kind: kind
    for kind in (
        NumbersBlock,
        CategoriesBlock,
        WordsBlock,
        CharactersBlock,
        EmbeddingBlock,
        PosterSummaryBlock,
    )
}


def _check(good: bool, name: str, expected: str) -> None:
    if not good:
        raise InvalidInputError(f"feature block {name}: expected {expected}")


def _check_distinct(names: tuple[str, ...], block: str) -> None:
    _check(len(set(names)) == len(names), block, "no name twice")
