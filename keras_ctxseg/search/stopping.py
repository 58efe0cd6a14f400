"""Which trials are not worth finishing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from keras_ctxseg.search.config import StoppingConfig


class StoppedError(Exception):
    """Ends a trial early; the message says what it fell behind."""


def hopeless(
    curve: Mapping[int, float],
    cost: float,
    peers: Iterable[tuple[Mapping[int, float], float]],
    rule: StoppingConfig,
) -> str | None:
    """Why a trial should end after its latest validation, or None.

    Optuna's pruners judge one objective. With two, a weak score is no reason: the network may be
    the best of those as cheap. So a trial is measured against peers that came as far and cost no
    more (with a little slack): below their quantile, it is behind networks that are as good or
    better in the other objective too. The cheapest have no peers, and run to their end.

    Args:
        curve: validation mIoU by epochs finished, of this trial.
        cost: its multiply-adds.
        peers: `(curve, cost)` of other trials, running or ended.
        rule: quantile, how many peers, slack, first epoch.
    """
    if not curve or not rule.quantile:
        return None
    epoch = max(curve)
    value = curve[epoch]
    if epoch < rule.from_epoch or math.isnan(value):
        return None
    scores = [
        other[epoch] for other, price in peers if epoch in other and price <= rule.cost_slack * cost
    ]
    if len(scores) < rule.peers:
        return None
    bound = float(np.quantile(scores, rule.quantile))
    if value >= bound:
        return None
    return (
        f"{100 * value:.1f} % after epoch {epoch}, below {100 * bound:.1f} %, the "
        f"{rule.quantile:g} quantile of {len(scores)} that cost no more"
    )
