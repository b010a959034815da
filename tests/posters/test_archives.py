"""Archives and folders that lie, overlap or have odd names: each file is read or has its reason."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from genre_spark.errors import InvalidInputError
from genre_spark.posters.archives import read_zip
from genre_spark.posters.listing import list_posters, require_posters
from genre_spark.posters.names import file_name, readable_name
from genre_spark.posters.reading import read_posters
from genre_spark.posters.rejects import ReadFailure


def outcome(source: Path, *, max_bytes: int = 10**6) -> dict[str, object]:
    """Return name -> content, or the reason why there is none."""
    listing = list_posters(str(source))
    rows = listing.posters.to_pylist()
    found = zip(rows, read_posters(str(source), rows, max_bytes=max_bytes), strict=True)
    read = {
        row["source"]: content.reason if isinstance(content, ReadFailure) else content
        for row, content in found
    }
    return {**read, **{name: reason for name, reason, _ in listing.rejects}}


def zip_of(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def patch_directory(path: Path, name: str, **fields: int) -> None:
    """Change fields of a member in a zip's directory: stored, size, offset."""
    content = bytearray(path.read_bytes())
    at = content.rindex(name.encode()) - 46
    for field, value in fields.items():
        place = {"stored": 20, "size": 24, "offset": 42}[field]
        struct.pack_into("<I", content, at + place, value)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "lie", [{"size": 9}, {"stored": 2**31}, {"offset": 2**31}, {"size": 0}, {"stored": 2_000_000}]
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_member_that_lies_of_its_size_or_place_is_rejected(tmp_path, lie, method) -> None:
    path = zip_of(tmp_path / "p.zip", {"1.jpg": b"a" * 3_000_000, "2.jpg": b"good"}, method)
    patch_directory(path, "1.jpg", **lie)
    assert outcome(path, max_bytes=10**8) == {"1.jpg": "damaged archive member", "2.jpg": b"good"}


def test_a_member_is_never_read_beyond_what_it_says_it_holds(tmp_path) -> None:
    path = zip_of(tmp_path / "p.zip", {"1.jpg": bytes(50_000_000)})
    patch_directory(path, "1.jpg", size=1000)
    with path.open("rb") as file:
        [entry] = read_zip(file)
        assert file.tell() < len(path.read_bytes())
    assert entry.flaw == "damaged archive member"  # so no task reads its 50 MB


def test_zip64_fields_beyond_what_a_column_holds_are_rejected(tmp_path) -> None:
    path = zip_of(tmp_path / "p.zip", {"1.jpg": b"one", "2.jpg": b"good"})
    content = path.read_bytes()
    at = content.rindex(b"1.jpg") - 46
    head = bytearray(content[at : at + 46])
    struct.pack_into("<IIHH", head, 20, 0xFFFFFFFF, 0xFFFFFFFF, 5, 28)
    struct.pack_into("<I", head, 42, 0xFFFFFFFF)
    extra = struct.pack("<HHQQQ", 1, 24, 2**64 - 1, 2**64 - 1, 2**64 - 1)
    end = content.index(b"PK\x05\x06")
    directory = bytes(head) + b"1.jpg" + extra + content[at + 51 : end]
    tail = bytearray(content[end:])
    struct.pack_into("<I", tail, 12, len(directory))
    path.write_bytes(content[:at] + directory + bytes(tail))
    assert outcome(path) == {"1.jpg": "damaged archive member", "2.jpg": b"good"}


def test_members_that_share_their_bytes_are_read_once(tmp_path) -> None:
    path = zip_of(tmp_path / "p.zip", {f"{number}.jpg": b"x" * 50 for number in (1, 2, 3)})
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0].header_offset
    patch_directory(path, "2.jpg", offset=first)
    read = outcome(path)
    assert read == {"1.jpg": b"x" * 50, "2.jpg": "overlapping archive members", "3.jpg": b"x" * 50}


