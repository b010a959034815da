"""Stage explore: one HTML page of what is in the data, before anything is trained."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark import __version__
from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.exploration.facts import Facts
from genre_spark.exploration.gathering import gather_facts
from genre_spark.exploration.page.charts import Chart, draw_charts
from genre_spark.exploration.page.fact_tables import fact_tables
from genre_spark.exploration.page.findings import describe_findings, leaking_columns
from genre_spark.exploration.page.rendering import render_page
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.schemas import REASON
from genre_spark.storage.files import file_digest, filesystem, whole_file
from genre_spark.tracking import TrackedRun
from genre_spark.transforms.metadata import metadata_files, read_metadata

_PAGE = "explore.html"


@dataclass(frozen=True)
class _Page:
    """The page as an output; it is written in one piece."""

    path: str

    def is_whole(self) -> bool:
        system, inner = filesystem(self.path)
        return bool(system.exists(inner))

    def damage(self, *, full: bool = False) -> list[str]:  # noqa: ARG002 - there is no inventory
        """Return nothing: no stage reads the page."""
        return []


def _page(config: Config) -> _Page:
    return _Page(config.paths.table(_PAGE))


def _depends_on(config: Config) -> list[object]:
    catalogue = Catalogue(config)
    genres = catalogue.genres.manifest().fingerprint
    files, _ = _metadata(config)
    posters = catalogue.posters
    return [
        config.explore.model_dump(mode="json"),
        genres,
        {name: file_digest(path) for name, path in files.items()},
        posters.manifest().fingerprint if posters.is_whole() else None,
    ]


@stage(depends_on=_depends_on, outputs=lambda config: [_page(config)])
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Count what is in the data, and write it as one HTML page and as MLflow artifacts.

    Metadata and posters may be missing; the page says so.
    """
    tracked.log_params({"explore": config.explore.model_dump(mode="json")})
    facts = _gather(spark, config)
    charts = list(draw_charts(facts))
    page = _page(config)
    with whole_file(page.path) as file:
        file.write(_render(config, facts, charts).encode())
    _log(tracked, facts, charts, page.path)
    counts = {
        "movies": facts.counts.movies,
        "genres": len(facts.counts.genres) + len(facts.left_out),
        "pictures": len(charts),
        "leaking columns": len(leaking_columns(facts)),
    }
    for name, found in (("titles", facts.titles), ("posters", facts.pictures)):
        if found is not None:
            counts[f"movies with repeated {name}"] = found.movies
    return StageResult(
        outputs={"page": page.path}, counts=counts, notes=tuple(describe_findings(facts))
    )


def _gather(spark: SparkSession, config: Config) -> Facts:
    catalogue = Catalogue(config)
    genres = catalogue.genres.read(spark)
    vocabulary = catalogue.vocabulary()
    per_genre = catalogue.genres.manifest().details["movies_per_genre"]
    files, why = _metadata(config)
    absent = {} if files else {"metadata": why}
    metadata = None
    if files:
        paths = config.paths
        metadata = read_metadata(spark, paths.metadata, genres, paths.imported_metadata)
    posters: DataFrame | None = None
    if catalogue.posters.is_whole() and catalogue.posters.manifest().rows:
        posters = catalogue.posters.read(spark)
    else:
        absent["posters"] = (
            f"There is no table of posters in {config.paths.work}: none was found in "
            f"{config.paths.posters}, or `genre-spark prepare-posters` has not been run."
        )
    return gather_facts(
        genres,
        vocabulary=vocabulary,
        movies_per_genre=[per_genre[name] for name in vocabulary],
        metadata=metadata,
        posters=posters,
        settings=config.explore,
        seed=config.seed,
        absent=absent,
        rejected=_rejected(spark, config),
    )


def _rejected(spark: SparkSession, config: Config) -> dict[str, dict[str, int]]:
    """Return what earlier stages could not use: stage -> reason -> rows."""
    found = {}
    for stage_name in ("import", "csv", "genres", "posters"):
        table = Catalogue(config).rejects(stage_name)
        if table.is_whole() and table.manifest().rows:
            rows = table.read(spark).groupBy(REASON).count().orderBy(F.desc("count"), REASON)
            found[stage_name] = {row[REASON]: row["count"] for row in rows.collect()}
    return found


def _metadata(config: Config) -> tuple[dict[str, str], str]:
    """Return the files of the metadata by name; without any, also why."""
    try:
        return metadata_files(config.paths.metadata), ""
    except InvalidInputError as error:
        return {}, str(error)


def _render(config: Config, facts: Facts, charts: Sequence[Chart]) -> str:
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    name = config.mlflow.experiment
    source = config.paths.source or config.paths.genres_csv
    made = f"Made by genre_spark {__version__} on {today} from {source}"
    return render_page(facts, charts, title=f"What is in the data: {name}", made=made)


def _log(tracked: TrackedRun, facts: Facts, charts: Sequence[Chart], page: str) -> None:
    """Store pictures, tables, the page where it is a local file, and the findings in words."""
    for chart in charts:
        tracked.log_figure(chart.figure, f"pictures/{chart.name}.png")
    for name, columns in fact_tables(facts).items():
        tracked.log_table(columns, f"{name}.json")
    if Path(page).is_file():
        tracked.log_file(page)
    tracked.describe("\n".join(f"- {text}" for text in describe_findings(facts)))
