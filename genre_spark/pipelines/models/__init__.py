"""Stages that train models on the samples and predict with them."""
