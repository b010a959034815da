"""Readers and writers of the multi-label stages: JSON, Parquet and skops, never pickle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyspark
from pyarrow import parquet
from pyspark.ml import Estimator, classification
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWriter,
)

from genre_spark.errors import InvalidInputError, explained_damage
from genre_spark.multilabel.models.archives import (
    dump_sklearn,
    load_sklearn,
    pack_arrays,
    trusted_types,
    unpack_arrays,
)
from genre_spark.multilabel.models.boosted import BoostedScorer
from genre_spark.multilabel.models.forests import ForestScorer
from genre_spark.multilabel.models.from_sklearn import SkopsScorer
from genre_spark.multilabel.models.parts import FittedPart, Part, SparkPart, save_spark_stage
from genre_spark.multilabel.models.scorers import ConstantScorer, LinearScorer, StoredScorer
from genre_spark.multilabel.stored_names import check_stored_class
from genre_spark.spark.connect import is_connect
from genre_spark.spark.local_rows import frame_of_rows
from genre_spark.spark.session import literal_path

__all__ = [
    "EstimatorReader",
    "EstimatorWriter",
    "ModelReader",
    "ModelWriter",
    "ParamsReadable",
    "ParamsReader",
    "read_scorer",
]

_CLASSIFIER = "classifier"
_PARTS = "part int, kind string, payload binary, classes binary"
_SCORERS: dict[str, Any] = {
    "constant": ConstantScorer,
    "linear": LinearScorer,
    "forest": ForestScorer,
    "skops": SkopsScorer,
    "boosted": BoostedScorer,
}
_SPARK_MODULES = ("pyspark.ml.classification", "org.apache.spark.ml.classification")
_FILE = 2**27  # bytes of parts in a file
_MESSAGE = 2**26  # bytes of parts in a message to a Connect server, which takes 128 MiB
_PartRow = tuple[int, str, bytearray, "bytearray | None"]
FORMAT = 1
_SAVE_AGAIN = "fit it and save it again"


def _handle(io: MLWriter | MLReader) -> Any:
    """Return what Spark's default reader takes: a SparkSession, before 4.0 a context."""
    return io.sparkSession if int(pyspark.__version__.split(".")[0]) >= 4 else io.sc


def _write_metadata(
    writer: MLWriter,
    instance: Any,
    path: str,
    extra: dict[str, Any],
    params: dict[str, Any] | None = None,
) -> None:
    """Write what DefaultParamsWriter writes, which before 4.0 needs a SparkContext."""
    session: Any = writer.sparkSession
    text = DefaultParamsWriter._get_metadata_to_save(instance, session, extra, params)
    lines = frame_of_rows(session, [(text,)], "value string")
    lines.coalesce(1).write.text(f"{path}/metadata")


def _metadata(reader: MLReader, path: str) -> dict[str, Any]:
    lines = reader.sparkSession.read.text(f"{literal_path(path)}/metadata").collect()  # one
    found: dict[str, Any] = DefaultParamsReader._parseMetaData("".join(row[0] for row in lines))
    return found


class _Writer(MLWriter):
    """A writer that can replace what is there in sessions of Spark Connect too."""

    def _handleOverwrite(self, path: str) -> None:
        if not is_connect(self.sparkSession):
            super()._handleOverwrite(path)
            return
        from pyspark.ml.connect.readwrite import RemoteMLWriter  # noqa: PLC0415 - needs grpc

        RemoteMLWriter.handleOverwrite(path, shouldOverwrite=True)


def _checked(metadata: dict[str, Any], wanted: type, path: str) -> dict[str, Any]:
    """Return a stage's metadata where it is of the wanted class and of this format."""
    check_stored_class(metadata["class"], wanted, path)
    found = metadata.get("format", FORMAT)
    if found != FORMAT:
        raise InvalidInputError(
            f"{path}: stored in format {found}, expected {FORMAT}: a newer version wrote it"
        )
    return metadata


