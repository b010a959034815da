"""Posters that a table names by address are tried again when their files have come."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genre_spark.config.posters import PostersConfig
from genre_spark.posters import table as posters_table
from genre_spark.posters.plan import retries
from genre_spark.posters.table import standing_posters
from genre_spark.storage.tables import read_manifest
from tests.posters.pictures import jpeg
from tests.posters.test_prepare_posters import SMALL, prepare, rejects, rows, write_posters


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of a table of 40 addresses and a link to the web, and of other posters.

    All files but 38 and 39 are there.
    """
    write_posters(tmp_path / "files", range(38))
    write_posters(tmp_path / "source", [50, 51])
    paths = [f"{tmp_path}/files/{number}.jpg" for number in range(40)]
    table = pa.table({"movie_id": range(41), "path": [*paths, "https://example.org/40.jpg"]})
    pq.write_table(table, tmp_path / "source" / "posters.parquet")
    return tmp_path / "source"


def come(source: Path, *numbers: int) -> None:
    for number in numbers:
        content = jpeg(44 + number % 5, 60, seed=number)
        (source.parent / "files" / f"{number}.jpg").write_bytes(content)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_poster_that_has_come_to_its_address_is_prepared_and_no_other(
    spark, source, tmp_path, parts
):
    work = tmp_path / "work"
    first = prepare(spark, source, work, parts=parts)
    assert (first.manifest.rows, dict(first.rejected)) == (40, {"unreadable": 3})
    assert prepare(spark, source, work, parts=parts).unchanged
    come(source, 38)
    second = prepare(spark, source, work, parts=parts)
    assert (second.decoded, second.reused, second.removed) == (1, 40, 0)
    assert rejects(spark, work) == dict.fromkeys(
        ("posters.parquet/39", "posters.parquet/40"), "unreadable"
    )
    assert second.manifest.fingerprint != first.manifest.fingerprint  # later stages look at it
    assert prepare(spark, source, work, parts=parts).unchanged
    come(source, 39)
    third = prepare(spark, source, work, parts=parts)
    assert (third.decoded, third.removed, third.manifest.rows) == (1, 0, 42)
    assert len({done.manifest.fingerprint for done in (first, second, third)}) == 3
    write_posters(source, [52])
    assert prepare(spark, source, work, parts=parts).decoded == 1
    assert prepare(spark, source, work, parts=parts).unchanged
    prepare(spark, source, tmp_path / "fresh", parts=parts)
    assert rows(work).equals(rows(tmp_path / "fresh"))
    assert rejects(spark, work) == rejects(spark, tmp_path / "fresh")


@pytest.mark.parametrize("parts", [1, 2])
def test_posters_that_changed_at_their_addresses_are_others_after_a_forced_run(
    spark, source, tmp_path, parts
):
    work = tmp_path / "work"
    first = prepare(spark, source, work, parts=parts)
    (source.parent / "files" / "7.jpg").write_bytes(jpeg(60, 60, seed=99))
    assert prepare(spark, source, work, parts=parts).unchanged
    forced = prepare(spark, source, work, parts=parts, anew=True)
    assert forced.decoded == 40
    assert forced.manifest.fingerprint != first.manifest.fingerprint  # later stages look at it
    assert prepare(spark, source, work, parts=parts).unchanged
    prepare(spark, source, tmp_path / "fresh", parts=parts)
    assert rows(work).equals(rows(tmp_path / "fresh"))


def test_a_table_that_stands_is_looked_at_without_spark(spark, source, tmp_path):
    prepare(spark, source, tmp_path / "work")
    places = {
        "table": str(tmp_path / "work/table"),
        "rejects_table": str(tmp_path / "work/rejects"),
    }
    config = PostersConfig(**SMALL)
    assert standing_posters(str(source), config=config, **places) is not None
    come(source, 39)
    assert standing_posters(str(source), config=config, **places) is None


