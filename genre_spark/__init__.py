"""Predict the genres of movies from posters and metadata, at any size, on Apache Spark."""

__version__ = "0.1.0"
