"""Files and folders as rows of text: CSV of any form, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StringType, StructField, StructType

from genre_spark.adapters.mapping import find_column
from genre_spark.config.paths import ImportConfig
from genre_spark.errors import InvalidInputError, text_of
from genre_spark.spark.session import literal_path
from genre_spark.storage.files import filesystem, join
from genre_spark.storage.tables import read_manifest
from genre_spark.transforms.csv import HEAD_BYTES, read_head
from genre_spark.transforms.raw_columns import correct
from genre_spark.transforms.text_form import (
    TextForm,
    decode_head,
    recognise_encoding,
    recognise_form,
)

__all__ = ["MALFORMED", "Source", "find_source", "open_source"]

MALFORMED = "_malformed"
_JSON = (".json", ".jsonl", ".ndjson")
_ONE_TASK = 2**30  # bytes up to which a file is read by one task, so that fields may span lines
_SAMPLE = 500  # rows of the beginning, from which separators are recognised


@dataclass(frozen=True)
class Source:
    """A file, looked at but not read.

    Attributes:
        path: of a file or a folder.
        kind: csv, json or parquet.
        columns: as they stand in the header.
        form: of a CSV.
        spans_lines: whether a CSV's fields may hold line breaks.
        line_break: what ends its lines; before a line feed a carriage return is a blank.
        sample: some of the first rows, as texts by column.
    """

    path: str
    kind: str
    columns: tuple[str, ...]
    form: TextForm = field(default_factory=TextForm)
    spans_lines: bool = True
    line_break: str = "\n"
    sample: tuple[dict[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The name of the file or folder."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    def describe(self) -> str:
        """Return how it is read, in one line."""
        form = {"json": "JSON lines", "parquet": "Parquet"}.get(self.kind) or str(self.form)
        return f"{self.name} read as: {form}"

    def read(self, spark: SparkSession, wanted: Sequence[str]) -> DataFrame:
        """Return the wanted columns as text, and `MALFORMED`: the text of rows that are not whole.

        Lists and objects are texts of JSON.
        """
        if self.kind == "parquet":
            return _read_parquet(spark, self.path, wanted)
        if self.kind == "json":
            schema = StructType([StructField(name, StringType()) for name in wanted])
            reader = spark.read.schema(schema.add(MALFORMED, StringType()))
            rows = reader.json(
                literal_path(self.path),
                columnNameOfCorruptRecord=MALFORMED,
                encoding=self.form.spark_encoding,
                lineSep="\n",
            )
            texts = [correct(F.col(f"`{name}`"), self.form).alias(name) for name in wanted]
            return rows.select(*texts, MALFORMED)
        placed = [f"_{position}" for position in range(len(self.columns))]
        schema = StructType([StructField(name, StringType()) for name in [*placed, MALFORMED]])
        reader = spark.read.schema(schema).options(
            header=True,
            sep=self.form.delimiter,
            encoding=self.form.spark_encoding,
            quote=self.form.quote or "\u0000",
            escape=self.form.quote or "\u0000",
            multiLine=self.spans_lines,
            columnNameOfCorruptRecord=MALFORMED,
            columnPruning=False,  # pruned rows are not counted
            maxCharsPerColumn=-1,
        )
        if self.spans_lines:  # else Spark knows all kinds of line ends
            reader = reader.options(lineSep=self.line_break)
        frame = reader.csv(literal_path(self.path))
        columns = [F.col(placed[self.columns.index(name)]) for name in wanted]
        texts = [correct(column, self.form) for column in columns]
        named = [text.alias(name) for text, name in zip(texts, wanted, strict=True)]
        malformed = F.regexp_replace(correct(F.col(MALFORMED), self.form), r"\r$", "")
        return frame.select(*named, malformed.alias(MALFORMED))


def find_source(path: str, names: Sequence[str]) -> str | None:
    """Return the file of a name, or NAME.gz, in a folder; a path that is a file is it already."""
    system, inner = filesystem(path)
    if not names or not system.isdir(inner):
        return path
    for name in names:
        for found in (join(path, name), join(path, f"{name}.gz")):
            system, inner = filesystem(found)
            if system.exists(inner):
                return found
    return None


def open_source(
    spark: SparkSession, path: str, columns: Sequence[str], settings: ImportConfig, *, quote: str
) -> Source:
    """Look at a file: its kind by its name, its form by its first bytes.

    Args:
        spark: the session; only Parquet needs it.
        path: of a CSV, TSV or file of JSON lines (each plain or .gz), or a file
            or folder of Parquet.
        columns: that it may have.
        settings: of the recipe.
        quote: around fields, unless the recipe says otherwise.

    Raises:
        InvalidInputError: there is no such file, or it cannot be read.
    """
    system, inner = filesystem(path)
    if not system.exists(inner):
        raise InvalidInputError(f"paths.source: {path}: no such file or folder")
    if system.isdir(inner) or inner.lower().endswith(".parquet"):
        return _open_parquet(spark, path, columns)
    head = read_head(path, columns[:2])
    if not head.strip():
        raise InvalidInputError(f"paths.source: {path}: the file is empty")
    if inner.lower().removesuffix(".gz").endswith(_JSON):
        return _open_json(path, head, settings)
    form, _, found = recognise_form(
        path,
        head,
        columns,
        encoding=settings.encoding,
        delimiter=settings.delimiter,
        quote=quote if settings.quote is None else settings.quote,
    )
    rows = _first_rows(decode_head(head, form.encoding), form, cut=len(head) >= HEAD_BYTES)
    sample = tuple(dict(zip(found, row, strict=False)) for row in rows[1:_SAMPLE])
    spans = settings.multiline
    if spans is None:
        broken = any("\n" in value for row in rows for value in row)
        spans = bool(form.quote) and (broken or int(system.size(inner) or 0) <= _ONE_TASK)
    spans = spans or form.encoding.startswith(("utf-16", "utf-32"))
    line_break = "\r" if b"\r" in head and b"\n" not in head else "\n"
    return Source(path, "csv", found, form, spans, line_break, sample)


def _first_rows(text: str, form: TextForm, *, cut: bool) -> list[list[str]]:
    lines = io.StringIO(text, newline="")
    if form.quote:
        reader = csv.reader(lines, delimiter=form.delimiter, quotechar=form.quote)
    else:
        reader = csv.reader(lines, delimiter=form.delimiter, quoting=csv.QUOTE_NONE)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) > _SAMPLE:
                return rows
    except csv.Error:
        return rows
    return rows[:-1] if cut and len(rows) > 1 else rows


def _open_json(path: str, head: bytes, settings: ImportConfig) -> Source:
    encoding = recognise_encoding(path, head, settings.encoding)
    sample = []
    for line in decode_head(head, encoding).splitlines()[:_SAMPLE]:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            sample.append(value)
    if not sample:
        raise InvalidInputError(
            f"paths.source: {path}: no JSON object in its first lines, expected one per line"
        )
    columns = tuple(dict.fromkeys(name for value in sample for name in value))
    texts = tuple(
        {
            name: found if isinstance(found, str) else json.dumps(found)
            for name, found in value.items()
        }
        for value in sample
    )
    return Source(path, "json", columns, TextForm(encoding), sample=texts)


def _parquet_paths(path: str) -> list[str]:
    manifest = read_manifest(path)
    paths = [path] if manifest is None else [join(path, part) for part in manifest.paths]
    return [literal_path(part) for part in paths]


def _open_parquet(spark: SparkSession, path: str, wanted: Sequence[str]) -> Source:
    try:
        columns = tuple(spark.read.parquet(*_parquet_paths(path)).columns)
    except Exception as error:
        raise InvalidInputError(
            f"paths.source: {path}: no Parquet that can be read "
            f"({text_of(error).splitlines()[0][:200]}); of a folder of CSV files name one file"
        ) from None
    shown = [name for name in (find_column(columns, (name,)) for name in wanted) if name]
    rows = _read_parquet(spark, path, list(dict.fromkeys(shown))).limit(_SAMPLE).collect()
    sample = tuple({name: row[name] for name in shown if row[name] is not None} for row in rows)
    return Source(path, "parquet", columns, sample=sample)


def _read_parquet(spark: SparkSession, path: str, wanted: Sequence[str]) -> DataFrame:
    frame = spark.read.parquet(*_parquet_paths(path))
    texts = []
    for name in wanted:
        column = F.col(f"`{name.replace('`', '``')}`")
        nested = isinstance(frame.schema[name].dataType, ArrayType | MapType | StructType)
        texts.append((F.to_json(column) if nested else column.cast("string")).alias(name))
    return frame.select(*texts, F.lit(None).cast("string").alias(MALFORMED))
