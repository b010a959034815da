"""Paths and URLs of any file system, digests, and files that appear whole or not at all.

No Spark.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from genre_spark.errors import InvalidInputError, MissingExtraError

__all__ = [
    "MANIFEST",
    "copy_folder",
    "file_digest",
    "file_exists",
    "filesystem",
    "fingerprint",
    "is_local",
    "join",
    "read_checked_json",
    "read_json",
    "remove_drafts",
    "remove_folder",
    "require_writable",
    "whole_file",
    "write_checked_json",
    "write_json",
]

MANIFEST = "_manifest.json"
"""In the folder of a table, the file that lists the data that counts."""
_READ_WHOLE = 64 << 20  # bytes up to which a digest is of the content: 0.05 s
_CHECK = "check"  # key of the digest of a JSON file's other values


def filesystem(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a path or URL and the path on it; Spark's s3a is s3 here.

    Spark's dbfs:/ is a folder of this machine: volumes by their name, the rest below the mount.

    Listings are never kept: others write there too, and a Python worker lives for many jobs.

    Raises:
        MissingExtraError: the package for such URLs is not installed.
        InvalidInputError: there is no such kind of URL.
    """
    if path.startswith("dbfs:/"):
        inner = "/" + path.removeprefix("dbfs:").lstrip("/")
        path = inner if inner.startswith("/Volumes/") else f"/dbfs{inner}"
    if "://" not in path and "::" in path:  # which chains file systems in URLs
        return fsspec.filesystem("file"), str(Path(path).absolute())
    url = path.replace("s3a://", "s3://", 1) if path.startswith("s3a://") else path
    options = {"use_listings_cache": False} if "://" in url else {}
    try:
        return fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise MissingExtraError(f"{path}: {error}; it is no part of genre_spark") from None
    except ValueError as error:
        raise InvalidInputError(f"{path}: {error}, expected a path or a URL") from None


def is_local(system: fsspec.AbstractFileSystem) -> bool:
    """Return whether a file system is this machine's."""
    protocols = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    return "file" in protocols


def join(folder: str, *names: str) -> str:
    """Join a folder (path or URL) and names with slashes."""
    return "/".join([folder.rstrip("/"), *names])


def fingerprint(*parts: object) -> str:
    """Return a 16-digit hexadecimal digest of JSON values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def file_digest(path: str, *, setting: str = "") -> str:
    """Return a digest that changes when a file does.

    It is of the name and the content of a file of this machine up to 64 MiB, so that a copy has the
    same, of a larger or a remote one of name, size and time of modification. Of a table it is the
    fingerprint of its content.

    Args:
        path: the file.
        setting: the setting that names it, for the message.

    Raises:
        InvalidInputError: there is no such file.
    """
    system, inner = filesystem(path)
    if not system.exists(inner):
        given = f"{setting}: {path}" if setting else path
        raise InvalidInputError(f"{given}: no such file or folder")
    manifest = read_json(join(path, MANIFEST)) if system.isdir(inner) else None
    if manifest is not None and "fingerprint" in manifest:
        return fingerprint(path.rsplit("/", 1)[-1], manifest["fingerprint"])
    info = system.info(inner)
    if is_local(system) and info["type"] == "file" and info["size"] <= _READ_WHOLE:
        content = hashlib.sha256(Path(inner).read_bytes()).hexdigest()
        return fingerprint(path.rsplit("/", 1)[-1], content)
    stamp = (
        info.get("mtime")
        or info.get("LastModified")
        or info.get("last_modified")
        or info.get("etag")
    )
    return fingerprint(path.rsplit("/", 1)[-1], info.get("size"), str(stamp))


def file_exists(path: str) -> bool:
    """Return whether there is a file or folder at a path or URL."""
    system, inner = filesystem(path)
    return bool(system.exists(inner))


def read_json(path: str) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None when it is missing or was not written whole."""
    system, inner = filesystem(path)
    try:
        with system.open(inner, "rb") as file:
            value = json.loads(file.read().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_checked_json(path: str, value: Mapping[str, Any]) -> None:
    """Write a JSON file that `read_checked_json` recognises when its content was changed."""
    stored = json.loads(json.dumps(value, ensure_ascii=False, default=str))  # as it is read again
    write_json(path, {**stored, _CHECK: fingerprint(stored)})


def read_checked_json(path: str) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None when it is missing, not whole or was changed.

    A file without a checksum, of an earlier version, is taken as it is.
    """
    value = read_json(path)
    if value is None:
        return None
    check = value.pop(_CHECK, None)
    return value if check is None or check == fingerprint(value) else None


@contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Open a file that takes its name when the block ends well: readers never see a part of it.

    The content goes to a hidden neighbour (`.NAME.HEX.tmp`) on a local disk, and to a temporary
    file that is put at once where the path is remote: a put is atomic on object stores.

    Args:
        path: path or URL; its folder is made where there is none.
    """
    system, inner = filesystem(path)
    folder, name = inner.rsplit("/", 1)
    system.makedirs(folder, exist_ok=True)
    if not is_local(system):
        with tempfile.TemporaryDirectory(prefix="genre_spark-") as place:
            draft = Path(place) / name
            with draft.open("wb") as file:
                yield file
            system.put_file(str(draft), inner)
        return
    draft = Path(folder) / f".{name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(inner)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(path: str) -> None:
    """Remove what killed writers of a local file have left; there must be no writer now."""
    system, inner = filesystem(path)
    if is_local(system):
        folder, name = os.path.split(inner)
        for draft in Path(folder).glob(f".{glob.escape(name)}.*.tmp"):
            draft.unlink(missing_ok=True)


def require_writable(folder: str, name: str) -> None:
    """Make a local folder, and check that files can be written into it; URLs are not looked at.

    Args:
        folder: path or URL.
        name: the setting that names it, for the message.

    Raises:
        InvalidInputError: it cannot be made, or nothing can be written there.
    """
    if "://" in folder:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise InvalidInputError(
            f"{name}: {folder}: {error.strerror}, expected a folder that can be written"
        ) from None


def write_json(path: str, value: Mapping[str, Any]) -> None:
    """Write a JSON file so that a reader sees the old or the new content, never a part."""
    content = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str)
    with whole_file(path) as file:
        file.write(content.encode("utf-8"))


def copy_folder(source: str, target: str) -> None:
    """Copy a file, or all files below a folder, from any file system to any other.

    Raises:
        InvalidInputError: there is no such file or folder.
    """
    system, inner = filesystem(source)
    if not system.exists(inner):
        raise InvalidInputError(f"{source}: no such file or folder")
    if system.isfile(inner):
        found = {target: inner}
    else:
        names = (str(name) for name in system.find(inner))
        found = {join(target, name[len(inner.rstrip("/")) + 1 :]): name for name in names}
    for to, name in found.items():
        with system.open(name, "rb") as original, whole_file(to) as copy:
            shutil.copyfileobj(original, copy, 2**20)


def remove_folder(path: str, *, keep: str | None = None) -> None:
    """Remove a folder, or all its entries but the one named `keep`.

    Nothing happens when it is not there.
    """
    system, inner = filesystem(path)
    if not system.exists(inner):
        return
    if keep is None:
        system.rm(inner, recursive=True)
        return
    for entry in system.ls(inner, detail=False):
        if str(entry).rstrip("/").rsplit("/", 1)[-1] != keep:
            system.rm(entry, recursive=True)
