"""Stage compare: all evaluated models side by side; the best one is registered on request."""

from __future__ import annotations

from pyspark.sql import SparkSession

from genre_spark.config import Config
from genre_spark.evaluation.comparison import candidate_name, draw_comparison
from genre_spark.evaluation.figures import draw_heat_map
from genre_spark.evaluation.scores import (
    RULES,
    SHOWN,
    Candidate,
    Score,
    choose_best,
    format_table,
    gather_candidates,
    label_matrix,
)
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.tables import TableManifest
from genre_spark.tracking import TrackedRun, register_champion

SPLIT = "test"


def _depends_on(config: Config) -> list[object]:
    evaluated = Catalogue(config).evaluation.manifest().fingerprint
    return [evaluated, config.evaluation.best_by, config.mlflow.registered_model]


@stage(depends_on=_depends_on, outputs=lambda _: [])
def run(spark: SparkSession, config: Config, tracked: TrackedRun) -> StageResult:
    """Compare all models in a table and pictures, and name the best by its validation metric."""
    evaluation = Catalogue(config).evaluation
    manifest = evaluation.manifest()
    rows = evaluation.read(spark).collect()  # some hundred numbers per model
    scores = [Score(**row.asDict()) for row in rows]
    candidates = gather_candidates(scores)
    table = format_table(candidates, split=SPLIT)
    tracked.log_text(table + "\n", "comparison.txt")
    tracked.log_table(_columns(candidates), "comparison.json")
    title = f"Models on {SPLIT}; thresholds tuned on validation"
    tracked.log_figure(draw_comparison(candidates, split=SPLIT, title=title), "comparison.png")
    _log_genres(tracked, scores, candidates, list(manifest.details["vocabulary"]))
    best = choose_best(candidates, by=config.evaluation.best_by)
    notes = [] if best is None else _name_best(config, tracked, best, manifest)
    metrics = {} if best is None else {f"best/{name}": best.metric(SPLIT, name) for name in SHOWN}
    return StageResult(
        outputs={"evaluation": evaluation.path},
        counts={"models": len({candidate.model for candidate in candidates})},
        metrics=metrics,
        notes=tuple(notes),
        table=table,
    )


def _columns(candidates: list[Candidate]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        "model": [c.model for c in candidates],
        "family": [c.family for c in candidates],
        "rule": [c.rule for c in candidates],
    }
    for split in ("validation", SPLIT):
        columns |= {
            f"{split}_{name}": [c.metric(split, name) for c in candidates] for name in SHOWN
        }
    return columns


def _log_genres(
    run: TrackedRun, scores: list[Score], candidates: list[Candidate], labels: list[str]
) -> None:
    chosen = [(c.model, c.rule) for c in candidates]
    values = label_matrix(scores, split=SPLIT, metric="f1", columns=chosen, labels=labels)
    names = [candidate_name(c) for c in candidates]
    figure = draw_heat_map(
        values.T, rows=names, columns=labels, title=f"F1 of each genre on {SPLIT}"
    )
    run.log_figure(figure, "genres.png")


def _name_best(
    config: Config, run: TrackedRun, best: Candidate, manifest: TableManifest
) -> list[str]:
    """Tag the run with the best model, and register it where the recipe names a model for that."""
    by = config.evaluation.best_by
    value = best.metric("validation", by)
    run.set_tags({"best_model": best.model, "best_rule": best.rule})
    notes = [f"best on validation by {by} ({value:.4f}): {best.model}, {RULES[best.rule]}"]
    name = config.mlflow.registered_model
    training_run = str(manifest.details.get("training_runs", {}).get(best.model, ""))
    if name and not training_run:
        notes.append(f"{best.model} is not registered: its predictions name no training run")
    elif name:
        uri = register_champion(
            run,
            name,
            training_run=training_run,
            tags={"rule": best.rule, f"validation_{by}": f"{value:.6f}"},
        )
        notes.append(f"registered as {uri}")
    return notes
