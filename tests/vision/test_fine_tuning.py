"""The second stage of transfer: kept where it lowers the validation loss, else the head alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genre_spark.pipelines.models.network_plan import plan_training
from genre_spark.vision.figures.training_curves import draw_curves
from genre_spark.vision.training.poster_training import job_network, run_job
from tests.vision.conftest import link_tables, make_config


@pytest.fixture(scope="module")
def job(spark, sample_tables, tmp_path_factory):
    work = link_tables(sample_tables, tmp_path_factory.mktemp("tuned") / "work")
    config = make_config(
        work,
        architecture="resnet18",
        pretrained="none",
        freeze="backbone",
        height=40,
        width=32,
        epochs=2,
        batch_size=16,
        learning_rate=0.005,
        dropout=0.0,
        fine_tune={"epochs": 2, "learning_rate": 3e-4},
    )
    return plan_training(spark, config, digest="tuned")


def tune(job, folder, **fine_tune):
    settings = job.settings.model_copy(
        update={"fine_tune": job.settings.fine_tune.model_copy(update=fine_tune)}
    )
    job = replace(
        job, settings=settings, checkpoints=str(folder / "c"), model_file=str(folder / "network.pt")
    )
    seen = []
    outcome = run_job(job, report=lambda record: seen.append(record.epoch))
    assert seen == [record.epoch for record in outcome.history] == [0, 1, 2, 3]
    assert outcome.head_epochs == 2
    start, end = (
        job_network(job).state_dict(),
        torch.load(job.model_file, weights_only=True)["network"],
    )
    return outcome, {name for name, value in start.items() if not torch.equal(value, end[name])}


def test_a_second_stage_that_lowers_the_loss_moves_the_top_block_and_nothing_below(job, tmp_path):
    outcome, moved = tune(job, tmp_path)
    assert outcome.best_epoch >= 2
    assert outcome.best_loss == outcome.history[outcome.best_epoch].validation_loss
    assert outcome.best_loss < min(record.validation_loss for record in outcome.history[:2])
    assert {name.split(".")[0] for name in moved} == {"backbone", "head"}
    assert {name.split(".")[1] for name in moved if name.startswith("backbone.")} == {"layer4"}


def test_a_second_stage_that_does_not_lower_the_loss_leaves_the_head_alone(job, tmp_path):
    outcome, moved = tune(job, tmp_path, learning_rate=0.5)
    assert outcome.best_epoch < 2
    assert outcome.best_loss == outcome.history[outcome.best_epoch].validation_loss
    assert {name.split(".")[0] for name in moved} == {"head"}


def test_the_curves_show_both_stages(job, tmp_path):
    outcome, _ = tune(job, tmp_path)
    figure = draw_curves(
        outcome.history, title="x", best_epoch=outcome.best_epoch, head_epochs=outcome.head_epochs
    )
    losses = figure.axes[0]
    assert list(losses.lines[0].get_xdata()) == [1, 2, 3, 4]
    assert "fine-tuning" in [text.get_text() for text in losses.get_legend().get_texts()]
    alone = draw_curves(outcome.history[:2], title="x", best_epoch=0)
    assert "fine-tuning" not in [text.get_text() for text in alone.axes[0].get_legend().get_texts()]
