"""What turns a movie into a feature vector, learnt once and stored: one for both engines."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genre_spark.errors import (
    InvalidInputError,
    MissingTableError,
    explained_damage,
    made_again_by,
)
from genre_spark.features.blocks import (
    BLOCKS,
    DECADE,
    KINDS,
    Block,
    CharactersBlock,
    NumbersBlock,
    PosterForm,
    Vector,
    WordsBlock,
)
from genre_spark.storage.files import (
    filesystem,
    join,
    read_json,
    whole_file,
    write_json,
)

__all__ = ["FORMAT", "FeatureSpecification"]

FORMAT = 1
_FILE = "specification.json"


@dataclass(frozen=True, eq=False)
class FeatureSpecification:
    """The blocks of a feature vector in their order.

    Attributes:
        parts: the blocks; a block that no training movie knows anything about is left out.
        training_movies: how many movies it was learnt from.
    """

    parts: tuple[Block, ...]
    training_movies: int

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if names != [name for name in BLOCKS if name in names]:
            raise InvalidInputError(
                f"feature blocks {', '.join(names)}: expected each once, in the order "
                f"{', '.join(BLOCKS)}"
            )

    @cached_property
    def blocks(self) -> Mapping[str, slice]:
        """Where each block's features are in the vector, by the block's name."""
        slices, start = {}, 0
        for part in self.parts:
            stop = start + len(part.feature_names)
            slices[part.name] = slice(start, stop)
            start = stop
        return MappingProxyType(slices)

    @cached_property
    def size(self) -> int:
        """The length of the feature vector."""
        return sum(len(part.feature_names) for part in self.parts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each feature, `block: feature`; none twice."""
        return tuple(f"{part.name}: {name}" for part in self.parts for name in part.feature_names)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The block of each feature."""
        return tuple(part.name for part in self.parts for _ in part.feature_names)

    @property
    def uses_themes(self) -> bool:
        """Whether Letterboxd's themes, which are half a label, are among the features."""
        return "themes" in self.blocks

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The raw fields of a movie that are read."""
        needed: list[str] = []
        for part in self.parts:
            if isinstance(part, NumbersBlock):
                needed += ["date" if name == "year" else name for name in part.fields]
            elif isinstance(part, (WordsBlock, CharactersBlock)):
                needed += part.texts
            else:
                needed.append({DECADE: "date", "poster_summary": "image"}.get(part.name, part.name))
        return tuple(dict.fromkeys(needed))

    def part(self, name: str) -> Block | None:
        """Return the block of a name, or None where it is switched off or empty."""
        return next((part for part in self.parts if part.name == name), None)

    def select(self, names: Iterable[str]) -> FeatureSpecification:
        """Return the specification of these blocks alone, as if the others were switched off.

        Raises:
            InvalidInputError: a block is not in this specification.
        """
        wanted = set(names)
        if unknown := wanted - set(self.blocks):
            raise InvalidInputError(
                f"feature blocks: {', '.join(sorted(unknown))}, expected some of "
                f"{', '.join(self.blocks)}"
            )
        parts = tuple(part for part in self.parts if part.name in wanted)
        return FeatureSpecification(parts, self.training_movies)

    def columns(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Return the positions in the vector of the features of these blocks, ascending."""
        chosen = self.select(names).blocks
        ranges = [np.arange(self.blocks[name].start, self.blocks[name].stop) for name in chosen]
        return np.concatenate(ranges) if ranges else np.zeros(0, np.int64)

    @cached_property
    def digest(self) -> str:
        """A digest of 16 digits of everything that a feature vector depends on."""
        text, arrays = self._encode()
        digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
        for name in sorted(arrays):
            digest.update(name.encode() + arrays[name].tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: str) -> None:
        """Write it into a folder (path or URL): the arrays first, then what names them."""
        text, arrays = self._encode()
        name = f"arrays-{self.digest}.npz"
        with whole_file(join(folder, name)) as file:
            np.savez(file, **arrays)
        write_json(join(folder, _FILE), {**text, "arrays": name, "digest": self.digest})
        system, inner = filesystem(folder)
        for other in system.ls(inner, detail=False):
            last = str(other).rsplit("/", 1)[-1]
            if last.startswith("arrays-") and last != name:
                system.rm(other)

    @classmethod
    def load(cls, folder: str) -> FeatureSpecification:
        """Read what `save` has written.

        Raises:
            MissingTableError: there is none in the folder.
            InvalidInputError: it is damaged, or of a later version.
        """
        path = join(folder, _FILE)
        text = read_json(path)
        if text is None:
            raise MissingTableError(
                f"{path}: no whole specification of features, expected what build-features writes"
            )
        if text.get("format") != FORMAT:
            raise InvalidInputError(
                f"{path}: format {text.get('format')!r}, expected {FORMAT}; it is of another "
                f"version of genre_spark; {made_again_by('build-features')}"
            )
        with explained_damage(path, made_again_by("build-features")):
            system, inner = filesystem(join(folder, text["arrays"]))
            with system.open(inner, "rb") as file:
                arrays = np.load(io.BytesIO(file.read()), allow_pickle=False)
                parts = tuple(_decode_part(values, arrays) for values in text["parts"])
            specification = cls(parts, int(text["training_movies"]))
        if specification.digest != text.get("digest"):
            raise InvalidInputError(
                f"{path}: damaged (its digest differs); {made_again_by('build-features')}"
            )
        return specification

    def _encode(self) -> tuple[dict[str, Any], dict[str, Vector]]:
        arrays: dict[str, Vector] = {}
        parts = []
        for part in self.parts:
            values: dict[str, Any] = {"kind": part.kind}
            for item in fields(part):
                value = getattr(part, item.name)
                if isinstance(value, np.ndarray):
                    arrays[f"{part.name}/{item.name}"] = value
                else:
                    values[item.name] = asdict(value) if isinstance(value, PosterForm) else value
            parts.append(values)
        text = {"format": FORMAT, "training_movies": self.training_movies, "parts": parts}
        # as JSON gives it back, so that the digest of what was read is that of what was written
        return json.loads(json.dumps(text)), arrays


def _decode_part(values: Mapping[str, Any], arrays: Mapping[str, Any]) -> Block:
    known = dict(values)
    build = KINDS[known.pop("kind")]
    for item in fields(build):
        name = f"{known['name']}/{item.name}"
        if name in arrays:
            known[item.name] = np.asarray(arrays[name], np.float64)
        elif isinstance(known[item.name], list):
            known[item.name] = tuple(known[item.name])
        elif item.name == "form":
            known[item.name] = PosterForm(**known[item.name])
    part: Block = build(**known)
    return part
