"""Fitted models as arrays: what they store, and how they score rows with and without Spark."""
