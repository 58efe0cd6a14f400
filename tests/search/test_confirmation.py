"""The best of a search trained again with other seeds, by an objective that trains nothing."""

import csv

import numpy as np
import pytest

from keras_ctxseg.runs.config import ConfigError
from keras_ctxseg.search import (
    confirm,
    load_result,
    load_search_config,
    load_topology,
    run_search,
    write_summary,
)
from keras_ctxseg.search.config import load_proxy
from tests.search.worker import score


def value(topology, seed):
    """What a network scores with a seed: luck on top of its worth."""
    return score(topology.signature) / 2 + score(f"{topology.signature} {seed}") / 2


class Trainings:
    """Objectives that note what they were asked for; the interruption comes before that many."""

    def __init__(self, interrupted=None):
        self.done = []
        self.interrupted = interrupted

    def __call__(self, config):
        seed = load_proxy(config).training.seed

        def objective(candidate, report):
            if len(self.done) == self.interrupted:
                raise KeyboardInterrupt
            self.done.append((seed, candidate.topology))
            return value(candidate.topology, seed)

        return objective


@pytest.fixture
def searched(search_file):
    """A finished search of twelve networks."""
    config = load_search_config(search_file(trials=12, stopping={"quantile": 0.0}))
    return config, run_search(config, Trainings()(config), num_classes=5, say=lambda _: None)


def confirmed(config, count, trainings, seeds=(1, 2, 3)):
    return confirm(config, count, seeds, trainings, num_classes=5, say=lambda _: None)


def test_the_best_and_the_warm_starts_are_trained_with_each_seed(searched):
    config, before = searched
    trainings = Trainings()
    result = confirmed(config, 3, trainings)
    assert result.records == before.records and not before.confirmations
    starts = [each for each in before.records if each.origin]
    others = sorted((each for each in before.records if not each.origin), key=lambda r: -r.mean_iou)
    chosen = {each.number: each.topology for each in [*starts, *others[:3]]}
    assert len(starts) == 2 and len(chosen) == 5
    assert [seed for seed, _ in trainings.done] == [1] * 5 + [2] * 5 + [3] * 5
    assert {each.record.number for each in result.confirmations} == set(chosen)
    for each in result.confirmations:
        expected = {seed: value(chosen[each.record.number], seed) for seed in (1, 2, 3)}
        assert each.scores == pytest.approx(expected, abs=1e-12)  # Without the search's own, 0.
        assert each.mean == pytest.approx(np.mean(list(expected.values())))
        assert each.deviation == pytest.approx(np.std(list(expected.values()), ddof=1))
    means = [each.mean for each in result.confirmations]
    assert means == sorted(means, reverse=True)
    assert load_result(config).confirmations == result.confirmations


def test_it_goes_on_and_takes_in_what_is_new(searched):
    config, _ = searched
    with pytest.raises(KeyboardInterrupt):
        confirmed(config, 2, Trainings(interrupted=6))
    rest = Trainings()
    result = confirmed(config, 2, rest)
    assert len(rest.done) == 3 * 4 - 6
    more = Trainings()
    result = confirmed(config, 4, more)
    assert [seed for seed, _ in more.done] == [1, 1, 2, 2, 3, 3]
    again = Trainings()
    result = confirmed(config, 4, again, seeds=(3, 4))
    assert [seed for seed, _ in again.done] == [4] * 6
    assert {tuple(each.scores) for each in result.confirmations} == {(1, 2, 3, 4)}


def test_what_is_left_for_people(searched):
    config, _ = searched
    result = confirmed(config, 2, Trainings(), seeds=(7, 5))
    page = write_summary(config, result).read_text()
    assert "<h2>Confirmed</h2>" in page and "seed 5" in page
    rows = list(csv.DictReader((config.directory / "confirmed.csv").open()))
    assert [float(row["mean"]) for row in rows] == [each.mean for each in result.confirmations]
    assert list(rows[0])[-2:] == ["seed_5", "seed_7"]
    best = config.directory / "best"
    for place, each in enumerate(result.confirmations, start=1):
        assert load_topology(best / f"confirmed_{place}.yaml") == each.record.topology
        assert f"mean {100 * each.mean:.2f} %" in (best / f"confirmed_{place}.yaml").read_text()
    assert not (best / f"confirmed_{len(result.confirmations) + 1}.yaml").exists()


def test_errors(search_file, searched):
    config, _ = searched
    with pytest.raises(ConfigError, match="`seeds`: expected others than 0"):
        confirm(config, 2, (1, 0))
    with pytest.raises(ConfigError, match="expected at least 1 network. Received: 0"):
        confirm(config, 0)
    with pytest.raises(ConfigError, match="there is no search in"):
        confirm(load_search_config(search_file("other")))
