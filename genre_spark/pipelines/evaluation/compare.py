"""Stage compare: all evaluated models side by side; the best one is registered on request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genre_spark.config import Config
from genre_spark.evaluation.comparison import candidate_name, draw_comparison
from genre_spark.evaluation.figures import draw_heat_map
from genre_spark.evaluation.headline import (
    SHORT_NAMES,
    choose_rules,
    format_spreads,
    headline,
    rank,
    spread_over_seeds,
)
from genre_spark.evaluation.scores import (
    SHOWN,
    Candidate,
    Score,
    choose_best,
    format_table,
    gather_candidates,
    label_matrix,
)
from genre_spark.evaluation.style import encode_figure
from genre_spark.evaluation.verdict import Compared, describe_comparison, summarize_comparison
from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.evaluation.evaluated_models import read_scores
from genre_spark.pipelines.seeds import seed_configs
from genre_spark.pipelines.serving.package_models import BEST, model_folder
from genre_spark.pipelines.stage import StageResult, stage
from genre_spark.storage.files import read_checked_json
from genre_spark.storage.tables import TableManifest
from genre_spark.tracking import (
    COMPARED_IN,
    TrackedRun,
    describe_experiment,
    find_model_run,
    has_registry,
    packaged_version,
    register_challenger,
    save_ranked_views,
)

SPLIT = "test"


def _depends_on(config: Config) -> list[object]:
    evaluated = Catalogue(config).evaluation.manifest().fingerprint
    packaged = (
        read_checked_json(model_folder(config, BEST)) if config.mlflow.registered_model else None
    )
    others = [Catalogue(own).evaluation.manifest().fingerprint for own in seed_configs(config)]
    by = config.evaluation.best_by
    return [evaluated, others, by, config.mlflow.registered_model, packaged]


@stage(depends_on=_depends_on, outputs=lambda _: [], needs_spark=False, logs_metrics=False)
def run(_: None, config: Config, tracked: TrackedRun) -> StageResult:
    """Compare all models in a table and pictures, and name the best by its validation metric.

    The pipeline's run gets the best model's numbers, what was found in words, and the pictures;
    the experiment gets views that rank the models.
    """
    evaluation = Catalogue(config).evaluation
    manifest = evaluation.manifest()
    scores = read_scores(config)
    candidates = gather_candidates(scores)
    by = config.evaluation.best_by
    ranked = rank(choose_rules(candidates, by=by).values(), by=by)
    best = choose_best(ranked, by=by)
    tracked.top.log_table(_columns(candidates), "comparison.json")
    _log_pictures(tracked.top, scores, ranked, list(manifest.details["vocabulary"]))
    _mark_models(tracked, manifest)
    save_ranked_views(tracked, config, _view_columns(by))
    notes: list[str] = []
    if best is not None:
        found = Compared(
            ranked,
            best,
            by,
            manifest.details["movies"],
            len(manifest.details["vocabulary"]),
            manifest.details.get("themes", {}),
        )
        notes = [
            *_describe(config, tracked, found),
            *_register(config, tracked, best, manifest),
        ]
    return StageResult(
        outputs={"evaluation": evaluation.path},
        counts={"models": len(ranked)},
        metrics={} if best is None else headline(best),
        notes=tuple(notes),
        table=_compare_seeds(config, tracked, candidates, manifest)
        or format_table(candidates, split=SPLIT),
    )


def _compare_seeds(
    config: Config,
    tracked: TrackedRun,
    candidates: list[Candidate],
    manifest: TableManifest,
) -> str:
    """Log means and deviations over seeds and return their table, "" where there is one seed.

    Each model's run of the first seed gets `f1_micro_seeds_mean`, `f1_micro_seeds_sd`, ...
    """
    if config.seeds == 1:
        return ""
    by_seed = [candidates]
    for own in seed_configs(config):
        by_seed.append(gather_candidates(read_scores(own)))
    spreads = spread_over_seeds(by_seed)
    columns: dict[str, list[object]] = {
        "model": [s.candidate.model for s in spreads],
        "rule": [s.candidate.rule for s in spreads],
    }
    for metric, short in SHORT_NAMES.items():
        columns[f"{short}_mean"] = [round(s.means[metric], 6) for s in spreads]
        columns[f"{short}_sd"] = [round(s.deviations[metric], 6) for s in spreads]
    tracked.top.log_table(columns, "seeds.json")
    chosen = choose_rules(candidates, by=config.evaluation.best_by)
    for spread in spreads:
        model = spread.candidate.model
        place = manifest.details.get("runs", {}).get(model)
        if spread.candidate.rule != chosen[model].rule or place is None:
            continue
        run = find_model_run(tracked, place["run"], name=model)
        if run is not None:
            run.log_metrics(
                {f"{short}_seeds_mean": spread.means[name] for name, short in SHORT_NAMES.items()}
                | {f"{short}_seeds_sd": spread.deviations[n] for n, short in SHORT_NAMES.items()}
            )
    lines = f"Means and standard deviations over {config.seeds} seeds (splits and models) on test:"
    return f"{lines}\n\n{format_spreads(spreads)}"


def _view_columns(by: str) -> list[str]:
    """Return the columns of the ranked view: the metric that decides first."""
    first = SHORT_NAMES[by]
    others = [name for name in SHORT_NAMES.values() if name != first]
    return [first, *others, f"val_{first}"]


def _mark_models(tracked: TrackedRun, manifest: TableManifest) -> None:
    """Tag the runs of the compared models, by which the ranked view finds them."""
    for model, place in manifest.details["runs"].items():
        run = find_model_run(tracked, place["run"], name=model)
        if run is not None:
            run.set_tags({COMPARED_IN: tracked.run_id})


def _describe(config: Config, tracked: TrackedRun, found: Compared) -> list[str]:
    """Say in words what was found: in the pipeline's run, the experiment and the terminal."""
    top = tracked.top
    top.log_metrics(headline(found.best))
    top.set_tags({"best_model": found.best.model, "best_rule": found.best.rule})
    top.describe(describe_comparison(found))
    lines = summarize_comparison(found)
    describe_experiment(tracked, config, lines)
    return [line.replace("**", "") for line in lines]


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


