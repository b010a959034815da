"""Arithmetic that samples, fits and networks share; no Spark."""
