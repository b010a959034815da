"""Names of columns and declared schemas of every stored table; nothing is inferred."""

from __future__ import annotations

from pyspark.ml.linalg import VectorUDT
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

MOVIE_ID = "movie_id"
GENRES = "genres"
LABEL_IDS = "label_ids"
IMAGE = "image"
HEIGHT = "height"
WIDTH = "width"
CHANNELS = "channels"
ENCODING = "encoding"
SOURCE = "source"
FEATURES = "features"
LABELS = "labels"
WEIGHT = "weight"
PROBABILITIES = "probabilities"
PREDICTION = "prediction"
REASON = "reason"
CONTENT = "content"

CONTENT_CHARS = 200
"""Of a rejected row, so many characters are kept."""

GENRES_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(GENRES, ArrayType(StringType(), False), False),  # sorted by name
        # positions in the vocabulary, ascending
        StructField(LABEL_IDS, ArrayType(IntegerType(), False), False),
    ]
)

POSTERS_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        # RGB; JPEG or PNG bytes, or raw uint8 in CHW order
        StructField(IMAGE, BinaryType(), False),
        StructField(HEIGHT, IntegerType(), False),  # pixels
        StructField(WIDTH, IntegerType(), False),  # pixels
        StructField(CHANNELS, IntegerType(), False),
        StructField(ENCODING, StringType(), False),  # jpeg, png or raw
        StructField(SOURCE, StringType(), False),  # where the original lies
    ]
)

REJECTS_SCHEMA = StructType(
    [
        StructField(SOURCE, StringType(), False),  # file (and line, where there is one) or movie id
        StructField(REASON, StringType(), False),  # a short constant, to be counted
        StructField(CONTENT, StringType(), True),  # the line or the detail, bounded in length
    ]
)

DOWNLOADS_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField("link", StringType(), False),
        StructField("status", StringType(), False),  # stored, or a short reason why not
        StructField("error", StringType(), False),  # what was seen, for people
        StructField("http", IntegerType(), False),  # status of the last answer, 0 without one
        StructField("bytes", LongType(), False),
        StructField(HEIGHT, IntegerType(), False),  # pixels
        StructField(WIDTH, IntegerType(), False),  # pixels
        StructField("shard", StringType(), False),  # the archive that has it, "" unless stored
        StructField("at", DoubleType(), False),  # seconds since 1970
    ]
)

_PERSON = StructType(
    [
        StructField("ordering", IntegerType()),
        StructField("name", StringType()),
        StructField("category", StringType()),  # actor, director, composer, ...
        StructField("job", StringType()),
        StructField("characters", ArrayType(StringType())),
    ]
)
_TITLE = StructType([StructField(name, StringType()) for name in ("title", "region", "language")])

IMDB_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField("imdb_id", StringType(), False),
        StructField("title_type", StringType()),  # movie, tvMovie, tvSeries, ...
        StructField("title", StringType()),
        StructField("original_title", StringType()),
        StructField("year", IntegerType()),
        StructField("minute", DoubleType()),
        StructField("rating", DoubleType()),  # 1..10, weighted mean of IMDb's users
        StructField("votes", LongType()),
        StructField("imdb_genres", ArrayType(StringType())),  # at most 3; to compare, no feature
        StructField("directors", ArrayType(StringType())),
        StructField("writers", ArrayType(StringType())),
        StructField("principals", ArrayType(_PERSON)),
        StructField("titles", ArrayType(_TITLE)),  # in other countries, where they are read
    ]
)

FEATURES_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(FEATURES, VectorUDT(), False),
    ]
)

EMBEDDINGS_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(FEATURES, ArrayType(FloatType(), False), False),  # of a pretrained network
    ]
)

TEXT_EMBEDDINGS_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(FEATURES, ArrayType(FloatType(), False), False),  # length 1; zeros where empty
        StructField("tokens", IntegerType(), False),  # of the whole text
        StructField("truncated", BooleanType(), False),  # the model did not read all of the text
        StructField("empty", BooleanType(), False),  # nothing in the text that the model knows
        StructField("text_hash", LongType(), False),  # xxhash64 of the text
    ]
)

_LABELS_AND_WEIGHT = [
    StructField(LABELS, ArrayType(FloatType(), False), False),  # multi-hot, one per genre
    StructField(WEIGHT, FloatType(), False),  # 1 / probability of being sampled
]

