"""What turns texts into vectors: the interface, and which source gives which encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from genre_spark.errors import InvalidInputError
from genre_spark.text.sentence_encoder import SentenceEncoder, check_sentence_folder
from genre_spark.text.sources import EncoderSource
from genre_spark.text.word_vectors import WordVectors

__all__ = ["EncodedTexts", "TextEncoder", "encode_texts", "open_encoder"]

_DECIMALS = 5
"""A vector depends a little on the texts that are padded together with it (1e-7 of its length)."""


class TextEncoder(Protocol):
    """Turns texts into vectors."""

    @property
    def size(self) -> int:
        """Length of a vector."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return each text's tokens that the model knows, and which texts are cut; both (N,)."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, (N, size); no text is empty."""
        ...


@dataclass(frozen=True)
class EncodedTexts:
    """Vectors of some texts.

    Attributes:
        vectors: one per text, of length 1, or zeros where the text is empty, (N, size).
        tokens: tokens of each text before it was cut, (N,).
        truncated: whether the text was longer than the model reads, (N,).
        empty: whether the text has nothing that the model knows, (N,).
    """

    vectors: NDArray[np.float32]
    tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    empty: NDArray[np.bool_]


def open_encoder(
    source: EncoderSource, *, max_tokens: int | None, device: torch.device | None = None
) -> TextEncoder:
    """Load the encoder of a source.

    Args:
        source: of `find_source`.
        max_tokens: where longer texts are cut; None for the model's own limit.
        device: that a sentence transformer computes on; None for the CPU.

    Raises:
        InvalidInputError: the files are not there or cannot be used.
    """
    path = Path(source.path)
    if source.kind == "sentence":
        check_sentence_folder(path)
        return SentenceEncoder(path, max_tokens=max_tokens, device=device)
    if not path.exists():
        raise InvalidInputError(f"text_embeddings.model: {path}: no such file")
    return WordVectors.load(path, max_tokens=max_tokens)


def encode_texts(encoder: TextEncoder, texts: Sequence[str], *, batch_size: int) -> EncodedTexts:
    """Encode texts of any script, each batch with texts of about the same length.

    Args:
        encoder: of `open_encoder`.
        texts: N texts; some may be empty.
        batch_size: texts per forward pass.
    """
    tokens, truncated = encoder.count_tokens(texts)
    empty = tokens == 0
    vectors = np.zeros((len(texts), encoder.size), np.float32)
    order = np.argsort(tokens, kind="stable")[int(empty.sum()) :]
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        vectors[chosen] = np.round(encoder.encode([texts[row] for row in chosen]), _DECIMALS)
    return EncodedTexts(vectors, tokens, truncated, empty)
