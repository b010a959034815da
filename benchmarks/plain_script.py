"""The demo's work as a data scientist would write it for one machine, for comparison.

    python benchmarks/plain_script.py DATA [--epochs 4] [--threads N] [--json]

DATA is a folder in the Letterboxd layout (`make demo` leaves one in work/demo/data). The steps have
the settings of conf/demo.yaml: group the genres, decode and resize all posters, build features of
metadata and posters, split, train one forest per genre, a label powerset on pruned labelsets, a
native multi-label forest and a LeNet, tune thresholds on validation, evaluate, draw one picture
per model. Everything is in memory, nothing is stored, resumed, tracked or rejected with a reason:
that is the difference in cost that the comparison shows.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import f1_score, hamming_loss, jaccard_score
from sklearn.preprocessing import MultiLabelBinarizer
from torch import nn

mpl.use("Agg")

HEIGHT, WIDTH = 345, 230
LISTS = {
    "countries": "country",
    "languages": "language",
    "studios": "studio",
    "themes": "theme",
    "actors": "name",
    "crew": "name",
}
seconds: dict[str, float] = {}


@contextmanager
def timed(step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - started, 2)
    print(f"{step:24} {seconds[step]:8.2f} s", flush=True)


def read_csv(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, dtype=str, on_bad_lines="skip", engine="c")
    table["id"] = pd.to_numeric(table["id"], errors="coerce")
    return table.dropna(subset=["id"]).astype({"id": "int64"})


def group_genres(data: Path) -> tuple[pd.Series, np.ndarray, list[str]]:
    rows = read_csv(data / "genres.csv").dropna().drop_duplicates()
    grouped = rows.groupby("id")["genre"].agg(list)
    binarizer = MultiLabelBinarizer()
    labels = binarizer.fit_transform(grouped)
    known = labels.sum(0) >= 5  # misspelt genres
    names = [name for name, kept in zip(binarizer.classes_, known, strict=True) if kept]
    labels = labels[:, known]
    has_any = labels.any(1)
    return grouped[has_any], labels[has_any], names


def read_posters(data: Path, threads: int) -> dict[int, np.ndarray]:
    def decode(file: Path) -> tuple[int, np.ndarray] | None:
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None or not file.stem.isdigit():
            return None
        return int(file.stem), cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)

    cv2.setNumThreads(1)
    with ThreadPoolExecutor(threads) as pool:
        return dict(item for item in pool.map(decode, sorted(data.glob("posters/*"))) if item)


def build_features(data: Path, ids: np.ndarray, posters: dict, train: np.ndarray) -> np.ndarray:
    movies = read_csv(data / "movies.csv").drop_duplicates("id").set_index("id").reindex(ids)
    numbers = pd.DataFrame(
        {
            "minute": pd.to_numeric(movies["minute"], errors="coerce"),
            "year": pd.to_numeric(movies["date"].str[:4], errors="coerce"),
            "rating": pd.to_numeric(movies["rating"], errors="coerce"),
        }
    )
    blocks = [numbers.fillna(numbers[train].median()).to_numpy(), numbers.isna().to_numpy(float)]
    texts = movies["tagline"].fillna("") + " " + movies["description"].fillna("")
    words = CountVectorizer(max_features=300, stop_words="english", binary=True)
    words.fit(texts[train])
    blocks.append(words.transform(texts).toarray())
    for name, column in LISTS.items():
        rows = read_csv(data / f"{name}.csv").dropna()
        lists = rows.groupby("id")[column].agg(list).reindex(ids)
        lists = lists.apply(lambda found: found if isinstance(found, list) else [])
        top = lists[train].explode().value_counts().index[:60]
        encoder = MultiLabelBinarizer(classes=list(top), sparse_output=True)
        encoder.fit([[]])
        known = set(top)
        chosen = [[value for value in found if value in known] for found in lists]
        blocks.append(sparse.csr_matrix(encoder.transform(chosen)).toarray())
    blocks.append(np.stack([summarise(posters[movie]) for movie in ids]))
    return np.hstack(blocks).astype(np.float32)


def summarise(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, (8, 12), interpolation=cv2.INTER_AREA).ravel() / 255.0
    counts = [np.histogram(image[:, :, plane], 8, (0, 256))[0] for plane in range(3)]
    return np.concatenate([small, np.concatenate(counts) / image[:, :, 0].size])


def forest(seed: int = 7) -> RandomForestClassifier:
    return RandomForestClassifier(20, max_depth=8, random_state=seed, n_jobs=-1)


def positive_share(model: RandomForestClassifier, rows: np.ndarray) -> np.ndarray:
    if len(model.classes_) == 1:
        return np.full(len(rows), float(model.classes_[0]))
    return model.predict_proba(rows)[:, 1]


def binary_relevance(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    models = [forest(label).fit(x, y[:, label]) for label in range(y.shape[1])]
    return np.column_stack([positive_share(model, rows) for model in models])


def native_forest(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    answers = forest().fit(x, y).predict_proba(rows)
    return np.column_stack([a[:, 1] if a.shape[1] == 2 else np.zeros(len(rows)) for a in answers])


def pruned_sets(x: np.ndarray, y: np.ndarray, rows: np.ndarray, members: int = 10) -> np.ndarray:
    rng, scores = np.random.default_rng(7), np.zeros((len(rows), y.shape[1]))
    for member in range(members):
        chosen = rng.permutation(len(x))[: int(0.63 * len(x))]
        sets, classes, counts = np.unique(
            y[chosen], axis=0, return_inverse=True, return_counts=True
        )
        kept = counts[classes] > 3
        model = forest(member).fit(x[chosen][kept], classes.ravel()[kept])
        scores += model.predict_proba(rows) @ sets[model.classes_]
    return scores / members


def lenet(labels: int) -> nn.Module:
    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 5), nn.ReLU(), nn.AvgPool2d(2)]

    return nn.Sequential(
        *block(3, 6), *block(6, 16), *block(16, 16), *block(16, 16), nn.Flatten(),
        nn.LazyLinear(240), nn.Dropout(0.25), nn.ReLU(), nn.Linear(240, 168), nn.Dropout(0.25),
        nn.ReLU(), nn.Linear(168, labels),
    )  # fmt: skip


def train_network(
    images: np.ndarray, y: np.ndarray, rows: np.ndarray, epochs: int, batch: int = 32
) -> np.ndarray:
    torch.manual_seed(7)
    targets = torch.from_numpy(y.astype(np.float32))
    mean, deviation = images[:200].mean() / 255.0, images[:200].std() / 255.0

    def prepare(pixels: np.ndarray) -> torch.Tensor:
        scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255.0
        return (scaled - float(mean)) / float(deviation)

    network = lenet(y.shape[1])
    network(prepare(images[:1]))
    optimizer, loss = torch.optim.Adam(network.parameters(), 1e-3), nn.BCEWithLogitsLoss()
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(batch):
            optimizer.zero_grad()
            loss(network(prepare(images[chosen.numpy()])), targets[chosen]).backward()
            optimizer.step()
    network.eval()
    with torch.inference_mode():
        answers = [network(prepare(rows[i : i + 64])) for i in range(0, len(rows), 64)]
    return torch.sigmoid(torch.cat(answers)).numpy()


def evaluate(scores: np.ndarray, y: np.ndarray, tuned: np.ndarray, truth: np.ndarray) -> dict:
    grid = np.linspace(0.01, 0.99, 99)
    limit = max(grid, key=lambda t: f1_score(truth, tuned >= t, average="micro", zero_division=0.0))
    answer = scores >= limit
    return {
        "hamming": hamming_loss(y, scores >= 0.5),
        "jaccard": jaccard_score(y, answer, average="samples", zero_division=0.0),
        "exact": float((answer == y).all(1).mean()),
        "f1_micro": f1_score(y, answer, average="micro", zero_division=0.0),
        "f1_macro": f1_score(y, answer, average="macro", zero_division=0.0),
    }


def draw(name: str, values: np.ndarray, names: list[str], folder: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4))
    axes.bar(names, values)
    axes.tick_params(axis="x", rotation=90)
    figure.savefig(folder / f"{name}.png")
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    with timed("genres"):
        grouped, labels, names = group_genres(options.data)
    with timed("posters"):
        posters = read_posters(options.data, options.threads)
    has_poster = grouped.index.isin(list(posters))
    ids, y = grouped.index[has_poster].to_numpy(), labels[has_poster]
    draws = np.random.default_rng(7).random(len(ids))
    test, validation = draws < 0.3, (draws >= 0.3) & (draws < 0.3 + 0.7 * 0.2)
    train = ~test & ~validation
    with timed("features"):
        x = build_features(options.data, ids, posters, train)
    rows = np.vstack([x[validation], x[test]])
    scores = {}
    for name, method in (
        ("binary relevance", binary_relevance),
        ("pruned sets", pruned_sets),
        ("native forest", native_forest),
    ):
        with timed(name):
            scores[name] = method(x[train], y[train], rows)
    with timed("network"):
        images = np.stack([posters[movie] for movie in ids])
        held = np.concatenate([images[validation], images[test]])
        scores["network"] = train_network(images[train], y[train], held, options.epochs)
    results = {}
    with timed("evaluation"):
        count = int(validation.sum())
        for name, found in scores.items():
            tuned, tested = found[:count], found[count:]
            results[name] = evaluate(tested, y[test], tuned, y[validation])
            each = f1_score(y[test], tested >= 0.3, average=None, zero_division=0.0)
            draw(name.replace(" ", "_"), each, names, Path(options.data).parent)
    total = round(time.perf_counter() - started, 2)
    for name, found in results.items():
        print(f"{name:18}", "  ".join(f"{key} {value:.4f}" for key, value in found.items()))
    print(f"movies {len(ids)}, seconds in all {total}")
    if options.json:
        print(json.dumps({"movies": len(ids), "seconds": seconds | {"total": total}, **results}))


if __name__ == "__main__":
    main()
