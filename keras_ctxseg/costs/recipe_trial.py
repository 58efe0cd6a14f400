"""A recipe tried without its data: the network at full size, one step on stand-in images."""

import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from keras_ctxseg.costs.multiply_adds import MultiplyAdds, count_multiply_adds, trainable_parameters
from keras_ctxseg.costs.training_memory import TrainingMemory, estimate_training_memory
from keras_ctxseg.data import registry
from keras_ctxseg.data.augmentation_config import MIN_SIZE
from keras_ctxseg.runs import assembly
from keras_ctxseg.runs.config import RunConfig
from keras_ctxseg.runs.plan import Plan
from keras_ctxseg.training.compilation import compile_arguments

SIZE = (65, 65)
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
    folder: Path | None = None,
) -> DryRun:
    """Builds data, pipeline and network of a recipe and takes one step; leaves no run behind.

    A published data set is stood in for by a few dummy files in its true on-disk format, read by
    its real builder. `context_scenes` is itself. A `folder` is itself if it is there, else a dummy.

    Args:
        config: the recipe.
        size, batch_size: crop and batch of the step.
        folder: where dummy files go; a temporary folder if not given. One folder may serve several
            calls.

    Raises:
        ValueError: a recipe that cannot run, or a loss that is no number.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="ctxseg-dry-run-") as temporary:
        small, data, images = _with_data(config, Path(folder or temporary), size)
        small = replace(
            small,
            augmentation=replace(small.augmentation, crop_size=size),
            training=replace(small.training, batch_size=batch_size, steps_per_execution=1),
        )
        dataset = assembly.load_dataset(small)
        pipeline = assembly.build_pipeline(small, dataset)
        plan = None
        if images is not None:
            steps = math.ceil(images / config.training.batch_size)
            plan = Plan.of(config.training, steps)
        model = assembly.build_model(config, dataset.num_classes)
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


def _with_data(config: RunConfig, folder: Path, size) -> tuple[RunConfig, str, int | None]:
    """The recipe on data that are here; what they are; examples in the real training split."""
    from keras_ctxseg.data import dummy

    name, split = config.data.name, config.data.train_split
    # A little smaller than the crop, so that padding takes part.
    scale = config.data.image_scale
    height, width = (math.ceil(max(side * 0.9, MIN_SIZE) / scale) for side in size)
    picture = (height, width)
    facts = registry.published(name)
    if facts is not None and name in dummy.DUMMY_DATASETS:
        dummy.load_dummy(name, folder, dict(config.data.options), size=picture)
        options = dummy.dummy_options(name, folder, dict(config.data.options))
        data = f"{facts.title}: dummy files in its format; real splits: " + ", ".join(
            f"{key} {count}" for key, count in facts.splits.items()
        )
        return _with_options(config, options), data, facts.splits.get(split)
    if name == "folder" and not Path(str(config.data.options.get("path"))).expanduser().is_dir():
        count = config.model.num_classes or len(config.training.class_weights or (0,) * 4)
        root = folder / f"folder-{count}-{height}x{width}"
        if not root.exists():
            splits = (split, config.data.validation_split)
            dummy.write_folder(root, count, splits, size=picture)
        data = f"{config.data.options.get('path')} is not there: a dummy folder, {count} classes"
        # Ids and classes are the dummy's own, however the real masks are written.
        return _with_options(config, {"path": str(root)}), data, None
    dataset = assembly.load_dataset(config)
    data = f"{dataset.name}, {dataset.splits[split]} images in {split}"
    return config, data, dataset.splits[split]


def _with_options(config: RunConfig, options: dict) -> RunConfig:
    return replace(config, data=replace(config.data, options=options))


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
