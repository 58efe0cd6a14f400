"""Grouping by size: every example once, never two sizes together, memory bounded."""

import numpy as np

from keras_ctxseg.evaluation.size_batches import Example, batches_of_equal_size


def example(index, size):
    return Example(index, str(index), np.zeros((*size, 3), "float32"), np.zeros(size, "int32"))


def test_groups_are_of_one_size_and_complete():
    sizes = np.random.default_rng(0).integers(1, 4, 50)
    stream = [example(k, (size, 2)) for k, size in enumerate(sizes)]
    batches = list(batches_of_equal_size(stream, batch_size=4, most_waiting=8))
    assert sorted(e.index for batch in batches for e in batch) == list(range(50))
    for batch in batches:
        assert len({e.image.shape for e in batch}) == 1
        assert len(batch) <= 4


def test_no_more_than_the_limit_waits():
    taken = []

    def stream():
        for k in range(40):
            taken.append(k)
            yield example(k, (k + 1, 1))  # no two alike

    given = 0
    for batch in batches_of_equal_size(stream(), batch_size=4, most_waiting=6):
        given += len(batch)
        assert len(taken) - given <= 6
    assert given == 40


def test_equal_sizes_fill_whole_batches_in_order():
    stream = [example(k, (3, 3)) for k in range(7)]
    batches = list(batches_of_equal_size(stream, batch_size=3, most_waiting=12))
    assert [[e.index for e in batch] for batch in batches] == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]
