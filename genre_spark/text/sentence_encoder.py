"""Sentence transformers from a local folder (Reimers and Gurevych, Sentence-BERT, 2019).

Such a folder has a transformer of Hugging Face, `modules.json` and `1_Pooling/config.json`. Reading
it needs transformers alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from genre_spark.errors import InvalidInputError

__all__ = ["SentenceEncoder", "check_sentence_folder"]

_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
_MODULES = ("Transformer", "Pooling", "Normalize")


def check_sentence_folder(folder: Path) -> str:
    """Return how a sentence transformer pools its tokens: mean, cls or max.

    Raises:
        InvalidInputError: a file is missing, or the model has parts that are not known here.
    """
    where = f"text_embeddings.model: {folder}"
    needed = ("config.json", "tokenizer_config.json", "model.safetensors")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise InvalidInputError(
            f"{where}: no {', '.join(missing)}, expected a folder of a sentence transformer with "
            "its weights as safetensors"
        )
    modules = _read(folder / "modules.json", [])
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    unknown = [kind for kind in kinds if kind not in _MODULES]
    if unknown:
        raise InvalidInputError(f"{where}: module {unknown[0]}, expected {', '.join(_MODULES)}")
    pooling = _read(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    chosen = [name for name in pooling if name.startswith("pooling_mode") and pooling[name] is True]
    if len(chosen) != 1 or chosen[0] not in _POOLINGS:
        raise InvalidInputError(
            f"{where}: pooling {', '.join(chosen) or 'none'}, expected one of "
            f"{', '.join(_POOLINGS)}"
        )
    return _POOLINGS[chosen[0]]


class SentenceEncoder:
    """A transformer and the pooling of its tokens.

    Args:
        folder: of a sentence transformer; no code in it is run.
        max_tokens: where texts are cut, with the two marks around a text; None for the model's own
            limit.
        device: that it computes on, in float32; None for the CPU.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_tokens: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._pooling = check_sentence_folder(folder)
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder), **options)
        self._network = AutoModel.from_pretrained(
            str(folder), use_safetensors=True, attn_implementation="sdpa", **options
        ).eval()
        self._network.to(self._device)
        own = _read(folder / "sentence_bert_config.json", {}).get("max_seq_length")
        longest = getattr(self._network.config, "max_position_embeddings", 512)
        self.max_tokens = min(max_tokens or own or longest, longest)
        self._marks = len(self._tokenizer("")["input_ids"])

    @property
    def size(self) -> int:
        """Length of a vector."""
        return int(self._network.config.hidden_size)

    def count_tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return each text's tokens without marks, and which texts are cut; both (N,)."""
        found = self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        counts = np.array([len(ids) - self._marks for ids in found], np.int32)
        return counts, counts > self.max_tokens - self._marks

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, (N, size)."""
        inputs = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self._device)
        hidden = self._network(**inputs).last_hidden_state
        present = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        if self._pooling == "cls":
            pooled = hidden[:, 0]
        elif self._pooling == "max":
            pooled = hidden.masked_fill(present == 0, -torch.inf).amax(1)
        else:
            pooled = (hidden * present).sum(1) / present.sum(1).clamp(min=1)
        result: NDArray[np.float32] = torch.nn.functional.normalize(pooled).float().cpu().numpy()
        return result


def _read(path: Path, default: Any) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else default
