"""Stage collect-tmdb: movies from TMDb's API, written where `paths` says that the inputs lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genre_spark.config import Config
from genre_spark.config.collect import TmdbConfig
from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.storage.files import filesystem, is_local, join
from genre_spark.tracking import TrackedRun

if TYPE_CHECKING:
    from genre_spark.collect.tmdb_collection import CollectedMovies


def tmdb_section(config: Config) -> TmdbConfig:
    """Return the stage's section.

    Raises:
        InvalidConfigError: the recipe has none.
    """
    if config.collect.tmdb is None:
        raise InvalidConfigError(
            "collect.tmdb: missing, expected a section such as collect.tmdb={per_genre: 1000}; "
            "without it collect-tmdb does not touch the data in paths"
        )
    return config.collect.tmdb


def journal_path(config: Config) -> str:
    """Return the local file of the journal.

    Raises:
        InvalidConfigError: it would not be a local file.
    """
    path = tmdb_section(config).journal or join(config.paths.metadata, "tmdb_journal.sqlite")
    system, inner = filesystem(path)
    if not is_local(system):
        raise InvalidConfigError(
            f"collect.tmdb.journal: {path}, expected a file on a disk of this machine"
        )
    return inner


def _depends_on(config: Config) -> list[object]:
    section, paths = tmdb_section(config), config.paths
    ours = (journal_path(config), join(paths.metadata, "tmdb_provenance.json"))
    if _exists(paths.genres_csv) and not any(map(_exists, ours)):
        raise InvalidConfigError(
            f"paths.genres_csv: {paths.genres_csv} is there and collect-tmdb has not written it, "
            "expected a path for new files"
        )
    return [section.model_dump(mode="json")]


def _exists(path: str) -> bool:
    system, inner = filesystem(path)
    return bool(system.exists(inner))


@stage(
    depends_on=_depends_on,
    outputs=lambda config: [Catalogue(config).rejects("tmdb")],
    always=True,
    needs_spark=False,
)
def run(spark: None, config: Config, tracked: TrackedRun) -> StageResult:  # noqa: ARG001
    """Collect movies from TMDb; what an earlier run has been told is not asked for again."""
    from genre_spark.collect.tmdb_collection import collect_movies  # noqa: PLC0415 - an extra

    section, paths = tmdb_section(config), config.paths
    rejects = Catalogue(config).rejects("tmdb").path
    tracked.log_params({"collect.tmdb": section.model_dump(mode="json")})
    collected = collect_movies(
        section,
        genres_csv=paths.genres_csv,
        folder=paths.metadata,
        journal=journal_path(config),
        rejects_table=rejects,
    )
    tracked.log_dict({"rows": dict(collected.rows), "short": dict(collected.short)}, "tmdb.json")
    return StageResult(
        outputs={
            "genres_csv": paths.genres_csv,
            "metadata": paths.metadata,
            "rejects": rejects,
        },
        counts={
            "movies": collected.wanted - collected.gone,
            "gone": collected.gone,
            "requests": collected.requests,
            "rejected": sum(collected.rejected.values()),
        },
        notes=_notes(collected, section),
        reused=collected.unchanged and not collected.requests,
    )


def _notes(collected: CollectedMovies, section: TmdbConfig) -> tuple[str, ...]:
    notes = []
    if collected.short:
        found = ", ".join(f"{genre} {count:,}" for genre, count in collected.short.items())
        notes.append(f"genres with fewer than {section.per_genre:,} movies: {found}")
    if collected.rejected:
        reasons = ", ".join(f"{reason} {count}" for reason, count in collected.rejected.items())
        notes.append(f"rejected: {reasons}; movies without an answer are asked for by the next run")
    return tuple(notes)
