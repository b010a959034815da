"""Packaged models answer from raw fields, whatever of them is missing."""

from __future__ import annotations

import json
import sys
from hashlib import sha256

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.special import expit, logit

from genre_spark.errors import InvalidInputError
from genre_spark.features.blocks import NUMBERS
from genre_spark.features.frame_engine import FrameEngine
from genre_spark.multilabel import MultilabelRandomForestModel
from genre_spark.serving.movie_model import INPUTS, MovieModel
from tests.serving.packages import (
    FOREST,
    FUSED,
    GENRES,
    GOLDEN,
    LINEAR,
    NETWORK,
    SPECIFICATION,
    fused_model,
    linear_model,
    write_package,
)

MOVIES = pd.DataFrame(
    {
        "name": ["One", "Two", None],
        "date": ["1959", None, "2001-05-01"],
        "countries": [["UK", "France"], None, ["Atlantis"]],
    }
)


def poster(shade: int) -> bytes:
    return cv2.imencode(".png", np.full((90, 60, 3), shade, np.uint8))[1].tobytes()


def forest_answers(rows) -> np.ndarray:
    return MultilabelRandomForestModel.loadLocal(str(GOLDEN)).predict_proba(np.array(rows, float))


def test_raw_fields_reach_the_model_as_the_features_it_was_trained_on(tmp_path):
    answers = MovieModel(write_package(tmp_path, FOREST)).predict(MOVIES)
    expected = forest_answers([[1959, 0, 1, 0, 1], [1990, 1, 0, 0, 0], [2001, 0, 0, 0, 0]])
    assert answers.probabilities == pytest.approx(expected, abs=1e-7)
    assert (answers.decided == (answers.probabilities >= 0.3)).all()
    assert answers.version == "abc"


def test_a_frame_has_genres_by_probability_and_all_probabilities(tmp_path):
    frame = MovieModel(write_package(tmp_path, FOREST)).predict(MOVIES).as_frame()
    for genres, named in zip(frame["genres"], frame["probabilities"], strict=True):
        assert sorted(named) == sorted(GENRES)
        assert list(named.values()) == sorted(named.values(), reverse=True)
        assert genres == [genre for genre, value in named.items() if value >= 0.3]


def test_one_threshold_per_genre_decides_each_genre_by_its_own(tmp_path):
    limits = (0.0, 1.1, 0.0, 1.1)
    folder = write_package(tmp_path, FOREST, rule="f1_per_label", thresholds=limits)
    assert MovieModel(folder).predict(MOVIES).decided.tolist() == [[1, 0, 1, 0]] * 3


def test_a_model_decides_by_itself_at_its_own_threshold(tmp_path):
    model = MovieModel(write_package(tmp_path, FOREST, rule="own", thresholds=(0.5,)))
    rows = np.array([[1959, 0, 1, 0, 1.0]])
    expected = MultilabelRandomForestModel.loadLocal(str(GOLDEN)).predict(rows)
    assert (model.predict(MOVIES[:1]).decided == expected).all()


@pytest.mark.parametrize("column", sorted(INPUTS))
def test_any_field_may_be_missing(tmp_path, column):
    model = MovieModel(write_package(tmp_path, FOREST))
    without = model.predict(MOVIES.drop(columns=column, errors="ignore"))
    assert without.probabilities.shape == (3, 4)
    assert np.isfinite(without.probabilities).all()


def test_every_number_that_features_may_read_is_a_field_of_the_model():
    assert set(NUMBERS) - {"year"} <= {name for name, kind in INPUTS.items() if kind == "number"}


def test_a_movie_of_which_nothing_is_known_is_answered(tmp_path):
    answers = MovieModel(write_package(tmp_path, FOREST)).predict(pd.DataFrame(index=[0]))
    assert answers.probabilities == pytest.approx(forest_answers([[1990, 1, 0, 0, 0]]), abs=1e-7)


def test_a_network_answers_with_frequencies_where_there_is_no_poster_and_says_so(tmp_path):
    model = MovieModel(write_package(tmp_path, NETWORK))
    answers = model.predict(pd.DataFrame({"image": [poster(200), None, b"no image at all"]}))
    assert answers.probabilities[1:] == pytest.approx(np.tile([0.4, 0.5, 0.2, 0.1], (2, 1)))
    assert not np.allclose(answers.probabilities[0], answers.probabilities[1])
    assert answers.notes[0] == ()
    assert answers.notes[1] == ("no poster: the network answers with the genres' frequencies",)
    assert answers.notes[2][0].startswith("image not used: not an image")


