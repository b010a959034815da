"""Stages that read the user's files: genres and posters become tables."""
