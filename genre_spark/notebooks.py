"""What notebooks use: a session, and results that show themselves.

from genre_spark.notebooks import open_session, show_comparison
"""

from __future__ import annotations

import atexit
import io
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
from matplotlib.figure import Figure
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from genre_spark.config import Config
from genre_spark.errors import InvalidInputError
from genre_spark.evaluation.comparison import draw_comparison
from genre_spark.evaluation.headline import choose_rules, rank
from genre_spark.evaluation.html_tables import html_table, html_title
from genre_spark.evaluation.scores import choose_best, gather_candidates
from genre_spark.evaluation.verdict import Compared
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.evaluated_models import evaluated_models, read_scores
from genre_spark.spark.session import recipe_session
from genre_spark.tracking import resolve_tracking_uri

__all__ = [
    "HtmlTable",
    "Picture",
    "close_session",
    "evaluated_models",
    "open_mlflow",
    "open_session",
    "show_comparison",
    "show_comparison_picture",
    "show_picture",
    "show_posters",
    "show_rejects",
]

_open = ExitStack()
_COLOURS = 128  # of a picture: diagrams lose nothing, and take a third


def open_session(config: Config, *, name: str = "notebook") -> SparkSession:
    """Return the active session, such as a Databricks cluster's, or a new one of the recipe.

    A new one ends with the kernel, or by `close_session`.

    Args:
        config: the recipe; its section `spark` holds for a new session.
        name: of the application in Spark's UI.
    """
    session = recipe_session(config.spark, config.paths.work, app_name=name)
    atexit.register(close_session)
    return _open.enter_context(session)


def close_session() -> None:
    """Stop the session that `open_session` has started; one that was there stays."""
    _open.close()


def open_mlflow(config: Config) -> str:
    """Let `mlflow`'s functions use the recipe's store, and return the experiment's name."""
    mlflow.set_tracking_uri(resolve_tracking_uri(config.mlflow, config.paths.work))
    return config.mlflow.experiment


@dataclass(frozen=True)
class Picture:
    """A picture that a notebook shows.

    Attributes:
        content: a PNG file.
    """

    content: bytes = field(repr=False)

    @classmethod
    def of(cls, figure: Figure, *, dpi: int = 80) -> Picture:
        """Return a figure as a picture."""
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi, bbox_inches="tight")
        return cls(file.getvalue())

    def resized(self, width: int) -> Picture:
        """Return the picture with that many columns of pixels at most."""
        with Image.open(io.BytesIO(self.content)) as image:
            shown = image.convert("RGB")
        if shown.width > width:
            shown = shown.resize((width, round(shown.height * width / shown.width)))
        file = io.BytesIO()
        shown.quantize(_COLOURS).save(file, format="png", optimize=True)
        return Picture(file.getvalue())

    def _repr_png_(self) -> bytes:
        return self.content


@dataclass(frozen=True)
class HtmlTable:
    """A small table that a notebook shows.

    Attributes:
        title: above the table.
        header: names of the columns.
        rows: cells as text.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        """Return the rows as lines."""
        return "\n".join("  ".join(map(str, row)) for row in [self.header, *self.rows])

    def _repr_html_(self) -> str:
        return html_title(self.title) + html_table(self.rows, header=self.header)


def show_comparison(
    spark: SparkSession,  # noqa: ARG001 - as everything that notebooks call takes it
    config: Config,
) -> Compared:
    """Return what the last evaluation found: models by quality, and the best in words.

    Args:
        spark: the session.
        config: the recipe.

    Raises:
        MissingTableError: there has been no evaluation yet.
        InvalidInputError: it has no model beside baselines.
    """
    details = Catalogue(config).evaluation.manifest().details
    by = config.evaluation.best_by
    ranked = rank(choose_rules(gather_candidates(read_scores(config)), by=by).values(), by=by)
    best = choose_best(ranked, by=by)
    if best is None:
        raise InvalidInputError("evaluation: no model beside baselines, expected at least one")
    genres = len(details["vocabulary"])
    return Compared(ranked, best, by, details["movies"], genres, details.get("themes", {}))


def show_comparison_picture(spark: SparkSession, config: Config, *, width: int = 900) -> Picture:
    """Return bars per model and metric, with intervals, as `compare` logs them to MLflow.

    Args:
        spark: the session.
        config: the recipe.
        width: in pixels.
    """
    ranked = show_comparison(spark, config).ranked
    title = "Models on test, each under the rule that is best on validation (lines: 95 % intervals)"
    return Picture.of(draw_comparison(ranked, title=title), dpi=100).resized(width)


def show_picture(config: Config, model: str, name: str, *, width: int = 900) -> Picture:
    """Return a picture of a model's MLflow run.

    Args:
        config: the recipe.
        model: name of the model: that of its last run is taken.
        name: of the artifact, such as `thresholds.png`.
        width: in pixels.

    Raises:
        InvalidInputError: there is no run of the model, or no such artifact in it.
    """
    runs = mlflow.search_runs(
        experiment_names=[open_mlflow(config)],
        filter_string=f"attributes.run_name = '{model}' and tags.kind = 'model'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    if not runs:
        raise InvalidInputError(f"{model}: no run in MLflow, expected the name of a trained model")
    with tempfile.TemporaryDirectory() as folder:
        try:
            file = mlflow.artifacts.download_artifacts(
                run_id=runs[0].info.run_id, artifact_path=name, dst_path=folder
            )
        except Exception as error:  # the class differs by the kind of store
            have = [item.path for item in mlflow.MlflowClient().list_artifacts(runs[0].info.run_id)]
            raise InvalidInputError(
                f"{name}: no such artifact of {model}, expected one of {', '.join(have)}"
            ) from error
        return Picture(Path(file).read_bytes()).resized(width)


def show_posters(files: Sequence[str | Path], *, width: int = 900, height: int = 160) -> Picture:
    """Return posters side by side; files that are no picture are left out.

    Args:
        files: image files of this machine.
        width: of all of them together, in pixels.
        height: of each, in pixels.
    """
    shelf, place = Image.new("RGB", (width, height), "white"), 0
    for file in files:
        try:
            with Image.open(file) as image:
                small = image.convert("RGB").resize((height * 2 // 3, height))
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
        if place + small.width > width:
            break
        shelf.paste(small, (place, 0))
        place += small.width + 4
    file_ = io.BytesIO()
    shelf.save(file_, format="png")
    return Picture(file_.getvalue()).resized(width)


def show_rejects(spark: SparkSession, config: Config, of: str) -> HtmlTable:
    """Return how many inputs could not be used, by reason.

    Args:
        spark: the session.
        config: the recipe.
        of: genres, posters, metadata, import, ....
    """
    rejects = Catalogue(config).rejects(of).read(spark)
    counts = rejects.groupBy("reason").count().orderBy(F.desc("count"), "reason").limit(30)
    rows = [(row["reason"], f"{row['count']:,}") for row in counts.collect()]
    return HtmlTable(f"Rejected: {of}", ("reason", "count"), rows)
