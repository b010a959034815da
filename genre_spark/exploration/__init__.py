"""What is in the data before a model sees it: counts, telling values, leaks, and a page."""

from genre_spark.extras import require

require("matplotlib", "jinja2")
