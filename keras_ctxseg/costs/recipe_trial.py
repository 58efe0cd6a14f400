"""A recipe tried without its data: the network at full size, one step on stand-in images."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_ctxseg._options import checked_options
from keras_ctxseg.costs.multiply_adds import MultiplyAdds, count_multiply_adds, trainable_parameters
from keras_ctxseg.costs.training_memory import TrainingMemory, estimate_training_memory
from keras_ctxseg.data import registry
from keras_ctxseg.data.augmentation_config import MIN_SIZE
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.palettes import default_palette
from keras_ctxseg.data.readers import PackedExamples
from keras_ctxseg.labels.panoptic import IGNORE_LABEL, panoptic_labels
from keras_ctxseg.runs import assembly
from keras_ctxseg.runs.config import RunConfig
from keras_ctxseg.runs.imports import import_modules
from keras_ctxseg.runs.plan import Plan
from keras_ctxseg.training.compilation import compile_arguments
from keras_ctxseg.training.recipe_parts import check_names

SIZE = (65, 65)
EXAMPLES = 2  # drawn for each split of a stand-in
BATCH_SIZE = 2


@dataclass(frozen=True)
class DryRun:
    """What trying a recipe gave.

    Attributes:
        config: the recipe.
        data: where the images of the step came from.
        num_classes: of the data set.
        images: examples in the complete training split; None where that is not known.
        plan: steps and epochs with so many examples; None where that is not known.
        parameters, trainable: of the network.
        multiply_adds: of its inference on one image of the training crop's size.
        memory: of a training step at the recipe's crop and batch; an estimate.
        size, batch_size: crop and batch of the step that was taken.
        losses: what the step's losses came to, by name.
        seconds: all of it.
    """

    config: RunConfig
    data: str
    num_classes: int
    images: int | None
    plan: Plan | None
    parameters: int
    trainable: int
    multiply_adds: MultiplyAdds
    memory: TrainingMemory
    size: tuple[int, int]
    batch_size: int
    losses: Mapping[str, float]
    seconds: float

    def __str__(self) -> str:
        training, crop = self.config.training, self.config.augmentation.crop_size
        losses = ", ".join(f"{name} {value:.3f}" for name, value in self.losses.items())
        facts = {
            "Model": f"{self.config.model.name}, {self.num_classes} classes, "
            f"{self.parameters:,} parameters, {self.trainable:,} of them trainable",
            "Inference": f"{self.multiply_adds} for one image of {crop[0]}x{crop[1]}",
            "Memory": f"{_gib(self.memory.total)} for a step of {training.batch_size} images of "
            f"{crop[0]}x{crop[1]} on one device, estimated from its graph: activations "
            f"{_gib(self.memory.activations)}, weights, gradients and optimizer "
            f"{_gib(self.memory.state)}; workspace comes on top",
            "Data": self.data,
            "Steps": self._steps(),
            "Step taken": f"{self.batch_size} images of {self.size[0]}x{self.size[1]}, the network "
            f"at full size: {losses}",
            "Time": f"{self.seconds:.0f} s; nothing was written to {self.config.directory}",
        }
        return "\n".join(f"{name:11}{text}" for name, text in facts.items())

    def _steps(self) -> str:
        if self.plan is None:
            return "not known without the data"
        return (
            f"{self.plan.steps_per_epoch} an epoch of {self.images} images, batch "
            f"{self.config.training.batch_size}; {self.plan.total_steps} in all, "
            f"{self.plan.epochs} epochs"
        )


def dry_run(
    config: RunConfig,
    size: tuple[int, int] = SIZE,
    batch_size: int = BATCH_SIZE,
) -> DryRun:
    """Builds data, pipeline and network of a recipe and takes one step; leaves no run behind.

    Random images in its classes stand in for a published data set, and for a `folder` that is not
    there; `context_scenes`, TFRecord files and a `folder` that is there are read.

    Args:
        config: the recipe.
        size, batch_size: crop and batch of the step.

    Raises:
        ValueError: a recipe that cannot run, or a NaN or infinite loss.
    """
    began = time.perf_counter()
    import_modules(config.imports, f"the recipe {config.name}")
    check_names(config.training)
    small = replace(
        config,
        augmentation=replace(config.augmentation, crop_size=size),
        training=replace(config.training, batch_size=batch_size, steps_per_execution=1),
    )
    dataset, data, images = _open_data(config, size)
    assembly.check_dataset(small, dataset)
    pipeline = assembly.build_pipeline(small, dataset)
    plan = None
    if images is not None:
        steps = math.ceil(images / config.training.batch_size)
        plan = Plan.of(config.training, steps)
    model = assembly.build_model(config, dataset.num_classes, dataset.channels)
    total_steps = plan.total_steps if plan else pipeline.steps_per_epoch
    model.compile(**compile_arguments(model, small.training, dataset.ignore_label, total_steps))
    # A graph would take longer to optimise than one small step takes; that the step can be
    # traced shows when its memory is estimated.
    model.run_eagerly = True
    history = model.fit(
        pipeline.build(), steps_per_epoch=1, epochs=1, shuffle=False, verbose=0
    ).history
    losses = {name: values[0] for name, values in history.items() if name.endswith("loss")}
    if not all(map(math.isfinite, losses.values())):
        raise ValueError(f"the step's losses are not all numbers: {losses}")
    crop = config.augmentation.crop_size

    def logits(images, training=False):
        return model(images, training=training)["logits"]

    return DryRun(
        config=config,
        data=data,
        num_classes=dataset.num_classes,
        images=images,
        plan=plan,
        parameters=model.count_params(),
        trainable=trainable_parameters(model),
        multiply_adds=count_multiply_adds(logits, crop),
        memory=estimate_training_memory(model, crop, config.training.batch_size),
        size=size,
        batch_size=batch_size,
        losses=losses,
        seconds=time.perf_counter() - began,
    )


def _open_data(config: RunConfig, size) -> tuple[SegmentationDataset, str, int | None]:
    """The recipe's data set or its stand-in; what it is; examples in the real training split."""
    name, split = config.data.name, config.data.train_split
    facts = registry.published(name)
    if facts is not None:
        options = dict(config.data.options)
        checked_options(f"Data set {name!r}", options, registry.dataset_options(name))
        stand_in = SegmentationDataset(
            name,
            facts.class_names,
            facts.palette,
            dict.fromkeys(facts.splits, EXAMPLES),
            _drawn(config, len(facts.class_names), facts.thing_classes, size),
            thing_classes=facts.thing_classes if options.get("panoptic") else (),
        )
        splits = ", ".join(f"{key} {count}" for key, count in facts.splits.items())
        data = f"{facts.title}: random images in its classes; real splits: {splits}"
        return stand_in, data, facts.splits.get(split)
    path = Path(str(config.data.options.get("path"))).expanduser()
    if name == "folder" and not path.is_dir():
        count = config.model.num_classes or len(config.training.class_weights or (0,) * 4)
        stand_in = SegmentationDataset(
            name,
            tuple(f"class_{index}" for index in range(count)),
            default_palette(count),
            {split: EXAMPLES, config.data.validation_split: EXAMPLES},
            _drawn(config, count, (), size),
        )
        data = f"{config.data.options.get('path')} is not there: random images, {count} classes"
        return stand_in, data, None
    dataset = assembly.load_dataset(config)
    data = f"{dataset.name}, {dataset.splits[split]} images in {split}"
    return dataset, data, dataset.splits[split]


