"""Paths and URLs of any file system, digests, and files that appear whole or not at all.

No Spark.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

import fsspec

from genre_spark.errors import InvalidInputError

__all__ = ["file_digest", "filesystem", "fingerprint", "join", "read_json", "write_json"]


def filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a path or URL and the path on it; Spark's s3a is s3 here."""
    url = path.replace("s3a://", "s3://", 1) if path.startswith("s3a://") else path
    return fsspec.core.url_to_fs(url)


def join(folder: str, *names: str) -> str:
    """Join a folder (path or URL) and names with slashes."""
    return "/".join([folder.rstrip("/"), *names])


def fingerprint(*parts: object) -> str:
    """Return a 16-digit hexadecimal digest of JSON values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def file_digest(path: str) -> str:
    """Return a digest that changes when a file does: its name, size and time of modification.

    Raises:
        InvalidInputError: there is no such file.
    """
    system, inner = filesystem(path)
    if not system.exists(inner):
        raise InvalidInputError(f"{path}: no such file or folder")
    info = system.info(inner)
    stamp = (
        info.get("mtime")
        or info.get("LastModified")
        or info.get("last_modified")
        or info.get("etag")
    )
    return fingerprint(path.rsplit("/", 1)[-1], info.get("size"), str(stamp))


def read_json(path: str) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None when the file is missing or was not written whole."""
    system, inner = filesystem(path)
    try:
        with system.open(inner, "rb") as file:
            value = json.loads(file.read().decode("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: str, value: Mapping[str, Any]) -> None:
    """Write a JSON file so that a reader sees the old or the new content, never a part.

    On object stores a put is atomic; on a local disk the content goes to a neighbour that then
    takes the name.
    """
    system, inner = filesystem(path)
    system.makedirs(inner.rsplit("/", 1)[0], exist_ok=True)
    content = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str).encode(
        "utf-8"
    )
    local = (
        "file" in system.protocol
        if isinstance(system.protocol, tuple)
        else system.protocol == "file"
    )
    target = f"{inner}.{uuid.uuid4().hex[:8]}.tmp" if local else inner
    with system.open(target, "wb") as file:
        file.write(content)
    if local:
        import os  # noqa: PLC0415

        os.replace(target, inner)  # noqa: PTH105 - paths here are strings of any file system
