"""Trains small networks under one strategy and writes down what came out; run by the tests.

`python replicas_script.py single|mirrored|workers OUTPUT.npz SCENARIOS`; workers are told by
TF_CONFIG.
"""

import sys

import keras
import numpy as np
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.losses import SegmentationCrossentropy
from keras_ctxseg.runs.assembly import dtype_policy, synchronize_batch_norm

KIND, OUTPUT, *CHOSEN = sys.argv[1:]
if KIND == "mirrored":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
CLASSES, IGNORE = 3, 255
STRATEGY = ctx.training.create_strategy(
    {"single": "auto", "mirrored": "mirrored", "workers": "multi_worker"}[KIND],
    devices=["CPU:0", "CPU:1"] if KIND == "mirrored" else None,
)
results: dict[str, np.ndarray] = {}


def tiny_network(policy="float32"):
    """Every kind of state: convolution, batch normalisation, presence, an auxiliary output."""
    keras.utils.set_random_seed(7)
    with dtype_policy(policy):
        images = keras.Input((None, None, 3))
        x = keras.layers.Rescaling(1 / 64, -2.0)(images)
        x = ctx.layers.ConvNormAct(6, 3, name="backbone_one")(x)
        aux = keras.layers.Conv2D(CLASSES, 1, dtype="float32", name="aux_logits")(x)
        x = ctx.layers.ConvNormAct(6, 3, name="context")(x)
        pooled = keras.layers.GlobalAveragePooling2D()(x)
        outputs = {
            "logits": keras.layers.Conv2D(CLASSES, 1, dtype="float32", name="logits")(x),
            "aux_logits": aux,
            "presence_logits": keras.layers.Dense(CLASSES, dtype="float32", name="set")(pooled),
        }
        return ctx.models.SegmentationModel(images, outputs)


def images_and_labels(count, seed):
    """The first image of each four shows all its labels, the others ever fewer, the last none."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 255, (count, 34, 36, 3)).astype("float32")
    labels = rng.integers(0, CLASSES, (count, 34, 36)).astype("int32")
    for index in range(count):
        labels[index, : (0, 10, 30, 34)[index % 4]] = IGNORE
    return images, labels


def compiled(model, optimizer, steps_per_execution=1, **loss_options):
    model.compile(
        **ctx.training.default_compile(
            model,
            IGNORE,
            optimizer=optimizer,
            pixel_loss=SegmentationCrossentropy(IGNORE, **loss_options),
            steps_per_execution=steps_per_execution,
        )
    )


def keep(scenario, model, **values):
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    for index, variable in enumerate(model.weights):
        results[f"{scenario}/weight{index}"] = keras.ops.convert_to_numpy(variable)
    for index, variable in enumerate(inner.variables):
        results[f"{scenario}/optimizer{index}"] = keras.ops.convert_to_numpy(variable)
    for name, value in values.items():
        results[f"{scenario}/{name}"] = np.asarray(value)


def logs_of(prefix, logs):
    return {f"{prefix}_{name}": np.asarray(value) for name, value in logs.items()}


def recipe():
    """SGD with all that may depend on replicas; then every way to evaluate five images."""
    with STRATEGY.scope():
        model = tiny_network()
        synchronize_batch_norm(model)
        optimizer = ctx.training.SGD(
            ctx.training.PolyDecay(0.2, 6),
            weight_decay=1e-3,
            lr_multipliers={"": 2.0, "backbone": 0.5, "context": 1.5},
            global_clipnorm=0.3,
            use_ema=True,
            ema_momentum=0.6,
        )
        compiled(model, optimizer, class_weights=[1.0, 0.3, 2.0], top_k_fraction=0.6)
    images, labels = images_and_labels(12, 0)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    five = images_and_labels(5, 1)
    validation = tf.data.Dataset.from_tensor_slices(five).batch(4)
    fit = {"epochs": 1, "verbose": 0, "shuffle": False, "validation_data": validation}
    history = model.fit(dataset, **fit).history
    scores = model.evaluate(*five, batch_size=4, verbose=0, return_dict=True)
    predicted = model.predict(five[0], batch_size=4, verbose=0)["logits"]
    alone = model.predict_on_batch(five[0][:3])["logits"]
    evaluator = ctx.evaluation.Evaluator(model, CLASSES, IGNORE, batch_size=4)
    examples = [
        {"image": image, "label": label, "name": str(index)}
        for index, (image, label) in enumerate(zip(*five, strict=True))
    ]
    evaluated = evaluator(examples)
    trained = model.train_on_batch(images[:4], labels[:4], return_dict=True)
    keep(
        "recipe",
        model,
        predicted=predicted,
        alone=alone,
        labels=five[1],
        confusion=evaluated.confusion,
        **logs_of("history", {name: values[0] for name, values in history.items()}),
        **logs_of("scores", scores),
        **logs_of("batch", trained),
    )


def executions(steps_per_execution):
    """Six steps in pieces, in executions that do not end with the epoch."""
    scenario = f"executions{steps_per_execution}"
    with STRATEGY.scope():
        model = tiny_network()
        synchronize_batch_norm(model)
        model.accumulate_steps = 2
        optimizer = ctx.training.AdamW(1e-3, weight_decay=0.1, global_clipnorm=1.0)
        compiled(model, optimizer, steps_per_execution)
    images, labels = images_and_labels(24, 2)
    five = images_and_labels(5, 1)
    validation = tf.data.Dataset.from_tensor_slices(five).batch(4)
    fit = {"batch_size": 4, "epochs": 2, "verbose": 0, "shuffle": False}
    history = model.fit(images, labels, **fit, validation_data=validation).history
    validated = model.predict(five[0], batch_size=4, verbose=0)["logits"]
    scores = model.evaluate(images, labels, batch_size=5, verbose=0, return_dict=True)
    predicted = model.predict(images[:21], batch_size=5, verbose=0)["logits"]
    last = {name: values[-1] for name, values in history.items()}
    keep(
        scenario,
        model,
        predicted=predicted,
        validated=validated,
        labels=five[1],
        **logs_of("history", last),
        **logs_of("scores", scores),
    )


def half_precision():
    """One replica's gradients overflow at first: all replicas skip the step and halve the scale."""
    with STRATEGY.scope():
        model = tiny_network("mixed_float16")
        synchronize_batch_norm(model)
        optimizer = ctx.training.LossScaleOptimizer(
            ctx.training.SGD(0.05, global_clipnorm=5.0), initial_scale=2.0**24
        )
        compiled(model, optimizer)
    images, labels = images_and_labels(4, 3)
    labels[:2] = IGNORE  # The first of two replicas has no gradient, hence a finite one.
    dataset = tf.data.Dataset.from_tensors((images, labels)).repeat(16)
    model.fit(dataset, epochs=1, verbose=0, shuffle=False)
    keep(
        "half",
        model,
        scale=keras.ops.convert_to_numpy(model.optimizer.dynamic_scale),
        iterations=keras.ops.convert_to_numpy(model.optimizer.inner_optimizer.iterations),
    )


