from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genre_spark.errors import InvalidInputError
from genre_spark.posters.listing import list_posters, require_posters, source_kind
from genre_spark.posters.names import parse_poster_name
from genre_spark.posters.reading import read_posters
from genre_spark.posters.rejects import ReadFailure
from genre_spark.posters.zip_directory import read_zip_directory
from tests.posters.pictures import jpeg


def names(listing) -> list[str]:
    return sorted(listing.posters["source"].to_pylist())


def contents(source: Path) -> dict[str, object]:
    rows = list_posters(str(source)).posters.to_pylist()
    read = read_posters(str(source), rows, max_bytes=10**7)
    return {row["source"]: content for row, content in zip(rows, read, strict=True)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1000001.jpg", 1000001),
        ("7.JPEG", 7),
        ("0007.png", 7),
        ("0.webp", 0),
        ("9223372036854775807.gif", 2**63 - 1),
        ("9223372036854775808.jpg", "id out of range"),
        ("1" * 5000 + ".jpg", "id out of range"),
        ("5.txt", "wrong extension"),
        ("cover.jpg", "name is not an id"),
        ("-5.jpg", "name is not an id"),
        ("5", "name is not an id"),
        ("٣.jpg", "name is not an id"),
        ("5.jpg.part", "name is not an id"),
    ],
)
def test_names_are_ids_or_have_a_reason(name, expected):
    assert parse_poster_name(name) == expected


@settings(deadline=None)
@given(st.text())
def test_no_name_is_too_odd_to_be_judged(name):
    assert parse_poster_name(name) is not None


def test_a_folder_is_listed_with_its_subfolders_and_what_is_odd_in_it(tmp_path):
    root, outside = tmp_path / "posters", tmp_path / "outside"
    (root / "part" / "a").mkdir(parents=True)
    (root / "5.jpg").mkdir()
    outside.mkdir()
    for path in (root / "1.jpg", root / "part" / "a" / "2.jpg", outside / "3.jpg"):
        path.write_bytes(jpeg())
    (root / "3.jpg").symlink_to(outside / "3.jpg")
    (root / "4.jpg").symlink_to(root / "1.jpg")
    (root / "6.jpg").symlink_to(root / "nowhere.jpg")
    (root / "up").symlink_to(outside)
    os.mkfifo(root / "8.jpg")
    listing = list_posters(str(root))
    assert names(listing) == ["1.jpg", "4.jpg", "part/a/2.jpg"]
    assert sorted((name, reason) for name, reason, _ in listing.rejects) == [
        ("3.jpg", "link out of the folder"),
        ("5.jpg", "a directory, not a file"),
        ("6.jpg", "broken link"),
        ("8.jpg", "not a regular file"),
        ("up", "link out of the folder"),
    ]
    assert "3.jpg" in names(list_posters(str(root), follow_links=True))


def test_links_that_lead_in_a_circle_are_followed_once(tmp_path):
    root, outside = tmp_path / "posters", tmp_path / "outside"
    (root / "a").mkdir(parents=True)
    outside.mkdir()
    (root / "a" / "1.jpg").write_bytes(jpeg())
    (outside / "2.jpg").write_bytes(jpeg())
    (root / "a" / "up").symlink_to(root)
    (root / "again").symlink_to(root / "a")
    (root / "far").symlink_to(outside)
    assert names(list_posters(str(root), follow_links=True)) == ["a/1.jpg", "far/2.jpg"]