def _load_spark_stage(path: str, handle: Any) -> Any:
    """Return a stored classifier or model of Spark ML.

    Raises:
        InvalidInputError: its class, which would be imported and asked to read it, is none of
            Spark's own, and `trust_types` has not allowed it.
    """
    stored = str(DefaultParamsReader.loadMetadata(path, handle)["class"])
    module, _, name = stored.rpartition(".")
    own = module in _SPARK_MODULES and name in classification.__all__
    if not own and stored not in trusted_types():
        raise InvalidInputError(
            f"{path}: stored by {stored!r}, expected a class of pyspark.ml.classification; if you "
            "know where the model is from and it is right, allow it with "
            f"genre_spark.multilabel.trust_types({stored!r})"
        )
    return DefaultParamsReader.loadParamsInstance(path, handle)


def _params_without_classifier(instance: Any) -> dict[str, Any]:
    return {
        param.name: value
        for param, value in instance._paramMap.items()
        if param.name != _CLASSIFIER
    }


class EstimatorWriter(_Writer):
    """Write an estimator: Params as Spark ML does, the base classifier beside them."""

    def __init__(self, instance: Any) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        """Write to the path."""
        instance = self.instance.copy()
        instance._defaultParamMap = {
            param: value
            for param, value in instance._defaultParamMap.items()
            if param.name != _CLASSIFIER
        }
        kind = self._classifier_kind()
        extra = {"format": FORMAT, "classifier": kind}
        params = _params_without_classifier(instance)
        _write_metadata(self, instance, path, extra, params)
        if kind is None:
            return
        classifier = self.instance.getClassifier()
        if kind == "spark":
            save_spark_stage(classifier, f"{path}/classifier", self.sparkSession)
            return
        row = (0, "skops", bytearray(dump_sklearn(classifier)), None)
        frame_of_rows(self.sparkSession, [row], _PARTS).coalesce(1).write.parquet(
            f"{path}/classifier_skops"
        )

    def _classifier_kind(self) -> str | None:
        if not self.instance.hasParam(_CLASSIFIER) or not self.instance.isSet(_CLASSIFIER):
            return None
        return "spark" if isinstance(self.instance.getClassifier(), Estimator) else "skops"


class ParamsReader(MLReader[Any]):
    """Read a stage that is its Params alone, as DefaultParamsWriter stores it."""

    def __init__(self, cls: type[Any]) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        """Read from the path."""
        with explained_damage(path, _SAVE_AGAIN):
            metadata = _checked(_metadata(self, path), self.cls, path)
            instance = self.cls()
            instance._resetUid(metadata["uid"])
            DefaultParamsReader.getAndSetParams(instance, metadata)
            return instance


class ParamsReadable(MLReadable[Any]):
    """A stage that is its Params alone: rejects a stored stage of another class."""

    @classmethod
    def read(cls) -> ParamsReader:
        """Return the reader."""
        return ParamsReader(cls)


class EstimatorReader(ParamsReader):
    """Read what EstimatorWriter wrote."""

    def load(self, path: str) -> Any:
        """Read from the path."""
        instance = super().load(path)
        kind = _metadata(self, path).get("classifier")
        if instance.hasParam(_CLASSIFIER) and kind:
            instance.setClassifier(self._classifier(path, kind))
        return instance

    def _classifier(self, path: str, kind: str) -> Any:
        if kind == "spark":
            return _load_spark_stage(f"{literal_path(path)}/classifier", _handle(self))
        with explained_damage(path, _SAVE_AGAIN):
            row = self.sparkSession.read.parquet(f"{literal_path(path)}/classifier_skops").first()
            return load_sklearn(bytes(row["payload"] if row else b""), path)


