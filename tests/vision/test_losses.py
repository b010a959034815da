from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genre_spark.errors import InvalidConfigError
from genre_spark.vision.models import build_network
from genre_spark.vision.plans.sample_facts import LabelWeights
from genre_spark.vision.training.losses import (
    AsymmetricLoss,
    BinaryCrossEntropy,
    BpmllLoss,
    build_loss,
    positive_weights,
)


def bpmll_by_loops(logits: Tensor, labels: Tensor) -> list[float]:
    """Return the loss by its definition."""
    values = []
    for scores, truth in zip(logits.tolist(), labels.tolist(), strict=True):
        on = [c for c, y in zip(scores, truth, strict=True) if y]
        off = [c for c, y in zip(scores, truth, strict=True) if not y]
        if not on or not off:
            values.append(0.0)
            continue
        values.append(sum(math.exp(-(k - m)) for k in on for m in off) / (len(on) * len(off)))
    return values


matrices = st.integers(1, 5).flatmap(
    lambda columns: st.lists(
        st.lists(
            st.tuples(st.floats(-4, 4), st.integers(0, 1)), min_size=columns, max_size=columns
        ),
        min_size=1,
        max_size=4,
    )
)


@settings(max_examples=60, deadline=None)
@given(matrices)
def test_bpmll_is_its_definition(rows):
    logits = torch.tensor([[score for score, _ in row] for row in rows], dtype=torch.float64)
    labels = torch.tensor([[float(label) for _, label in row] for row in rows], dtype=torch.float64)
    assert BpmllLoss()(logits, labels).tolist() == pytest.approx(
        bpmll_by_loops(logits, labels), rel=1e-9
    )


def test_bpmll_skips_rows_without_labels_and_with_all():
    labels = torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    loss = BpmllLoss()
    assert loss.counted(labels).tolist() == [0, 0, 1]
    assert loss(torch.zeros(3, 2), labels).tolist() == [0, 0, 1]


def test_bpmll_stays_finite_where_the_exponential_would_not():
    logits = torch.tensor([[-500.0, 500.0, 3.0]], requires_grad=True)
    value = BpmllLoss()(logits, torch.tensor([[1.0, 0.0, 0.0]])).sum()
    value.backward()
    assert math.isfinite(float(value))
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]  # it still pushes the right way


@pytest.mark.parametrize(
    "loss",
    [
        BpmllLoss(),
        AsymmetricLoss(),
        BinaryCrossEntropy(),
        BinaryCrossEntropy(torch.tensor([2.0, 1.0, 5.0])),
    ],
)
def test_gradients_are_those_of_finite_differences(loss):
    torch.manual_seed(0)
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda values: loss.double()(values, labels).sum(), logits)


def test_cross_entropy_takes_logits_and_weighs_positives():
    logits, labels = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    expected = (math.log(2) + math.log1p(math.exp(2))) / 2
    assert float(BinaryCrossEntropy()(logits, labels)) == pytest.approx(expected)
    weighted = BinaryCrossEntropy(torch.tensor([3.0, 7.0]))(logits, labels)
    assert float(weighted) == pytest.approx((3 * math.log(2) + math.log1p(math.exp(2))) / 2)


def test_asymmetric_loss_without_focus_and_margin_is_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 4), (torch.rand(5, 4) < 0.5).float()
    plain = AsymmetricLoss(negative_focus=0, positive_focus=0, margin=0)
    assert torch.allclose(plain(logits, labels), BinaryCrossEntropy()(logits, labels), atol=1e-6)


def asymmetric_by_loops(logits: Tensor, labels: Tensor) -> list[float]:
    """Return the loss as Ben-Baruch et al. (2021) define it in equation 7.

    The focus is 4 on negatives and 1 on positives, the margin 0.05.
    """
    values = []
    for scores, truth in zip(logits.tolist(), labels.tolist(), strict=True):
        total = 0.0
        for score, label in zip(scores, truth, strict=True):
            p = 1 / (1 + math.exp(-score))
            shifted = max(p - 0.05, 0)
            total += (1 - p) ** 1 * math.log(p) if label else shifted**4 * math.log(1 - shifted)
        values.append(-total / len(scores))
    return values


