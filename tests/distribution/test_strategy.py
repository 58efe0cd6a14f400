"""Clusters from the environment of a launcher, strategies by name, and what is refused."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.data.pipeline import BatchPart
from keras_ctxseg.runs.config import ConfigError, TrainingConfig
from keras_ctxseg.training import create_strategy
from keras_ctxseg.training.cluster import Cluster, expand_nodes, find_cluster
from keras_ctxseg.training.compilation import build_optimizer

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute")

SLURM = {
    "SLURM_JOB_ID": "1001",
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "gpu[08-10]",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2),2",
}
KUBERNETES = {
    "JOB_COMPLETION_INDEX": "2",
    "HOSTNAME": "train-7-2",
    "CTXSEG_WORKERS": "3",
    "CTXSEG_SERVICE": "workers",
}

ON_CPU = {"name": "mirrored", "devices": ["CPU:0"]}


def tf_config(kind, index, **cluster):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_nothing_means_one_process():
    assert find_cluster({}) is None
    assert find_cluster({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None
    # Inside `salloc` or a batch script, but not in `srun`.
    assert find_cluster({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "3"}) is None
    assert find_cluster({**KUBERNETES, "CTXSEG_WORKERS": "1", "JOB_COMPLETION_INDEX": "0",
                         "HOSTNAME": "train-0"}) is None  # fmt: skip


def test_tf_config():
    found = find_cluster(tf_config("worker", 1, worker=["a:1", "b:2"]))
    assert found == Cluster(("a:1", "b:2"), 1, "TF_CONFIG")
    found = find_cluster(tf_config("worker", 0, chief=["a:1"], worker=["b:2"]))
    assert found == Cluster(("a:1", "b:2"), 1, "TF_CONFIG")


def test_slurm():
    found = find_cluster(SLURM)
    ports = {worker.split(":")[0]: int(worker.split(":")[1]) for worker in found.workers[:3]}
    assert [worker.split(":")[0] for worker in found.workers] == [
        "gpu08",
        "gpu09",
        "gpu10",
        "gpu10",
    ]
    assert len(set(ports.values())) == 1  # Nodes of their own may share a port,
    assert int(found.workers[3].split(":")[1]) == ports["gpu10"] + 1  # tasks of a node may not.
    assert found.index == 3
    other = find_cluster({**SLURM, "SLURM_JOB_ID": "1002"})
    assert not set(other.workers) & set(found.workers)
    assert json.loads(found.tf_config()) == {
        "cluster": {"worker": list(found.workers)},
        "task": {"type": "worker", "index": 3},
    }


def test_kubernetes():
    found = find_cluster({**KUBERNETES, "CTXSEG_PORT": "77"})
    assert found.workers == ("train-7-0.workers:77", "train-7-1.workers:77", "train-7-2.workers:77")
    assert found.index == 2


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("n1", ["n1"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("a[09-11,20],b,c[7]", ["a09", "a10", "a11", "a20", "b", "c7"]),
    ],
)
def test_node_lists(nodes, expected):
    assert expand_nodes(nodes) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{worker"}, "TF_CONFIG: expected JSON"),
        (tf_config("worker", 2, worker=["a:1", "b:2"]), "expected a task of the cluster.*worker 2"),
        (tf_config("ps", 0, worker=["a:1"], ps=["b:2"]), "expected a task of the cluster.*ps 0"),
        ({k: v for k, v in SLURM.items() if k != "SLURM_PROCID"}, "SLURM_PROCID is not set.*srun"),
        ({**SLURM, "SLURM_STEP_NODELIST": "gpu[1-"}, "SLURM_STEP_NODELIST: expected names like"),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "4"}, "expected tasks for 3 nodes"),
        ({"CTXSEG_WORKERS": "3"}, "CTXSEG_SERVICE, JOB_COMPLETION_INDEX, HOSTNAME is not set"),
        ({**KUBERNETES, "HOSTNAME": "train-7-1"}, "expected a pod <job>-2"),
        ({**KUBERNETES, "CTXSEG_WORKERS": "2"}, "an index below 2"),
    ],
)
def test_half_a_cluster_is_refused(environment, message):
    with pytest.raises(ConfigError, match=message):
        find_cluster(environment)


@pytest.fixture
def bare(monkeypatch):
    for name in ("TF_CONFIG", "TPU_NAME", "SLURM_STEP_NUM_TASKS", "CTXSEG_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("keras_ctxseg.training.strategy._gpus", list)
    return monkeypatch


def test_auto_changes_nothing_on_one_device(bare):
    import tensorflow as tf

    assert create_strategy() is tf.distribute.get_strategy()
    assert isinstance(create_strategy("one_device"), tf.distribute.OneDeviceStrategy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "miror"}, "`strategy`: expected one of auto.*Did you mean 'mirrored'"),
        ({"communication": "rings"}, "`communication`: expected one of.*Did you mean 'ring'"),
        ({"name": "mirrored"}, "mirrored needs GPUs.*one_device"),
        ({"name": "mirrored", "devices": ["CPU:0"], "communication": "nccl"}, "nccl needs GPUs"),
        (
            {"name": "mirrored", "devices": ["CPU:0"], "communication": "ring"},
            "ring takes all GPUs",
        ),
        ({"name": "multi_worker"}, "needs to know its workers.*TF_CONFIG.*docs/distributed.md"),
        ({"name": "one_device", "communication": "ring"}, "one_device has nothing to choose"),
        ({"communication": "nccl"}, "a single device has nothing to choose"),
        ({"name": "tpu"}, "there is no TPU at 'local'"),
    ],
)
def test_what_the_machine_lacks_is_said(bare, arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_strategy(**arguments)


def test_multi_worker_choices(bare):
    bare.setenv(
        "TF_CONFIG", tf_config("worker", 0, worker=["127.0.0.1:1", "127.0.0.1:2"])["TF_CONFIG"]
    )
    for communication, message in (
        ("hierarchical", "hierarchical is for mirrored"),
        ("nccl", "nccl needs GPUs"),
    ):
        with pytest.raises(ConfigError, match=message):
            create_strategy("multi_worker", communication)


@pytest.mark.parametrize("communication", ["auto", "hierarchical"])
def test_mirrored_sums_by_the_chosen_operation(bare, communication):
    import tensorflow as tf

    strategy = create_strategy("mirrored", communication, devices=["CPU:0"])
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    chosen = strategy.extended._cross_device_ops
    assert isinstance(chosen, tf.distribute.HierarchicalCopyAllReduce) == (
        communication == "hierarchical"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "mirrored", "jit_compile": True}, "`training.strategy`.*XLA.*'mirrored'"),
        ({"batch_size": 6, "accumulate_steps": 4}, "`training.batch_size`.*multiple of the 4"),
        ({"lr_multipliers": {"head": -1.0}}, "`training.lr_multipliers.head`.*at least 0"),
        ({"lr_multipliers": {"head": "big"}}, "`training.lr_multipliers.head`.*a number"),
        ({"accumulate_steps": 0}, "`training.accumulate_steps`.*at least 1"),
    ],
)
def test_recipes_that_cannot_work(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**settings)


def test_a_recipe_names_groups_of_layers():
    training = TrainingConfig(head_lr_multiplier=10.0, lr_multipliers={"context": 5, "": 2.0})
    optimizer = build_optimizer(training, total_steps=10)
    assert optimizer.lr_multipliers == {"": 2.0, "backbone": 1.0, "context": 5}
    half = build_optimizer(replace(training, precision="mixed_float16"), total_steps=10)
    assert half.steps_on_global_gradients and not half.inner_optimizer.steps_on_global_gradients


@pytest.fixture
def mirrored_model(bare):
    """A network under a mirrored strategy of one device, where the same code runs."""
    with create_strategy("mirrored", devices=["CPU:0"]).scope():
        images = keras.Input((None, None, 3))
        model = ctx.models.SegmentationModel(images, {"logits": keras.layers.Conv2D(2, 1)(images)})
    return model


IMAGES = np.zeros((5, 33, 33, 3), "float32")
LABELS = np.zeros((5, 33, 33), "int32")


def compile_and_fit(model, optimizer="sgd", jit_compile=False, loss=None, **fit):
    loss = loss or ctx.losses.SegmentationCrossentropy()
    with model.distribute_strategy.scope():
        model.compile(optimizer, loss={"logits": loss}, jit_compile=jit_compile)
    model.fit(**{"x": IMAGES, "y": LABELS, "verbose": 0, **fit})


def test_what_depends_on_replicas_is_refused_before_the_first_step(mirrored_model):
    model = mirrored_model
    before = model.get_weights()
    with pytest.raises(
        ValueError, match="`jit_compile`: XLA does not compile steps under Mirrored"
    ):
        compile_and_fit(model, jit_compile=True)
    with pytest.raises(ValueError, match="SGD clips gradients by the gradients of each replica"):
        compile_and_fit(model, keras.optimizers.SGD(global_clipnorm=1.0))
    scaled = keras.optimizers.LossScaleOptimizer(ctx.training.SGD())
    with pytest.raises(ValueError, match="LossScaleOptimizer scales the loss by the gradients"):
        compile_and_fit(model, scaled)
    with pytest.raises(ValueError, match="`gradient_accumulation_steps`.*`accumulate_steps`"):
        compile_and_fit(model, ctx.training.SGD(gradient_accumulation_steps=2))
    with pytest.raises(ValueError, match="`x`: on replicas expected arrays.*a generator"):
        compile_and_fit(model, x=(batch for batch in [(IMAGES, LABELS)]), y=None)
    for value, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_batches_have_to_split(mirrored_model):
    mirrored_model.accumulate_steps = 3
    with pytest.raises(ValueError, match="`batch_size`.*multiple of 3. Received: 5"):
        compile_and_fit(mirrored_model, batch_size=5)


def test_padding_needs_an_ignore_label(mirrored_model):
    with pytest.raises(ValueError, match="one `ignore_label`"):
        compile_and_fit(
            mirrored_model,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            validation_data=(IMAGES, LABELS),
        )


def test_parts_of_all_workers_are_the_batch():
    """Two workers with two replicas each, in three pieces; one replica keeps the order."""
    parts = [BatchPart(first, 2, 4, 3).places(24) for first in (0, 2)]
    places = np.concatenate(parts)
    assert sorted(places.ravel()) == list(range(24))
    # The first piece of all replicas together is the first third of the batch.
    assert sorted(places[:, :2].ravel()) == list(range(8))
    np.testing.assert_array_equal(BatchPart(pieces=3).places(6), [np.arange(6)])
    with pytest.raises(ValueError, match="`batch_size`: expected a multiple of 12"):
        BatchPart(0, 2, 4, 3).places(16)
