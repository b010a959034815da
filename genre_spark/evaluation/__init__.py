"""From a table of probabilities, whoever made it, to baselines, curves, tables and pictures."""
