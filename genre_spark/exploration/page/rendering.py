"""One HTML page that needs nothing else: pictures inside, no script, no address outside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from genre_spark.exploration.facts import Facts, column_name, share_text
from genre_spark.exploration.page.charts import Chart
from genre_spark.exploration.page.findings import LEAK, describe_findings, leaking_columns
from genre_spark.exploration.page.inline_svg import figure_svg

__all__ = ["SECTIONS", "render_page"]

SECTIONS = {
    "genres": "Genres",
    "where": "Decades, countries, languages",
    "numbers": "Numbers by genre",
    "missing": "Missing values",
    "telling": "Telling words and people",
    "posters": "Posters",
    "duplicates": "Duplicates",
    "leaks": "Columns that know the genre",
}
_LONGEST_KIND = 70  # characters
_PHONE, _HALF_PAGE = 5.0, 6.8  # inches of a picture that a phone, half a page can show


@dataclass(frozen=True)
class _Card:
    """What is most telling of a genre: column -> its values with the share that has the genre."""

    genre: str
    columns: dict[str, list[tuple[str, str]]]


def render_page(facts: Facts, charts: Sequence[Chart], *, title: str, made: str) -> str:
    """Return the page.

    Args:
        facts: what was found.
        charts: the pictures, drawn from the facts.
        title: of the page.
        made: when and by what the page was made.
    """
    environment = Environment(
        loader=PackageLoader("genre_spark.exploration.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("explore.html.j2")
    by_section: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS}
    for number, chart in enumerate(charts):
        svg = figure_svg(chart.figure, name=f"chart{number}", label=chart.sentence)
        width = float(chart.figure.get_size_inches()[0])
        shape = "wide" if width > _HALF_PAGE else "scrolled" if width > _PHONE else ""
        by_section[chart.section].append(
            {"svg": Markup(svg), "sentence": chart.sentence, "shape": shape}
        )
    genres = facts.counts.genres
    return template.render(
        title=title,
        made=made,
        sections=SECTIONS,
        charts=by_section,
        facts=facts,
        findings=[_marked(text) for text in describe_findings(facts)],
        tiles=_tiles(facts),
        cards=_cards(facts),
        sheets=[
            {
                "genre": genres[sheet.genre],
                "uri": "data:image/jpeg;base64," + base64.b64encode(sheet.jpeg).decode(),
                "sheet": sheet,
            }
            for sheet in facts.sheets
        ],
        share=share_text,
        column_name=column_name,
        leak=LEAK,
    )


def _tiles(facts: Facts) -> list[tuple[str, str]]:
    counts = facts.counts
    tiles = [
        (f"{counts.movies:,}", "movies with genres"),
        (str(len(counts.genres) + len(facts.left_out)), "genres"),
        (f"{counts.cardinality:.2f}", "genres per movie"),
    ]
    missing = facts.numbers.missing
    for name, text in (("name", "have a title"), ("description", "have a description")):
        if name in missing:
            tiles.append((share_text(1 - missing[name][-1]), text))
    if "poster" in missing:
        tiles.append((share_text(1 - missing["poster"][-1]), "have a poster"))
    tiles.append((str(len(leaking_columns(facts))), "columns that leak"))
    return tiles


def _cards(facts: Facts) -> list[_Card]:
    cards = []
    for place, genre in enumerate(facts.counts.genres):
        columns = {
            column_name(kind): [
                (one.value.removeprefix("actor "), share_text(one.share)) for one in genres[place]
            ]
            for kind, genres in facts.telling.items()
            if genres[place]
        }
        if columns:
            cards.append(_Card(genre, columns))
    return cards


def _marked(text: str) -> tuple[str, list[str]]:
    """Return the first words of a finding, which say its kind, and the rest, cut at backticks."""
    kind, colon, rest = text.partition(": ")
    marked, rest = (kind, rest) if colon and len(kind) < _LONGEST_KIND else ("", text)
    return marked, rest.split("`")