def test_a_linear_model_reads_the_same_features(tmp_path):
    answers = MovieModel(write_package(tmp_path, LINEAR)).predict(MOVIES)
    rows = csr_matrix([[1959, 0, 1, 0, 1], [1990, 1, 0, 0, 0], [2001, 0, 0, 0, 0.0]])
    assert answers.probabilities == pytest.approx(linear_model().probabilities(rows), abs=1e-7)


def test_a_stack_joins_the_log_odds_of_its_models(tmp_path):
    part = {"kind": "stack", "file": "parts/stack.npz", "models": [FOREST, NETWORK]}
    frame = MOVIES.assign(image=[poster(30), poster(90), None])
    models = [
        MovieModel(write_package(tmp_path / kind["kind"], kind)) for kind in (FOREST, NETWORK)
    ]
    forest, network = (model.predict(frame).probabilities for model in models)
    answers = MovieModel(write_package(tmp_path / "stack", part)).predict(frame)
    assert answers.notes == ((), (), ("no poster: answered from the rest",))
    found = answers.probabilities
    limited = [np.clip(each, 1e-3, 1 - 1e-3) for each in (forest, network)]
    joined = expit(logit(limited[0]) + 0.5 * logit(limited[1]) - 0.1)
    assert found[:2] == pytest.approx(joined[:2], abs=1e-6)

    alone = expit(logit(limited[0][2]) + 0.2)  # no poster: the forest's weights without a network
    assert found[2] == pytest.approx(alone, abs=1e-4)


def test_a_fused_network_answers_from_the_features_of_movies(tmp_path):
    found = MovieModel(write_package(tmp_path, FUSED)).predict(MOVIES).probabilities
    rows = FrameEngine(SPECIFICATION).transform(MOVIES).matrix
    assert found == pytest.approx(fused_model().probabilities(SPECIFICATION, rows), abs=1e-7)
    assert len(np.unique(found.round(6), axis=0)) > 1


def test_calibrated_probabilities_decide(tmp_path):
    part = {"kind": "calibrated", "file": "parts/calibration.json", "model": FOREST}
    settings = {"rule": "fixed", "thresholds": (0.4,)}
    plain = MovieModel(write_package(tmp_path / "a", FOREST, **settings)).predict(MOVIES)
    found = MovieModel(write_package(tmp_path / "b", part, **settings)).predict(MOVIES)
    expected = expit(0.5 * logit(plain.probabilities.clip(1e-6, 1 - 1e-6)) - 1)
    assert found.probabilities == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(found.decided, found.probabilities >= 0.4)


def test_a_value_of_a_wrong_type_is_an_error_with_its_column_and_row(tmp_path):
    model = MovieModel(write_package(tmp_path, FOREST))
    with pytest.raises(InvalidInputError, match="countries of row 0"):
        model.predict(pd.DataFrame({"countries": [7.5]}))


@pytest.mark.parametrize("name", ["os.system", "BinaryRelevance", "trust_types", "NoSuchModel"])
def test_a_package_can_only_name_classes_of_multi_label_models(tmp_path, name):
    folder = write_package(tmp_path, {**FOREST, "class": name})
    with pytest.raises(InvalidInputError, match="expected a multi-label model"):
        MovieModel(folder)


def test_a_folder_without_a_package_is_reported_with_what_was_expected(tmp_path):
    with pytest.raises(InvalidInputError, match=r"movie_model\.json: no such file, expected"):
        MovieModel(tmp_path)


def test_a_package_is_checked_by_sha256_wherever_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xxhash", None)  # a model's own environment has none
    folder = write_package(tmp_path, FOREST)
    files = json.loads((tmp_path / "package" / "movie_model.json").read_text())["files"]
    for name, (size, digest, *_) in files.items():
        content = (tmp_path / "package" / name).read_bytes()
        assert (size, digest) == (len(content), sha256(content).hexdigest())
    assert len(MovieModel(folder).predict(MOVIES).decided) == 3
    changed = tmp_path / "package" / "parts" / "stack.npz"
    changed.write_bytes(b"x" + changed.read_bytes()[1:])
    with pytest.raises(InvalidInputError, match=r"stack.npz: its content has changed \(SHA-256\)"):
        MovieModel(folder)


def test_a_damaged_description_is_reported(tmp_path):
    folder = write_package(tmp_path, FOREST)
    path = tmp_path / "package" / "movie_model.json"
    value = json.loads(path.read_text())
    del value["thresholds"]
    path.write_text(json.dumps(value))
    with pytest.raises(InvalidInputError, match="damaged"):
        MovieModel(folder)
