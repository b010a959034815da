"""Stages that make models usable: package them, and predict the genres of new movies."""