SAMPLES_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(IMAGE, BinaryType(), False),  # as in the posters table
        StructField(HEIGHT, IntegerType(), False),
        StructField(WIDTH, IntegerType(), False),
        StructField(CHANNELS, IntegerType(), False),
        StructField(ENCODING, StringType(), False),
        *_LABELS_AND_WEIGHT,
    ]
)

# of recipes whose movies need no poster
SAMPLES_WITHOUT_POSTERS_SCHEMA = StructType(
    [StructField(MOVIE_ID, LongType(), False), *_LABELS_AND_WEIGHT]
)

FUSED_INPUTS_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(FEATURES, ArrayType(FloatType(), False), False),  # parts, and which are known
        *_LABELS_AND_WEIGHT,
    ]
)

PREDICTIONS_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField(LABELS, ArrayType(FloatType(), False), False),
        StructField(PROBABILITIES, ArrayType(FloatType(), False), False),  # 0..1
        StructField(PREDICTION, ArrayType(FloatType(), False), False),  # 0 or 1, at threshold 0.5
    ]
)

# one number per row, so that metrics, labels and rules can come without a change of the table
EVALUATION_SCHEMA = StructType(
    [
        StructField("model", StringType(), False),
        StructField("family", StringType(), False),  # multilabel, cnn, baseline, ...
        StructField("method", StringType(), False),
        StructField("split", StringType(), False),  # validation or test
        # how probabilities became labels: fixed, exact_match, ...
        StructField("rule", StringType(), False),
        StructField("metric", StringType(), False),
        StructField("label", StringType(), True),  # the genre, or null for all together
        StructField("value", DoubleType(), True),  # null where the metric is not defined
    ]
)

# what a model loses where inputs are permuted; one number per row, as above
IMPORTANCES_SCHEMA = StructType(
    [
        StructField("model", StringType(), False),
        StructField("level", StringType(), False),  # block or feature
        StructField("block", StringType(), False),  # of a stack: a model that it reads
        StructField("feature", StringType(), True),  # null for a whole block
        StructField("label", StringType(), True),  # the genre, or null for all together
        # average_precision, f1, f1_micro; impurity or correlation, the first look, is no loss
        StructField("metric", StringType(), False),
        StructField("mean", DoubleType(), True),  # over repeats; null where not defined
        StructField("deviation", DoubleType(), True),
    ]
)

HEAT_MAPS_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField("label", StringType(), False),  # the genre that the network is asked for
        StructField("probability", DoubleType(), False),
        StructField("right", BooleanType(), False),  # whether the movie has the genre
        StructField(HEIGHT, IntegerType(), False),  # of the map, in cells of the last convolution
        StructField(WIDTH, IntegerType(), False),
        StructField("heat", ArrayType(FloatType(), False), False),  # row by row, 0..1
    ]
)

MOVIE_PREDICTIONS_SCHEMA = StructType(
    [
        StructField(MOVIE_ID, LongType(), False),
        StructField("name", StringType(), True),
        StructField(GENRES, ArrayType(StringType(), False), False),  # the most probable first
        StructField("probabilities", MapType(StringType(), DoubleType(), False), False),  # 0..1
        StructField("notes", ArrayType(StringType(), False), False),  # what could not be used
        StructField("model", StringType(), False),
        StructField("model_version", StringType(), False),
        StructField("predicted_at", TimestampType(), False),
        StructField("row_hash", LongType(), False),  # of what was known of the movie
    ]
)

# the CSV files of the Letterboxd layout: column names as in the header, everything read as text
MOVIES_CSV = ("id", "name", "date", "tagline", "description", "minute", "rating")
LIST_CSVS = {
    "countries": ("id", "country"),
    "languages": ("id", "type", "language"),
    "studios": ("id", "studio"),
    "themes": ("id", "theme"),
    "actors": ("id", "name"),
    "crew": ("id", "role", "name"),
}
# what collect-tmdb knows beside movies.csv; dollars, votes, and TMDb's measure of interest
NUMBERS_CSV = ("id", "budget", "revenue", "votes", "popularity")
METADATA_CSVS = {"movies": MOVIES_CSV, **LIST_CSVS, "numbers": NUMBERS_CSV}
GENRES_CSV = ("id", "genre")
_NUMBERS = frozenset(("minute", "rating", *NUMBERS_CSV[1:]))


def typed_schema(columns: tuple[str, ...]) -> StructType:
    """Return the schema of a file of the Letterboxd layout as a table: ids and numbers typed."""
    fields = []
    for name in columns:
        kind = LongType() if name == "id" else DoubleType() if name in _NUMBERS else StringType()
        fields.append(StructField(name, kind))
    return StructType(fields)
