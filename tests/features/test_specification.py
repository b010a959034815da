"""The stored specification: names, blocks, and nothing of it lost on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genre_spark.config.features import FeatureBlocks
from genre_spark.errors import InvalidInputError, MissingTableError
from genre_spark.features import FeatureSpecification
from genre_spark.features.blocks import BLOCKS, CategoriesBlock, NumbersBlock
from tests.features.specifications import make_specification, make_words


def test_every_feature_has_a_name_of_its_own_and_a_block() -> None:
    specification = make_specification()
    assert len(set(specification.names)) == specification.size == len(specification.groups)
    assert list(specification.blocks) == list(BLOCKS)
    for name, place in specification.blocks.items():
        assert set(specification.groups[place]) == {name}
    assert specification.names[:4] == (
        "numbers: year",
        "numbers: minute",
        "numbers: rating",
        "numbers: year missing",
    )
    assert specification.names[specification.blocks["poster_summary"]] == (
        "poster_summary: red at row 0 column 0",
        "poster_summary: green at row 0 column 0",
        "poster_summary: blue at row 0 column 0",
        "poster_summary: red 0 to 127",
        "poster_summary: red 128 to 255",
        "poster_summary: green 0 to 127",
        "poster_summary: green 128 to 255",
        "poster_summary: blue 0 to 127",
        "poster_summary: blue 128 to 255",
    )


def test_the_frame_engine_needs_no_spark_and_without_posters_no_opencv() -> None:
    script = (
        "import sys; import pandas; from genre_spark.features import FrameEngine; "
        "from tests.features.specifications import make_specification; "
        "engine = FrameEngine(make_specification().select(['numbers', 'words', 'people'])); "
        "print(engine.transform(pandas.DataFrame({'name': ['Ghost']})).matrix.nnz); "
        "print([name for name in ('pyspark', 'pydantic', 'cv2', 'torch') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False
    )
    assert done.stdout.split("\n")[:2] == ["7", "[]"], done.stderr


def test_a_part_of_the_blocks_is_a_specification_and_its_columns_are_found() -> None:
    whole = make_specification()
    part = whole.select(["words", "countries"])
    assert list(part.blocks) == ["countries", "words"]
    assert [whole.names[position] for position in whole.columns(["words", "countries"])] == list(
        part.names
    )
    assert whole.uses_themes
    assert not part.uses_themes
    assert part.inputs == ("countries", "name", "tagline", "description")
    with pytest.raises(InvalidInputError, match=r"feature blocks: colours, expected some of"):
        whole.select(["colours"])


def test_the_recipe_switches_exactly_the_blocks_that_there_are() -> None:
    assert tuple(FeatureBlocks.model_fields) == BLOCKS


@pytest.mark.parametrize("hashed", [0, 16])
def test_what_is_stored_comes_back_whole_and_without_pickle(tmp_path: Path, hashed: int) -> None:
    specification = make_specification(make_words(hashed=hashed, unit_length=True))
    specification.save(str(tmp_path))
    make_specification().select(["words"]).save(str(tmp_path / "other"))
    loaded = FeatureSpecification.load(str(tmp_path))
    assert loaded.names == specification.names
    assert loaded.digest == specification.digest
    np.testing.assert_array_equal(loaded.part("words").idf, specification.part("words").idf)
    assert loaded.part("poster_summary").form == specification.part("poster_summary").form
    with np.load(next(tmp_path.glob("arrays-*.npz")), allow_pickle=False) as arrays:
        assert "words/idf" in arrays


def test_a_new_specification_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    make_specification().save(str(tmp_path))
    make_specification(make_words(unit_length=True)).save(str(tmp_path))
    assert FeatureSpecification.load(str(tmp_path)).part("words").unit_length
    assert len(list(tmp_path.glob("*"))) == 2


def test_what_is_not_whole_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError, match="no whole specification of features"):
        FeatureSpecification.load(str(tmp_path))
    make_specification().save(str(tmp_path))
    file = tmp_path / "specification.json"
    good = file.read_text()
    file.write_text(good.replace("Studio Ghibli", "Studio Gibli"))
    with pytest.raises(InvalidInputError, match="damaged"):
        FeatureSpecification.load(str(tmp_path))
    file.write_text(json.dumps({**json.loads(good), "format": 99}))
    with pytest.raises(InvalidInputError, match="format 99, expected 1"):
        FeatureSpecification.load(str(tmp_path))
    file.write_text(good)
    next(tmp_path.glob("arrays-*.npz")).write_bytes(b"PK")
    with pytest.raises(InvalidInputError, match="damaged"):
        FeatureSpecification.load(str(tmp_path))


def test_blocks_that_cannot_be_are_told() -> None:
    with pytest.raises(InvalidInputError, match="no name twice"):
        CategoriesBlock("countries", ("UK", "UK"))
    with pytest.raises(InvalidInputError, match="one median per number"):
        NumbersBlock(("year",), ())
    with pytest.raises(InvalidInputError, match="in the order"):
        countries = CategoriesBlock("countries", ("UK",))
        FeatureSpecification((countries, NumbersBlock(("year",), (1.0,))), 1)