def _log_pictures(
    run: TrackedRun, scores: list[Score], ranked: Sequence[Candidate], labels: list[str]
) -> None:
    title = "Models on test, each under the rule that is best on validation (lines: 95 % intervals)"
    run.log_bytes(encode_figure(draw_comparison(ranked, title=title)), "comparison.png")
    columns = [(c.model, c.rule) for c in ranked]
    support = label_matrix(scores, split=SPLIT, metric="support", columns=columns, labels=labels)
    order = np.argsort(-np.nan_to_num(support[:, 0]), kind="stable")
    names = [labels[place] for place in order]
    values = label_matrix(scores, split=SPLIT, metric="f1", columns=columns, labels=names)
    figure = draw_heat_map(
        values.T,
        rows=[candidate_name(c) for c in ranked],
        columns=names,
        title=f"F1 of each genre on {SPLIT}: the best model on top, the most frequent genre left",
    )
    run.log_bytes(encode_figure(figure), "genres.png")


def _register(
    config: Config, run: TrackedRun, best: Candidate, manifest: TableManifest
) -> list[str]:
    """Register the package of the best model where the recipe names a model for that."""
    by, name = config.evaluation.best_by, config.mlflow.registered_model
    if not name:
        return []
    if not has_registry(run):
        return [f"{best.model} is not registered: MLflow's server, which has {name}, is down"]
    model_run = str(manifest.details.get("runs", {}).get(best.model, {}).get("run", ""))
    trained = find_model_run(run, model_run, name=best.model)
    packaged = read_checked_json(model_folder(config, BEST)) or {}
    logged = None if trained is None else packaged_version(trained)
    if logged is None or packaged.get("model") != best.model or packaged["version"] != logged:
        return [
            f"{best.model} is not registered: its run has no packaged model of this comparison; "
            "package-models logs one where mlflow.log_movie_models is true"
        ]
    tags = {
        "model": best.model,
        "family": best.family,
        "rule": best.rule,
        f"validation_{by}": f"{best.metric('validation', by):.6f}",
    }
    version = register_challenger(run, name, training_run=model_run, tags=tags)
    return [
        f"registered as version {version.version} of {name}, alias challenger; "
        "`genre-spark promote` compares it with the champion"
    ]
