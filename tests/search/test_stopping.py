"""The rule for hopeless trials, on curves that are written out."""

import numpy as np
import pytest

from keras_ctxseg.search import hopeless
from keras_ctxseg.search.config import StoppingConfig

RULE = StoppingConfig(quantile=0.5, peers=4, cost_slack=1.1, from_epoch=2)


def peers(scores, cost=1.0):
    return [({1: 0.9, 2: score}, cost) for score in scores]


@pytest.mark.parametrize(
    ("value", "epoch", "others", "stops"),
    [
        (0.29, 2, peers([0.1, 0.2, 0.4, 0.5]), True),
        (0.31, 2, peers([0.1, 0.2, 0.4, 0.5]), False),
        (0.0, 2, peers([0.3, 0.3, 0.3]), False),  # too few have come as far
        (0.0, 1, peers([0.3] * 9), False),  # too early
        (0.0, 2, peers([0.3] * 9, cost=1.2), False),  # they cost more: no reason
        (0.0, 2, peers([0.3] * 9, cost=1.1), True),  # within the slack
        (0.0, 3, peers([0.3] * 9), False),  # nobody has come as far
        (float("nan"), 2, peers([0.3] * 9), False),  # the training's own business
    ],
)
def test_behind_the_quantile_of_those_as_cheap(value, epoch, others, stops):
    reason = hopeless({epoch: value}, 1.0, others, RULE)
    assert (reason is not None) == stops


def test_the_reason_and_the_switch():
    reason = hopeless({1: 0.9, 2: 0.25}, 1.0, peers([0.5, 0.3, 0.5, 0.5]), RULE)
    assert reason == "25.0 % after epoch 2, below 50.0 %, the 0.5 quantile of 4 that cost no more"
    off = StoppingConfig(quantile=0.0, peers=1)
    assert hopeless({2: 0.0}, 1.0, peers([0.9] * 9), off) is None


def test_the_front_is_never_stopped():
    """Whoever is best among all that cost no more goes on, whatever the others are."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        costs, scores = rng.random(20), rng.random(20)
        for cost, score in zip(costs, scores, strict=True):
            others = [({2: s}, c) for s, c in zip(scores, costs, strict=True)]
            if score >= max(scores[costs <= cost * RULE.cost_slack]):
                assert hopeless({2: score}, cost, others, RULE) is None
