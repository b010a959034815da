"""The files of a data set, found, looked at, joined, and read as described rows."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from genre_spark.adapters.mapping import JoinedFile, SourceMap, find_column
from genre_spark.adapters.movie_ids import source_id
from genre_spark.adapters.movies import RowReader, describe_rows, resolve_lists, source_column
from genre_spark.adapters.sources import MALFORMED, Source, find_source, open_source
from genre_spark.config.paths import ImportConfig
from genre_spark.errors import InvalidInputError
from genre_spark.transforms.raw_columns import strip_blanks

__all__ = ["DataSet", "open_data_set", "source_files"]

_KEY = "_key"


@dataclass(frozen=True)
class DataSet:
    """A data set, looked at but not read.

    Attributes:
        layout: of its files.
        main: the first file.
        joined: the others that are there.
        reader: which columns are what.
    """

    layout: SourceMap
    main: Source
    joined: tuple[tuple[JoinedFile, Source], ...]
    reader: RowReader

    def describe(self) -> list[str]:
        """Return sentences: how each file and each column of lists is read."""
        lists = ", ".join(map(str, self.reader.lists))
        return [
            *[source.describe() for source in (self.main, *[each for _, each in self.joined])],
            f"entries of {lists}",
        ]

    def read(self, spark: SparkSession) -> DataFrame:
        """Return the described rows of movies."""
        rows = self._rows(spark)
        if self.layout.keep is not None:
            rows = rows.where(self._is_movie())
        for each, source in self.joined:
            rows = self._join(spark, rows, each, source)
        return describe_rows(rows, self.reader)

    def count_others(self, spark: SparkSession) -> int:
        """Return how many rows are no movies: series, games; a pass of its own."""
        if self.layout.keep is None:
            return 0
        return self._rows(spark).where(~self._is_movie()).count()

    def _rows(self, spark: SparkSession) -> DataFrame:
        columns = list(self.main.columns)
        wanted = [name for name in self.reader.columns if name in columns]
        wanted += [each.on for each, _ in self.joined]
        if self.layout.keep is not None:
            wanted.append(self.layout.keep.column)
        found = [find_column(columns, (name,)) for name in wanted]
        named = list(dict.fromkeys(name for name in found if name is not None))
        return _prefixed(self.main.read(spark, named), named)

    def _is_movie(self) -> Column:
        keep = self.layout.keep
        found = find_column(self.main.columns, (keep.column,)) if keep is not None else None
        if keep is None or found is None:
            return F.lit(True)
        values = F.coalesce(strip_blanks(F.col(source_column(found))), F.lit(""))
        # a malformed row is not left out in silence
        return values.isin(*keep.values) | F.col(MALFORMED).isNotNull()

    def _join(
        self, spark: SparkSession, rows: DataFrame, each: JoinedFile, source: Source
    ) -> DataFrame:
        key = find_column(source.columns, (each.key,))
        on = find_column(self.main.columns, (each.on,))
        wanted = [name for name in source.columns if name in self.reader.columns]
        wanted = [name for name in wanted if name not in self.main.columns]
        if key is None or on is None or not wanted:
            return rows
        other = _prefixed(source.read(spark, [key, *wanted]), [key, *wanted])
        values = F.struct(*[F.col(source_column(name)) for name in wanted])
        keys = source_id(strip_blanks(F.col(source_column(key)))).alias(_KEY)
        whole = other.where(F.col(MALFORMED).isNull()).select(keys, values.alias("_row"))
        grouped = whole.where(F.col(_KEY).isNotNull()).groupBy(_KEY)
        one = grouped.agg(F.max("_row").alias("_row")).select(_KEY, "_row.*")
        keyed = rows.withColumn(_KEY, source_id(strip_blanks(F.col(source_column(on)))))
        return keyed.join(one, _KEY, "left").drop(_KEY)


def source_files(path: str, layout: SourceMap) -> list[str]:
    """Return the files of a data set that are there, the first one first.

    Raises:
        InvalidInputError: the first one is not there.
    """
    main = find_source(path, layout.files)
    if main is None:
        raise InvalidInputError(
            f"paths.source: {path} has no {' or '.join(layout.files)} (nor .gz), expected it there"
        )
    if main == path:
        return [main]  # a single file: nothing is looked for beside it
    others = [find_source(path, each.files) for each in layout.joined]
    return [main, *[found for found in others if found is not None]]


def open_data_set(
    spark: SparkSession, path: str, layout: SourceMap, settings: ImportConfig
) -> DataSet:
    """Look at the files of a data set, and find its columns.

    Raises:
        InvalidInputError: a file or a column that it cannot do without is missing.
    """
    files = source_files(path, layout)
    main = open_source(spark, files[0], layout.columns(), settings, quote=layout.quote)
    joined = []
    for each in layout.joined:
        found = find_source(path, each.files) if files[0] != path else None
        if found is not None:
            columns = [each.key, *each.columns]
            joined.append((each, open_source(spark, found, columns, settings, quote=layout.quote)))
    sources = [main, *[source for _, source in joined]]
    every = [column for source in sources for column in source.columns]
    _check_columns(layout, settings, main, every)

    def present(columns: dict[str, tuple[str, ...]]) -> dict[str, str]:
        found = {name: find_column(every, names) for name, names in columns.items()}
        return {name: column for name, column in found.items() if column is not None}

    reader = RowReader(
        layout,
        id=find_column(main.columns, layout.id) or "",
        ids=settings.ids or layout.ids,
        texts=present(dict(layout.texts)),
        numbers=present(dict(layout.numbers)),
        lists=tuple(resolve_lists(layout.lists, sources)),
    )
    return DataSet(layout, main, tuple(joined), reader)


def _check_columns(
    layout: SourceMap, settings: ImportConfig, main: Source, columns: list[str]
) -> None:
    """Raise an error that names the column which is not there, and how the file was read."""
    named = settings.columns.model_dump() if settings.columns is not None else {}
    has = f"{main.path} has {', '.join(columns)[:300]} ({main.describe()}"
    for setting, column in named.items():
        if column and find_column(columns, (column,)) is None:
            raise InvalidInputError(f"import_data.columns.{setting}: {column!r}, but {has})")
    for names in layout.required():
        if find_column(main.columns, names) is None:
            raise InvalidInputError(
                f"paths.source: no column {' or '.join(names)}: {has}); another delimiter or "
                "encoding? see import_data.delimiter and import_data.encoding"
            )


def _prefixed(rows: DataFrame, names: list[str]) -> DataFrame:
    return rows.select(
        *[F.col(f"`{name.replace('`', '``')}`").alias(source_column(name)) for name in names],
        MALFORMED,
    )
