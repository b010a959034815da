"""Metrics of multi-label predictions, and thresholds tuned on them."""
