"""Stage import-metadata: large CSV files of metadata become typed tables, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession

from genre_spark.adapters.csv_tables.conversion import Converted, commit_source, convert_sources
from genre_spark.adapters.csv_tables.sources import open_source
from genre_spark.config import Config
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import METADATA_CSVS
from genre_spark.spark.session import job_progress
from genre_spark.storage.files import file_digest, filesystem, fingerprint, remove_folder
from genre_spark.storage.tables import Table, TableManifest, commit_table, read_manifest
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.csv import read_header
from genre_spark.transforms.metadata import find_csv, is_imported, metadata_files

__all__ = ["large_csvs", "run"]

_MIB = 1 << 20
_FILES = "files"  # in the manifest of the rejects: name -> its digest, data, rejects by reason


def large_csvs(config: Config) -> dict[str, str]:
    """Return name -> path of the CSV files that are large enough to be imported."""
    places = {name: find_csv(config.paths.metadata, name) for name in METADATA_CSVS}
    files = {name: path for name, path in places.items() if path and not read_manifest(path)}
    return {name: path for name, path in files.items() if _is_large(path, config)}


def _is_large(path: str, config: Config) -> bool:
    system, inner = filesystem(path)
    size = system.size(inner) or 0
    return bool(size >= config.import_metadata.smallest_mib * _MIB)


def _depends_on(config: Config) -> list[object]:
    metadata_files(config.paths.metadata)  # or the error that says what is missing
    files = large_csvs(config)
    for name, path in files.items():
        read_header(path, METADATA_CSVS[name])  # before Spark starts
    return [{name: file_digest(path) for name, path in files.items()}]


def _outputs(config: Config) -> list[Table]:
    tables = Catalogue(config)
    files = large_csvs(config)
    return [*map(tables.imported_csv, files), *([tables.rejects("csv")] if files else [])]


def _standing(config: Config) -> StageResult | None:
    files = large_csvs(config)
    if _changed(config, files):
        return None
    return _result(config, files, read=[])


@stage(depends_on=_depends_on, outputs=_outputs, always=True, standing=_standing)
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Make typed tables of the CSV files that are new or have changed; later stages read these.

    Counts: files, those of this run, rows, rejected rows by reason.
    """
    files = large_csvs(config)
    todo = list(files) if tracked.force else _changed(config, files)
    catalogue = Catalogue(config)
    tables = {name: catalogue.imported_csv(name).path for name in METADATA_CSVS}
    sources = [open_source(name, files[name]) for name in todo]
    tracked.log_params({"import_metadata": config.import_metadata.model_dump(mode="json")})
    with job_progress(spark, run.name):
        converted = convert_sources(
            spark,
            sources,
            tables=tables,
            rejects=catalogue.rejects("csv").path,
            block=config.import_metadata.block_mib * _MIB,
        )
    _commit_rejects(config, files, converted)  # first: a table stands only with its rejects
    for one in converted:
        commit_source(one, tables[one.source.name])
    for name in METADATA_CSVS:
        if name not in files:
            remove_folder(tables[name])
    return _result(config, files, read=todo)


def _changed(config: Config, files: Mapping[str, str]) -> list[str]:
    """Return the files whose tables are not there, not whole, or made of an earlier file."""
    catalogue = Catalogue(config)
    rejects = catalogue.rejects("csv")
    known = _known_rejects(rejects) if rejects.is_whole() else {}
    return [
        name
        for name, path in files.items()
        if not is_imported(path, catalogue.imported_csv(name).path)
        or known.get(name, {}).get("from") != file_digest(path)
    ]


def _known_rejects(rejects: Table) -> dict[str, Any]:
    manifest = read_manifest(rejects.path)
    return {} if manifest is None else dict(manifest.details.get(_FILES, {}))


def _commit_rejects(
    config: Config, files: Mapping[str, str], converted: Sequence[Converted]
) -> None:
    """Put the rejects of these files in the place of their earlier ones."""
    rejects = Catalogue(config).rejects("csv")
    before = read_manifest(rejects.path)
    known = {name: of for name, of in _known_rejects(rejects).items() if name in files}
    states = dict(before.files) if before is not None else {}
    for one in converted:
        reasons = dict(sorted(one.reasons.items()))
        known[one.source.name] = {
            "from": one.source.digest,
            "paths": list(one.rejects),
            "rejected": reasons,
        }
        states |= {name: state for name, state in one.rejects.items() if state is not None}
    paths = tuple(path for of in known.values() for path in of["paths"])
    rows = sum(sum(of["rejected"].values()) for of in known.values())
    digest = fingerprint({name: of["from"] for name, of in known.items()})
    manifest = TableManifest(digest, paths, rows, {_FILES: known})
    kept = {name: state for name, state in states.items() if name.split("/", 1)[0] in paths}
    commit_table(rejects.path, manifest, known=kept)


def _result(config: Config, files: Mapping[str, str], *, read: Sequence[str]) -> StageResult:
    catalogue = Catalogue(config)
    if not files:
        smallest = f"{config.import_metadata.smallest_mib:g} MiB (import_metadata.smallest_mib)"
        note = f"no CSV file of at least {smallest}: all are read as they are"
        return StageResult(counts={"files": 0}, notes=(note,), reused=True)
    manifests = {name: catalogue.imported_csv(name).manifest() for name in files}
    reasons: Counter[str] = Counter()
    for manifest in manifests.values():
        reasons.update(manifest.details["rejected"])
    notes = [
        f"{manifests[name].details['file']} cannot be cut, so that one task has read it: "
        "compressed, another encoding, or a quote where none may be"
        for name in read
        if not manifests[name].details["in_ranges"]
    ]
    if reasons:
        found = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(reasons.items()))
        notes.append(f"flawed rows of the metadata: {found}")
    return StageResult(
        outputs={
            "metadata": config.paths.imported_metadata,
            "rejects": config.paths.rejects("csv"),
        },
        counts={
            "files": len(files),
            "read": len(read),
            "rows": sum(manifest.rows for manifest in manifests.values()),
            "rejected": sum(reasons.values()),
            **{f"rejected/{reason}": count for reason, count in sorted(reasons.items())},
        },
        notes=tuple(notes),
        reused=not read,
    )
