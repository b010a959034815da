"""The base of every section of a recipe."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = [
    "Section",
]


class Section(BaseModel):
    """A frozen section that rejects unknown keys: a misspelt setting must never be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
