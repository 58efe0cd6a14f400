"""How training grows with machines: bytes that replicas sum, and a simulated step.

    python -m keras_ctxseg.benchmark.scaling ksac_resnet50 --step-seconds 0.25

A model of the step, not a measurement: every number that it starts from is an argument.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

BYTES = 4  # Gradients and statistics are float32 under every precision.


@dataclass(frozen=True)
class Traffic:
    """What the replicas sum in a step.

    Args:
        gradients: bytes, one sum (packed) at the end of the backward pass.
        statistics: bytes of synchronised batch normalisation, forward and backward together.
        normalizations: its layers; each waits for one sum forward and one backward.
        losses: outputs with a loss; each waits for the sum of two numbers.
    """

    gradients: int
    statistics: int
    normalizations: int
    losses: int

    @classmethod
    def of(cls, model: keras.Model, sync_batch_norm: bool = True) -> Traffic:
        """The traffic of a segmentation model, all of it trainable."""
        weights = sum(math.prod(variable.shape) for variable in model.trainable_variables)
        channels = [
            layer.gamma.shape[0]
            for layer in model._flatten_layers()
            if sync_batch_norm and isinstance(layer, keras.layers.BatchNormalization)
        ]
        statistics = sum(2 * count + 1 for count in channels) + sum(2 * count for count in channels)
        return cls(BYTES * weights, BYTES * statistics, len(channels), len(model.output))


@dataclass(frozen=True)
class Network:
    """What connects replicas.

    Args:
        bandwidth: bytes a second that each replica can send while it receives as much.
        latency: seconds that a message takes beside its bytes.
    """

    bandwidth: float
    latency: float

    def ring_seconds(self, size: float, replicas: int) -> float:
        """A ring: 2 (n - 1) messages after each other, each of the n-th part of `size` bytes."""
        messages = 2 * (replicas - 1)
        return messages * (size / replicas / self.bandwidth + self.latency)

    def tree_seconds(self, size: float, replicas: int) -> float:
        """A pipelined tree, up and down: few messages after each other, all bytes twice."""
        if replicas == 1:
            return 0.0
        return 2 * (size / self.bandwidth + math.ceil(math.log2(replicas)) * self.latency)

    def seconds(self, size: float, replicas: int) -> float:
        """The faster of ring and tree, as NCCL chooses."""
        return min(self.ring_seconds(size, replicas), self.tree_seconds(size, replicas))


@dataclass(frozen=True)
class Step:
    """Seconds of a step: computing, waiting for the slowest, and the three kinds of sums."""

    compute: float
    stragglers: float
    gradients: float
    statistics: float
    losses: float

    @property
    def total(self) -> float:
        return self.compute + self.stragglers + self.gradients + self.statistics + self.losses

    @property
    def efficiency(self) -> float:
        """Share of the time in which a replica does what it would do alone."""
        return self.compute / self.total


def simulate(
    traffic: Traffic,
    network: Network,
    replicas: int,
    step_seconds: float,
    jitter: float,
    steps: int = 200,
    seed: int = 0,
) -> Step:
    """The mean step of `replicas` that each compute `step_seconds`, more or less.

    Each replica's time in each step is drawn from a log-normal distribution of mean `step_seconds`
    and relative deviation `jitter`; a step takes as long as its slowest replica. Sums do not
    overlap with computing: the gradients are summed once all are there.
    """
    rng = np.random.default_rng(seed)
    variance = math.log1p(jitter**2)
    normal = rng.normal(-variance / 2, math.sqrt(variance), (steps, replicas))
    slowest = step_seconds * np.exp(normal).max(axis=1).mean() if jitter else step_seconds
    waits = 2 * traffic.normalizations
    statistics = 0.0
    if replicas > 1 and waits:
        statistics = waits * network.seconds(traffic.statistics / waits, replicas)
    return Step(
        compute=step_seconds,
        stragglers=float(max(slowest - step_seconds, 0.0)),
        gradients=network.seconds(traffic.gradients, replicas),
        statistics=statistics,
        losses=traffic.losses * network.seconds(2 * BYTES, replicas),
    )


def table(
    name: str,
    traffic: Traffic,
    network: Network,
    step_seconds: float,
    images: int,
    jitter: float,
    counts: Sequence[int],
) -> str:
    """Simulated steps of one model, a line for each number of replicas."""
    lines = [
        f"{name}: {traffic.gradients / 1e6:.1f} MB of gradients, {traffic.statistics / 1e3:.1f} kB "
        f"of statistics in {2 * traffic.normalizations} sums, {traffic.losses} losses",
        "replicas  batch   compute  stragglers  gradients  statistics  losses   step  images/s"
        "  eff.",
    ]
    for count in counts:
        step = simulate(traffic, network, count, step_seconds, jitter)
        parts = (step.compute, step.stragglers, step.gradients, step.statistics, step.losses)
        compute, stragglers, gradients, statistics, losses = (1e3 * part for part in parts)
        lines.append(
            f"{count:8d} {count * images:6d} {compute:7.1f}ms {stragglers:9.1f}ms "
            f"{gradients:8.1f}ms {statistics:9.1f}ms {losses:5.2f}ms {1e3 * step.total:5.0f}ms "
            f"{count * images / step.total:9.0f} {step.efficiency:5.0%}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Simulate training on many replicas.")
    parser.add_argument("models", nargs="+", metavar="MODEL", help="as `ctxseg list` names them")
    parser.add_argument("--num-classes", type=int, default=19)
    parser.add_argument(
        "--step-seconds", type=float, required=True, help="of one replica alone, measured"
    )
    parser.add_argument("--images", type=int, default=2, help="of a replica in a step")
    parser.add_argument("--gigabits", type=float, default=100.0, help="of each replica's link")
    parser.add_argument("--latency", type=float, default=10e-6, help="seconds of a message")
    parser.add_argument("--jitter", type=float, default=0.03, help="relative, of computing")
    parser.add_argument("--no-sync-batch-norm", dest="sync", action="store_false")
    parser.add_argument(
        "--replicas", type=int, nargs="+", default=[1, 2, 8, 32, 128, 512, 2048, 8192]
    )
    options = parser.parse_args(argv)
    from keras_ctxseg.models.registry import build

    network = Network(options.gigabits * 1e9 / 8, options.latency)
    for name in options.models:
        traffic = Traffic.of(build(name, options.num_classes), options.sync)
        settings = (options.step_seconds, options.images, options.jitter, options.replicas)
        print(table(name, traffic, network, *settings), end="\n\n")


if __name__ == "__main__":
    main()
