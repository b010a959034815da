"""Texts to counts of character n-grams within words, over arrays: no Python per n-gram."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genre_spark.features.blocks import CharactersBlock
from genre_spark.features.tokens import fold_case
from genre_spark.numeric.splitmix import mix64

__all__ = ["CharacterCounter", "Windows", "chunks", "find_windows", "pad_words"]

_BLANK = 32
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_CHUNK = 400_000  # characters that are looked at at once: some 30 MB of numbers

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Windows:
    """The n-grams of some texts.

    Attributes:
        characters: the texts as one, with a blank on either side of each word.
        rows: text that each n-gram is of, (n-grams,).
        starts: its place in `characters`, (n-grams,).
        lengths: its characters, (n-grams,).
        hashes: 64 bits of each n-gram, the same on every machine.
    """

    characters: str
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    hashes: Hashes


def pad_words(text: str) -> str:
    """Return a movie's text as n-grams see it: lower case, NFC, one blank around each word."""
    words = fold_case(text).split()
    return f" {' '.join(words)} " if words else ""


def find_windows(padded: Sequence[str], shortest: int, longest: int) -> Windows:
    """Return every n-gram that lies within a word and the blanks beside it.

    Args:
        padded: of `pad_words`, one per movie.
        shortest: characters of an n-gram, >= 2.
        longest: likewise.
    """
    characters = "".join(padded)
    codes = np.frombuffer(characters.encode("utf-32-le", "surrogatepass"), np.uint32)
    blanks = np.concatenate([[0], np.cumsum(codes == _BLANK)])
    row_of = np.repeat(np.arange(len(padded)), [len(text) for text in padded])
    wide = codes.astype(np.uint64) + np.uint64(1)
    rolling = np.zeros(len(wide), np.uint64)
    starts, lengths, hashes = [], [], []
    for length in range(1, min(longest, len(wide)) + 1):
        count = len(wide) - length + 1
        rolling = rolling[:count] * _MULTIPLIER + wide[length - 1 :]
        if length < shortest:
            continue
        # no blank inside; between two movies there are two, which one n-gram cannot hold
        inside = blanks[length - 1 : length - 1 + count] == blanks[1 : 1 + count]
        if length == 2:
            inside &= np.diff(blanks, n=1)[:-1] + np.diff(blanks, n=1)[1:] < 2
        (found,) = np.nonzero(inside)
        starts.append(found)
        lengths.append(np.full(len(found), length))
        hashes.append(mix64(rolling[found]))
    where = np.concatenate(starts) if starts else np.zeros(0, np.int64)
    return Windows(
        characters,
        row_of[where],
        where,
        np.concatenate(lengths) if lengths else np.zeros(0, np.int64),
        np.concatenate(hashes) if hashes else np.zeros(0, np.uint64),
    )


class CharacterCounter:
    """Turns texts into the features of a block, CSR (movies, n-grams).

    An n-gram is known by 64 bits of hash: that two of a vocabulary of a million agree has a
    probability of 3e-8.

    Args:
        part: the block.
    """

    def __init__(self, part: CharactersBlock) -> None:
        # without the n-grams themselves: this travels to Spark's workers
        self._ngrams, self._idf, self._size = part.ngrams, part.idf, len(part.idf)
        self._keys = self._places = None
        if part.vocabulary is not None:
            keys = _hash_ngrams(part.vocabulary)
            self._places = np.argsort(keys, kind="stable")
            self._keys = keys[self._places]

    def count(self, padded: Sequence[str]) -> sparse.csr_matrix:
        """Return weighted counts: (1 + log count) x IDF, each row of length 1 or 0.

        Args:
            padded: of `pad_words`, one per movie.
        """
        parts = [self._count(chunk) for chunk in chunks(padded)]
        counts = sparse.vstack(parts, format="csr") if parts else self._empty()
        counts.data = (1.0 + np.log(counts.data)) * self._idf[counts.indices]
        squares = sparse.csr_matrix((counts.data**2, counts.indices, counts.indptr), counts.shape)
        lengths = np.sqrt(np.asarray(squares.sum(axis=1)).ravel())
        counts.data /= np.repeat(lengths, np.diff(counts.indptr))
        return counts

    def _count(self, padded: Sequence[str]) -> sparse.csr_matrix:
        windows = find_windows(padded, *self._ngrams)
        rows, places = windows.rows, self._find(windows.hashes)
        known = places >= 0
        rows, places = rows[known], places[known]
        # one sort of row and place together brings equal n-grams of a movie side by side
        joined, counts = np.unique(rows * self._size + places, return_counts=True)
        starts = np.searchsorted(joined, np.arange(len(padded) + 1) * self._size)
        return sparse.csr_matrix(
            (counts.astype(np.float64), joined % self._size, starts), (len(padded), self._size)
        )

    def _find(self, hashes: Hashes) -> NDArray[np.int64]:
        """Return the feature of each n-gram, -1 for none."""
        if self._keys is None or self._places is None:
            return (hashes % np.uint64(self._size)).astype(np.int64)
        near = np.minimum(np.searchsorted(self._keys, hashes), len(self._keys) - 1)
        return np.where(self._keys[near] == hashes, self._places[near], -1)

    def _empty(self) -> sparse.csr_matrix:
        return sparse.csr_matrix((0, self._size))


def chunks(padded: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield neighbouring texts of some hundred thousand characters together."""
    start, held = 0, 0
    for place, text in enumerate(padded):
        held += len(text)
        if held >= _CHUNK:
            yield padded[start : place + 1]
            start, held = place + 1, 0
    if start < len(padded):
        yield padded[start:]


def _hash_ngrams(ngrams: Sequence[str]) -> Hashes:
    """Return the hashes that `find_windows` gives these n-grams."""
    keys = np.zeros(len(ngrams), np.uint64)
    sizes = np.array([len(ngram) for ngram in ngrams])
    for length in np.unique(sizes):
        (chosen,) = np.nonzero(sizes == length)
        joined = "".join(ngrams[place] for place in chosen)
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
        rolling = np.zeros(len(chosen), np.uint64)
        for column in codes.reshape(len(chosen), int(length)).T:
            rolling = rolling * _MULTIPLIER + (column.astype(np.uint64) + np.uint64(1))
        keys[chosen] = mix64(rolling)
    return keys
