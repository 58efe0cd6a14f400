"""A search in one process, with an objective that trains nothing."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml
from optuna.trial import TrialState

from keras_ctxseg.backbones.block_tables import HAND_DILATED_BLOCKS, PARENT_BLOCKS, SEARCHED_BLOCKS
from keras_ctxseg.runs.config import ConfigError
from keras_ctxseg.runs.config_file import load_config
from keras_ctxseg.search import (
    Topology,
    load_result,
    load_search_config,
    load_topology,
    run_search,
    topology_from_options,
)
from keras_ctxseg.search.config import load_proxy
from keras_ctxseg.search.ledger import LEASE, SLOT
from keras_ctxseg.search.run import SearchStoppedError
from keras_ctxseg.search.storage import open_storage
from keras_ctxseg.search.study import Filter, Pricing, make_space
from keras_ctxseg.search.summary import write_summary


def by_dilation(candidate, report):
    """More dilation is better, more blocks are better: something that can be found."""
    used = [candidate.topology.blocks[node - 2] for node in candidate.topology.used_nodes[2:]]
    score = float(np.mean([block.dilation for block in used])) / 8 + len(used) / 40
    for epoch in (1, 2):
        report(epoch, score * epoch / 2)
    return score


def run(path, objective=by_dilation, *overrides):
    lines = []
    config = load_search_config(path, overrides)
    return config, run_search(config, objective, num_classes=5, say=lines.append), lines


def study_of(config):
    return optuna.load_study(
        study_name=config.name, storage=open_storage(str(config.directory / "journal.log"))
    )


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_it_finds_what_is_better(search_file, sampler):
    path = search_file(
        trials=24,
        sampler={
            "name": sampler,
            "population": 5,
            "startup": 8,
            "seed": 3,
            "mutations": 6.0,
            "mutants": 0.0,
        },
        stopping={"peers": 4, "quantile": 0.3},
        space={"extra_levels": [0]},
    )
    config, result, lines = run(path)
    assert [each.slot for each in result.records] == list(range(24)) and result.is_complete
    assert len(lines) == 24 and lines[0].startswith("   1/24  trial 0  finished")
    # Warm starts first, as they are.
    for record, blocks in zip(
        result.records[:2], (HAND_DILATED_BLOCKS, PARENT_BLOCKS), strict=True
    ):
        assert record.topology == Topology(blocks, 3, 3)
    assert [each.origin for each in result.records[:3]] == ["hand_dilated", "parent", ""]
    signatures = [each.topology.signature for each in result.records]
    assert len(set(signatures)) == 24  # None is trained twice.
    accepts = _filter(config)
    assert all(accepts(each.topology) for each in result.records[2:])
    stopped = [each for each in result.records if each.outcome == "stopped"]
    assert stopped and all("quantile" in each.reason for each in stopped)
    scores = {each.slot: each.mean_iou for each in result.records if each.outcome == "finished"}
    late = [score for slot, score in scores.items() if slot >= 16]
    early = [score for slot, score in scores.items() if 2 <= slot < 8]
    assert np.mean(late) > np.mean(early) and max(scores.values()) > scores[1]
    # The front against its definition.
    finished = [each for each in result.records if each.outcome == "finished"]
    best = [
        one
        for one in finished
        if not any(
            other.mean_iou >= one.mean_iou
            and other.multiply_adds <= one.multiply_adds
            and (other.mean_iou, other.multiply_adds) != (one.mean_iou, one.multiply_adds)
            for other in finished
        )
    ]
    assert {each.number for each in result.front} == {each.number for each in best}


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
@pytest.mark.parametrize("mutants", [1.0, 0.0])
def test_the_first_samples_are_near_the_warm_starts(search_file, sampler, mutants):
    path = search_file(
        trials=8, sampler={"name": sampler, "population": 8, "startup": 8, "mutants": mutants}
    )
    config, _, _ = run(path)
    space = make_space(config)
    starts = [space.encode(Topology(blocks)) for blocks in (HAND_DILATED_BLOCKS, PARENT_BLOCKS)]
    trials = sorted(study_of(config).trials, key=lambda trial: trial.number)
    for trial in trials[2:]:
        changes = [sum(trial.params[name] != genes[name] for name in genes) for genes in starts]
        assert (min(changes) < 15) == (mutants == 1.0)  # of more than 80 genes


def _filter(config):
    price = Pricing(load_proxy(config), 5, config.cost_size)
    levels = make_space(config)
    reference = Topology(PARENT_BLOCKS, 3, 3 + levels.extra_levels[0])
    return Filter(config.filter, price, price(reference))


def test_the_filter_is_arithmetic(search_file):
    config = load_search_config(search_file())
    accepts = _filter(config)
    hand = Topology(HAND_DILATED_BLOCKS, 3, 3)
    assert accepts(hand)
    # Levels 3 to 7 cost more than 1.05 times P3 alone.
    tight = load_search_config(search_file(filter={"cost": [0.9, 1.05]}))
    assert not _filter(tight)(Topology(HAND_DILATED_BLOCKS, 3, 7))
    assert not _filter(load_search_config(search_file(filter={"used_blocks": 11})))(hand)
    assert not _filter(load_search_config(search_file(filter={"parameters": 0.99})))(hand)


def test_a_broken_network_is_a_failed_trial(search_file):
    calls = []

    def sometimes(candidate, report):
        calls.append(candidate)
        if len(calls) % 3 == 0:
            raise RuntimeError("out of\n memory")
        return float("nan") if len(calls) % 3 == 1 else 0.5

    _, result, _ = run(search_file(trials=9), sometimes)
    outcomes = [each.outcome for each in result.records]
    assert outcomes == ["failed", "finished", "failed"] * 3 and len(calls) == 9
    assert result.records[2].reason == "RuntimeError: out of memory"
    assert result.records[0].reason == "ValueError: the score is nan"


def test_what_fails_always_stops_the_search(search_file):
    def broken(candidate, report):
        raise OSError("no space left")

    path = search_file(worker={"failures": 3, "beat_seconds": 1, "grace_seconds": 9})
    with pytest.raises(SearchStoppedError, match="3 trials failed.*OSError: no space left"):
        run(path, broken)
    _, result, _ = run(path)  # Mended, it goes on.
    assert [each.outcome for each in result.records].count("failed") == 3
    assert len(result.records) == 10


def test_ctrl_c_leaves_the_trial_to_the_next_run(search_file):
    calls = []

    def interrupted(candidate, report):
        calls.append(candidate.topology)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return by_dilation(candidate, report)

    path = search_file()
    with pytest.raises(KeyboardInterrupt):
        run(path, interrupted)
    config, result, lines = run(path, interrupted)
    assert lines[0] == "Going on: 3 of 10 trials are done."
    assert len(result.records) == 10 and len(calls) == 11
    assert calls[4] == calls[3]  # The same network again.
    assert [each.outcome for each in result.records].count("failed") == 0
    assert load_result(config).records == result.records


def test_a_lost_worker_s_trial_is_retried_and_then_given_up(search_file):
    path = search_file(trials=4, worker={"beat_seconds": 0.05, "grace_seconds": 0.4, "retries": 2})
    config, result, _ = run(path, by_dilation, "trials=3")
    study = study_of(config)
    tries = []
    # Workers of another machine take the last trial, one after another, and are never seen again.
    for attempt in range(3):
        fixed = {} if attempt == 0 else tries[0].params
        study.enqueue_trial(fixed, user_attrs={SLOT: 3})
        trial = study.ask()
        for name, choices in make_space(config).genes.items():
            if choices:
                trial.suggest_categorical(name, choices)
            else:
                trial.suggest_float(name, 0.0, 1.0)
        trial.set_user_attr(LEASE, {"worker": "elsewhere pid:[1] 77 12345", "beat": attempt})
        tries.append(trial)
        if attempt < 2:
            study.tell(trial, state=TrialState.FAIL)
    _, result, _ = run(path)
    assert len(result.records) == 4
    assert result.records[3].outcome == "failed" and result.records[3].number == tries[2].number
    assert result.records[3].reason == "its worker was lost"
    # With a retry left, the same network is trained.
    _, result, _ = run(path, by_dilation, "worker.retries=3")
    assert result.records[3].outcome == "finished"
    assert result.records[3].genes == tries[0].params


def test_whoever_wakes_late_lets_go(search_file):
    path = search_file(trials=3, worker={"beat_seconds": 0.05, "grace_seconds": 30})
    config = load_search_config(path)
    calls = []

    def slept_through(candidate, report):
        calls.append(candidate.folder.name)
        if len(calls) == 2:  # Somebody else took it for lost, and gave it away.
            study = study_of(config)
            study.tell(int(candidate.folder.name), state=TrialState.FAIL)
        return by_dilation(candidate, report)

    lines = []
    result = run_search(config, slept_through, num_classes=5, say=lines.append)
    assert len(result.records) == 3 and len(calls) == 4
    assert {each.outcome for each in result.records} == {"finished"}


def test_half_a_line_in_the_journal(search_file):
    path = search_file()
    config, before, _ = run(path, by_dilation, "trials=4")
    journal = config.directory / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":8,"worker_id":"x')  # killed while writing
    assert load_result(load_search_config(path, ["trials=4"])).records == before.records
    assert journal.read_bytes().startswith(whole)
    assert b'"worker_id":"x' not in journal.read_bytes()
    _, result, _ = run(path)
    assert len(result.records) == 10
    for line in journal.read_bytes().splitlines():
        json.loads(line)


def test_another_search_of_the_same_name(search_file):
    path = search_file(trials=2)
    run(path)
    with pytest.raises(ConfigError, match="begun with another `space`"):
        run(path, by_dilation, "space.dilations=[1, 2]")
    with pytest.raises(ConfigError, match="begun with another `recipe: training`"):
        run(path, by_dilation, "overrides=[training.epochs=7]")
    run(path, by_dilation, "trials=3", "sampler.name=tpe")  # What may change in between.


def test_what_is_left_for_people(search_file, tmp_path):
    config, result, _ = run(search_file(trials=16))
    page = write_summary(config, result).read_text()
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", page)  # offline
    assert "Pareto front" in page and "order of the blocks" in page and "mean dilation" in page
    rows = list(csv.DictReader((config.directory / "trials.csv").open()))
    assert [float(row["mean_iou"]) for row in rows] == [each.mean_iou for each in result.records]
    best = sorted((config.directory / "best").iterdir())
    assert len(best) == 2 * len(result.front)
    for place, each in enumerate(result.front, start=1):
        table = load_topology(config.directory / "best" / f"front_{place}.yaml")
        assert table == each.topology
        recipe = load_config(config.directory / "best" / f"train_front_{place}.yaml")
        assert recipe.data.name == "context_scenes" and recipe.model.options["width"] == 0.35
        options = {k: recipe.model.options[k] for k in ("output_stride", "max_level", "blocks")}
        assert topology_from_options(options) == each.topology
    # A table that was found is a warm start of another search.
    found = str(config.directory / "best" / "front_1.yaml")
    _, again, _ = run(search_file("second", trials=1, warm_start=[found]))
    assert again.records[0].topology == result.front[0].topology
    assert again.records[0].origin == "front_1"


def test_errors_of_the_file(search_file, tmp_path):
    for keys, message in {
        "trails=3": "unknown key `trails`. Did you mean 'trials'",
        "sampler.name=nsga3": "`sampler.name`: expected .*Did you mean 'nsga2'",
        "filter.cost=[2, 1]": "`filter.cost`: expected two numbers, the least first",
        "warm_start=[parrent]": "`warm_start`: there is no file .*Did you mean 'parent'",
        "recipe=no.yaml": "`recipe`: there is no file .*no.yaml",
        "worker.grace_seconds=0.6": "`worker.grace_seconds`: expected more than two beats",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load_search_config(search_file(), [keys])
    with pytest.raises(ConfigError, match="expected spinenet_seg_<scale>.*'ksac_mobilenet_v2'"):
        run(search_file(overrides=["model.name=ksac_mobilenet_v2"]))
    with pytest.raises(ConfigError, match="`space`: .*Received: 5 and 3 more"):
        run(search_file(space={"finest_levels": [5], "extra_levels": [3]}))
    with pytest.raises(ConfigError, match="parent is not in the `space`: `dilation_0`"):
        run(search_file(space={"dilations": [2]}, warm_start=["parent"]))
    with pytest.raises(ConfigError, match="cannot open 'nodatabase://x'"):
        run(search_file(storage="nodatabase://x"))


def test_the_shipped_searches():
    folder = Path(__file__).parents[2] / "configs" / "search"
    found = sorted(folder.glob("*.yaml"))
    assert [path.stem for path in found] == ["camvid", "context_scenes"]
    for path in found:
        config = load_search_config(path)
        proxy = load_proxy(config)
        final = load_config(config.final_recipe)
        assert final.data.name == proxy.data.name and final.model.name == proxy.model.name
        assert proxy.training.validate_every < proxy.training.epochs
        assert yaml.safe_load(path.read_text())["name"] == f"{path.stem}_search"


def test_the_presets_table_is_what_the_kept_search_found():
    folder = Path(__file__).parents[2]
    config = load_search_config(folder / "configs" / "search" / "context_scenes.yaml")
    kept = folder / "docs" / "search" / config.name.removesuffix("_search")
    trials = {row["number"]: row for row in csv.DictReader((kept / "trials.csv").open())}
    price = Pricing(load_proxy(config), 12, config.cost_size)
    tables = {
        path.stem.removeprefix("trial_"): load_topology(path)
        for path in (kept / "tables").glob("*.yaml")
    }
    for number, table in tables.items():
        assert trials[number]["signature"] == table.signature
        assert int(trials[number]["multiply_adds"]) == price(table).multiply_adds
    assert tables["1"] == Topology(PARENT_BLOCKS) and trials["1"]["origin"] == "parent"
    assert tables["157"] == Topology(SEARCHED_BLOCKS, 3, 5)
    # Better than the parent's with each seed, at fewer multiply-adds.
    rows = {row["number"]: row for row in csv.DictReader((kept / "confirmed.csv").open())}
    scores = {
        number: [float(rows[number][f"seed_{seed}"]) for seed in (1, 2, 3)]
        for number in ("1", "157")
    }
    assert min(scores["157"]) > max(scores["1"])
    assert int(rows["157"]["multiply_adds"]) < int(rows["1"]["multiply_adds"])
