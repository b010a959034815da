"""What a run of prepare-posters did, and what the table's manifest says of the posters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genre_spark.config.posters import PostersConfig
from genre_spark.storage.tables import TableManifest

__all__ = ["PreparedPosters", "describe_posters"]


@dataclass(frozen=True)
class PreparedPosters:
    """What a run did.

    Attributes:
        manifest: of the posters table.
        unchanged: the table was up to date; nothing was done.
        decoded: posters of the table that this run has decoded; the rejected ones are not among
            them.
        reused: posters of the table that earlier runs had decoded.
        removed: posters of the earlier table that are not in the source any more, or have changed.
        rejected: reason -> number of files, of the whole table.
    """

    manifest: TableManifest
    unchanged: bool = False
    decoded: int = 0
    reused: int = 0
    removed: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


def describe_posters(sums: Mapping[str, Any], config: PostersConfig) -> dict[str, Any]:
    """Return what the manifest says of the posters: how they are stored, and what they were.

    Args:
        sums: what `sum_receipts` gives.
        config: how posters are stored.
    """
    return {
        "height": config.height,
        "width": config.width,
        "channels": 3,
        "encoding": config.encoding,
        "sizes": sums["sizes"],
        "formats": sums["formats"],
        "kept_as_they_were": sums["kept"],
        "misnamed": sums["misnamed"],
    }
