"""Where the systems differ: the images that they dispute most, side by side."""

from __future__ import annotations

from pathlib import Path

import keras_ctxseg as ctx
from bakeoff_parts.child import last_weights
from bakeoff_parts.plan import Job, Plan
from bakeoff_parts.runs import Kept
from keras_ctxseg.evaluation.samples import draw_side_by_side
from keras_ctxseg.evaluation.size_batches import example_name
from keras_ctxseg.runs.assembly import build_evaluator, load_dataset
from keras_ctxseg.runs.checkpoint import load_checkpoint

IMAGES = 4


def draw(plan: Plan, data: str, kept: Path, runs: Path, path: Path) -> Path | None:
    """Draws image, truth and the predictions of the data set's pictured recipes, seed 0.

    The images are those with the largest difference between the recipes' own mean IoU, over all
    their seeds. Nothing is drawn while fewer than two of the recipes have a run of seed 0.

    Args:
        plan: says which recipes.
        data: key of the data set.
        kept: folder of what is kept.
        runs: folder of the training runs, for their weights.
        path: of the picture.
    """
    scores, evaluators, dataset, config = {}, {}, None, None
    for recipe in plan.data[data].pictured:
        jobs = [job for job in plan.jobs if (job.data, job.recipe) == (data, recipe)]
        found = [Kept(kept, job).scores for job in jobs if Kept(kept, job).is_whole()]
        folder = runs / data / recipe / "seed0"
        if not found or not (folder / "checkpoints").is_dir():
            continue
        config = plan.config(Job(data, recipe, 0))
        dataset = dataset or load_dataset(config)
        scores[recipe] = list(map(str, found))
        model = load_checkpoint(last_weights(folder), dataset.num_classes)
        evaluators[recipe] = build_evaluator(config, model, dataset)
    if dataset is None or config is None or len(scores) < 2:
        return None
    comparison = ctx.evaluation.compare(scores, resamples=2)
    names = [comparison.images[place] for place in comparison.most_disputed(IMAGES)]
    split = config.data.validation_split
    examples = ctx.data.evaluation_examples(dataset, split, config.data.image_scale)
    chosen = {example_name(one): one for one in examples if example_name(one) in names}
    rows = [chosen[name] for name in names]
    return draw_side_by_side(rows, evaluators, dataset.palette, dataset.class_names, path)