def test_backslashes_in_a_zip_are_folders(tmp_path) -> None:
    path = zip_of(tmp_path / "p.zip", {"posters\\1.jpg": b"one", "posters\\deep\\2.jpg": b"two"})
    require_posters(str(path))
    assert outcome(path) == {"posters/1.jpg": b"one", "posters/deep/2.jpg": b"two"}


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("time", ["inf", "-inf", "nan", "1e300", "-1e300", "-5", "99999999999999"])
def test_any_time_in_a_tar_is_taken(tmp_path, time) -> None:
    with tarfile.open(tmp_path / "p.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "1.jpg", b"one", pax_headers={"mtime": time})
        add(archive, "2.jpg", b"two")
    assert outcome(tmp_path / "p.tar") == {"1.jpg": b"one", "2.jpg": b"two"}


@pytest.mark.parametrize("size", ["-1", "9" * 30, str(2**63), str(2**40)])
def test_an_impossible_size_in_a_tar_is_rejected_and_ends_nothing(tmp_path, size) -> None:
    with tarfile.open(tmp_path / "p.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "1.jpg", b"one")
        add(archive, "2.jpg", b"two", pax_headers={"size": size})
    assert outcome(tmp_path / "p.tar") == {"1.jpg": b"one", "2.jpg": "damaged archive member"}


@pytest.mark.parametrize("left", [1, 511, 512, 1000, 1535])
def test_a_last_member_that_is_cut_off_is_rejected_and_the_others_are_read(tmp_path, left) -> None:
    path = tmp_path / "p.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        add(archive, "1.jpg", b"one")
        add(archive, "4.jpg", type=tarfile.LNKTYPE, linkname="1.jpg")
        last = archive.offset
        add(archive, "2.jpg", b"two" * 400)  # 512 bytes of header, 1,200 of data
    path.write_bytes(path.read_bytes()[: last + left])
    name = "2.jpg" if left >= 512 else f"(at byte {last})"
    require_posters(str(path))
    read = {"1.jpg": b"one", "4.jpg": b"one", name: "damaged archive member"}
    assert outcome(path) == read
    (tmp_path / "folder").mkdir()
    path.rename(tmp_path / "folder" / "p.tar")
    assert outcome(tmp_path / "folder") == {f"p.tar/{name}": item for name, item in read.items()}


def test_padding_that_is_cut_off_loses_nothing_and_a_lone_damaged_member_is_named(tmp_path) -> None:
    path = tmp_path / "p.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        add(archive, "1.jpg", b"one")
    whole = path.read_bytes()
    path.write_bytes(whole[: 512 + 3])
    assert outcome(path) == {"1.jpg": b"one"}
    path.write_bytes(whole[: 512 + 2])
    assert outcome(path) == {"1.jpg": "damaged archive member"}
    with pytest.raises(InvalidInputError, match=r"1\.jpg: damaged archive member"):
        require_posters(str(path))


def test_what_comes_after_a_damaged_header_is_a_reject_and_not_the_end(tmp_path) -> None:
    path = tmp_path / "p.tar"
    places = []
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("1.jpg", "2.jpg", "3.jpg"):
            places.append(archive.offset)
            add(archive, name, name.encode(), pax_headers={"comment": "c" * 600})
    whole = path.read_bytes()
    for offset in (100, 124, 512 + 3, 156):  # mode, size, the record's own text, type
        content = bytearray(whole)
        content[places[1] + offset] ^= 0x5F
        path.write_bytes(content)
        read = outcome(path)
        assert read.pop("1.jpg") == b"1.jpg"
        lost = {f"(at byte {places[1]})": "damaged archive member"}
        kept = {"2.jpg": b"2.jpg", "3.jpg": b"3.jpg"}
        assert read in (lost, kept), offset


@pytest.mark.parametrize("size", [2**20 + 1, 2**33])
def test_a_tars_records_are_not_read_beyond_a_bound(tmp_path, size) -> None:
    path = tmp_path / "p.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        add(archive, "1.jpg", b"one")
        place = archive.offset
        add(archive, "././@LongLink", b"", type=tarfile.GNUTYPE_LONGNAME)
        add(archive, "2.jpg", b"two")
    content = bytearray(path.read_bytes())
    content[place + 124 : place + 136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    head = content[place : place + 512]
    content[place + 148 : place + 156] = b"%06o\0 " % tarfile.calc_chksums(head)[0]
    path.write_bytes(content)
    read = {"1.jpg": b"one", f"(at byte {place})": "damaged archive member"}
    assert outcome(path) == read


def test_a_tar_whose_sizes_lead_back_ends(tmp_path) -> None:
    path = tmp_path / "p.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "1.jpg", b"one")
        add(archive, "2.jpg", type=b"Z", pax_headers={"size": "-9999"})  # a type that nobody knows
    assert outcome(path) == {"1.jpg": b"one", "2.jpg": "damaged archive member"}


def test_sparse_files_of_a_tar_are_no_posters(tmp_path) -> None:
    path = tmp_path / "p.tar"
    holes = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9000"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        data = b"1\n8000\n1000\n".ljust(512, b"\0") + bytes(1000)
        add(archive, "1.jpg", data, pax_headers=holes)
        add(archive, "2.jpg", b"two")
    assert outcome(path) == {"1.jpg": "not a regular file", "2.jpg": b"two"}


def test_members_before_damage_in_a_zips_directory_are_read(tmp_path) -> None:
    path = zip_of(tmp_path / "p.zip", {"1.jpg": b"one", "2.jpg": b"two", "3.jpg": b"three"})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"2.jpg") - 46] ^= 1  # the mark of a directory's entry
    path.write_bytes(content)
    require_posters(str(path))
    assert outcome(path) == {"1.jpg": b"one", "(after 1 entries)": "damaged archive directory"}


def test_links_inside_a_tar_are_read_where_their_data_lies(tmp_path) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        add(archive, "a/1.jpg", b"one")
        add(archive, "2.jpg", type=tarfile.LNKTYPE, linkname="a/1.jpg")
        add(archive, "a/3.jpg", type=tarfile.SYMTYPE, linkname="../a/1.jpg")
        add(archive, "4.jpg", type=tarfile.LNKTYPE, linkname="gone.jpg")
        add(archive, "5.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "6.jpg", type=tarfile.SYMTYPE, linkname="../../etc/passwd")
        add(archive, "7.jpg", type=tarfile.LNKTYPE, linkname="2.jpg")
    assert outcome(tmp_path / "p.tar") == {
        "a/1.jpg": b"one",
        "2.jpg": b"one",
        "a/3.jpg": b"one",
        "4.jpg": "broken link",
        "5.jpg": "link out of the folder",
        "6.jpg": "link out of the folder",
        "7.jpg": "broken link",
    }


def test_names_that_are_no_utf8_are_shown_and_read(tmp_path) -> None:
    for name in (b"1.jpg", b"Am\xe9lie/2.jpg", b"Am\xe9lie.txt", b"a\\xff.txt"):
        file = tmp_path / "posters" / os.fsdecode(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"content")
    assert outcome(tmp_path / "posters") == {
        "1.jpg": b"content",
        "Am\\xe9lie/2.jpg": b"content",
        "Am\\xe9lie.txt": "name is not an id",
        "a\\xff.txt": "name is not an id",
    }
    assert file_name(readable_name("Am\udce9lie")) == "Am\udce9lie"
    with tarfile.open(tmp_path / "p.tar", "w", encoding="latin-1") as archive:
        add(archive, "Am\xe9lie/1.jpg", b"one")
        add(archive, "\xe9.txt", b"x")
    read = outcome(tmp_path / "p.tar")
    assert sorted(read.values(), key=str) == [b"one", "name is not an id"]


def test_a_locked_subfolder_is_a_reject_and_a_locked_folder_an_error(tmp_path, monkeypatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "1.jpg").write_bytes(b"one")
    scan = os.scandir

    def refuse(place):
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    assert outcome(tmp_path) == {"1.jpg": b"one", "locked": "folder: Permission denied"}
    with pytest.raises(InvalidInputError, match="Permission denied"):
        list_posters(str(tmp_path / "locked"))
