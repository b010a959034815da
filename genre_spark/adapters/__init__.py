"""Movie data sets in the layouts that people have, as the tables that the pipeline reads."""