class ModelWriter(_Writer):
    """Write a model: Params, its structure as JSON, and one row of Parquet per fitted part.

    Parts are arrays or skops archives. Only classifiers that have no such form are written by their
    own writers.
    """

    def __init__(self, instance: Any) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        """Write to the path."""
        model = self.instance
        extra = {
            "format": FORMAT,
            "structure": model.structure,
            "numLabels": model.numLabels,
            "numFeatures": model.numFeatures,
        }
        _write_metadata(self, model, path, extra)
        rows = [_part_row(index, part) for index, part in enumerate(model.parts)]
        mode = "error"
        for some in _sendable(rows) if is_connect(self.sparkSession) else [rows]:
            size = sum(len(row[2]) for row in some)
            table = frame_of_rows(self.sparkSession, some, _PARTS).coalesce(1 + size // _FILE)
            table.write.mode(mode).parquet(f"{path}/parts")
            mode = "append"
        for index, part in enumerate(model.parts):
            part.save_beside(f"{path}/models/{index}", self.sparkSession)


def _sendable(rows: Sequence[_PartRow]) -> Iterator[list[_PartRow]]:
    """Yield the rows in groups that a Connect server takes in one message."""
    group: list[_PartRow] = []
    size = 0
    for row in rows:
        size += len(row[2])
        if group and size > _MESSAGE:
            yield group
            group, size = [], len(row[2])
        group.append(row)
    yield group


def _part_row(index: int, part: Part) -> _PartRow:
    classes = None if part.classes is None else bytearray(pack_arrays({"classes": part.classes}))
    return index, part.kind, bytearray(part.to_bytes()), classes


class ModelReader(MLReader[Any]):
    """Read what ModelWriter wrote."""

    def __init__(self, cls: type[Any]) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> Any:
        """Read from the path."""
        with explained_damage(path, _SAVE_AGAIN):
            metadata = _checked(_metadata(self, path), self.cls, path)
            parts = self.sparkSession.read.parquet(f"{literal_path(path)}/parts").collect()
            return self._build(path, metadata, parts)

    def load_local(self, path: str) -> Any:
        """Read from a folder of this machine, without Spark."""
        folder = Path(path)
        files = sorted((folder / "metadata").glob("part-*"))
        if not files:
            raise InvalidInputError(
                f"{path}: no stored model, expected a folder with metadata and parts"
            )
        with explained_damage(path, _SAVE_AGAIN):
            text = "".join(file.read_text(encoding="utf-8") for file in files)
            metadata = _checked(DefaultParamsReader._parseMetaData(text), self.cls, path)
            return self._build(path, metadata, parquet.read_table(folder / "parts").to_pylist())

    def _build(self, path: str, metadata: dict[str, Any], found: Sequence[Any]) -> Any:
        rows = sorted(found, key=lambda row: row["part"])
        parts = [self._part(path, row) for row in rows]
        model = self.cls(
            parts=parts,
            structure=metadata["structure"],
            numLabels=metadata["numLabels"],
            numFeatures=metadata["numFeatures"],
        )
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model

    def _part(self, path: str, row: Any) -> Part:
        packed, payload = row["classes"], bytes(row["payload"])
        classes = None if packed is None else unpack_arrays(bytes(packed))["classes"]
        if row["kind"] == SparkPart.kind:
            place = f"{literal_path(path)}/models/{row['part']}"
            return SparkPart(_load_spark_stage(place, _handle(self)), int(payload), classes)
        return FittedPart(read_scorer(row["kind"], payload), classes)


def read_scorer(kind: str, payload: bytes) -> StoredScorer:
    """Build a scorer from its kind and bytes.

    Raises:
        InvalidInputError: this version has no such kind.
    """
    if kind not in _SCORERS:
        known = ", ".join(sorted(_SCORERS))
        raise InvalidInputError(
            f"stored model: a part of kind {kind!r}, expected one of {known}: a newer version "
            "wrote it"
        )
    scorer: StoredScorer = _SCORERS[kind].from_bytes(payload)
    return scorer
