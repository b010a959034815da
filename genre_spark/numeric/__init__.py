"""Arithmetic that several packages share; no Spark."""
