"""Raw fields of movies to feature vectors, in numpy over a pandas frame: no Spark, no JVM."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from genre_spark.errors import InvalidInputError
from genre_spark.features.blocks import (
    DECADE,
    Block,
    CategoriesBlock,
    CharactersBlock,
    EmbeddingBlock,
    NumbersBlock,
    PosterSummaryBlock,
    Vector,
    WordsBlock,
)
from genre_spark.features.characters import CharacterCounter, pad_words
from genre_spark.features.raw_fields import (
    column,
    is_blank,
    shown,
    to_bytes,
    to_names,
    to_number,
    to_text,
    to_vector,
    to_year,
)
from genre_spark.features.specification import FeatureSpecification
from genre_spark.features.tokens import join_words, tokenise

__all__ = ["HASH_SEED", "FeatureRows", "FrameEngine"]

HASH_SEED = 42  # of Spark's HashingTF
IMAGE = "image"
_CACHED_HASHES = 2**17

T = TypeVar("T")
Known = NDArray[np.bool_]


@dataclass(frozen=True)
class FeatureRows:
    """The feature vectors of some movies.

    Attributes:
        matrix: float64, (movies, features); CSR with ascending positions.
        known: for each block, which movies it knows anything about, (movies,).
        notes: for each movie, what could not be used, in words; empty for most.
    """

    matrix: sparse.csr_matrix
    known: Mapping[str, Known]
    notes: tuple[tuple[str, ...], ...]

    def dense(self) -> Vector:
        """Return the matrix with its zeros: 8 bytes for every feature of every movie."""
        return np.asarray(self.matrix.toarray(), np.float64)


class FrameEngine:
    """Turns frames of raw fields into feature vectors, as the Spark engine does, to the last bits.

    Args:
        specification: learnt from training movies.
    """

    def __init__(self, specification: FeatureSpecification) -> None:
        self.specification = specification
        self._computers = [(part, _computer(part)) for part in specification.parts]

    def transform(self, frame: pd.DataFrame) -> FeatureRows:
        """Compute the features of movies.

        Args:
            frame: one row per movie with any of the columns name, date, minute, rating, tagline,
                description (text or numbers), countries, languages, studios, themes, people (lists
                of text), image (bytes of a file), text_embedding, poster_embedding (vectors), or
                poster_summary (vectors) in place of image. A column or a value may be missing.

        Raises:
            InvalidInputError: a value is of a type that its column cannot have.
        """
        notes: list[list[str]] = [[] for _ in range(len(frame))]
        matrices, known = [], {}
        for part, compute in self._computers:
            matrix, known[part.name] = compute(frame, notes)
            matrices.append(sparse.csr_matrix(matrix))
        shape = (len(frame), self.specification.size)
        whole = (
            sparse.hstack(matrices, format="csr", dtype=np.float64)
            if matrices
            else sparse.csr_matrix(shape)
        )
        whole.sort_indices()
        return FeatureRows(whole, known, tuple(map(tuple, notes)))


Computer = Callable[[pd.DataFrame, list[list[str]]], tuple[Any, Known]]


def _computer(part: Block) -> Computer:
    if isinstance(part, NumbersBlock):
        return functools.partial(_numbers, part)
    if isinstance(part, CategoriesBlock):
        positions = {name: position for position, name in enumerate(part.categories)}
        return functools.partial(_categories, part, positions)
    if isinstance(part, WordsBlock):
        return functools.partial(_words, part, _word_finder(part), frozenset(part.stop_words))
    if isinstance(part, CharactersBlock):
        return functools.partial(_characters, part, CharacterCounter(part))
    return functools.partial(_embeddings, part)


def _read(frame: pd.DataFrame, name: str, read: Callable[[Any], T]) -> Iterable[T]:
    for row, value in enumerate(column(frame, name)):
        try:
            yield read(value)
        except InvalidInputError as error:
            raise InvalidInputError(f"{name} of row {row}: {error}") from None


def _read_numbers(frame: pd.DataFrame, name: str, notes: list[list[str]]) -> list[float | None]:
    """Return a field's numbers, of "year" the years of dates; note what is there and is none."""
    field, read, flaw = name, to_number, "is not a number"
    if name == "year":
        field, read, flaw = "date", to_year, "has no year"
    found = list(_read(frame, field, read))
    for mine, value, number in zip(notes, column(frame, field), found, strict=True):
        if number is None and not is_blank(value):
            note = f"{field} not used: {shown(value)} {flaw}"
            if note not in mine:  # the decade reads the date too
                mine.append(note)
    return found


