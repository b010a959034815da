"""A picture as a part of an HTML page: no address in it, ids of its own, the page's colours."""

from __future__ import annotations

import io
import re
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure

from genre_spark.evaluation.style import FAINT, INK

__all__ = ["figure_svg"]

_POINT = 4 / 3  # CSS pixels


def figure_svg(figure: Figure, *, name: str, label: str) -> str:
    """Return a figure as an SVG element with real text, never wider than it was drawn.

    Its ink and its lines are the page's variables `--ink` and `--faint`, so that they can be read
    in the dark.

    Args:
        figure: the picture.
        name: begins all ids, so that those of two pictures of a page are not the same.
        label: what it shows, for those who do not see it.
    """
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r' id="([^"]+)"', rf' id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = body.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
    width, height = (72 * side for side in figure.get_size_inches())
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}" '
        f'style="max-width:{width * _POINT:.0f}px">{body}'
    )