def unsynchronized():
    """Each replica's own batch statistics: the moving averages are agreed on afterwards."""
    with STRATEGY.scope():
        model = tiny_network()
        compiled(model, ctx.training.SGD(0.0))
    images, labels = images_and_labels(4, 4)
    model.fit(images, labels, batch_size=4, verbose=0, shuffle=False)
    local = [
        STRATEGY.experimental_local_results(variable.value)[-1]
        for variable in model.non_trainable_variables
    ]
    keep("own", model, last_replica=np.concatenate([np.ravel(value) for value in local]))


def panoptic():
    """Centres and offsets of things, very unevenly spread over the replicas; then segments."""
    with STRATEGY.scope():
        keras.utils.set_random_seed(8)
        images = keras.Input((None, None, 3))
        x = keras.layers.Rescaling(1 / 64, -2.0)(images)
        for name in ("backbone_one", "context"):
            x = ctx.layers.ConvNormAct(6, 3, name=name)(x)
        sizes = {"logits": CLASSES, "center_heatmap": 1, "center_offsets": 2}
        outputs = {
            name: keras.layers.Conv2D(count, 1, dtype="float32", name=name)(x)
            for name, count in sizes.items()
        }
        model = ctx.models.SegmentationModel(images, outputs)
        synchronize_batch_norm(model)
        optimizer = ctx.training.SGD(0.05, weight_decay=1e-3, global_clipnorm=0.5)
        compiled(model, optimizer)
    images, labels = images_and_labels(8, 5)
    labels[0::4, 12:30, 3:20] = 2 + 1024
    labels[0::4, 20:33, 22:35] = 1 + 2 * 1024
    labels[1::4, 11:14, 5:9] = 2 + 3 * 1024
    labels[4, :, :2] = 2 + 1024 * 65535  # a crowd
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    history = model.fit(dataset, epochs=3, verbose=0, shuffle=False).history
    five = (images[:5], labels[:5])
    scores = model.evaluate(*five, batch_size=4, verbose=0, return_dict=True)
    evaluator = ctx.evaluation.Evaluator(model, CLASSES, IGNORE, thing_classes=(1, 2))
    evaluated = evaluator(
        [{"image": image, "label": label, "name": str(k)} for k, (image, label) in
         enumerate(zip(*five, strict=True))]
    )  # fmt: skip
    keep(
        "panoptic",
        model,
        missed_segments=evaluated.panoptic.counts.missed,
        **logs_of("history", {name: values[-1] for name, values in history.items()}),
        **logs_of("scores", scores),
    )


SCENARIOS = {
    "recipe": recipe,
    "executions1": lambda: executions(1),
    "executions4": lambda: executions(4),
    "half": half_precision,
    "own": unsynchronized,
    "panoptic": panoptic,
}
for scenario in CHOSEN:
    SCENARIOS[scenario]()
np.savez(OUTPUT, **results)
