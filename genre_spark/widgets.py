"""Parameters of a notebook: widgets on Databricks."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["ask_for"]


def ask_for(**values: Any) -> list[Any]:
    """Return a notebook's parameters: on Databricks those of its widgets, elsewhere as they are.

    Args:
        values: name -> default, a text or a number.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    tools = getattr(shell, "user_ns", {}).get("dbutils")
    if tools is None:
        return list(values.values())
    for name, value in values.items():
        tools.widgets.text(name, str(value))
    return [type(value)(tools.widgets.get(name)) for name, value in values.items()]
