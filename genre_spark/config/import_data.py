"""Settings of reading movies from data sets in other layouts than Letterboxd's."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from genre_spark.config.section import Section

__all__ = ["ImportConfig", "Layout", "TableColumns"]

Layout = Literal[
    "letterboxd",
    "tmdb5000",
    "movies_dataset",
    "imdb5000",
    "omdb",
    "movielens",
    "imdb_tsv",
    "table",
]
_LISTS = ("genres", "countries", "languages", "studios", "themes", "actors", "directors")


class TableColumns(Section):
    """Which column of a table is what; names as in its header, in any case."""

    id: str = Field(description="number, IMDb id (tt0111161), or any text")
    genres: str = Field(description="one or several genres; a list, or separated")
    name: str | None = Field(None, description="title; a year in parentheses at its end counts")
    date: str | None = Field(None, description="date or year of release")
    tagline: str | None = None
    description: str | None = None
    minute: str | None = Field(None, description="minutes: 142, also written 142 min")
    rating: str | None = None
    budget: str | None = Field(None, description="0 counts as unknown, here and for revenue")
    revenue: str | None = None
    votes: str | None = None
    popularity: str | None = None
    countries: str | None = None
    languages: str | None = None
    studios: str | None = None
    themes: str | None = Field(None, description="keywords")
    actors: str | None = None
    directors: str | None = None
    poster: str | None = Field(None, description="link to the poster, for download-posters")
    imdb_id: str | None = Field(None, description="for collect-imdb")


class ImportConfig(Section):
    """How `paths.source` is read; only for layouts other than letterboxd."""

    columns: TableColumns | None = Field(None, description="of layout `table`")
    separators: dict[str, str] = Field(
        default_factory=dict,
        description="between the entries of a column of lists, such as {genres: '|'}; others are "
        "recognised: a list of JSON or Python, |, ;, comma",
    )
    encoding: str | None = Field(None, description="such as utf-16 or latin-1; null: recognised")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="between fields; null: recognised"
    )
    quote: str | None = Field(
        None, max_length=1, description="around fields; '': quotes mean nothing; null: by layout"
    )
    multiline: bool | None = Field(
        None,
        description="whether quoted fields hold line breaks, which takes one task per file; null: "
        "true up to 1 GiB, above it if the beginning of the file has one",
    )
    ids: Literal["auto", "number", "imdb", "text"] | None = Field(
        None, description="what ids may be; auto: numbers, IMDb ids, else any text; null: by layout"
    )
    repeated_ids: Literal["reject", "merge"] = Field(
        "reject",
        description="several rows of one id; reject: the one that says most is used; merge: its "
        "lists get the entries of the others (a table with one row per movie and genre)",
    )
    max_malformed: float = Field(
        0.02,
        ge=0,
        le=1,
        description="share of malformed rows above which the file is taken for misread",
    )

    @field_validator("separators")
    @classmethod
    def _of_lists(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in _LISTS:
                raise ValueError(f"columns of lists ({', '.join(_LISTS)}), not {name!r}")
        return value
