"""Commands of `genre-spark` that are no stages."""
