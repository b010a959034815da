"""Splits and balanced samples of movies, with inclusion probabilities that undo the balancing."""
