"""One writer per folder: a file says which process writes there, and that it still lives.

A claim is a file of its own in the folder `_owners` beside what is claimed. A process that wants to
write puts its claim there, then looks at the others: without a living one it is the owner, else it
takes its claim back and waits. Since everybody writes before looking, two never both see nobody, on
any file system that lists what was written (disks, HDFS, S3, GCS, ABFS); nothing is renamed or
locked. A claim lives as long as its process, where that runs on this host, and as long as its
heartbeat changes, where it runs elsewhere: clocks of two hosts are never compared.
"""

from __future__ import annotations

import logging
import os
import random
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import psutil

from genre_spark.errors import InvalidInputError
from genre_spark.storage.files import filesystem, is_local, join, read_json, write_json

__all__ = ["OWNERS", "Patience", "claimed", "own"]

logger = logging.getLogger("genre_spark")

OWNERS = "_owners"
"""Folder of the claims, beside what is claimed."""
_TRIES = 20
_CLOCK = 2.0  # seconds by which the start of a process may change when the clock is set


@dataclass(frozen=True)
class Patience:
    """How long things take.

    Attributes:
        beat: seconds between two heartbeats.
        silence: seconds without a new heartbeat after which another host's claim is dead.
        look: seconds between two looks at who else is there.
    """

    beat: float = 10.0
    silence: float = 60.0
    look: float = 1.0


@dataclass(frozen=True)
class _Claim:
    """Who writes: a process of a host, what it does there, and its heartbeat."""

    host: str
    process: int
    started: float
    task: str
    state: str
    beat: int

    def lives_here(self) -> bool | None:
        """Whether the process lives; None where it runs on another host."""
        if self.host != socket.gethostname():
            return None
        try:
            process = psutil.Process(self.process)
            same = abs(process.create_time() - self.started) < _CLOCK
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class _Held:
    """What this process has claimed: place -> how many blocks hold it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.counts: dict[str, int] = {}


_held = _Held()


@contextmanager
def claimed(
    places: Sequence[str],
    task: str,
    *,
    otherwise: Literal["wait", "stop"] = "wait",
    patience: Patience | None = None,
) -> Iterator[bool]:
    """Be the only process that writes to some folders, in this block.

    Blocks of this process within each other hold what the outer one does.

    Args:
        places: folders, paths or URLs; they need not be there yet.
        task: what this process does there, for messages of others.
        otherwise: what to do where another process that lives writes there.
        patience: how long things take.

    Yields:
        Whether somebody else had to be waited for.

    Raises:
        InvalidInputError: another process writes there, and `otherwise` is stop.
    """
    with ExitStack() as stack:
        waited = False
        for place in sorted({place.rstrip("/") for place in places}):  # one order: no deadlock
            claim = own(place, task, otherwise=otherwise, patience=patience or Patience())
            waited |= stack.enter_context(claim)
        yield waited


@contextmanager
def own(
    place: str, task: str, *, otherwise: Literal["wait", "stop"], patience: Patience
) -> Iterator[bool]:
    """Do the same for one folder."""
    with _held.lock:
        nested = place in _held.counts
        _held.counts[place] = _held.counts.get(place, 0) + 1
    try:
        if nested:
            yield False
            return
        with _Owner(place, task, patience) as owner:
            yield owner.acquire(otherwise)
    finally:
        with _held.lock:
            _held.counts[place] -= 1
            if not _held.counts[place]:
                del _held.counts[place]


class _Owner:
    """A claim of this process, and the thread that keeps it alive."""

    def __init__(self, place: str, task: str, patience: Patience) -> None:
        parent, _, self._prefix = place.rpartition("/")
        self._folder = join(parent, OWNERS)
        self._place, self._task, self._patience = place, task, patience
        self._name = f"{self._prefix}-{uuid.uuid4().hex}.json"
        self._beat, self._ended = 0, threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: dict[str, tuple[int, float]] = {}

    def __enter__(self) -> _Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._remove(self._name)
        system, inner = filesystem(self._folder)
        if is_local(system):  # an object store has no empty folders
            with suppress(OSError):  # others have claims in it
                system.rmdir(inner)

    def acquire(self, otherwise: str) -> bool:
        """Return when this process is the owner: whether it had to wait for that."""
        said: set[str] = set()
        while True:
            self._write("asks")
            others = self._others()
            if not others:
                self._write("writes")
                self._thread = threading.Thread(target=self._keep, name="owner", daemon=True)
                self._thread.start()
                return bool(said)
            self._remove(self._name)
            writing = [claim for claim in others if claim.state == "writes"]
            for claim in writing:
                sentence = self._describe(claim)
                if otherwise == "stop":
                    raise InvalidInputError(f"{sentence}; expected no other writer")
                if sentence not in said:
                    logger.info("%s: waiting for it to end", sentence)
                said.add(sentence)
            # two that only ask have met: they try again at different moments
            pause = self._patience.look if writing else random.uniform(0, self._patience.look)
            time.sleep(pause)

    def _describe(self, claim: _Claim) -> str:
        return f"{self._place}: process {claim.process} on {claim.host} ({claim.task}) writes there"

    def _others(self) -> list[_Claim]:
        """Return the claims of others that live; those that do not are removed."""
        system, inner = filesystem(self._folder)
        system.invalidate_cache(inner)
        found = []
        for entry in system.ls(inner, detail=False):
            name = str(entry).rstrip("/").rsplit("/", 1)[-1]
            if name == self._name or not _is_claim(name, self._prefix):
                continue
            claim = _decode(read_json(join(self._folder, name)))
            if claim is not None and self._lives(name, claim):
                found.append(claim)
            elif claim is not None:
                self._remove(name)
        return found

    def _lives(self, name: str, claim: _Claim) -> bool:
        here = claim.lives_here()
        if here is not None:
            return here
        now = time.monotonic()
        beat, since = self._seen.get(name, (-1, now))
        if beat != claim.beat:
            beat, since = claim.beat, now
        self._seen[name] = beat, since
        return now - since < self._patience.silence

    def _keep(self) -> None:
        while not self._ended.wait(self._patience.beat):
            with suppress(OSError):  # a full disk, a server that is away: the next one may succeed
                self._write("writes")

    def _write(self, state: str) -> None:
        self._beat += 1
        started = psutil.Process().create_time()
        host = socket.gethostname()
        claim = _Claim(host, os.getpid(), started, self._task, state, self._beat)
        for _ in range(_TRIES):
            # another owner may remove the empty folder just before this file is made in it
            with suppress(FileNotFoundError):
                write_json(join(self._folder, self._name), asdict(claim))
                return
        write_json(join(self._folder, self._name), asdict(claim))

    def _remove(self, name: str) -> None:
        system, inner = filesystem(join(self._folder, name))
        with suppress(FileNotFoundError):
            system.rm_file(inner)


def _is_claim(name: str, prefix: str) -> bool:
    return re.fullmatch(re.escape(prefix) + r"-[0-9a-f]{32}\.json", name) is not None


def _decode(value: Mapping[str, Any] | None) -> _Claim | None:
    try:
        return None if value is None else _Claim(**value)
    except TypeError:
        return None
