"""Settings of features computed from posters by a pretrained network."""

from __future__ import annotations

from pydantic import Field

from genre_spark.config.section import Section


class EmbeddingsConfig(Section):
    """Batch inference of the frozen part of `cnn.architecture` over posters."""

    batch_size: int = Field(16, ge=1, description="posters per forward pass")
    threads: int = Field(1, ge=1, description="CPU threads of the network per Spark task")
    mirror: bool = Field(
        False, description="average the features of the poster and of its mirror image"
    )
    rows_per_part: int = Field(
        512, ge=1, description="smallest number of posters per part; a killed run loses open parts"
    )
