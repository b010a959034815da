"""Posters: listed, read, decoded and stored as a table; only what is new since the last run."""
