"""Large CSV files to typed Parquet: rows found by their bytes, ranges read by many tasks."""
