"""The model of a step: its ring against a ring that is walked, its traffic against a model."""

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.benchmark.scaling import Network, Traffic, main, simulate


def walk_a_ring(values):
    """Sums the rows of `values` (replicas, numbers) as a ring does.

    Returns each replica's result, and the numbers that each sent, message by message.
    """
    replicas = len(values)
    parts = [list(np.split(row.copy(), replicas)) for row in values]
    sent = []
    for phase in ("add", "copy"):
        for turn in range(replicas - 1):
            shift = turn if phase == "add" else turn - 1
            messages = [
                (index, (index - shift) % replicas, parts[index][(index - shift) % replicas].copy())
                for index in range(replicas)
            ]
            for index, place, message in messages:
                target = parts[(index + 1) % replicas]
                target[place] = target[place] + message if phase == "add" else message
            sent.append(len(messages[0][2]))
    return [np.concatenate(part) for part in parts], sent


@pytest.mark.parametrize("replicas", [2, 3, 8])
def test_ring(replicas, rng):
    values = rng.normal(size=(replicas, 24))
    results, sent = walk_a_ring(values)
    for result in results:
        np.testing.assert_allclose(result, values.sum(axis=0))
    network = Network(bandwidth=3.0, latency=0.5)
    walked = sum(8 * numbers / network.bandwidth + network.latency for numbers in sent)
    assert network.ring_seconds(values[0].nbytes, replicas) == pytest.approx(walked)


def test_a_tree_wins_for_small_sums_on_many():
    network = Network(bandwidth=1e9, latency=1e-5)
    assert network.seconds(8, 1024) == pytest.approx(2 * (8e-9 + 10 * 1e-5))
    assert network.seconds(1e9, 4) == pytest.approx(network.ring_seconds(1e9, 4))
    assert network.seconds(1e9, 1) == 0.0


def test_traffic_of_a_model():
    images = keras.Input((None, None, 3))
    x = ctx.layers.ConvNormAct(5, 3, name="a")(images)
    x = ctx.layers.ConvNormAct(7, 1, name="b")(x)
    outputs = {name: keras.layers.Conv2D(2, 1, name=name)(x) for name in ("logits", "aux_logits")}
    model = keras.Model(images, outputs)
    weights = (27 * 5 + 2 * 5) + (5 * 7 + 2 * 7) + 2 * (7 * 2 + 2)
    traffic = Traffic.of(model)
    assert traffic == Traffic(4 * weights, 4 * (4 * (5 + 7) + 2), 2, 2)
    assert Traffic.of(model, sync_batch_norm=False) == Traffic(4 * weights, 0, 0, 2)


def test_stragglers_are_the_largest_of_so_many_draws():
    """Against the expected maximum of normal draws, which a small jitter is near: 3.24 at 1000."""
    step = simulate(Traffic(0, 0, 0, 0), Network(1e9, 0.0), 1000, 1.0, jitter=0.01)
    assert step.stragglers == pytest.approx(0.0324, rel=0.05)
    assert step.efficiency == pytest.approx(1 / 1.0324, rel=1e-2)
    assert simulate(Traffic(1, 1, 1, 1), Network(1e9, 0.0), 1, 1.0, jitter=0.0).total == 1.0


def test_the_command_prints_a_table(capsys):
    main(["fcn_mobilenet_v2", "--step-seconds", "0.1", "--replicas", "1", "4096", "--jitter", "0"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fcn_mobilenet_v2: ") and "MB of gradients" in lines[0]
    assert lines[2].split()[0] == "1" and lines[2].endswith("100%")
    assert lines[3].split()[0] == "4096" and int(lines[3].split()[-1][:-1]) < 100
