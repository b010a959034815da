"""What a packaged model consists of, as JSON in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from genre_spark.errors import InvalidInputError, explained_damage, made_again_by
from genre_spark.features.blocks import PosterForm
from genre_spark.storage.files import (
    file_exists,
    join,
    read_checked_json,
    read_json,
    write_checked_json,
)
from genre_spark.storage.inventory import FileState, find_damage, read_states

__all__ = ["FORMAT", "ModelDescription", "TextSource"]

FORMAT = 1
_FILE = "movie_model.json"
_REMEDY = made_again_by("package-models")


@dataclass(frozen=True)
class TextSource:
    """How the vector of a movie's texts is computed.

    Attributes:
        model: `minilm`, `glove`, or a folder or file, as in `text_embeddings.model`.
        fields: the texts that are joined, in this order.
        max_tokens: where longer texts are cut; None for the encoder's own limit.
    """

    model: str
    fields: tuple[str, ...]
    max_tokens: int | None = None


@dataclass(frozen=True)
class ModelDescription:
    """A packaged model.

    Attributes:
        name: name of the model, as in the comparison.
        version: digest of everything that its answers depend on.
        vocabulary: names of the genres, L.
        rule: decision rule that validation chose; see `evaluation.scores.RULES`.
        thresholds: probabilities from which on a genre is predicted: one, or L.
        prior: share of the training movies that have each genre, (L,): the answer where nothing
            is known of a movie.
        part: what computes probabilities: its `kind` and where its files are in the folder.
        posters: the form that the posters of training were stored in, and which are read.
        texts: how texts become vectors, where the features have a block of these.
    """

    name: str
    version: str
    vocabulary: tuple[str, ...]
    rule: str
    thresholds: tuple[float, ...]
    prior: tuple[float, ...]
    part: Mapping[str, Any]
    posters: PosterForm
    texts: TextSource | None = None

    def save(self, folder: str, *, files: Mapping[str, FileState] | None = None) -> None:
        """Write it, as the last file of a package: a folder without it is no package.

        Args:
            folder: of the package.
            files: sizes and checksums of the package's other files.
        """
        value = {"format": FORMAT, **asdict(self), "files": dict(files or {})}
        write_checked_json(join(folder, _FILE), value)

    @classmethod
    def load(cls, folder: str) -> ModelDescription:
        """Read what `save` has written.

        Raises:
            InvalidInputError: there is none, or it is damaged or of a later version.
        """
        path = join(folder, _FILE)
        value = read_checked_json(path)
        if value is None:
            if read_json(path) is not None:
                raise InvalidInputError(f"{path}: it was changed; {_REMEDY}")
            if file_exists(path):
                raise InvalidInputError(f"{path}: damaged (not a whole JSON object); {_REMEDY}")
            raise InvalidInputError(
                f"{path}: no such file, expected the folder of a packaged model (what "
                "`genre-spark package-models` writes under movie_models/)"
            )
        if value.pop("format", None) != FORMAT:
            raise InvalidInputError(
                f"{path}: expected format {FORMAT}, another version wrote it; {_REMEDY}"
            )
        try:
            states = read_states(value.pop("files", None))
            damage = find_damage(folder, states, full=True)  # all of it is read now anyway
        except (TypeError, ValueError):
            damage = [path]
        if damage:
            raise InvalidInputError(f"{damage[0]}; {_REMEDY}")
        with explained_damage(path, _REMEDY):
            texts = value["texts"]
            return cls(
                **{
                    **value,
                    "vocabulary": tuple(value["vocabulary"]),
                    "thresholds": tuple(map(float, value["thresholds"])),
                    "prior": tuple(map(float, value["prior"])),
                    "posters": PosterForm(**value["posters"]),
                    "texts": texts and TextSource(**{**texts, "fields": tuple(texts["fields"])}),
                }
            )