def _drawn(config: RunConfig, num_classes: int, thing_classes: tuple[int, ...], size):
    """Opens splits of random blocks: every class may occur, void and, on request, things too."""
    # A little smaller than the crop, so that padding takes part.
    scale = config.data.image_scale
    height, width = (math.ceil(max(side * 0.9, MIN_SIZE) / scale) for side in size)
    panoptic = bool(config.data.options.get("panoptic"))

    def blocks(random: np.random.Generator, values: np.ndarray) -> np.ndarray:
        block = max(8, max(height, width) // 32)
        shape = (-(-height // block), -(-width // block))
        chosen = values[random.integers(0, len(values), shape)]
        return chosen.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]

    def open_split(split: str) -> PackedExamples:
        random = np.random.default_rng(sum(split.encode()))
        ids = np.array([*range(num_classes), IGNORE_LABEL])
        if panoptic:
            ids = np.concatenate([ids, panoptic_labels(np.array(thing_classes), 1)])
        colors = random.integers(0, 256, (64, 3), np.uint8)
        examples = [
            {"image": blocks(random, colors), "label": blocks(random, ids), "name": f"{k}"}
            for k in range(EXAMPLES)
        ]
        sizes = np.array([(height, width)] * EXAMPLES)
        return PackedExamples(examples, sizes, np.int32)

    return open_split


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
