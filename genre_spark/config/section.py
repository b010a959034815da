"""The base of every section of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen, and strict about keys it does not know: a misspelt setting must never be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
