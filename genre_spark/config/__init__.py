"""Settings of every stage, frozen and checked, and the loader of recipes."""

from genre_spark.extras import require

require("pydantic", "yaml")

from genre_spark.config.cnn import AugmentationConfig, CnnConfig, ScheduleConfig, SearchConfig
from genre_spark.config.embeddings import EmbeddingsConfig, TextEmbeddingsConfig
from genre_spark.config.evaluation import (
    AblationConfig,
    EvaluationConfig,
    ExplanationsConfig,
)
from genre_spark.config.exploration import ExploreConfig
from genre_spark.config.features import FeaturesConfig
from genre_spark.config.fusion import (
    FusedNetworkConfig,
    LinearConfig,
    LinearModelConfig,
    StackConfig,
)
from genre_spark.config.genres import GenresConfig, SamplingConfig, SplitConfig
from genre_spark.config.loader import build_config, load_config
from genre_spark.config.multilabel import ForestConfig, MultilabelConfig
from genre_spark.config.paths import PathsConfig, SampleDataConfig
from genre_spark.config.posters import FeedConfig, PostersConfig
from genre_spark.config.root import Config
from genre_spark.config.runtime import MlflowConfig, SparkConfig

__all__ = [
    "AblationConfig",
    "AugmentationConfig",
    "CnnConfig",
    "Config",
    "EmbeddingsConfig",
    "EvaluationConfig",
    "ExplanationsConfig",
    "ExploreConfig",
    "FeaturesConfig",
    "FeedConfig",
    "ForestConfig",
    "FusedNetworkConfig",
    "GenresConfig",
    "LinearConfig",
    "LinearModelConfig",
    "MlflowConfig",
    "MultilabelConfig",
    "PathsConfig",
    "PostersConfig",
    "SampleDataConfig",
    "SamplingConfig",
    "ScheduleConfig",
    "SearchConfig",
    "SparkConfig",
    "SplitConfig",
    "StackConfig",
    "TextEmbeddingsConfig",
    "build_config",
    "load_config",
]
