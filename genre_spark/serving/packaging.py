"""Put what a trained model needs into one folder that can be copied anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping

from genre_spark.errors import InvalidInputError
from genre_spark.features.specification import FeatureSpecification
from genre_spark.serving.package_description import ModelDescription
from genre_spark.storage.checksums import SHA256
from genre_spark.storage.files import copy_folder, filesystem, join, remove_folder
from genre_spark.storage.inventory import take_inventory

__all__ = ["package_model", "stored_class"]


def stored_class(folder: str) -> str:
    """Return the class of a stored multi-label model, for example BinaryRelevanceModel.

    Raises:
        InvalidInputError: there is no stored model in the folder.
    """
    system, inner = filesystem(join(folder, "metadata"))
    names = map(str, system.ls(inner, detail=False) if system.exists(inner) else [])
    for name in sorted(name for name in names if name.rsplit("/", 1)[-1].startswith("part-")):
        with system.open(name, "rb") as file:
            text = file.read().decode("utf-8").strip()
        if text:
            return str(json.loads(text)["class"]).rpartition(".")[2]
    raise InvalidInputError(f"{folder}: no stored model, expected a folder with metadata")


def package_model(
    folder: str,
    description: ModelDescription,
    *,
    files: Mapping[str, str],
    features: FeatureSpecification | None,
    backbone: str | None,
) -> None:
    """Write a package; a folder that is there is replaced.

    Args:
        folder: where the package goes (path or URL).
        description: of the model; its part names the copies.
        files: place in the package -> folder or file to copy.
        features: specification of the feature vectors, where the model reads some.
        backbone: file of the network whose features posters have, where the features need it.
    """
    remove_folder(folder)
    for place, source in files.items():
        copy_folder(source, join(folder, place))
    if features is not None:
        features.save(join(folder, "features"))
    if backbone is not None:
        copy_folder(backbone, join(folder, "backbone.pt"))
    extra = [name for name, there in (("features", features), ("backbone.pt", backbone)) if there]
    states = take_inventory(folder, [*files, *extra], algorithm=SHA256)  # others read it too
    description.save(folder, files=states)
