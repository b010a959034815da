"""The pipeline: `from genre_spark.pipelines import sample`, then `sample.run(spark, config)`.

A stage's module is imported when it is asked for, so that a stage without a network imports no
torch.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genre_spark.pipelines.evaluation import (
        ablate,
        compare,
        evaluate,
        explain_models,
        promote,
        publish_tables,
    )
    from genre_spark.pipelines.exploration import explore
    from genre_spark.pipelines.features import build_features, poster_embeddings, text_embeddings
    from genre_spark.pipelines.ingestion import (
        collect_imdb,
        collect_tmdb,
        download_posters,
        group_genres,
        import_data,
        import_metadata,
        make_sample,
        prepare_posters,
    )
    from genre_spark.pipelines.models import (
        predict_posters,
        search_cnn,
        train_cnn,
        train_fused,
        train_linear,
        train_multilabel,
        train_stack,
    )
    from genre_spark.pipelines.sampling import sample
    from genre_spark.pipelines.serving import package_models, predict

__all__ = [
    "ablate",
    "build_features",
    "collect_imdb",
    "collect_tmdb",
    "compare",
    "download_posters",
    "evaluate",
    "explain_models",
    "explore",
    "group_genres",
    "import_data",
    "import_metadata",
    "make_sample",
    "package_models",
    "poster_embeddings",
    "predict",
    "predict_posters",
    "prepare_posters",
    "promote",
    "publish_tables",
    "sample",
    "search_cnn",
    "text_embeddings",
    "train_cnn",
    "train_fused",
    "train_linear",
    "train_multilabel",
    "train_stack",
]


def __getattr__(name: str) -> ModuleType:
    """Import the module of a stage."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from genre_spark.pipelines.stage_list import STAGES  # noqa: PLC0415 - it imports this package

    return import_module(STAGES[name.replace("_", "-")].module)
