"""Rows of a source as movies: ids as numbers, texts, numbers, lists of names, flaws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from genre_spark.adapters.cells import (
    Step,
    amount_steps,
    date_steps,
    guess_separator,
    in_steps,
    is_list_of_python,
    is_no_value,
    list_steps,
    text_or_null,
)
from genre_spark.adapters.mapping import ListColumn, SourceMap, find_column
from genre_spark.adapters.movie_ids import id_reason, id_text, imdb_id, number_id, source_id
from genre_spark.adapters.sources import MALFORMED, Source
from genre_spark.schemas import CONTENT, CONTENT_CHARS, MOVIE_ID, REASON

__all__ = [
    "FLAWS",
    "LIST_TABLES",
    "MALFORMED_ROW",
    "NUMBERS",
    "OTHER_ENCODING",
    "RANK",
    "SOURCE_ID",
    "TEXTS",
    "ResolvedList",
    "RowReader",
    "describe_rows",
    "rank_rows",
    "resolve_lists",
    "source_column",
]

SOURCE_ID = "source_id"
FLAWS = "flaws"
RANK = "rank"
NAME_FIELDS = "array<struct<name:string,role:string>>"
TEXTS = ("name", "date", "tagline", "description", "poster", "imdb_id")
NUMBERS = ("minute", "rating", "budget", "revenue", "votes", "popularity")
LIST_TABLES = ("genres", "countries", "languages", "studios", "themes", "actors", "crew")
_ZERO_IS_UNKNOWN = frozenset(("minute", "rating", "budget", "revenue"))
_HASH = "row_hash"
_TITLE = r"^(.*\S)\s*\(([0-9]{4})\)$"
_SIGNS = {",": "comma", ";": "semicolon", "|": "bar"}
_INVALID = "\ufffd"  # what bytes of another encoding are read as
MALFORMED_ROW = "malformed row"
OTHER_ENCODING = "characters of another encoding"


@dataclass(frozen=True)
class ResolvedList:
    """A column of lists as it is in a source.

    Attributes:
        table: of the Letterboxd layout.
        column: of the source.
        role: of all its names, or None.
        separator: between entries.
        lists: whether cells may be lists of JSON or Python.
    """

    table: str
    column: str
    role: str | None
    separator: str
    lists: bool

    def __str__(self) -> str:
        """Return how the column is read: `genre by comma`."""
        how = ["lists"] if self.lists else []
        how += [f"by {_SIGNS.get(self.separator, self.separator)}"] if self.separator else []
        return f"{self.column} {' or '.join(how)}" if how else f"{self.column} whole"


def resolve_lists(columns: Sequence[ListColumn], sources: Sequence[Source]) -> list[ResolvedList]:
    """Return the columns of lists that are there, and how their entries are separated."""
    resolved = []
    for wanted in columns:
        for source in sources:
            column = find_column(source.columns, wanted.columns)
            if column is None:
                continue
            cells = [row.get(column) or "" for row in source.sample]
            unsaid = wanted.separator is None
            separator = guess_separator(cells) if wanted.separator is None else wanted.separator
            lists = wanted.lists and (
                not unsaid or source.kind != "csv" or is_list_of_python(cells) or not separator
            )
            if wanted.separator is None and lists:
                separator = separator if not is_list_of_python(cells) else ""
            resolved.append(ResolvedList(wanted.table, column, wanted.role, separator, lists))
            break
    return resolved


def source_column(name: str) -> str:
    """Return the name under which a column of the source goes, apart from those of movies."""
    return f"_source_{name}"


@dataclass(frozen=True)
class RowReader:
    """How rows of a source become movies.

    Attributes:
        layout: of the source.
        id: column of ids.
        ids: number, imdb, text or auto.
        texts: text -> its column; others are null.
        numbers: the same.
        lists: columns of lists.
    """

    layout: SourceMap
    id: str
    ids: str
    texts: Mapping[str, str]
    numbers: Mapping[str, str]
    lists: tuple[ResolvedList, ...]

    @property
    def columns(self) -> list[str]:
        """The columns of the source that are read."""
        lists = [column.column for column in self.lists]
        return list(dict.fromkeys([self.id, *self.texts.values(), *self.numbers.values(), *lists]))


def describe_rows(rows: DataFrame, reader: RowReader) -> DataFrame:
    """Turn rows of text into movie_id, source_id, TEXTS, NUMBERS, LIST_TABLES and FLAWS.

    A row whose FLAWS have an entry with `fatal` true is not used.

    Args:
        rows: columns of the source, named by `source_column`, and `MALFORMED`.
        reader: which of them are what.
    """
    texts = {source_column(name): text_or_null(_column(name)) for name in reader.columns}
    cleaned = rows.withColumns(texts)
    named = in_steps(
        cleaned,
        {
            SOURCE_ID: (id_text(_column(reader.id), reader.layout.id_pattern), [source_id]),
            **_texts(reader),
            **{
                name: (
                    (_column(reader.numbers[name]), amount_steps())
                    if name in reader.numbers
                    else (F.lit(None).cast("double"), [])
                )
                for name in NUMBERS
            },
            **{
                f"_list{number}": (
                    _column(column.column),
                    list_steps(separator=column.separator, lists=column.lists),
                )
                for number, column in enumerate(reader.lists)
            },
        },
    )
    found = {MOVIE_ID: number_id(F.col(SOURCE_ID), reader.ids)}
    for table in LIST_TABLES:
        found[table] = _gather(
            [
                (F.col(f"_list{number}"), column.role)
                for number, column in enumerate(reader.lists)
                if column.table == table
            ]
        )
    known = {name: F.when(F.col(name) > 0, F.col(name)) for name in _ZERO_IS_UNKNOWN}
    numbered = named.withColumns(found).withColumn(FLAWS, _flaws(reader))
    return numbered.withColumns(known).select(
        MOVIE_ID, SOURCE_ID, *TEXTS, *NUMBERS, *LIST_TABLES, FLAWS
    )


def _texts(reader: RowReader) -> dict[str, tuple[Column, Sequence[Step]]]:
    unknown = F.lit(None).cast("string")
    found: dict[str, tuple[Column, Sequence[Step]]] = {
        name: (_column(reader.texts[name]) if name in reader.texts else unknown, [])
        for name in TEXTS
    }
    if "date" in reader.texts:
        found["date"] = (_column(reader.texts["date"]), date_steps())
    elif reader.layout.year_in_name and "name" in reader.texts:
        whole = _column(reader.texts["name"])
        year = F.regexp_extract(whole, _TITLE, 2)
        found["date"] = (F.when(year != "", year), [])
        title = F.when(year != "", F.regexp_extract(whole, _TITLE, 1)).otherwise(whole)
        found["name"] = (title, [])
    if "imdb_id" in reader.texts:
        found["imdb_id"] = (imdb_id(_column(reader.texts["imdb_id"])), [])
    return found


def _gather(parts: Sequence[tuple[Column, str | None]]) -> Column:
    """Return the lists of a table as one, each with the role of its column."""
    empty = F.array().cast(NAME_FIELDS)
    known = [
        F.coalesce(items if role is None else _with_role(items, role), empty)
        for items, role in parts
    ]
    return F.array_distinct(F.concat(*known)) if known else empty


def _with_role(items: Column, role: str) -> Column:
    return F.transform(
        items, lambda item: F.struct(item["name"].alias("name"), F.lit(role).alias("role"))
    )


def _flaws(reader: RowReader) -> Column:
    """Return what is wrong with each row, as an array of reason, content and fatal."""
    shown = [reader.id, *reader.texts.values(), *[column.column for column in reader.lists]]
    cells = [F.coalesce(_column(name), F.lit("")) for name in dict.fromkeys(shown)]
    line = F.coalesce(MALFORMED, F.concat_ws(",", *cells))
    whole = F.col(MALFORMED).isNull()
    bad_id = id_reason(F.col(SOURCE_ID), F.col(MOVIE_ID), reader.ids)
    invalid = F.contains(F.concat_ws("", *cells), F.lit(_INVALID))
    flaws = [
        _flaw(~whole, F.lit(MALFORMED_ROW), line, fatal=True),
        _flaw(whole & bad_id.isNotNull(), bad_id, line, fatal=True),
        _flaw(invalid, F.lit(OTHER_ENCODING), line),
    ]
    for name, source in reader.numbers.items():
        unread = ~is_no_value(_column(source)) & F.col(name).isNull()
        flaws.append(_flaw(whole & unread, F.lit(f"{name} is not a number"), line))
    if "date" in reader.texts:
        cell = _column(reader.texts["date"])
        unread = ~is_no_value(cell) & F.col("date").isNull()
        flaws.append(_flaw(whole & unread, F.lit("date without a year"), line))
    for number, column in enumerate(reader.lists):
        text = F.concat_ws(",", SOURCE_ID, _column(column.column))
        unread = whole & F.col(f"_list{number}").isNull()
        flaws.append(_flaw(unread, F.lit(f"{column.column} is not a list"), text))
    return F.array_compact(F.array(*flaws))


def rank_rows(described: DataFrame, *, merge: bool) -> DataFrame:
    """Add RANK: 1 for the row of a movie that is used, more for others, 0 for fatal flaws.

    Of several rows the one that says most is used, ties broken by content. The others get a flaw:
    an equal row, a repeated id, or, where the texts of the ids differ, an id with the same number.

    Args:
        described: of `describe_rows`.
        merge: give the lists of a movie's rows to the one that is used.
    """
    content = F.struct(*TEXTS, *NUMBERS, *LIST_TABLES)
    said = F.aggregate(
        F.array(
            *[F.when(F.col(name).isNotNull(), 1).otherwise(0) for name in (*TEXTS, *NUMBERS)],
            *[F.size(name) for name in LIST_TABLES],
        ),
        F.lit(0),
        lambda total, one: total + one,
    )
    fatal = F.exists(FLAWS, lambda flaw: flaw["fatal"])
    hashed = described.withColumns(
        {_HASH: F.xxhash64(content, SOURCE_ID), "_said": said, "_fatal": fatal}
    )
    # rows without an id are each by themselves, not one partition together
    alone = F.when(F.col("_fatal"), F.col(_HASH))
    of_movie = Window.partitionBy(F.col("_fatal"), F.col(MOVIE_ID), alone)
    ordered = of_movie.orderBy(F.desc("_said"), SOURCE_ID, _HASH)
    ranked = hashed.withColumns(
        {
            RANK: F.when(F.col("_fatal"), 0).otherwise(F.row_number().over(ordered)),
            "_first_id": F.first(SOURCE_ID).over(ordered),
            "_first_hash": F.first(_HASH).over(ordered),
        }
    )
    if merge:
        of_id = Window.partitionBy(F.col("_fatal"), F.col(SOURCE_ID), alone)
        ranked = ranked.withColumns(
            {
                table: F.array_distinct(F.flatten(F.collect_list(table).over(of_id)))
                for table in LIST_TABLES
            }
        )
    other_id = F.col(SOURCE_ID) != F.col("_first_id")
    equal = F.col(_HASH) == F.col("_first_hash")
    reason = (
        F.when(other_id, "another id has the same number")
        .when(equal, "equal row")
        .otherwise("repeated id")
    )
    rejected = (F.col(RANK) > 1) & (other_id if merge else F.lit(True))
    line = F.concat_ws(",", SOURCE_ID, "name", F.transform("genres", lambda item: item["name"]))
    more = F.array_compact(F.array(_flaw(rejected, reason, line, fatal=True)))
    return ranked.withColumn(FLAWS, F.concat(FLAWS, more)).drop(
        _HASH, "_said", "_fatal", "_first_id", "_first_hash"
    )


def _column(name: str) -> Column:
    return F.col(f"`{source_column(name).replace('`', '``')}`")


def _flaw(condition: Column, reason: Column, content: Column, *, fatal: bool = False) -> Column:
    return F.when(
        condition,
        F.struct(
            reason.alias(REASON),
            F.substring(content, 1, CONTENT_CHARS).alias(CONTENT),
            F.lit(fatal).alias("fatal"),
        ),
    )
