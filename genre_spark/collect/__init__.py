"""Data in: movies from TMDb's API, a join with IMDb's files, and downloads of posters.

tmdb_client sends one request, tmdb_lists says which movies, journal keeps every answer so that none
is asked for twice, layout makes the CSV files of them; imdb joins the user's files of IMDb;
downloads fetches posters by Spark tasks (fetching) into archives (shards).
"""

from genre_spark.extras import require

require("aiohttp", "tenacity", "aiolimiter")
