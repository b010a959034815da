"""A synthetic data set in the Letterboxd layout, made without Spark."""

from genre_spark.extras import require

require("cv2", "PIL", "matplotlib", "fsspec")

from genre_spark.synthesis.dataset import DatasetReport, DatasetSpec, read_report, write_dataset

__all__ = ["DatasetReport", "DatasetSpec", "read_report", "write_dataset"]
