"""Movies to feature vectors: one stored specification, two engines that agree.

`specification` says what a vector consists of, `fitting` learns it from training movies,
`spark_engine` computes vectors from Spark columns and `frame_engine` from a pandas frame. Only
modules whose names begin with spark, and `fitting`, need Spark.
"""

from genre_spark.features.frame_engine import FeatureRows, FrameEngine
from genre_spark.features.specification import FeatureSpecification

__all__ = ["FeatureRows", "FeatureSpecification", "FrameEngine"]
