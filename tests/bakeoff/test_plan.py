"""configs/bakeoff: what is compared differs in the network alone; mistakes in a plan are named."""

from pathlib import Path

import pytest

from keras_ctxseg.models.registry import model_options
from keras_ctxseg.runs.config import ConfigError

PLAN = Path(__file__).parents[2] / "configs" / "bakeoff" / "plan.yaml"


@pytest.fixture(scope="module")
def published():
    from bakeoff_parts.plan import read_plan

    return read_plan(PLAN)


@pytest.mark.parametrize("data", ["context_scenes", "camvid"])
def test_recipes_of_a_data_set_differ_in_the_network_alone(published, data):
    from bakeoff_parts.plan import Job, what_trains

    recipes = published.recipes(data)
    assert len(recipes) >= 14
    rest = []
    for recipe in recipes:
        values = what_trains(published.config(Job(data, recipe, 0)))
        del values["model"]
        rest.append(values)
    assert all(values == rest[0] for values in rest)


def test_each_system_meets_its_baseline_more_than_once(published):
    for data in ("context_scenes", "camvid"):
        models = {
            published.config(job).model.name.rpartition("_")[0].removesuffix("_mobilenet")
            for job in published.jobs
            if job.data == data
        }
        families = {"fcn", "deeplabv3", "deeplabv3plus", "encnet", "ksac", "spacemeshlab", "rsp"}
        assert families | {"spinenet_seg"} <= models
        seeds = {
            pair: [
                len({job.seed for job in published.jobs if (job.data, job.recipe) == (data, name)})
                for name in (pair.baseline, pair.other)
            ]
            for pair in published.data[data].pairs
        }
        assert min(min(counts) for counts in seeds.values()) >= (3 if data != "camvid" else 2)


def test_options_are_those_of_family_and_backbone(published):
    for job in published.jobs:
        model = published.config(job).model
        assert set(model.options) <= {*model_options(model.name), "output_stride"}, job


def test_jobs_in_order_of_value(plan):
    assert list(map(str, plan.jobs)) == [
        "shapes/plain/seed0", "shapes/plain/seed1", "shapes/wide/seed0", "words/long/seed3",
    ]  # fmt: skip
    assert plan.recipes("shapes") == ["plain", "wide"]
    config = plan.config(plan.jobs[1], ["data.options.path=elsewhere"])
    assert (config.name, config.training.seed) == ("seed1", 1)
    assert config.data.options["path"] == "elsewhere"
    assert plan.config(plan.jobs[3]).training.epochs == 12


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("recipes: [wide]", "recipes: [wider]", "shapes/wider.yaml"),
        ("other: wide", "other: weit", "'weit'"),
        ("data: words", "data: wort", "wort/long.yaml"),
        ("order:", "orders:", "order"),
    ],
)
def test_mistakes_are_named(plan_file, old, new, named):
    from bakeoff_parts.plan import read_plan

    plan_file.write_text(plan_file.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=named):
        read_plan(plan_file)


def test_what_trains_is_everything_but_places_and_habits(plan):
    from bakeoff_parts.plan import what_trains

    job = plan.jobs[0]
    first = what_trains(plan.config(job))
    for same in ("data.options.path=x", "output_dir=y", "training.validate_every=1", "name=z"):
        assert what_trains(plan.config(job, [same])) == first
    for other in ("training.seed=5", "data.image_scale=0.5", "model.options.filters=9",
                  "augmentation.flip=false", "training.ema_momentum=null"):  # fmt: skip
        assert what_trains(plan.config(job, [other])) != first
