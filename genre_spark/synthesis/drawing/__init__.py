"""Posters of synthetic movies: a canvas, backdrops, emblems, lettering, and what a genre looks like."""
