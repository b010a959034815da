"""Stages that measure models, look into them, compare and promote them."""
