"""Stored files that were deleted, cut off or changed: found, named, made again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genre_spark.commands import verify
from genre_spark.config import Config, load_config
from genre_spark.errors import DamagedTableError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import Stage, StageResult, require_models
from genre_spark.schemas import GENRES_SCHEMA
from genre_spark.storage.files import read_checked_json, write_checked_json
from genre_spark.storage.inventories import read_inventory, write_inventory
from genre_spark.storage.inventory import (
    FileState,
    count_rows,
    file_state,
    find_damage,
    take_inventory,
)
from genre_spark.storage.tables import (
    Table,
    TableManifest,
    commit_table,
    read_manifest,
    remove_damaged,
)

CONTENT = bytes(range(256)) * 40


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


TAMPERS: dict[str, Callable[[Path], object]] = {
    "deleted": lambda file: file.unlink(),
    "emptied": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-7]),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"x"),
    "flipped": flip,
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"paths: {{genres_csv: g, posters: p, metadata: m, work: {tmp_path}/work}}\n")
    return load_config(file, [])


class Untracked:
    """A run that keeps nothing: the cases here are many, and a new MLflow store takes seconds."""

    run_id, digest, force = "run", "", False

    def log_metrics(self, metrics: object) -> None:
        pass


@contextmanager
def open_nothing(*_: object, **__: object) -> Iterator[Untracked]:
    yield Untracked()


@pytest.fixture
def stage(config: Config, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr("genre_spark.pipelines.stage.open_run", open_nothing)

    def body(spark, config, tracked):
        for name in ("data-1/part-0.parquet", "data-1/.part-0.parquet.crc", "data-1/_SUCCESS"):
            file = Path(config.paths.genres) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(CONTENT)
        commit_table(config.paths.genres, TableManifest(tracked.digest, ("data-1",), 1))
        model = Path(config.paths.model("forest")) / "part.npz"
        model.parent.mkdir(parents=True, exist_ok=True)
        model.write_bytes(CONTENT)
        return StageResult(outputs={"model": config.paths.model("forest")})

    made = Stage(
        body,
        depends_on=lambda config: [],
        outputs=lambda config: [Catalogue(config).genres],
        needs_spark=False,
    )
    made(None, config)
    return made


def stored(config: Config) -> list[Path]:
    work = Path(config.paths.work)
    folders = [work / "genres", work / "models", work / "stages"]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if file.name != "_SUCCESS"]


def test_a_stage_whose_files_were_tampered_with_is_run_again(stage, config) -> None:
    files = stored(config)
    assert len(files) == 5  # data, its checksum, manifest, model, record
    for file in files:
        for tamper in ("deleted", "emptied", "cut", "longer"):
            TAMPERS[tamper](file)
            unharmed = tamper == "deleted" and file.suffix == ".crc"
            assert (stage.earlier(config) is not None) == unharmed, (file, tamper)
            assert not stage(None, config, force=unharmed).reused
            assert stage(None, config).reused


@pytest.mark.parametrize("tamper", TAMPERS)
def test_verify_names_every_damaged_file_and_the_command_that_makes_it_again(
    stage, config, tamper, monkeypatch, capsys
) -> None:
    class Entry:
        name = stage.name

        def load(self) -> Stage:
            return stage

    monkeypatch.setattr(verify, "STAGES", {stage.name: Entry()})
    recipe = str(Path(config.paths.work).parent / "recipe.yaml")
    assert verify.main(["--config", recipe]) == 0
    for file in stored(config):
        if tamper == "deleted" and (file.suffix == ".crc" or file.parent.name == "stages"):
            continue  # nothing needs the one; without the other the stage is run again
        TAMPERS[tamper](file)
        capsys.readouterr()
        server = "mlflow.tracking_uri=http://ann:pa55word@host"
        assert verify.main(["--config", recipe, server]) == 1, file
        shown = capsys.readouterr().out
        named = file.parent if file.name == "_manifest.json" else file
        assert str(named) in shown
        words = f"--config {recipe} {server.replace('ann:pa55word', '***')} --force"
        assert f"genre-spark {stage.name} {words}" in shown
        stage(None, config, force=True)


def test_a_folder_without_results_is_not_called_whole(stage, config, monkeypatch, capsys) -> None:
    monkeypatch.setattr(verify, "STAGES", {stage.name: SimpleNamespace(load=lambda: stage)})
    recipe = str(Path(config.paths.work).parent / "recipe.yaml")
    assert verify.main(["--config", recipe, "paths.work=/nowhere"]) == 2
    assert "paths.work: /nowhere, where no stage has stored anything" in capsys.readouterr().err


def test_a_setting_that_differs_is_no_damage(config, monkeypatch) -> None:
    """Some outputs are whole for the settings that they were made with alone."""

    class OfOneSeed:
        path = config.paths.work

        def __init__(self, config: Config) -> None:
            self.seed = config.seed

        def is_whole(self) -> bool:
            return self.seed == config.seed

        def damage(self, *, full: bool = False) -> list[str]:
            return []

    monkeypatch.setattr("genre_spark.pipelines.stage.open_run", open_nothing)
    made = Stage(
        lambda *_: StageResult(outputs={}),
        depends_on=lambda config: [],
        outputs=lambda config: [OfOneSeed(config)],
        needs_spark=False,
    )
    made(None, config)
    assert made.damage(config) == []
    assert made.damage(config.model_copy(update={"seed": 99})) == []
    monkeypatch.setattr(OfOneSeed, "is_whole", lambda self: False)
    assert len(made.damage(config)) == 1


def test_reading_a_damaged_table_names_the_file_and_the_stage_that_makes_it(stage, config) -> None:
    table = Catalogue(config).genres
    data = Path(table.path) / "data-1" / "part-0.parquet"
    data.write_bytes(CONTENT[:100])
    expected = (
        r"data-1/part-0.parquet: 100 bytes, expected 10,240; `genre-spark group-genres` makes"
    )
    with pytest.raises(DamagedTableError, match=expected):
        table.manifest()
    with pytest.raises(DamagedTableError, match=expected):
        table.files()
    assert not table.is_whole()


def test_a_damaged_model_names_the_stage_that_trains_it(stage, config) -> None:
    require_models(config)
    (Path(config.paths.model("forest")) / "part.npz").unlink()
    with pytest.raises(DamagedTableError, match=r"part.npz: missing.*genre-spark test-damage"):
        require_models(config)


def test_tables_of_earlier_versions_are_read_and_miss_what_was_deleted(tmp_path: Path) -> None:
    data = tmp_path / "data-1" / "part-0.parquet"
    data.parent.mkdir()
    data.write_bytes(CONTENT)
    old = {"fingerprint": "f", "paths": ["data-1"], "rows": 1, "details": {}}
    (tmp_path / "_manifest.json").write_text(json.dumps(old))
    table = Table(str(tmp_path), GENRES_SCHEMA, "group-genres")
    manifest = read_manifest(table.path)
    assert (manifest.rows, table.is_whole(), table.files()) == (1, True, [str(data)])
    data.unlink()
    data.parent.rmdir()
    assert not table.is_whole()


def test_a_manifest_that_was_changed_is_no_manifest(tmp_path: Path) -> None:
    commit_table(str(tmp_path), TableManifest("f", (), 3, {"vocabulary": ["Drama"]}))
    file = tmp_path / "_manifest.json"
    file.write_text(file.read_text().replace("Drama", "Crime"))
    assert read_manifest(str(tmp_path)) is None
    write_checked_json(str(file), {"a": [1, 2.5, "ü", None]})
    assert read_checked_json(str(file)) == {"a": [1, 2.5, "ü", None]}


def test_states_that_are_known_are_not_worked_out_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"abc")
    known = {"a": file_state(str(tmp_path / "a"))._replace(digest="known")}
    states = take_inventory(str(tmp_path), ["a", "b"], known)
    assert states["a"].digest == "known"
    assert states["b"] == FileState(3, "xxh128:06b05ab6733a618578af5f94892f3950")
    assert find_damage(str(tmp_path), states) == []
    assert find_damage(str(tmp_path), states, full=True) == [
        f"{tmp_path}/a: its content has changed (SHA-256)"  # which "known" would be one of
    ]


def test_manifests_and_records_of_earlier_versions_are_verified_by_their_sha256(
    stage, config
) -> None:
    manifest = Path(config.paths.genres) / "_manifest.json"
    record = Path(config.paths.work) / "stages" / f"{stage.name}.json"
    for file in (manifest, record):
        value = read_checked_json(str(file))
        old = {
            name: [size, sha256(CONTENT).hexdigest()] for name, (size, *_) in value["files"].items()
        }
        assert old
        write_checked_json(str(file), {**value, "files": old})
    assert stage.damage(config, full=True) == []
    assert stage(None, config).reused
    for name in ("genres/data-1/part-0.parquet", "models/forest/part.npz"):
        flip(Path(config.paths.work) / name)
    flaws = stage.damage(config, full=True)
    assert len(flaws) == 2
    assert all(flaw.endswith("its content has changed (SHA-256)") for flaw in flaws)


def test_a_checksum_of_a_later_version_is_said_not_taken_for_damage(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert find_damage(str(tmp_path), {"a": FileState(3, "new:12")}) == []
    (flaw,) = find_damage(str(tmp_path), {"a": FileState(3, "new:12")}, full=True)
    assert "checksum new:12" in flaw
    assert "a later version wrote it" in flaw


def test_inventories_are_checked_by_either_checksum(tmp_path: Path) -> None:
    files = {"data-1.parquet": FileState(3, "xxh128:12", (3,))}
    name, state = write_inventory(str(tmp_path), "part-0", files)
    found = {"part-0/data-1.parquet": files["data-1.parquet"]}
    content = (tmp_path / name).read_bytes()
    old = FileState(len(content), sha256(content).hexdigest())
    assert state.digest.startswith("xxh128:")
    assert read_inventory(str(tmp_path), name, state) == found
    assert read_inventory(str(tmp_path), name, old) == found
    flip(tmp_path / name)
    assert read_inventory(str(tmp_path), name, state) is None
    assert read_inventory(str(tmp_path), name, old) is None


def test_incremental_stages_get_damaged_files_out_of_the_way(tmp_path: Path) -> None:
    for name in ("data-1/a", "data-1/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(CONTENT)
    commit_table(str(tmp_path), TableManifest("f", ("data-1/a", "data-1/b"), 2))
    (tmp_path / "data-1/a").write_bytes(b"")
    remove_damaged(str(tmp_path))
    assert [file.name for file in (tmp_path / "data-1").iterdir()] == ["b"]


def test_rows_are_those_of_the_footers_and_an_unreadable_one_is_not_no_rows(tmp_path) -> None:
    for name, rows in (("some", [1, 2, 3]), ("none", [])):
        pq.write_table(pa.table({"id": pa.array(rows, pa.int64())}), tmp_path / f"{name}.parquet")
    states = take_inventory(str(tmp_path), ["some.parquet", "none.parquet"])
    assert count_rows(str(tmp_path), states) == 3
    unknown = {name: state._replace(row_groups=()) for name, state in states.items()}
    assert count_rows(str(tmp_path), unknown) == 3
    TAMPERS["cut"](tmp_path / "some.parquet")
    with pytest.raises((pa.ArrowException, OSError)):
        count_rows(str(tmp_path), unknown)
