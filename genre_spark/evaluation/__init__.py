"""From a table of probabilities, of any model, to baselines, curves, tables and pictures."""

from genre_spark.extras import require

require("matplotlib")
