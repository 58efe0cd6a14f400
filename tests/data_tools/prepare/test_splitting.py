"""Random splits: shares, groups that stay together, seeds."""

import pytest

from keras_ctxseg.data_tools.prepare import Splitting

NAMES = [f"video{number // 7}_{number:03d}" for number in range(100)]  # 14 of 7 frames, one of 2


@pytest.mark.parametrize("val, test", [(0.2, 0.0), (0.1, 0.3), (0.0, 0.5), (0.0, 0.0)])
def test_shares(val, test):
    splits = Splitting(val=val, test=test, seed=3).assign(NAMES)
    sizes = {split: len(names) for split, names in splits.items()}
    expected = {"train": 100 - round(100 * (val + test))}
    expected |= {"val": round(100 * val)} if val else {}
    expected |= {"test": round(100 * test)} if test else {}
    assert sizes == expected
    assert sorted(name for names in splits.values() for name in names) == sorted(NAMES)


@pytest.mark.parametrize("seed", range(8))
def test_groups_stay_together(seed):
    splits = Splitting(val=0.2, test=0.1, seed=seed, group_by=r"^(video\d+)_").assign(NAMES)
    groups = {split: {name.split("_")[0] for name in names} for split, names in splits.items()}
    assert not groups["train"] & groups["val"]
    assert not groups["train"] & groups["test"]
    assert not groups["val"] & groups["test"]
    # A group has 7 at most: no share is missed by more than half of it.
    assert abs(len(splits["val"]) - 20) <= 3.5
    assert abs(len(splits["test"]) - 10) <= 3.5


@pytest.mark.parametrize("seed", range(6))
def test_a_large_group_goes_to_training(seed):
    names = [f"a{number}" for number in range(60)] + [f"b{number}" for number in range(30)]
    splits = Splitting(val=0.1, seed=seed, group_by="^[ab]").assign(names)
    assert {name[0] for name in splits["val"]} == {"b"}


def test_the_order_of_names_does_not_matter():
    one = Splitting(seed=1).assign(NAMES)
    assert Splitting(seed=1).assign(NAMES[::-1]) == one
    assert Splitting(seed=2).assign(NAMES) != one


def test_every_split_gets_one():
    splits = Splitting(val=0.01, test=0.01).assign(["a", "b", "c"])
    assert {split: len(names) for split, names in splits.items()} == {
        "train": 1,
        "val": 1,
        "test": 1,
    }


@pytest.mark.parametrize(
    "options, names, expected",
    [
        ({"val": 1.0}, NAMES, "`val`: expected a share of 0 or more, below 1. Received: 1.0"),
        ({"val": 0.6, "test": 0.4}, NAMES, "expected shares below 1 in all. Received: 0.6, 0.4"),
        ({"group_by": "("}, NAMES, "`group_by`: expected a regular expression. Received: '('"),
        ({"group_by": "clip"}, NAMES, "'video0_000' does not match 'clip'"),
        ({"group_by": "video"}, NAMES, "Expected at least 2 groups for the splits train, val. Fou"),
        ({}, ["a"], "Expected at least 2 examples for the splits train, val. Found: 1"),
    ],
)  # fmt: skip
def test_errors(options, names, expected):
    with pytest.raises(ValueError) as error:
        Splitting(**options).assign(names)
    assert expected in str(error.value)
