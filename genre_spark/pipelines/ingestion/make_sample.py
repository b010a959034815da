"""Stage make-sample: a synthetic data set in the Letterboxd layout, at the inputs' paths."""

from __future__ import annotations

from dataclasses import dataclass

from genre_spark.config import Config
from genre_spark.errors import InvalidConfigError
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.progress import counting
from genre_spark.synthesis import DatasetReport, DatasetSpec, read_report, write_dataset
from genre_spark.tracking import TrackedRun


def dataset_spec(config: Config) -> DatasetSpec:
    """Return the data set that the recipe asks for.

    Raises:
        InvalidConfigError: it asks for none: `paths` names data of the user's own.
    """
    section = config.sample_data
    if section is None:
        raise InvalidConfigError(
            "sample_data: missing, expected sample_data.movies=1500 or the like; without it "
            f"paths.genres_csv ({config.paths.genres_csv}) is taken for data of your own, which "
            "make-sample does not touch"
        )
    return DatasetSpec(
        genres_csv=config.paths.genres_csv,
        posters=config.paths.posters,
        metadata=config.paths.metadata,
        movies=section.movies,
        seed=config.seed,
        flaws=section.flaws,
    )


@dataclass(frozen=True)
class _DataSet:
    spec: DatasetSpec

    @property
    def path(self) -> str:
        return self.spec.metadata

    def is_whole(self) -> bool:
        return read_report(self.spec) is not None

    def damage(self, *, full: bool = False) -> list[str]:  # noqa: ARG002 - there is no inventory
        """Return nothing: the data set is an input like the user's own."""
        return []


def _depends_on(config: Config) -> list[object]:
    # not on places: what was moved with its data set is not written again
    spec = dataset_spec(config)
    return [spec.movies, spec.seed, spec.flaws]


def _standing(config: Config) -> StageResult | None:
    report = read_report(dataset_spec(config))
    return None if report is None else _result(config, report)


@stage(
    depends_on=_depends_on,
    outputs=lambda config: [_DataSet(dataset_spec(config))],
    always=True,
    standing=_standing,
    needs_spark=False,
)
def run(spark: None, config: Config, tracked: TrackedRun) -> StageResult:  # noqa: ARG001
    """Write genres.csv, the metadata CSVs and the posters of synthetic movies."""
    spec = dataset_spec(config)
    tracked.log_params({"movies": spec.movies, "seed": spec.seed, "flaws": spec.flaws})
    with counting("posters", spec.movies) as work:
        report = write_dataset(spec, report=lambda done: work.reach(min(done, spec.movies)))
    tracked.log_dict({"genres": dict(report.genres), "flaws": dict(report.flaws)}, "sample.json")
    return _result(config, report)


def _result(config: Config, report: DatasetReport) -> StageResult:
    return StageResult(
        outputs={
            "genres_csv": config.paths.genres_csv,
            "posters": config.paths.posters,
            "metadata": config.paths.metadata,
        },
        counts={
            "movies": report.movies,
            "posters": report.posters,
            "genre_rows": sum(report.genres.values()),
            "flaws": sum(report.flaws.values()),
        },
        notes=(f"planted flaws: {', '.join(f'{n} {kind}' for kind, n in report.flaws.items())}",)
        if report.flaws
        else (),
    )