def test_a_table_that_grows_into_parts_tries_again_too(spark, source, tmp_path):
    prepare(spark, source, tmp_path / "work", parts=1)
    come(source, 38)
    grown = prepare(spark, source, tmp_path / "work", parts=2)
    assert (grown.decoded, grown.removed, grown.manifest.rows) == (1, 0, 41)
    assert prepare(spark, source, tmp_path / "work").unchanged


def test_chunks_without_such_posters_stand(classic, source, tmp_path, monkeypatch):
    monkeypatch.setattr("genre_spark.posters.plan.planning.rows_per_chunk", lambda _: 16)
    prepare(classic, source, tmp_path / "work")
    before = set(read_manifest(str(tmp_path / "work/table")).paths)
    come(source, 38)
    assert prepare(classic, source, tmp_path / "work").decoded == 1
    after = set(read_manifest(str(tmp_path / "work/table")).paths)
    assert (len(before), len(before & after)) == (3, 2)


def test_a_run_that_ends_before_its_commit_has_lost_nothing(spark, source, tmp_path, monkeypatch):
    prepare(spark, source, tmp_path / "work")
    come(source, 38, 39)
    with monkeypatch.context() as patch:
        patch.setattr(posters_table, "_commit", _killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(spark, source, tmp_path / "work")
    assert rows(tmp_path / "work").num_rows == 40
    again = prepare(spark, source, tmp_path / "work")
    assert (again.decoded, again.manifest.rows) == (0, 42)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_table_whose_ledger_is_damaged_stands_after_another_try(spark, source, tmp_path):
    prepare(spark, source, tmp_path / "work")
    come(source, 38)
    prepare(spark, source, tmp_path / "work")
    (ledger,) = (tmp_path / "work" / "table").glob("_ledger-*")
    ledger.write_bytes(b"junk")
    assert prepare(spark, source, tmp_path / "work").unchanged


def test_nothing_is_asked_for_where_no_file_was_missing(classic, source, tmp_path, monkeypatch):
    come(source, 38, 39)  # what is left is a link to the web
    (source / "60.jpg").write_bytes(b"no picture")
    prepare(classic, source, tmp_path / "work")
    monkeypatch.setattr(retries, "read_posters", _killed)
    assert prepare(classic, source, tmp_path / "work").unchanged


def test_a_network_that_fails_leaves_the_table_as_it_is(classic, source, tmp_path, monkeypatch):
    prepare(classic, source, tmp_path / "work")
    come(source, 38)
    with monkeypatch.context() as patch:
        patch.setattr(retries, "read_posters", _no_network)
        assert prepare(classic, source, tmp_path / "work").unchanged
    assert prepare(classic, source, tmp_path / "work").decoded == 1


def _no_network(*_: object, **__: object) -> None:
    raise ConnectionError


def test_a_poster_that_has_come_without_being_one_is_rejected_for_what_it_is(
    spark, source, tmp_path
):
    prepare(spark, source, tmp_path / "work")
    (tmp_path / "files" / "38.jpg").write_bytes(b"no picture")
    (tmp_path / "files" / "39.jpg").write_bytes(b"")
    again = prepare(spark, source, tmp_path / "work")
    assert (again.decoded, again.removed) == (0, 0)
    assert dict(again.rejected) == {"empty": 1, "not an image": 1, "unreadable": 1}
    assert prepare(spark, source, tmp_path / "work").unchanged


def test_a_table_that_lost_all_of_its_files_gets_them_back(spark, source, tmp_path):
    prepare(spark, source, tmp_path / "work")
    shutil.rmtree(tmp_path / "files")
    (source / "posters.parquet").touch()  # another stamp: all of its posters are read again
    gone = prepare(spark, source, tmp_path / "work")
    assert dict(gone.rejected) == {"unreadable": 41}
    write_posters(tmp_path / "files", range(40))
    assert prepare(spark, source, tmp_path / "work").manifest.rows == 42
