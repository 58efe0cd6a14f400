"""The `tf.distribute` strategy that a run trains under."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import get_args

import tensorflow as tf

from keras_ctxseg._naming import nearest
from keras_ctxseg.runs.config import Communication, ConfigError, StrategyName
from keras_ctxseg.training.cluster import Cluster, find_cluster


def create_strategy(
    name: StrategyName = "auto",
    communication: Communication = "auto",
    devices: Sequence[str] | None = None,
) -> tf.distribute.Strategy:
    """The strategy to build and compile a model under, with its `scope()`.

    With several workers to be called before anything else of TensorFlow, and by all of them.

    Args:
        name: what to train on:

            - `one_device`: a GPU, or else the CPU;
            - `mirrored`: all GPUs of this machine, or `devices`;
            - `multi_worker`: the processes that `TF_CONFIG`, Slurm or Kubernetes name, see
              `training.cluster.find_cluster`, each with its GPUs;
            - `tpu`: the TPU of this machine or the one that `TPU_NAME` names;
            - `auto`: the workers that the environment names, a TPU where there is one, several
              GPUs where there are, else TensorFlow's default, which changes nothing.
        communication: how gradients are summed: `nccl` and `ring` for mirrored and multi_worker,
            `hierarchical` (over pairs of GPUs, without NCCL) for mirrored; `auto` leaves it to
            TensorFlow.
        devices: for one_device (the first) and mirrored, as `"GPU:0"`.

    Raises:
        ValueError: a name that is none, or one that the machine or the environment cannot serve.
    """
    for argument, value, choices in (
        ("strategy", name, get_args(StrategyName)),
        ("communication", communication, get_args(Communication)),
    ):
        if value not in choices:
            raise ConfigError(
                f"`{argument}`: expected one of {', '.join(choices)}. "
                f"Received: {value!r}.{nearest(value, choices)}"
            )
    kind = _found() if name == "auto" else name
    if communication != "auto" and kind not in ("mirrored", "multi_worker"):
        raise ConfigError(
            f"`communication`: {kind} has nothing to choose. Received: {communication!r}"
        )
    if kind == "one_device":
        return tf.distribute.OneDeviceStrategy((devices or _gpus() or ["CPU:0"])[0])
    if kind == "mirrored":
        return _mirrored(communication, devices)
    if kind == "multi_worker":
        return _multi_worker(communication)
    if kind == "tpu":
        return _tpu()
    return tf.distribute.get_strategy()


def _found() -> str:
    if find_cluster(os.environ) is not None:
        return "multi_worker"
    if os.environ.get("TPU_NAME") or tf.config.list_physical_devices("TPU"):
        return "tpu"
    return "mirrored" if len(_gpus()) > 1 else "a single device"


def _gpus() -> list[str]:
    return [f"GPU:{index}" for index, _ in enumerate(tf.config.list_physical_devices("GPU"))]


def _mirrored(communication: str, devices: Sequence[str] | None) -> tf.distribute.Strategy:
    devices = devices or _gpus()
    if not devices:
        raise ConfigError(
            "`strategy`: mirrored needs GPUs; this machine shows TensorFlow none. "
            "Take one_device, or name `devices`"
        )
    if communication == "nccl" and not all("GPU" in device.upper() for device in devices):
        raise ConfigError(f"`communication`: nccl needs GPUs. Received: devices={list(devices)}")
    if communication == "ring":
        # TensorFlow offers its ring through multi-worker training only; with one worker that
        # mirrors over all GPUs of the machine.
        if list(devices) != _gpus():
            raise ConfigError(
                f"`communication`: ring takes all GPUs. Received: devices={list(devices)}"
            )
        return _multi_worker_strategy("ring")
    operations = {
        "nccl": tf.distribute.NcclAllReduce,
        "hierarchical": tf.distribute.HierarchicalCopyAllReduce,
    }
    chosen = operations[communication]() if communication in operations else None
    return tf.distribute.MirroredStrategy(list(devices), cross_device_ops=chosen)


def _multi_worker(communication: str) -> tf.distribute.Strategy:
    cluster = find_cluster(os.environ)
    if cluster is None:
        raise ConfigError(
            "`strategy`: multi_worker needs to know its workers: from TF_CONFIG, from srun, or "
            "from an Indexed Job of Kubernetes (docs/distributed.md). None of them is set"
        )
    if communication == "hierarchical":
        raise ConfigError("`communication`: hierarchical is for mirrored; take nccl or ring")
    if communication == "nccl" and not _gpus():
        raise ConfigError("`communication`: nccl needs GPUs, and there are none; take ring")
    _remember(cluster)
    try:
        return _multi_worker_strategy(communication)
    except RuntimeError as error:
        raise ConfigError(
            f"`strategy`: multi_worker has to be created before TensorFlow is used ({error})"
        ) from None


def _remember(cluster: Cluster) -> None:
    """TensorFlow reads the cluster from `TF_CONFIG`; one that is there stays as it is."""
    if cluster.source != "TF_CONFIG":
        os.environ["TF_CONFIG"] = cluster.tf_config()


def _multi_worker_strategy(communication: str) -> tf.distribute.Strategy:
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds(communication.upper())
    )
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def _tpu() -> tf.distribute.Strategy:
    address = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        if address != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"`strategy`: there is no TPU at {address!r} ({first})") from None
    return tf.distribute.TPUStrategy(resolver)
