"""Models of what other models predict."""