@settings(max_examples=60, deadline=None)
@given(matrices)
def test_asymmetric_loss_is_its_definition(rows):
    logits = torch.tensor([[score for score, _ in row] for row in rows], dtype=torch.float64)
    labels = torch.tensor([[float(label) for _, label in row] for row in rows], dtype=torch.float64)
    assert AsymmetricLoss()(logits, labels).tolist() == pytest.approx(
        asymmetric_by_loops(logits, labels), rel=1e-9
    )


@pytest.mark.parametrize("name", ["bce", "asymmetric"])
def test_weights_of_labels_are_those_of_a_plain_loop(name):
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 3), (torch.rand(5, 3) < 0.5).float()
    weights = LabelWeights((2.0, 0.0, 0.5), (1.0, 3.0, 0.5))
    elements = build_loss(name).elements(logits, labels)
    expected = [
        sum(
            float(elements[row, label])
            * (weights.positive if labels[row, label] else weights.negative)[label]
            for label in range(3)
        )
        / 3
        for row in range(5)
    ]
    assert build_loss(name, weights=weights)(logits, labels).tolist() == pytest.approx(
        expected, rel=1e-5
    )


def test_sampled_negatives_keep_the_loss_on_average_and_validation_sees_them_all():
    torch.manual_seed(0)
    logits, labels = torch.randn(20_000, 3), torch.zeros(20_000, 3)
    labels[:100, 0] = 1
    loss, plain = build_loss("bce", negative_rate=(0.2, 1.0, 0.0)), BinaryCrossEntropy()
    drawn, whole = (of.elements(logits, labels) for of in (loss, plain))
    assert torch.equal(drawn, whole)
    steps = loss.train()(logits, labels) * 3
    seen = whole[:, :2].sum(1)  # a label without positives has no negatives either
    assert float(steps.mean()) == pytest.approx(float(seen.mean()), rel=0.02)
    torch.testing.assert_close(
        steps[:100], seen[:100]
    )  # positives, and negatives of rate 1, count as they are
    assert not torch.allclose(steps[100:], seen[100:])
    assert torch.equal(loss.eval()(logits, labels), plain(logits, labels))


def test_sampled_negatives_are_the_same_for_the_same_seed():
    logits, labels = torch.randn(50, 2), torch.zeros(50, 2)
    loss = build_loss("bce", negative_rate=(0.5, 0.5)).train()
    values = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        values.append(loss(logits, labels))
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_asymmetric_loss_forgets_very_easy_negatives():
    assert float(AsymmetricLoss()(torch.tensor([[-9.0]]), torch.tensor([[0.0]]))) == 0


def test_positive_weights_are_negatives_by_positives_within_a_limit():
    weights = positive_weights(torch.tensor([50, 20, 1, 0]), 100, limit=10)
    assert weights.tolist() == [1, 4, 10, 10]


def test_unknown_loss_is_reported_with_the_known_ones():
    with pytest.raises(
        InvalidConfigError, match="'hinge', expected one of asymmetric, bce, bce_positive, bpmll"
    ):
        build_loss("hinge")


@pytest.mark.parametrize(
    "loss",
    [
        BinaryCrossEntropy(),
        BinaryCrossEntropy(torch.tensor([1.0, 3.0, 10.0])),
        BinaryCrossEntropy(weights=LabelWeights((0.6, 2.0, 5.0), (3.0, 0.7, 0.5))),
    ],
)
def test_a_network_starts_at_the_logits_that_do_best_without_looking(loss) -> None:
    labels = torch.zeros(100, 3)
    for label, count in enumerate((80, 20, 4)):
        labels[:count, label] = 1
    best = loss.best_constant(labels.mean(dim=0)).requires_grad_()
    loss(best.expand(100, 3), labels).mean().backward()
    assert best.grad.abs().max() < 1e-6, "a minimum"
    network = build_network("efficientnet_lite0", 3, 64, 64, seed=0)
    network.answer_always(best)
    network.eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert torch.allclose(network(images), best.expand(2, 3), atol=1e-5)
