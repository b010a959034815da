"""Stages that measure models by their predictions and lay them side by side."""
