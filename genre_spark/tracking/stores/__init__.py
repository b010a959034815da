"""The store of the runs: where it is, whether it can be used, and what to do without it."""
