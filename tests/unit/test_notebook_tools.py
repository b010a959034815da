"""What notebooks use, without Spark: widgets, pictures, small tables."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from genre_spark.notebooks import HtmlTable, Picture, show_posters
from genre_spark.serving.movie_model import MovieAnswers
from genre_spark.widgets import ask_for


class Widgets:
    def __init__(self, chosen: dict[str, str]) -> None:
        self.values, self.chosen = {}, chosen

    def text(self, name: str, value: str) -> None:
        self.values[name] = self.chosen.get(name, value)

    def get(self, name: str) -> str:
        return self.values[name]


def test_parameters_are_as_they_are_without_widgets(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert ask_for(work="here", movies=5) == ["here", 5]


def test_parameters_are_those_of_databricks_widgets_in_their_types(monkeypatch) -> None:
    tools = SimpleNamespace(widgets=Widgets({"movies": "7"}))
    shell = SimpleNamespace(user_ns={"dbutils": tools})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert ask_for(work="here", movies=5) == ["here", 7]


def test_a_figure_is_a_picture_of_the_width_that_was_asked_for() -> None:
    figure = Figure(figsize=(6, 3))
    figure.subplots().plot([0, 1], [1, 0])
    picture = Picture.of(figure, dpi=100)
    small = picture.resized(200)
    with Image.open(io.BytesIO(small._repr_png_())) as image:
        assert (image.format, image.width) == ("PNG", 200)
    assert len(small.content) < len(picture.content)
    assert repr(picture) == "Picture()"  # a notebook stores it beside the picture


def test_posters_stand_side_by_side_and_other_files_are_left_out(tmp_path) -> None:
    for number, colour in enumerate(["red", "blue"]):
        Image.new("RGB", (40, 60), colour).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    shelf = show_posters(sorted(tmp_path.glob("*.png")), width=100, height=30)
    with Image.open(io.BytesIO(shelf.content)) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels[15, 10].tolist() == [255, 0, 0]
    assert pixels[15, 34].tolist() == [0, 0, 255]
    assert pixels[15, 80].tolist() == [255, 255, 255]


def test_tables_and_answers_show_names_as_text() -> None:
    table = HtmlTable("Rejected: posters", ("reason", "count"), [("<b>", "3")])
    assert "&lt;b&gt;" in table._repr_html_()
    assert str(table).splitlines() == ["reason  count", "<b>  3"]
    answers = MovieAnswers(
        ("Drama", "Horror"),
        np.array([[0.25, 0.75]]),
        np.array([[0.0, 1.0]]),
        (("no poster",),),
        "1",
    )
    shown = answers._repr_html_()
    for part in ("Horror", "Horror 75%, Drama 25%", "no poster"):
        assert part in shown
