"""Averages of word vectors, such as GloVe's (Pennington, Socher and Manning, 2014)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genre_spark.errors import InvalidInputError

__all__ = ["WordVectors", "split_words"]

_WORD = re.compile(r"\w+(?:'\w+)?")


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case; letters of any script, digits and apostrophes."""
    return _WORD.findall(text.lower())


class WordVectors:
    """The mean of a text's word vectors, brought to length 1; a word counts as often as it occurs.

    Args:
        rows: position of each word's vector.
        vectors: (words, size).
        max_tokens: words of a text that are read; None for all.
    """

    def __init__(
        self, rows: dict[str, int], vectors: NDArray[np.float32], *, max_tokens: int | None
    ) -> None:
        self._rows, self._vectors, self._max_tokens = rows, vectors, max_tokens

    @classmethod
    def load(cls, path: Path, *, max_tokens: int | None = None) -> WordVectors:
        """Read a file of word vectors.

        Args:
            path: .npy of float32 (words, size) beside one .parquet whose first column has the words
                in the same order, or text lines of a word and its numbers, plain or .gz.
            max_tokens: words of a text that are read; None for all.

        Raises:
            InvalidInputError: the file is no such thing.
        """
        try:
            if path.suffix == ".npy":
                words, vectors = _read_arrays(path)
            else:
                words, vectors = _read_lines(path)
        except (ValueError, OSError) as error:
            raise InvalidInputError(
                f"text_embeddings.model: {path}: {error}, expected word vectors (.npy beside a "
                ".parquet of words, or lines of a word and its numbers)"
            ) from None
        return cls({word: row for row, word in enumerate(words)}, vectors, max_tokens=max_tokens)

    @property
    def size(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])

    def count_tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return the known words of each text, (N,), and which texts are cut, (N,)."""
        words = [split_words(text) for text in texts]
        known = [sum(word in self._rows for word in part[: self._max_tokens]) for part in words]
        cut = [self._max_tokens is not None and len(part) > self._max_tokens for part in words]
        return np.array(known, np.int32), np.array(cut, np.bool_)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, (N, size); zeros where no word is known."""
        result = np.zeros((len(texts), self.size), np.float32)
        for row, text in enumerate(texts):
            words = split_words(text)[: self._max_tokens]
            found = [self._rows[word] for word in words if word in self._rows]
            if found:
                result[row] = np.asarray(self._vectors[found]).mean(axis=0, dtype=np.float64)
        length = np.linalg.norm(result, axis=1, keepdims=True)
        return np.divide(result, length, out=np.zeros_like(result), where=length > 0)


def _read_arrays(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    beside = sorted(path.parent.glob("*.parquet"))
    if len(beside) != 1:
        raise ValueError(f"{len(beside)} .parquet files beside it")
    words = pq.read_table(beside[0]).column(0).to_pylist()
    if vectors.ndim != 2 or len(words) != len(vectors):
        raise ValueError(f"{len(words)} words for vectors of shape {vectors.shape}")
    return words, vectors


def _open_lines(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _read_lines(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    words: list[str] = []
    numbers: list[NDArray[np.float32]] = []
    with _open_lines(path) as lines:
        for line in lines:
            word, _, rest = line.rstrip().partition(" ")
            vector = np.fromstring(rest, dtype=np.float32, sep=" ")
            if not words and len(vector) == 1:
                continue  # word2vec's first line: the numbers of words and of dimensions
            if len(vector) < 2 or (numbers and len(vector) != len(numbers[0])):
                raise ValueError(f"line {len(words) + 1} has {len(vector)} numbers")
            words.append(word)
            numbers.append(vector)
    if not words:
        raise ValueError("no words")
    return words, np.stack(numbers)
