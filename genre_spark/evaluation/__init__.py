"""From a table of probabilities, whoever made it, to baselines, curves, tables and pictures."""

from genre_spark.extras import require

require("matplotlib")
