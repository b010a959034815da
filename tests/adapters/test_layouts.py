"""Data sets as people have them, their broken rows included, become the Letterboxd layout."""

from __future__ import annotations

import json

from genre_spark.pipelines.catalogue import Catalogue
from genre_spark.pipelines.ingestion import group_genres, import_data
from genre_spark.transforms.metadata import read_metadata
from genre_spark.transforms.metadata_rejects import rejected_metadata

TMDB_HEADER = (
    "budget,genres,id,original_language,overview,popularity,production_companies,"
    "production_countries,release_date,revenue,runtime,spoken_languages,tagline,title,"
    "vote_average,vote_count"
)


def quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return '"' + text.replace('"', '""') + '"'


def test_tmdb5000_with_json_in_csv_and_credits(imported, spark) -> None:
    genres = quoted([{"id": 28, "name": "Action"}, {"id": 35, "name": "Comedy"}])
    countries = quoted([{"iso_3166_1": "FR", "name": "France"}])
    studios = quoted([{"name": "Studio, Inc.", "id": 1}])
    spoken = quoted([{"iso_639_1": "es", "name": "Espa\u00f1ol"}])
    rows = [
        TMDB_HEADER,
        f'1000,{genres},7,en,"He said ""go"",\nand left",1.5,{studios},{countries},12/10/2009,'
        f"0,162,{spoken},Boo!,Avatar,7.2,11",
        "0,[],8,en,,2,[],[],2010-05-01,5,x90,[],,Plain,0,0",
        "0,[],8,en,,2,[],[],,,,[],,Plain again,0,0",
        "0,[],soon,en,,2,[],[],,,,[],,No id,0,0",
        "0,[],9",
    ]
    credits = [
        "movie_id,title,cast,crew",
        f"7,Avatar,{quoted([{'name': 'Ann'}, {'name': 'Bob'}])},"
        f"{quoted([{'job': 'Director', 'name': 'Cam'}])}",
    ]
    found = imported(
        "tmdb5000",
        {
            "tmdb_5000_movies.csv": "\r\n".join(rows) + "\r\n",
            "tmdb_5000_credits.csv": "\n".join(credits) + "\n",
        },
        max_malformed=1,
    )
    assert found.rows("genres") == [(7, "Action"), (7, "Comedy")]
    assert found.rows("movies") == [
        (7, "Avatar", "2009", "Boo!", 'He said "go",\nand left', 162.0, 7.2),
        (8, "Plain", "2010-05-01", None, None, None, None),
    ]
    assert found.rows("numbers") == [(7, 1000.0, None, 11.0, 1.5), (8, None, 5.0, 0.0, 2.0)]
    assert found.rows("studios") == [(7, "Studio, Inc.")]
    assert found.rows("countries") == [(7, "France")]
    assert found.rows("languages") == [
        (7, "Primary language", "en"),
        (7, "Spoken language", "Español"),
        (8, "Primary language", "en"),
    ]
    assert found.rows("actors") == [(7, "Ann"), (7, "Bob")]
    assert found.rows("crew") == [(7, "Director", "Cam")]
    assert found.rows("ids") == [(7, "7", None), (8, "8", None)]
    assert [reason for reason, _ in found.rejects] == [
        "id is not a number",
        "malformed row",
        "minute is not a number",
        "repeated id",
    ]
    counts = found.result.counts
    assert (counts["rows"], counts["movies"], counts["rejected"]) == (5, 2, 3)
    assert "tmdb_5000_movies.csv read as: comma, UTF-8" in found.result.notes
    later_stages_read_the_tables(found, spark)


def later_stages_read_the_tables(found, spark) -> None:
    grouped = group_genres.run(spark, found.config)
    assert grouped.counts["movies"] == 1
    assert Catalogue(found.config).vocabulary() == ["Action", "Comedy"]
    wanted = spark.createDataFrame([(7,)], "movie_id long")
    row = read_metadata(spark, found.config.paths.metadata, wanted).first()
    assert (row["name"], row["minute"], row["budget"]) == ("Avatar", "162.0", "1000.0")
    assert row["people"] == ["actor Ann", "actor Bob", "director Cam"]
    assert rejected_metadata(spark, found.config.paths.metadata).collect() == []
    assert import_data.run(spark, found.config).reused


def test_movies_dataset_with_lists_of_python_and_its_broken_rows(imported) -> None:
    header = "adult,budget,genres,id,imdb_id,overview,poster_path,title,vote_count"
    rows = [
        header,
        "False,30,\"[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': \"\"It's\"\"}]\",862,"
        "tt0114709,Toys,/toy.jpg,Toy Story,5415.0",
        "False,0,\"[{'id': 1, 'name': 'O\\'Neill', 'x': None}]\",863,tt0113497,,,Escaped,1",
        "False,0,[],864,,First half",
        " - Written by Ann,0.065,/ff9qCep.jpg,1997-08-20,104.0,Midnight Man,False,6.0,1",
        "False,0,\"[{'id': 1, 'name'\",865,,,,Cut list,1",
    ]
    credits = "cast,crew,id\n\"[{'name': 'Tom'}]\",\"[{'job': 'Director', 'name': 'John'}]\",862\n"
    found = imported(
        "movies_dataset",
        {"movies_metadata.csv": "\n".join(rows) + "\n", "credits.csv": credits},
        max_malformed=1,
    )
    assert found.rows("genres") == [(862, "Animation"), (862, "It's"), (863, "O'Neill")]
    assert found.rows("posters") == [(862, "/toy.jpg")]
    assert found.rows("ids")[0] == (862, "862", "tt0114709")
    assert found.rows("crew") == [(862, "Director", "John")]
    assert [reason for reason, _ in found.rejects] == [
        "genres is not a list",
        "id is not a number",
        "malformed row",
    ]


