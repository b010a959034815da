"""The layouts of well-known movie data sets, and the one that a recipe describes."""

from __future__ import annotations

from genre_spark.adapters.mapping import JoinedFile, ListColumn, RowFilter, SourceMap
from genre_spark.config.paths import ImportConfig, Layout
from genre_spark.errors import InvalidConfigError

__all__ = ["layout_map"]

_TMDB_TEXTS = {
    "name": ("title", "original_title"),
    "date": ("release_date",),
    "tagline": ("tagline",),
    "description": ("overview",),
    "poster": ("poster_path",),
    "imdb_id": ("imdb_id",),
}
_TMDB_NUMBERS = {
    "minute": ("runtime",),
    "rating": ("vote_average",),
    "budget": ("budget",),
    "revenue": ("revenue",),
    "votes": ("vote_count",),
    "popularity": ("popularity",),
}
_TMDB_LISTS = (
    ListColumn("genres", ("genres",), lists=True),
    ListColumn("countries", ("production_countries",), lists=True),
    ListColumn("studios", ("production_companies",), lists=True),
    ListColumn("languages", ("original_language",), role="Primary language", separator=""),
    ListColumn("languages", ("spoken_languages",), role="Spoken language", lists=True),
    ListColumn("themes", ("keywords",), lists=True),
    ListColumn("actors", ("cast",), lists=True),
    ListColumn("crew", ("crew",), lists=True),
)

_LAYOUTS: dict[str, SourceMap] = {
    # Kaggle tmdb/tmdb-movie-metadata
    "tmdb5000": SourceMap(
        files=("tmdb_5000_movies.csv",),
        id=("id",),
        texts=_TMDB_TEXTS,
        numbers=_TMDB_NUMBERS,
        lists=_TMDB_LISTS,
        joined=(JoinedFile(("tmdb_5000_credits.csv",), "movie_id", "id", ("cast", "crew")),),
    ),
    # Kaggle rounakbanik/the-movies-dataset; its lists are Python's, and three rows are broken
    "movies_dataset": SourceMap(
        files=("movies_metadata.csv",),
        id=("id",),
        texts=_TMDB_TEXTS,
        numbers=_TMDB_NUMBERS,
        lists=_TMDB_LISTS,
        joined=(
            JoinedFile(("credits.csv",), "id", "id", ("cast", "crew")),
            JoinedFile(("keywords.csv",), "id", "id", ("keywords",)),
        ),
    ),
    # Kaggle carolzhangdc/imdb-5000-movie-dataset
    "imdb5000": SourceMap(
        files=("movie_metadata.csv", "imdb_5000_movie_metadata.csv"),
        id=("movie_imdb_link",),
        id_pattern="(tt[0-9]+)",
        ids="imdb",
        texts={"name": ("movie_title",), "date": ("title_year",), "imdb_id": ("movie_imdb_link",)},
        numbers={
            "minute": ("duration",),
            "rating": ("imdb_score",),
            "budget": ("budget",),
            "revenue": ("gross",),
            "votes": ("num_voted_users",),
        },
        lists=(
            ListColumn("genres", ("genres",), separator="|"),
            ListColumn("themes", ("plot_keywords",), separator="|"),
            ListColumn("countries", ("country",), separator=""),
            ListColumn("languages", ("language",), role="Language", separator=""),
            ListColumn("crew", ("director_name",), role="Director", separator=""),
            ListColumn("actors", ("actor_1_name",), separator=""),
            ListColumn("actors", ("actor_2_name",), separator=""),
            ListColumn("actors", ("actor_3_name",), separator=""),
        ),
    ),
    "omdb": SourceMap(
        id=("imdbID",),
        ids="imdb",
        texts={
            "name": ("Title",),
            "date": ("Released", "Year"),
            "description": ("Plot",),
            "poster": ("Poster",),
            "imdb_id": ("imdbID",),
        },
        numbers={
            "minute": ("Runtime",),
            "rating": ("imdbRating",),
            "revenue": ("BoxOffice",),
            "votes": ("imdbVotes",),
        },
        lists=(
            ListColumn("genres", ("Genre",), separator=","),
            ListColumn("countries", ("Country",), separator=","),
            ListColumn("languages", ("Language",), role="Language", separator=","),
            ListColumn("crew", ("Director",), role="Director", separator=","),
            ListColumn("crew", ("Writer",), role="Writer", separator=","),
            ListColumn("actors", ("Actors",), separator=","),
            ListColumn("studios", ("Production",), separator=","),
        ),
        keep=RowFilter("Type", ("movie",)),
    ),
    # grouplens.org/datasets/movielens
    "movielens": SourceMap(
        files=("movies.csv",),
        id=("movieId",),
        texts={"name": ("title",), "imdb_id": ("imdbId",)},
        lists=(ListColumn("genres", ("genres",), separator="|"),),
        joined=(JoinedFile(("links.csv",), "movieId", "movieId", ("imdbId",)),),
        year_in_name=True,
    ),
    # developer.imdb.com/non-commercial-datasets
    "imdb_tsv": SourceMap(
        files=("title.basics.tsv",),
        id=("tconst",),
        ids="imdb",
        texts={"name": ("primaryTitle",), "date": ("startYear",), "imdb_id": ("tconst",)},
        numbers={
            "minute": ("runtimeMinutes",),
            "rating": ("averageRating",),
            "votes": ("numVotes",),
        },
        lists=(ListColumn("genres", ("genres",), separator=","),),
        joined=(
            JoinedFile(("title.ratings.tsv",), "tconst", "tconst", ("averageRating", "numVotes")),
        ),
        keep=RowFilter("titleType", ("movie", "tvMovie")),
        quote="",
    ),
}
_ROLES = {"languages": "Language", "directors": "Director"}


def layout_map(layout: Layout, settings: ImportConfig) -> SourceMap:
    """Return the map of a layout.

    Raises:
        InvalidConfigError: layout `table` without a mapping of columns, or a mapping with another
            layout.
    """
    if layout != "table":
        if settings.columns is not None:
            raise InvalidConfigError(
                f"import_data.columns: given with paths.layout {layout}, expected them with "
                "paths.layout: table alone"
            )
        return _LAYOUTS[layout]
    if settings.columns is None:
        raise InvalidConfigError(
            "import_data.columns: missing, expected the columns of paths.source, such as "
            "{id: imdbId, genres: Genre, name: Title}"
        )
    named = {name: (column,) for name, column in settings.columns.model_dump().items() if column}
    lists = tuple(
        ListColumn(
            "crew" if name == "directors" else name,
            named[name],
            role=_ROLES.get(name),
            separator=settings.separators.get(name),
            lists=name not in settings.separators,
        )
        for name in (
            "genres", "countries", "languages", "studios", "themes", "actors", "directors"
        )
        if name in named
    )  # fmt: skip
    texts = ("name", "date", "tagline", "description", "poster", "imdb_id")
    numbers = ("minute", "rating", "budget", "revenue", "votes", "popularity")
    return SourceMap(
        id=named["id"],
        ids="auto",
        texts={name: named[name] for name in texts if name in named},
        numbers={name: named[name] for name in numbers if name in named},
        lists=lists,
        year_in_name="date" not in named,
    )
