"""Models that take movies: raw fields and posters in, genres and probabilities out; no Spark."""