def test_imdb5000_takes_its_ids_from_links_and_says_what_is_repeated(imported) -> None:
    header = (
        "director_name,duration,gross,genres,actor_1_name,movie_title,plot_keywords,"
        "movie_imdb_link,language,country,budget,title_year,imdb_score"
    )
    link = "http://www.imdb.com/title/tt0499549/?ref_=fn_tt_tt_1"
    row = (
        "Cameron,178,760505847,Action|Sci-Fi,Ann,Avatar\u00a0,future|war,"
        f"{link},English,USA,23,2009.0,7.9"
    )
    other = row.replace("tt0499549", "tt0000002").replace("Action|Sci-Fi", "Drama")
    found = imported("imdb5000", {"movie_metadata.csv": "\n".join([header, row, row, other, ""])})
    assert found.rows("movies") == [
        (2, "Avatar", "2009", None, None, 178.0, 7.9),
        (499549, "Avatar", "2009", None, None, 178.0, 7.9),
    ]
    assert found.rows("genres") == [(2, "Drama"), (499549, "Action"), (499549, "Sci-Fi")]
    assert found.rows("themes")[:2] == [(2, "future"), (2, "war")]
    assert found.rows("ids")[1] == (499549, "tt0499549", "tt0499549")
    assert [reason for reason, _ in found.rejects] == ["equal row"]


def test_omdb_reads_amounts_and_leaves_series_out(imported) -> None:
    rows = [
        "_id,Language,Box_office,Country,imdbID,Poster,Director,Released,imdbVotes,Runtime,"
        "imdbRating,Title,Genre,Actors,Type",
        '5,English,"290,158,751","USA, UK",tt0080684,http://h/p.jpg,Irvin,20 Jun 1980,"799,579",'
        '124 min,8.8,Empire,"Action, Adventure","Mark, Carrie",movie',
        "6,N/A,N/A,N/A,tt0080685,N/A,N/A,N/A,N/A,N/A,N/A,Bare,Drama,N/A,movie",
        "7,English,,USA,tt0080686,,,1990,1,2 min,1,A series,Drama,,series",
    ]
    found = imported("omdb", {"omdb.csv": "\r\n".join(rows)}, source="omdb.csv")
    assert found.rows("movies") == [
        (80684, "Empire", "1980", None, None, 124.0, 8.8),
        (80685, "Bare", None, None, None, None, None),
    ]
    assert found.rows("numbers") == [(80684, None, 290158751.0, 799579.0, None)]
    assert found.rows("countries") == [(80684, "UK"), (80684, "USA")]
    assert found.rows("posters") == [(80684, "http://h/p.jpg")]
    assert found.rejects == []
    assert found.result.counts["other_types"] == 1


def test_movielens_has_years_in_its_titles_and_imdb_ids_in_links(imported, spark) -> None:
    found = imported(
        "movielens",
        {
            "movies.csv": "movieId,title,genres\n1,Toy Story (1995),Adventure|Children\n"
            '2,"Nobody, Nowhere",(no genres listed)\n',
            "links.csv": "movieId,imdbId,tmdbId\n1,0114709,862\n2,13113497,\n",
        },
    )
    assert found.rows("movies") == [
        (1, "Toy Story", "1995", None, None, None, None),
        (2, "Nobody, Nowhere", None, None, None, None, None),
    ]
    assert found.rows("ids") == [(1, "1", "tt0114709"), (2, "2", "tt13113497")]
    grouped = group_genres.run(spark, found.config)
    assert Catalogue(found.config).vocabulary() == ["Adventure", "Children"]
    assert grouped.counts["rejected/placeholder for no genre"] == 1


def test_imdb_tsv_has_no_quotes_and_joins_ratings(imported) -> None:
    found = imported(
        "imdb_tsv",
        {
            "title.basics.tsv": "tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes"
            "\tgenres\n"
            'tt0000001\tmovie\t"Quoted\t1999\t101\tDrama,Sci-Fi\n'
            "tt0000002\tmovie\tBare\t\\N\t\\N\t\\N\n"
            "tt0000003\ttvSeries\tSeries\t2002\t45\tComedy\n",
            "title.ratings.tsv": "tconst\taverageRating\tnumVotes\ntt0000001\t7.4\t1234\n",
        },
    )
    assert found.rows("movies") == [
        (1, '"Quoted', "1999", None, None, 101.0, 7.4),
        (2, "Bare", None, None, None, None, None),
    ]
    assert found.rows("genres") == [(1, "Drama"), (1, "Sci-Fi")]
    assert found.result.counts["other_types"] == 1
    assert found.result.counts["without_genres"] == 1
