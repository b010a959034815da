"""A posters table that is planned in parts is the table that one task would have planned."""

from __future__ import annotations

import io
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame

from genre_spark.config.posters import PostersConfig
from genre_spark.errors import StageFailedError
from genre_spark.posters.archives import FOLDER
from genre_spark.posters.folders import list_folder, list_shard
from genre_spark.posters.listing import list_posters
from genre_spark.posters.parts import parted_table, splitting
from genre_spark.posters.parts.listing_tasks import list_in_tasks
from genre_spark.posters.parts.part_end import clean_part, finish_part, make_chunk
from genre_spark.posters.parts.part_plan import PartsJob, plan_part
from genre_spark.posters.parts.slots import slots
from genre_spark.posters.table import prepare_posters
from genre_spark.schemas import POSTERS_SCHEMA
from genre_spark.storage.files import copy_folder
from genre_spark.storage.inventories import read_inventory
from genre_spark.storage.inventory import FileState
from genre_spark.storage.tables import Table, read_manifest
from tests.posters.pictures import jpeg
from tests.posters.test_prepare_posters import SMALL, rejects, rows, write_posters


def mixed_source(place: Path) -> Path:
    """Return a folder of files, folders, tars and tables, with flaws and ids listed twice."""
    write_posters(place, range(1, 41))
    write_posters(place / "more" / "a", range(41, 71))
    write_posters(place / "more" / "b", range(71, 91))
    write_posters(place / "again", [5, 75, 105])
    (place / "91.jpg").write_bytes(b"junk")
    (place / "cover.jpg").write_bytes(b"x")
    (place / "more" / "92.jpg").mkdir()
    with tarfile.open(place / "shard.tar", "w") as archive:
        for number in [*range(100, 130), 20]:
            content = jpeg(44, 60, seed=number)
            member = tarfile.TarInfo(f"{number}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    ids = [*range(130, 160), None, 115]
    images = [jpeg(44, 60, seed=number or 0) for number in ids]
    pq.write_table(pa.table({"movie_id": ids, "image": images}), place / "more" / "table.parquet")
    return place


def prepare(spark, source: Path, work: Path, **settings):
    config = PostersConfig(**{**SMALL, **settings})
    table, rejected = str(work / "table"), str(work / "rejects")
    return prepare_posters(spark, str(source), table=table, rejects_table=rejected, config=config)


def files(work: Path) -> set[str]:
    return {str(path.relative_to(work)) for path in work.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return mixed_source(tmp_path_factory.mktemp("source") / "posters")


@pytest.fixture(scope="module")
def in_one(spark, source, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("one")
    prepare(spark, source, work)
    return work


@pytest.fixture(scope="module")
def in_parts(spark, source, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("parts")
    prepare(spark, source, work, parts=2)
    return work


def same_tables(spark, one: Path, other: Path) -> bool:
    details = [dict(read_manifest(str(work / "table")).details) for work in (one, other)]
    for found in details:
        found.pop("parts", None)
    assert details[0] == details[1]
    assert rejects(spark, one) == rejects(spark, other)
    return rows(one).equals(rows(other))


def test_parts_hold_the_same_posters_and_rejects_as_one_table(spark, in_one, in_parts):
    assert rows(in_one)["movie_id"].to_pylist() == [*range(1, 91), *range(100, 160)]
    assert rejects(spark, in_one)["more/table.parquet/30"] == "no id"
    assert same_tables(spark, in_one, in_parts)
    frame = Table(str(in_parts / "table"), POSTERS_SCHEMA, "prepare-posters").read(spark)
    assert frame.count() == 150


def test_a_manifest_of_parts_names_inventories_and_finds_what_is_missing(in_parts, tmp_path):
    stored = (in_parts / "table" / "_manifest.json").read_text()
    assert "data-part-00001-of-00002/_files-" in stored
    assert ".parquet" not in stored
    shutil.copytree(in_parts / "table", tmp_path / "table")
    table = Table(str(tmp_path / "table"), POSTERS_SCHEMA, "prepare-posters")
    assert table.is_whole()
    assert not table.damage(full=True)
    victim = Path(table.files()[0])
    victim.write_bytes(victim.read_bytes()[:-1])
    assert [victim.name in flaw for flaw in table.damage()] == [True]
    inventory = next((tmp_path / "table").glob("data-part-00001-*/_files-*"))
    inventory.write_text(inventory.read_text().replace("data-", "atad-"))
    assert not table.is_whole()


def test_an_up_to_date_table_in_parts_is_not_touched(spark, source, in_parts):
    before = files(in_parts)
    again = prepare(spark, source, in_parts)  # the number of parts is remembered
    assert again.unchanged
    assert again.reused == 150
    assert files(in_parts) == before


def test_only_what_has_changed_is_done_again(spark, source, in_parts, tmp_path):
    shutil.copytree(source, tmp_path / "posters")
    shutil.copytree(in_parts, tmp_path / "work")
    folder, work = tmp_path / "posters", tmp_path / "work"
    write_posters(folder, range(201, 206))
    (folder / "3.jpg").write_bytes(jpeg(44, 60, seed=1003))
    (folder / "more" / "a" / "44.jpg").unlink()
    for path in folder.rglob("*"):  # copies have the stamps of the originals
        original = source / path.relative_to(folder)
        if original.is_file() and original.stat().st_size == path.stat().st_size:
            assert original.stat().st_mtime_ns == path.stat().st_mtime_ns
    again = prepare(spark, folder, work)
    assert (again.decoded, again.removed) == (6, 2)
    prepare(spark, folder, tmp_path / "fresh")
    assert same_tables(spark, tmp_path / "fresh", work)


def test_a_run_that_ends_before_its_commit_has_lost_nothing(
    spark, source, in_one, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(parted_table, "_commit", _killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(spark, source, tmp_path, parts=2)
    assert read_manifest(str(tmp_path / "table")) is None
    again = prepare(spark, source, tmp_path, parts=2)
    assert again.decoded == 0
    assert same_tables(spark, in_one, tmp_path)


def test_a_table_that_grows_into_parts_decodes_nothing_again(spark, source, in_one, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(in_one, work)
    grown = prepare(spark, source, work, parts=2)
    assert (grown.decoded, grown.removed) == (0, 0)
    assert same_tables(spark, in_one, work)
    assert all("data-part-" in name or name.count("/") == 1 for name in files(work))
    back = prepare(spark, source, work, parts=1)
    assert back.decoded == 150
    assert same_tables(spark, in_one, work)
    assert not [name for name in files(work) if "data-part-" in name]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_damaged_part_is_made_again_and_no_other(spark, source, in_one, in_parts, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(in_parts, work)
    victim = next((work / "table").glob("data-part-00000-*/data-*.parquet"))
    lost = pq.read_metadata(victim).num_rows
    victim.unlink()
    next((work / "rejects").glob("data-part-00001-*/_files-*")).write_text("{}")
    again = prepare(spark, source, work)
    assert again.decoded == lost
    assert same_tables(spark, in_one, work)


def test_placeholders_are_found_across_parts(spark, tmp_path):
    folder = write_posters(tmp_path / "posters", range(1, 11))
    for number in range(200, 220):
        shutil.copyfile(folder / "1.jpg", folder / f"{number}.jpg")
    for parts in (1, 2):
        prepare(spark, folder, tmp_path / str(parts), parts=parts, drop_placeholders_over=10)
    assert rows(tmp_path / "2")["movie_id"].to_pylist() == list(range(2, 11))
    assert same_tables(spark, tmp_path / "1", tmp_path / "2")


def test_parts_are_about_half_a_million_posters_and_stay_until_they_have_outgrown_it():
    assert [parted_table.number_of_parts(None, n) for n in (2_000_001, 10**7, 10**8)] == [
        8,
        32,
        256,
    ]
    assert parted_table.number_of_parts(8, 16_000_000) == 8
    assert parted_table.number_of_parts(8, 16_000_001) == 64
    assert parted_table.number_of_parts(8, 10) == 8
    assert parted_table.number_of_parts(8, 3_000_000, anew=True) == 8


@pytest.fixture(scope="module")
def listed(spark, source, tmp_path_factory) -> tuple[DataFrame, Path]:
    folder = tmp_path_factory.mktemp("listing")
    return list_in_tasks(spark, str(source), str(folder)), folder


def test_listing_by_tasks_finds_what_one_listing_finds(source, listed):
    whole, found = list_posters(str(source)), listed[0].collect()
    names = {row.source for row in found if not row.reason}
    assert names == set(whole.posters["source"].to_pylist())
    assert {(r.source, r.reason, r.detail) for r in found if r.reason} == set(whole.rejects)


def test_a_part_of_several_chunks_goes_on_with_those_that_are_missing(
    source, listed, in_one, tmp_path, monkeypatch
):
    monkeypatch.setattr("genre_spark.posters.plan.planning.rows_per_chunk", lambda _: 16)
    listing, folder = listed
    splitting.split_listing(listing, str(folder / "split"), parts=1, shared_by_more_than=50)
    table, rejected = str(tmp_path / "table"), str(tmp_path / "rejects")
    config = PostersConfig(**SMALL)
    job = PartsJob(str(source), table, rejected, config, 1, str(folder / "split"), False)
    plan = plan_part(job, 0)
    assert (plan["todo"], plan["fresh"], plan["standing"]) == (9, 151, False)
    with pytest.raises(StageFailedError, match="missing"):
        finish_part(job, 0, standing=False)
    for position in range(3):
        make_chunk(job, 0, position, again=False)
    assert plan_part(replace(job, split=f"{folder}/./split"), 0)["todo"] == 6
    for position in range(6):
        make_chunk(replace(job, split=f"{folder}/./split"), 0, position, again=True)
    summary = finish_part(job, 0, standing=False)
    assert (summary["rows"], summary["decoded"]) == (150, 102)
    clean_part(job, 0)
    assert plan_part(job, 0)["standing"]
    name, state = summary["inventory"]
    found = [path for path in read_inventory(table, name, FileState(*state)) or () if path]
    read = pa.concat_tables(pq.read_table(f"{table}/{path}") for path in found)
    assert read.sort_by("movie_id").equals(rows(in_one))


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_a_folder_listed_level_by_level_is_the_folder(source, place):
    root = str(source)
    if place == "memory":
        root = "memory://level_by_level"
        copy_folder(str(source), root)
    entries = list(list_folder(root, "", deep=True))
    flat, folders = [], [""]
    while folders:
        for entry in list_folder(root, folders.pop(), deep=False):
            if entry.method == FOLDER:
                folders.append(entry.name)
            else:
                flat.append(entry)
    names = [entry.name for entry in entries]
    assert {"1.jpg", "more/a/41.jpg", "more/table.parquet"} < set(names)
    assert sorted(entry.name for entry in flat) == sorted(names)
    tar = next(entry for entry in entries if entry.name == "shard.tar")
    assert sum(1 for _ in list_shard(root, tar)) == 31


def test_neighbours_in_a_shard_have_one_slot_and_files_have_their_own(source):
    posters = list_posters(str(source)).posters
    found = dict(zip(posters["source"].to_pylist(), slots(posters).tolist(), strict=True))
    assert len({slot for name, slot in found.items() if name.startswith("shard.tar/")}) == 1
    assert len({slot for name, slot in found.items() if name.endswith(".jpg")}) > 90
    assert min(found.values()) >= 0


def test_a_part_that_nothing_fell_into_is_empty(tmp_path):
    assert splitting.read_part(str(tmp_path), 7).num_rows == 0
