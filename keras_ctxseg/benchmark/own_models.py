"""This package's models in each form that can be measured."""

import json
import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.benchmark.subject import Subject
from keras_ctxseg.costs.graph import traced
from keras_ctxseg.costs.multiply_adds import count_multiply_adds, trainable_parameters
from keras_ctxseg.models import build
from keras_ctxseg.runs.imports import import_modules

CALIBRATION_IMAGES = 32


def prepare(subject: Subject, folder: Path, threads: int | None) -> tuple[Callable, dict]:
    """A call that runs the subject once and waits for it, and its facts.

    What is exported is kept in `folder`, with the facts, and not made again.
    """
    import_modules(subject.imports, "--imports")
    exported = subject.exported(folder)
    if exported is None:
        model = build(subject.name, subject.num_classes, **subject.options)
        facts = _facts(model, subject)
        if subject.form == "training":
            return training_step(model, subject, keras.optimizers.SGD(1e-3, 0.9)), facts
        return runs(traced(_logits_only(model), (1, *subject.size, 3)), subject), facts
    facts = kept(exported, lambda: _export(subject, exported))
    path = Path(facts["path"])
    if subject.form == "saved_model":
        return loaded(path, "logits", subject), facts
    return _interpreter(path, threads), facts


def kept(exported: Path, make: Callable[[], dict]) -> dict:
    """The facts beside an exported file, made by `make` where there are none yet."""
    file = exported.with_suffix(".json")
    if not file.exists():
        exported.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(make(), indent=1), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def runs(function: Callable, subject: Subject) -> Callable[[], None]:
    """A call of `function` on one random image that waits for all outputs."""
    values = np.random.default_rng(0).uniform(0, 255, (1, *subject.size, 3))
    images = tf.constant(values.astype("float32"))

    def call():
        for output in tf.nest.flatten(function(images)):
            tf.reshape(output, [-1])[:1].numpy()

    return call


def loaded(path: Path, signature: str, subject: Subject, dtype=tf.float32) -> Callable[[], None]:
    """A call of a SavedModel's signature, which takes one tensor, in a session.

    That is how TensorFlow Serving runs it; Python's `tf.saved_model.load` takes far more memory.
    """
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        loading = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
    definition = loading.signature_def[signature]
    (entry,) = (info.name for info in definition.inputs.values())
    run = session.make_callable([info.name for info in definition.outputs.values()], [entry])
    values = np.random.default_rng(0).uniform(0, 255, (1, *subject.size, 3))
    images = values.astype(dtype.as_numpy_dtype)
    return lambda: run(images)


def training_step(model, subject: Subject, optimizer) -> Callable[[], None]:
    """A call of one step on a fixed random batch: forward, cross-entropy, gradients, update.

    Args:
        model: from images to a dict with `"logits"` at the images' size; of Keras 3 or tf_keras.
        subject: gives batch, size and classes.
        optimizer: of the same Keras as the model.
    """
    rng = np.random.default_rng(0)
    shape = (subject.batch, *subject.size)
    images = tf.constant(rng.uniform(0, 255, (*shape, 3)).astype("float32"))
    labels = tf.constant(rng.integers(0, subject.num_classes, shape).astype("int32"))

    @tf.function(autograph=False, jit_compile=False)
    def step():
        with tf.GradientTape() as tape:
            logits = model(images, training=True)["logits"]
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        variables = model.trainable_variables
        raw = [getattr(variable, "value", variable) for variable in variables]
        raw = variables if callable(raw[0]) else raw
        gradients = tape.gradient(loss, raw, unconnected_gradients="zero")
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    def call():
        step().numpy()

    optimizer.build(model.trainable_variables)
    return call


def versions(*packages: str) -> dict[str, str]:
    """Installed versions by name."""
    return {name: metadata.version(name) for name in packages}


def _export(subject: Subject, exported: Path) -> dict:
    model = build(subject.name, subject.num_classes, **subject.options)
    _stir(model)
    path = _EXPORTS[subject.form](model, subject, exported)
    facts = _facts(model, subject) | {"path": str(path.resolve()), "bytes": _bytes(path)}
    if subject.form != "saved_model":
        del facts["multiply_adds_run"]  # devices get fewer rearrangements: not what was counted
    return facts


def _facts(model, subject: Subject) -> dict:
    facts = {
        "parameters": trainable_parameters(model),
        "versions": versions("tensorflow", "keras"),
    }
    logits = _logits_only(model)
    return facts | {
        "multiply_adds": count_multiply_adds(logits, subject.size).total,
        "multiply_adds_run": count_multiply_adds(logits, subject.size, as_run=True).total,
    }


def _logits_only(model) -> Callable:
    return lambda images, training=False: model(images, training=training)["logits"]


def _stir(model) -> None:
    """Gives normalisation statistics that folding cannot drop, as trained weights have."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            # In proportion: a branch that starts at 0 stays there.
            weight.assign(weight * rng.uniform(0.9, 1.1, weight.shape))
        elif weight.name in ("beta", "moving_mean"):
            weight.assign(rng.uniform(-0.1, 0.1, weight.shape))


def _saved_model(model, subject: Subject, path: Path) -> Path:
    from keras_ctxseg.export import export_saved_model

    names = [f"class{index}" for index in range(subject.num_classes)]
    return Path(export_saved_model(model, path, names))


def _litert(model, subject: Subject, path: Path) -> Path:
    from keras_ctxseg.export import export_litert

    path = path.with_suffix(".tflite")
    return Path(export_litert(model, path, subject.size))


def _litert_int8(model, subject: Subject, path: Path) -> Path:
    from keras_ctxseg.export import export_litert
    from keras_ctxseg.export.parity.check import synthetic_images

    path = path.with_suffix(".tflite")
    images = synthetic_images([subject.size] * CALIBRATION_IMAGES)
    # Random weights need not agree: it is the speed that is asked for.
    return Path(
        export_litert(model, path, subject.size, form="int8", calibration_images=images, force=True)
    )


_EXPORTS = {"saved_model": _saved_model, "litert": _litert, "litert-int8": _litert_int8}


def _interpreter(path: Path, threads: int | None) -> Callable[[], None]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads or os.cpu_count())
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    values = np.random.default_rng(0).uniform(0, 255, entry["shape"])
    images = values.astype(entry["dtype"])

    def call():
        interpreter.set_tensor(entry["index"], images)
        interpreter.invoke()

    return call


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())
