"""Folders of runs with made-up scores."""

import pytest

from tests.evaluation.comparison.made_up_scores import write_scores


@pytest.fixture
def write_run(tmp_path):
    """Writes a run's folder: its recipe with a seed, and scores of its validation images."""

    def write(name, confusions, recipe="fcn", seed=0, **changes):
        folder = tmp_path / name
        write_scores(folder / "evaluation/val/scores.json", confusions, **changes)
        (folder / "config.yaml").write_text(
            f"name: {name}\nmodel: {{name: {recipe}}}\ntraining: {{seed: {seed}, epochs: 9}}\n"
        )
        return folder

    return write