def _numbers(
    part: NumbersBlock, frame: pd.DataFrame, notes: list[list[str]]
) -> tuple[Vector, Known]:
    filled, missing = [], []
    for name, median in zip(part.fields, part.medians, strict=True):
        found = _read_numbers(frame, name, notes)
        values = np.array([np.nan if value is None else value for value in found], np.float64)
        gaps = np.isnan(values)
        filled.append(np.where(gaps, median, values))
        missing.append(gaps)
    matrix = np.stack([*filled, *missing], axis=1).astype(np.float64)
    return matrix, ~np.all(missing, axis=0)


def _categories(
    part: CategoriesBlock,
    positions: dict[str, int],
    frame: pd.DataFrame,
    notes: list[list[str]],
) -> tuple[sparse.csr_matrix, Known]:
    if part.name == DECADE:
        years = _read_numbers(frame, "year", notes)
        rows: list[set[str]] = [set() if year is None else {decade(year)} for year in years]
    else:
        rows = list(_read(frame, part.name, to_names))
    found = [sorted(positions[name] for name in names if name in positions) for names in rows]
    matrix = _rows_of_ones(found, len(positions))
    return matrix, np.array([bool(names) for names in rows], bool)


def decade(year: float) -> str:
    """Return the name of a year's decade: 1990s."""
    return f"{int(year) // 10 * 10}s"


def _words(
    part: WordsBlock,
    find: Callable[[str], int | None],
    stop_words: frozenset[str],
    frame: pd.DataFrame,
    _notes: list[list[str]],
) -> tuple[sparse.csr_matrix, Known]:
    found: list[list[int]] = [[] for _ in range(len(frame))]
    known = np.zeros(len(frame), bool)
    for name in part.texts:
        for row, text in enumerate(_read(frame, name, to_text)):
            words = tokenise(text, stop_words) if text else []
            known[row] |= bool(words)
            longer = (join_words(words, length) for length in range(2, part.ngrams + 1))
            for word in itertools.chain(words, *longer):
                position = find(word)
                if position is not None:
                    found[row].append(position)
    counts = _rows_of_ones(found, len(part.idf))
    counts.sum_duplicates()
    counts.data *= part.idf[counts.indices]
    if part.unit_length and counts.nnz:
        lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        counts.data /= np.repeat(lengths, np.diff(counts.indptr))
    return counts, known


def _characters(
    part: CharactersBlock,
    counter: CharacterCounter,
    frame: pd.DataFrame,
    _notes: list[list[str]],
) -> tuple[sparse.csr_matrix, Known]:
    columns = [_read(frame, name, to_text) for name in part.texts]
    padded = [pad_words(" ".join(texts)) for texts in zip(*columns, strict=True)]
    return counter.count(padded), np.array([bool(text) for text in padded], bool)


def _word_finder(part: WordsBlock) -> Callable[[str], int | None]:
    if part.vocabulary is not None:
        return {word: position for position, word in enumerate(part.vocabulary)}.get
    from sklearn.utils import murmurhash3_32  # noqa: PLC0415 - slow to import

    size = len(part.idf)

    @functools.lru_cache(maxsize=_CACHED_HASHES)
    def find(word: str) -> int:
        return int(murmurhash3_32(word, seed=HASH_SEED)) % size

    return find


def _rows_of_ones(found: list[list[int]], size: int) -> sparse.csr_matrix:
    indices = np.fromiter(itertools.chain.from_iterable(found), np.int32)
    starts = np.cumsum([0, *map(len, found)])
    return sparse.csr_matrix((np.ones(len(indices)), indices, starts), (len(found), size))


def _embeddings(
    part: EmbeddingBlock, frame: pd.DataFrame, notes: list[list[str]]
) -> tuple[Vector, Known]:
    length = len(part.fill)
    vectors: Iterable[Vector | None]
    if isinstance(part, PosterSummaryBlock) and part.name not in frame.columns:
        vectors = _summaries(part, frame, notes)
    else:
        vectors = _read(frame, part.name, lambda value: to_vector(value, length))
    matrix = np.empty((len(frame), length + part.marked))
    known = np.zeros(len(frame), bool)
    for row, vector in enumerate(vectors):
        known[row] = vector is not None
        matrix[row, :length] = part.fill if vector is None else vector
    if part.marked:
        matrix[:, length] = ~known
    return matrix, known


def _summaries(
    part: PosterSummaryBlock, frame: pd.DataFrame, notes: list[list[str]]
) -> Iterable[Vector | None]:
    # both bring OpenCV, which vectors without posters do not need
    from genre_spark.features.poster_summary import summarise_bytes  # noqa: PLC0415
    from genre_spark.imaging.rejected import RejectedImage  # noqa: PLC0415

    for row, data in enumerate(_read(frame, IMAGE, to_bytes)):
        if data is None:
            yield None
            continue
        try:
            yield summarise_bytes(data, part).astype(np.float64)
        except (RejectedImage, InvalidInputError) as flaw:
            notes[row].append(f"image not used: {flaw}")
            yield None
