"""A search that needs neither data nor training."""

import pytest
import yaml

RECIPE = {
    "name": "proxy",
    "model": {
        "name": "spinenet_seg_s49s",
        "num_classes": 5,
        "options": {"width": 0.35, "filters": 32, "rates": [1, 2]},
    },
    "data": {"name": "context_scenes"},
}


@pytest.fixture
def search_file(tmp_path):
    """`write(**keys)` makes the YAML file of a small search, and gives its path."""

    def write(name="cheap", **keys):
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        values = {
            "name": name,
            "recipe": "recipe.yaml",
            "trials": 10,
            "output_dir": str(tmp_path / "runs"),
            "cost_size": [64, 64],
            "sampler": {"population": 4, "seed": 1},
            "worker": {"beat_seconds": 0.5, "grace_seconds": 20},
            **keys,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write
