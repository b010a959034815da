"""The page from facts alone: escaped, closed to the outside, and whole where things are missing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from genre_spark.exploration.counting.genre_counts import CategoryShares, GenreCounts
from genre_spark.exploration.counting.number_facts import NumberFacts
from genre_spark.exploration.counting.poster_facts import ContactSheet, PosterColours
from genre_spark.exploration.counting.repeated_movies import Example, Repeated
from genre_spark.exploration.counting.telling_values import SureValue, TellingValue
from genre_spark.exploration.facts import Facts
from genre_spark.exploration.page.charts import draw_charts
from genre_spark.exploration.page.drawing import plain
from genre_spark.exploration.page.fact_tables import fact_tables
from genre_spark.exploration.page.findings import describe_findings
from genre_spark.exploration.page.rendering import SECTIONS, render_page

HOSTILE = '<script>alert("1")</script> & $x^2$ {{ 7*7 }} `'
COUNTS = GenreCounts(
    genres=("Drama", HOSTILE),
    movies=120,
    per_genre=np.array([100, 40]),
    together=np.array([[100, 20], [20, 40]]),
    sizes={1: 100, 2: 20},
)
VALUE = TellingValue(HOSTILE, 9, 0.9, 4.0)
FULL = Facts(
    counts=COUNTS,
    left_out=("Short",),
    shares={
        "countries": CategoryShares(
            (HOSTILE,), np.array([60]), np.array([[50, 10]]), others=3, overall=np.array([0.8, 0.3])
        )
    },
    numbers=NumberFacts(
        quantiles={"budget": np.array([[1, 10, 100, 1e3, 1e4]] * 2 + [[np.nan] * 5])},
        known={"budget": np.array([90, 30, 120])},
        missing={"budget": np.array([0.1, 0.9, 0.6]), "name": np.zeros(3)},
    ),
    telling={"words": [[VALUE], []], "people": [[], [VALUE]]},
    aucs={"themes": np.array([0.99, np.nan]), "words": np.array([0.6, 0.7])},
    sure=[SureValue("themes", HOSTILE, 1, 40, 1.0, 0.98, 0.95)],
    titles=Repeated(1, 2, 1, (Example(f"{HOSTILE}, 1999", 2, (4, 5), False),)),
    pictures=Repeated(0, 0, 0, ()),
    colours=PosterColours(
        np.array([7, 0]), np.array([[10.0, 20, 30], [np.nan] * 3]), np.array([5, np.nan]), 7, 7
    ),
    sheets=[ContactSheet(1, b"\xff\xd8jpeg", 80, 120, 1)],
)


class Page(HTMLParser):
    """Collects the tags, their attributes and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "srcset", "action", "data"):
                self.links.append(value)


def render(facts: Facts) -> str:
    return render_page(facts, list(draw_charts(facts)), title=f"Data {HOSTILE}", made="today")


@pytest.fixture(scope="module")
def text() -> str:
    return render(FULL)


def test_a_hostile_title_is_text_and_never_a_tag_or_a_template(text: str) -> None:
    assert "script" not in Page(text).tags
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10
    assert "{{ 7*7 }}" in text
    assert "49 `" not in text


def test_the_page_needs_nothing_but_itself(text: str) -> None:
    page = Page(text)
    assert re.findall(r"https?:|//[a-z]+\.|@import|url\((?!#)", text) == []
    assert {link[:1] for link in page.links} == {"#", "d"}
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in page.links)


def test_every_link_of_the_contents_leads_to_a_section_and_no_id_is_there_twice(text: str) -> None:
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert {f"#{name}" for name in SECTIONS} <= set(page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_every_picture_has_one_sentence_and_ink_that_follows_the_page(text: str) -> None:
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert len(figures) == len(list(draw_charts(FULL))) == 9
    assert all(re.search(r"<figcaption>.*\.</figcaption>", one, re.DOTALL) for one in figures)
    assert "#22262b" not in "".join(figures)
    assert "prefers-color-scheme: dark" in text


def test_findings_name_leaks_duplicates_rare_and_missing() -> None:
    found = "\n".join(describe_findings(FULL))
    assert "themes alone all but decides Drama (0.990)" in found
    assert "2 movies share their title and year" in found
    assert f"{HOSTILE} (40)" in found
    assert "Missing in more than half of the movies: budget (60%)." in found
    assert "says something of the genre: budget (10% to 90%)." in found
    assert "Not shown here: Short." in found


def test_without_metadata_and_posters_the_sections_say_so() -> None:
    absent = {"metadata": "paths.metadata: no files", "posters": "there are no posters here"}
    text = render(Facts(counts=COUNTS, absent=absent))
    assert text.count("paths.metadata: no files") == 7  # six sections and the findings
    assert text.count("there are no posters here") == 2
    assert "<img" not in text


def test_one_genre_alone_makes_a_page() -> None:
    counts = GenreCounts(("Drama",), 3, np.array([3]), np.array([[3]]), {1: 3})
    assert "Drama is in 100% of the movies." in render(Facts(counts=counts))


def test_tables_have_columns_of_equal_length() -> None:
    tables = fact_tables(FULL)
    counted = {"genres", "together", "by_countries", "numbers", "missing", "telling", "leaks"}
    assert set(tables) == counted | {"sure_values", "poster_colours", "repeated_titles"}
    for columns in tables.values():
        assert len({len(values) for values in columns.values()}) == 1
    assert fact_tables(Facts(counts=COUNTS)).keys() == {"genres", "together"}


def test_a_name_is_no_markup_for_matplotlib() -> None:
    assert plain("$100") == r"\$100"
    assert plain("a\nb\x07") == "a b "
    assert len(plain("x" * 100)) == 28
