"""Passes over tables of predictions: what comes back is bounded, whatever their size."""
