"""Stages that describe movies and posters by numbers."""