def test_members_of_archives_are_read_in_place(tmp_path):
    pictures = {f"posters/{number}.jpg": jpeg(seed=number) for number in range(1, 6)}
    stored, deflated, tar = (
        tmp_path / "stored.zip",
        tmp_path / "deflated.zip",
        tmp_path / "posters.tar",
    )
    for path, method in ((stored, zipfile.ZIP_STORED), (deflated, zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.mkdir("posters")
            for name, content in pictures.items():
                archive.writestr(name, content)
    with tarfile.open(tar, "w") as archive:
        for name, content in pictures.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert contents(stored) == contents(deflated) == contents(tar) == pictures


def test_a_zip_directory_says_what_zipfile_says_also_behind_other_data(tmp_path):
    path = tmp_path / "posters.zip"
    path.write_bytes(b"#!/bin/sh\n")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = b"PK\x05 a comment"
        for number in range(300):
            archive.writestr(f"größe/{number}.jpg", bytes(number))
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        expected = [
            (m.filename, m.header_offset, m.compress_size, m.file_size, m.CRC)
            for m in archive.infolist()
        ]
        assert [
            (m.name, m.offset, m.stored, m.size, m.crc) for m in read_zip_directory(file)
        ] == expected


def test_a_zip_beyond_four_gigabytes_is_read_by_its_64_bit_fields(tmp_path):
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.seek(5 << 30)  # a hole: nothing is written for it
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("1.jpg", jpeg())
    # zipfile counts offsets from the start of the file when it writes to an open one
    assert contents(path) == {"1.jpg": jpeg()}
    path.unlink()


def test_damaged_members_are_told_and_the_rest_is_read(tmp_path):
    path = tmp_path / "posters.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in (1, 2, 3):
            archive.writestr(f"{number}.jpg", jpeg(seed=number) + bytes(1000))
    with zipfile.ZipFile(path) as archive:
        second = archive.infolist()[1]
    content = bytearray(path.read_bytes())
    content[second.header_offset : second.header_offset + 4] = b"XXXX"
    path.write_bytes(content)
    read = contents(path)
    assert isinstance(read["2.jpg"], ReadFailure)
    assert read["2.jpg"].reason == "damaged archive member"
    assert read["1.jpg"] == jpeg(seed=1) + bytes(1000)


def test_a_file_that_vanished_or_is_too_large_has_a_reason(tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}.jpg").write_bytes(bytes(100 * number))
    rows = list_posters(str(tmp_path)).posters.sort_by("movie_id").to_pylist()
    (tmp_path / "1.jpg").unlink()
    reasons = [failure.reason for failure in read_posters(str(tmp_path), rows, max_bytes=150)]
    assert reasons == ["unreadable", "too many bytes"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing", None, "no such folder or archive"),
        ("a.rar", b"Rar!", "expected a folder, a .zip or a .tar"),
        ("a.tar.gz", b"\x1f\x8b", "only be read from its start"),
        ("a.zip", b"PK\x03\x04" + bytes(100), "not a zip archive, or one that is cut off"),
        ("empty.zip", b"PK\x05\x06" + bytes(18), "no posters in it"),
        ("a.tar", bytes(range(256)) * 8, "not a whole tar archive"),
    ],
)
def test_sources_that_cannot_be_used_are_told_with_their_path(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=message):
        require_posters(str(path))


def test_a_folder_without_posters_is_told(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    assert source_kind(str(tmp_path)) == "folder"
    with pytest.raises(InvalidInputError, match="no posters in it"):
        require_posters(str(tmp_path))


def test_a_remote_folder_is_listed_and_read_like_a_local_one():
    memory = fsspec.filesystem("memory")
    memory.pipe(
        {
            "/bucket/posters/1.jpg": jpeg(),
            "/bucket/posters/more/2.jpg": jpeg(seed=2),
            "/bucket/posters/x.txt": b"",
        }
    )
    try:
        listing = list_posters("memory://bucket/posters")
        assert names(listing) == ["1.jpg", "more/2.jpg"]
        rows = listing.posters.sort_by("movie_id").to_pylist()
        assert list(read_posters("memory://bucket/posters", rows, max_bytes=10**6)) == [
            jpeg(),
            jpeg(seed=2),
        ]
    finally:
        memory.rm("/bucket", recursive=True)


def tar_of(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("remote", [False, True])
def test_a_folder_of_tars_and_files_is_listed_and_read(tmp_path, remote):
    root = tmp_path / "posters"
    tar_of(root / "b.tar", {"3.jpg": b"three", "notes.txt": b"x"})
    tar_of(root / "more" / "a.TAR", {"sub/1.jpg": b"one", "2.png": b"two"})
    tar_of(root / "_open" / "c.tar", {"9.jpg": b"nine"})
    (root / "4.jpg").write_bytes(b"four")
    source = str(root)
    if remote:
        memory, source = fsspec.filesystem("memory"), "memory://shards"
        for file in root.rglob("*"):
            if file.is_file():
                memory.pipe(f"/shards/{file.relative_to(root)}", file.read_bytes())
    listing = list_posters(source)
    expected = {
        "4.jpg": b"four",
        "b.tar/3.jpg": b"three",
        "more/a.TAR/2.png": b"two",
        "more/a.TAR/sub/1.jpg": b"one",
    }
    assert names(listing) == sorted(expected)
    assert listing.rejects == [("b.tar/notes.txt", "name is not an id", "1 bytes")]
    rows = listing.posters.to_pylist()
    read = read_posters(source, rows, max_bytes=100)
    assert {row["source"]: content for row, content in zip(rows, read, strict=True)} == expected
    require_posters(source)


def test_a_tar_in_a_folder_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path):
    tar_of(tmp_path / "cut.tar", {"1.jpg": b"x" * 2000, "2.jpg": b"y" * 2000})
    whole = (tmp_path / "cut.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:3500])
    (tmp_path / "junk.tar").write_bytes(b"no tar at all" * 100)
    listing = list_posters(str(tmp_path))
    assert names(listing)[0] == "cut.tar/1.jpg"
    assert ("junk.tar", "not a whole tar archive", "1300 bytes") in listing.rejects
    rows = listing.posters.to_pylist()
    kinds = [type(content) for content in read_posters(str(tmp_path), rows, max_bytes=10**4)]
    assert kinds[0] is bytes
