"""Variables and settings that change what Keras and TensorFlow do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from keras_ctxseg.doctor.finding import Finding

_BACKENDS = ("tensorflow", "jax", "torch", "openvino")


def examine_environment(
    variables: Mapping[str, str] = os.environ, home: Path | None = None
) -> Iterator[Finding]:
    """Backend, Keras' settings, legacy Keras, XLA.

    Args:
        variables: the environment.
        home: folder of `keras.json`; `$KERAS_HOME` or `~/.keras` where not given.
    """
    home = home or Path(variables.get("KERAS_HOME", "~/.keras")).expanduser()
    settings = _keras_settings(home / "keras.json")
    if isinstance(settings, Finding):
        yield settings
        settings = {}
    backend = variables.get("KERAS_BACKEND") or settings.get("backend", "tensorflow")
    yield _backend(backend)
    yield from _keras_choices(settings, home / "keras.json")
    legacy = variables.get("TF_USE_LEGACY_KERAS", "")
    if legacy.lower() not in ("", "0", "false"):
        yield Finding(
            "environment", "TF_USE_LEGACY_KERAS", "warning", legacy,
            "tf.keras is then Keras 2, whose layers do not go into a model of this package: unset "
            "it, and import keras rather than tf.keras",
        )  # fmt: skip
    xla = variables.get("TF_XLA_FLAGS", "")
    if "auto_jit" in xla:
        yield Finding(
            "environment", "TF_XLA_FLAGS", "warning", xla,
            "XLA is several times slower than the plain graph on a CPU, and does not go with "
            "several replicas: unset it, and use training.jit_compile on a GPU or TPU",
        )  # fmt: skip
    yield from _cluster(variables)


def _backend(backend: str) -> Finding:
    if backend == "tensorflow":
        return Finding("environment", "Keras backend", "ok", backend)
    if backend in _BACKENDS:
        return Finding(
            "environment", "Keras backend", "warning", backend,
            "layers, models and losses run; data, training, evaluation and export need "
            "KERAS_BACKEND=tensorflow",
        )  # fmt: skip
    return Finding(
        "environment", "Keras backend", "broken", backend, "set KERAS_BACKEND=tensorflow"
    )


def _keras_settings(path: Path) -> dict | Finding:
    try:
        return dict(json.loads(path.read_text())) if path.is_file() else {}
    except (OSError, ValueError, TypeError) as error:
        return Finding(
            "environment", str(path), "warning", f"cannot be read: {error}",
            "delete it: Keras writes it anew",
        )  # fmt: skip


def _keras_choices(settings: Mapping, path: Path) -> Iterator[Finding]:
    wanted = {"image_data_format": "channels_last", "floatx": "float32"}
    for key, value in wanted.items():
        found = settings.get(key, value)
        if found != value:
            yield Finding(
                "environment", f"Keras' {key}", "broken", f"{found} in {path}",
                f'set "{key}": "{value}" there; a run\'s precision is training.precision',
            )  # fmt: skip


def _cluster(variables: Mapping[str, str]) -> Iterator[Finding]:
    text = variables.get("TF_CONFIG", "")
    if not text:
        return
    try:
        cluster = json.loads(text).get("cluster", {})
        workers = sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError) as error:
        yield Finding(
            "environment", "TF_CONFIG", "broken", f"{text}: {error}",
            "unset it, or write it as docs/distributed.md says",
        )  # fmt: skip
        return
    yield Finding("environment", "TF_CONFIG", "ok", f"{workers} workers")
