"""A table whose partitions are mapped in this process: what forests ask of Spark, without it."""

import itertools
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

VECTOR = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)


class Partitions:
    """Batches by partition, with the methods of a DataFrame that growing trees uses."""

    def __init__(self, parts):
        self.parts = parts
        self.sparkSession = SimpleNamespace()

    def mapInArrow(self, function, schema):
        return Partitions([list(function(iter(part))) for part in self.parts])

    def repartition(self, count, column):
        found = [[] for _ in range(count)]
        for batch in itertools.chain(*self.parts):
            for row in range(batch.num_rows):
                place = batch.column(batch.schema.names.index(column))[row].as_py()
                found[hash((place, 7)) % count].append(batch.slice(row, 1))
        return Partitions(found)

    def collect(self):
        return [Row(row) for part in self.parts for batch in part for row in batch.to_pylist()]


class Row(dict):
    def asDict(self):
        return dict(self)


def training_batches(x, y, weights=None, *, partitions=2, sparse=False, batch=97):
    """Return rows as `training_rows` has them, dealt out to partitions."""
    weights = np.ones(len(x)) if weights is None else np.asarray(weights, float)
    parts = []
    for chosen in np.array_split(np.arange(len(x)), partitions):
        cuts = [chosen[start : start + batch] for start in range(0, len(chosen), batch)]
        parts.append([_batch(x[cut], y[cut], weights[cut], sparse) for cut in cuts])
    return Partitions(parts)


def _batch(x, y, weights, sparse):
    vectors = []
    for row in x:
        if sparse:
            stored = np.flatnonzero(row)
            vectors.append((0, len(row), stored.tolist(), row[stored].tolist()))
        else:
            vectors.append((1, None, None, row.tolist()))
    names = ("type", "size", "indices", "values")
    features = pa.array([dict(zip(names, vector, strict=True)) for vector in vectors], VECTOR)
    hashes = [hash((row.tobytes(), label.tobytes())) for row, label in zip(x, y, strict=True)]
    return pa.RecordBatch.from_pydict(
        {
            "features": features,
            "labels": pa.array(y.tolist(), pa.list_(pa.float64())),
            "weight": pa.array(weights),
            "row_hash": pa.array(hashes, pa.int64()),
        }
    )
