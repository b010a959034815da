"""Trained networks applied to posters: predictions and embeddings."""
