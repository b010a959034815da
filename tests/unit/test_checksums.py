"""Checksums say how they were worked out, and are those of the tools of the same names."""

from __future__ import annotations

import hashlib
import sys

import pytest

from genre_spark.errors import MissingExtraError
from genre_spark.storage.checksums import SHA256, XXH128, Checksum, algorithm_of, digest_of
from genre_spark.storage.inventory import file_state


def test_checksums_are_those_of_the_published_algorithms() -> None:
    # of nothing: https://github.com/Cyan4973/xxHash, tests/sanity_test_vectors.h (XXH128, seed 0)
    assert digest_of(b"") == "xxh128:99aa06d3014798d86001c324468d497f"
    assert digest_of(b"abc") == "xxh128:06b05ab6733a618578af5f94892f3950"
    assert digest_of(b"abc", SHA256) == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("algorithm", [XXH128, SHA256])
def test_a_checksum_says_how_it_was_worked_out(algorithm) -> None:
    checksum = Checksum(algorithm)
    for part in (b"a", b"", memoryview(b"bc")):
        checksum.update(part)
    assert checksum.text() == digest_of(b"abc", algorithm)
    assert algorithm_of(checksum.text()) == algorithm


def test_a_later_versions_checksum_is_of_no_known_kind() -> None:
    assert algorithm_of("blake9:00") is None


@pytest.mark.parametrize("algorithm", [XXH128, SHA256])
@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (5 << 19) + 7])
def test_a_file_is_read_to_its_end_block_by_block(tmp_path, algorithm, size) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    (tmp_path / "longer").write_bytes(content + b"what the buffer held before")
    (tmp_path / "file").write_bytes(content[:size])
    file_state(str(tmp_path / "longer"))
    state = file_state(str(tmp_path / "file"), algorithm)
    assert (state.size, state.digest) == (size, digest_of(content[:size], algorithm))


def test_only_the_quick_checksum_needs_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    monkeypatch.setattr("genre_spark.extras.find_spec", lambda name: None)
    assert algorithm_of(digest_of(b"abc", SHA256)) == SHA256
    with pytest.raises(MissingExtraError, match=r"xxhash.*genre_spark\[pipeline\]"):
        digest_of(b"abc")
