"""From Parquet to batches of pixels in a fixed order; the only importer of Petastorm."""
