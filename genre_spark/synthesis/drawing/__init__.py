"""Posters of synthetic movies: a canvas, backdrops, emblems, lettering and the looks of genres."""
