"""Training of poster networks: the loop, what it needs, and how it is distributed."""
