"""The whole configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genre_spark.config.cnn import CnnConfig, SearchConfig
from genre_spark.config.collect import CollectConfig
from genre_spark.config.embeddings import EmbeddingsConfig, TextEmbeddingsConfig
from genre_spark.config.evaluation import (
    AblationConfig,
    EvaluationConfig,
    ExplanationsConfig,
    PromotionConfig,
)
from genre_spark.config.exploration import ExploreConfig
from genre_spark.config.features import FeaturesConfig
from genre_spark.config.fusion import FusedNetworkConfig, LinearConfig, StackConfig
from genre_spark.config.genres import GenresConfig, SamplingConfig, SplitConfig
from genre_spark.config.multilabel import MultilabelConfig
from genre_spark.config.paths import (
    ImportConfig,
    ImportMetadataConfig,
    PathsConfig,
    SampleDataConfig,
)
from genre_spark.config.posters import PostersConfig
from genre_spark.config.runtime import MlflowConfig, SparkConfig
from genre_spark.config.section import Section

__all__ = [
    "Config",
    "RunStage",
]

RunStage = Literal[  # the stages of a run in pipelines.stage_list; a test compares the two
    "make-sample",
    "collect-tmdb",
    "collect-imdb",
    "download-posters",
    "import-data",
    "import-metadata",
    "group-genres",
    "prepare-posters",
    "build-features",
    "sample",
    "train-multilabel",
    "train-linear",
    "train-cnn",
    "train-fused",
    "train-stack",
    "evaluate",
    "package-models",
    "explain-models",
    "compare",
    "promote",
]


class Config(Section):
    """All settings of a recipe; every section but `paths` has defaults."""

    paths: PathsConfig
    seed: int = Field(7, ge=0, lt=2**31, description="seed of everything that is drawn")
    seeds: int = Field(
        1,
        ge=1,
        le=100,
        description="how often splits and models are made, with seed, seed + 1, ...; the "
        "comparison then has means and standard deviations",
    )
    skip_stages: tuple[RunStage, ...] = Field(
        (),
        description="stages that `run` leaves out, such as train-cnn for forests alone",
    )
    second_writer: Literal["wait", "stop"] = Field(
        "wait",
        description="what a stage does while another process runs it in the same work folder",
    )
    spark: SparkConfig = SparkConfig()
    mlflow: MlflowConfig = MlflowConfig()
    sample_data: SampleDataConfig | None = Field(
        None,
        description="synthetic data; without this section make-sample stops with an error",
    )
    collect: CollectConfig = Field(
        CollectConfig(), description="data from TMDb, IMDb and servers of posters"
    )
    import_data: ImportConfig = ImportConfig()
    import_metadata: ImportMetadataConfig = ImportMetadataConfig()
    genres: GenresConfig = GenresConfig()
    explore: ExploreConfig = Field(
        ExploreConfig(), description="the page about the data, made by `genre-spark explore`"
    )
    posters: PostersConfig = PostersConfig()
    features: FeaturesConfig = FeaturesConfig()
    split: SplitConfig = SplitConfig()
    sampling: SamplingConfig = SamplingConfig()
    multilabel: MultilabelConfig = MultilabelConfig()
    linear: LinearConfig | None = Field(
        None, description="linear models; without this section train-linear is not part of a run"
    )
    cnn: CnnConfig = CnnConfig()
    fused_network: FusedNetworkConfig | None = Field(
        None,
        description="a network over poster, texts and metadata; without this section train-fused "
        "is not part of a run",
    )
    stack: StackConfig | None = Field(
        None, description="stacks of models; without this section train-stack is not part of a run"
    )
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    text_embeddings: TextEmbeddingsConfig = TextEmbeddingsConfig()
    search: SearchConfig = SearchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    explanations: ExplanationsConfig | None = Field(
        None,
        description="what models look at; without this section explain-models is not part of a run",
    )
    ablation: AblationConfig = AblationConfig()
    model: str | None = Field(
        None,
        description="model that `predict` uses: the name of a packaged one, the folder of a "
        "package, or an MLflow URI such as models:/genres@champion; null: the best on validation",
    )
    promotion: PromotionConfig = PromotionConfig()
