"""What other programs reach with the same methods, and how figures are compared with theirs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn import metrics

from genre_spark.multilabel.models.predictors import apply_thresholds

METRICS = ("hamming", "jaccard_zd0", "subset_acc", "micro_f1", "macro_f1")


def measure(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    return {
        "hamming": metrics.hamming_loss(truth, prediction),
        "jaccard_zd0": metrics.jaccard_score(truth, prediction, average="samples", zero_division=0),
        "subset_acc": metrics.accuracy_score(truth, prediction),
        "micro_f1": metrics.f1_score(truth, prediction, average="micro", zero_division=0),
        "macro_f1": metrics.f1_score(truth, prediction, average="macro", zero_division=0),
    }


def decide(rule: str, scores: np.ndarray, prediction: np.ndarray, cardinality: float) -> np.ndarray:
    """Return predictions by the decision rule of a reference row."""
    if rule == "never empty":
        best = apply_thresholds(scores, 0.5, top=1)
        return np.where(prediction.sum(axis=1, keepdims=True) > 0, prediction, best)
    if rule == "pcut":
        return (scores >= best_cut(scores, cardinality)).astype(float)
    return prediction


def best_cut(scores: np.ndarray, cardinality: float) -> float:
    """Return the threshold of PCut, which MEKA and others fit on the batch that they predict."""
    cuts = np.unique(scores)
    counts = np.array([(scores >= cut).sum() / len(scores) for cut in cuts])
    return float(cuts[np.abs(counts - cardinality).argmin()])


# ours -> rule -> the rows of reference.csv that decide in the same way: (method, library prefix)
COMPARISONS: dict[str, dict[str, list[tuple[str, str]]]] = {
    "BR": {
        "own": [
            ("BR-RF", "sklearn"),
            ("BR-RF (package default)", "Mulan"),
            ("BR-RF scores>=.5, empty allowed", "utiml"),
            ("BR-RF t=.5", "MEKA"),
        ],
        "never empty": [("BR-RF+topfix", "sklearn"), ("BR-RF (package default)", "utiml")],
        "pcut": [("BR-RF PCut1", "MEKA")],
    },
    "CC": {
        "own": [
            ("CC-RF random order", "sklearn"),
            ("CC-RF given order", "scikit-multilearn"),
            ("CC-RF (package default)", "Mulan"),
            ("CC-RF t=.5", "MEKA"),
        ],
        "never empty": [("CC-RF (package default)", "utiml")],
    },
    "ECC mean": {
        "own": [("ECC-RF m=10 bag, mean prob>=.5", "own")],
        "pcut": [("ECC-RF m=10 bag, mean prob+PCut", "own")],
    },
    "ECC votes": {
        "own": [("ECC-RF m=10 bag, votes>=.5", "own"), ("ECC-RF t=.5", "MEKA")],
        "pcut": [("ECC-RF m=10 bag, votes+PCut", "own"), ("ECC-RF PCut1", "MEKA")],
    },
    "LP": {
        "own": [
            ("LP-RF", "own"),
            ("LP-RF", "scikit-multilearn"),
            ("LP-RF (package default)", "Mulan"),
            ("LP-RF t=.5", "MEKA"),
            ("LP-RF (package default)", "utiml"),
        ]
    },
    "PS": {
        "own": [
            ("PS-RF p=3 A b=2", "own"),
            ("PS-RF (package default)", "Mulan"),
            ("PS-RF t=.5", "MEKA"),
            ("PS-RF (package default)", "utiml"),
        ]
    },
    "EPS votes": {
        "own": [
            ("EPS-RF m=10 63% p=3 A b=2, votes>=.5", "own"),
            ("EPS-RF (package default)", "Mulan"),
            ("EPS-RF t=.5", "MEKA"),
            ("EPS-RF scores>=.5, empty allowed", "utiml"),
        ],
        "pcut": [("EPS-RF PCut1", "MEKA")],
    },
    "EPS mean": {"own": [("EPS-RF m=10 63% p=3 A b=2, mean prob>=.5", "own")]},
    "RAkEL disjoint": {
        "own": [
            ("RAkELd-RF k=3", "own"),
            ("RAkELd-RF k=3", "scikit-multilearn"),
            ("RAkELd-RF (package default)", "Mulan"),
            ("RAkELd-RF t=.5", "MEKA"),
        ],
    },
    "RAkEL": {
        "own": [
            ("RAkELo-RF k=3 m=2L votes>=.5", "own"),
            ("RAkELo-RF k=3 m=2L", "scikit-multilearn"),
            ("RAkELo-RF (package default)", "Mulan"),
            ("RAkELo-RF scores>=.5, empty allowed", "utiml"),
        ],
        "pcut": [("RAkELo-RF votes, PCut1", "MEKA")],
    },
    "RAkEL mean": {"own": [("RAkELo-RF k=3 m=2L mean prob>=.5", "own")]},
    "HOMER": {
        "own": [("HOMER-BR-RF balanced k=3", "own"), ("HOMER-RF (package default)", "Mulan")],
        "never empty": [("HOMER-RF (package default)", "utiml")],
    },
    "native": {
        "own": [("RF-native", "sklearn")],
        "never empty": [("RF-native+topfix", "sklearn")],
        "oob exact_match": [("RF-native+global-t(exact match,OOB)", "sklearn")],
        "oob f1_per_label": [("RF-native+per-label-t(F1,OOB)", "sklearn")],
        "pcut": [("RF-native+PCut(train card)", "sklearn")],
    },
    "native entropy": {
        "own": [("RF-native-entropy", "sklearn")],
        "never empty": [("RF-native-entropy+topfix", "sklearn")],
    },
    "most common labelset": {"own": [("most-common-labelset", "own")]},
    "random": {"own": [("random p=card/L", "own")]},
    "prior": {"own": [("label-prior>=.5", "own")]},
    "BR (Spark ML)": {"own": [("BR-RF", "sklearn")]},
    "CC (Spark ML)": {"own": [("CC-RF random order", "sklearn")]},
    "LP (Spark ML)": {"own": [("LP-RF", "own")]},
}


# the same fits, only counted as votes instead of averaged, or the other way round
TWINS = {"ECC mean": "ECC votes", "EPS votes": "EPS mean", "RAkEL": "RAkEL mean"}


def compare(
    reference: pd.DataFrame, dataset: str, method: str, found: dict[str, list[dict[str, float]]]
) -> list[dict]:
    rows = []
    for rule, values in found.items():
        means = pd.DataFrame(values).mean()
        for name, library in COMPARISONS[method][rule]:
            known = reference[
                (reference.dataset == dataset)
                & (reference.method == name)
                & reference.library.str.startswith(library)
            ].set_index("metric")
            if known.empty:
                continue
            for metric in METRICS:
                theirs, sd = (
                    float(known.loc[metric, "mean"]),
                    float(np.nan_to_num(known.loc[metric, "sd"])),
                )
                better = theirs - means[metric] if metric == "hamming" else means[metric] - theirs
                rows.append(
                    {
                        "dataset": dataset,
                        "method": method,
                        "rule": rule,
                        "reference": f"{name} [{known['library'].iloc[0]}]",
                        "metric": metric,
                        "ours": round(float(means[metric]), 4),
                        "theirs": theirs,
                        "meets": bool(better >= -max(0.01, 2 * sd)),
                        "their_seconds": float(known["seconds"].iloc[0]),
                    }
                )
    return rows
