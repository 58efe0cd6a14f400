"""Every family through the shared checks, every name through `build`."""

import json
import os
import subprocess
import sys
from itertools import cycle

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.backbones.keras_applications import APPLICATIONS
from tests.layers.layer_checks import randomize
from tests.models import model_checks

FAMILIES = (
    "fcn", "encnet", "deeplabv3", "deeplabv3plus", "ksac", "rsp", "rsp_panoptic", "spacemeshlab",
)  # fmt: skip
BACKBONES = ("mobilenet_v2", "resnet18")
MODELS = [f"{family}_{backbone}" for family in FAMILIES for backbone in BACKBONES]
POLICIES = ("mixed_bfloat16", "mixed_float16")
# Every family and both backbones, where their combination is not the question.
EACH_ONCE = {family: f"{family}_{backbone}" for family, backbone in zip(FAMILIES, cycle(BACKBONES))}
PAIRS = [
    pytest.param(name, marks=() if name in EACH_ONCE.values() else pytest.mark.whole)
    for name in MODELS
]


def always_for(*families):
    """Every family; those not named by `make test-all` alone."""
    marks = {family: () if family in families else pytest.mark.whole for family in FAMILIES}
    return pytest.mark.parametrize("family", [pytest.param(k, marks=m) for k, m in marks.items()])


# XLA takes long over RSP and SpaceMeshLab: RSP's layers are the panoptic network's too.
STEPPED_ON_JAX = {
    "one": ["encnet_resnet18"],
    "first": [
        "encnet_mobilenet_v2",
        "fcn_resnet18",
        "deeplabv3_resnet18",
        "rsp_panoptic_mobilenet_v2",
    ],
    "second": ["deeplabv3plus_mobilenet_v2", "ksac_mobilenet_v2", "spacemeshlab_mobilenet_v2"],
}


@pytest.mark.parametrize("name", PAIRS)
def test_any_size(rng, name):
    model_checks.check_any_size(model_checks.shared_small(name), rng)


@pytest.mark.parametrize("name", PAIRS)
def test_training_step(rng, name):
    model_checks.check_training_step(model_checks.shared_small(name), rng)


@pytest.mark.parametrize(
    ("family", "policy"),
    [
        pytest.param(family, policy, marks=() if (index + k) % 2 else pytest.mark.whole)
        for index, family in enumerate(FAMILIES)
        for k, policy in enumerate(POLICIES)
    ],
)
def test_mixed_precision(rng, family, policy):
    """Logits are float32; that such networks train is seen in tests/distribution."""
    keras.config.set_dtype_policy(policy)
    model = model_checks.shared_small(f"{family}_mobilenet_v2")
    images, _ = model_checks.batch(rng)
    logits = model(images)["logits"]
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert np.isfinite(logits).all()


@always_for("encnet", "ksac")
def test_learning(rng, family):
    model_checks.check_learning(model_checks.shared_small(f"{family}_mobilenet_v2"), rng)


@always_for("deeplabv3plus", "ksac", "rsp", "spacemeshlab")
def test_output_strides(rng, family):
    model_checks.check_output_strides(f"{family}_mobilenet_v2", rng, (8, 32))


@pytest.mark.whole
@pytest.mark.parametrize("family", FAMILIES)
def test_output_stride_16(rng, family):
    model_checks.check_output_strides(f"{family}_mobilenet_v2", rng, (16,))


@pytest.mark.parametrize("name", ["fcn_xception65", "deeplabv3_resnet50"])
def test_further_backbones_build(name):
    """Those that no test above takes, and `test_every_name_builds` takes with the rest."""
    assert ctx.models.build(name, 3, filters=8).name == name


@pytest.mark.whole
def test_every_name_builds():
    """Of this package's own backbones; tests/backbones builds those of Keras and KerasHub."""
    names = ctx.models.list_models()
    assert {f"{family}_resnet50" for family in FAMILIES} <= set(names)
    for name in names:
        if name.endswith((*APPLICATIONS, "_vd", "_keras_hub")):
            continue
        if "101" in name or "152" in name:
            continue  # Only deeper: one of each is built below.
        narrow = {"widen": 1} if name == "encnet_cifar" else {"filters": 8}
        if name.startswith("spinenet_seg"):
            narrow["width"] = 0.1
        model = ctx.models.build(name, 3, **narrow)
        assert model.name == name
        assert model.num_classes == 3
    for name in ("fcn_resnet101", "ksac_resnet152"):
        assert ctx.models.build(name, 3, filters=8).name == name


@pytest.mark.parametrize(
    "families",
    [
        ("encnet", "deeplabv3plus", "ksac", "rsp_panoptic", "spacemeshlab", "spinenet_seg"),
        pytest.param(("fcn", "deeplabv3", "rsp"), marks=pytest.mark.whole),
    ],
    ids=["most", "rest"],
)
def test_save_and_load_in_a_fresh_process(rng, tmp_path, families):
    """`keras.models.load_model` needs nothing but the package's import, under any policy.

    Neither that nor `build` imports data sets or tf-models.
    """
    images, _ = model_checks.batch(rng, count=1)
    np.save(tmp_path / "images.npy", images)
    expected = {}
    for family in families:
        name = EACH_ONCE.get(family, "spinenet_seg_s49s")
        keras.config.set_dtype_policy("mixed_bfloat16" if "resnet" in name else "float32")
        model = model_checks.shared_small(name)
        randomize(model, rng)
        model.save(tmp_path / f"{name}.keras")
        expected[name] = np.array(model(images)["logits"])
    script = """
import json, sys, pathlib, numpy as np
import keras_ctxseg as ctx, keras
folder = pathlib.Path(sys.argv[1])
images = np.load(folder / "images.npy")
for path in folder.glob("*.keras"):
    model = keras.models.load_model(path)
    assert type(model) is ctx.models.SegmentationModel, type(model)
    np.save(folder / (path.stem + ".npy"), np.array(model(images)["logits"]))
ctx.models.build("ksac_mobilenet_v2", 3, (65, 97, 3), width=0.35, filters=8)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, timeout=300, capture_output=True
    )
    for name, logits in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), logits)
    modules = json.loads(result.stdout.splitlines()[-1])
    assert not {"tensorflow_datasets", "official", "tf_keras"} & set(modules)


@pytest.mark.parametrize(
    "which", ["one", *(pytest.param(k, marks=pytest.mark.whole) for k in ("first", "second"))]
)
def test_core_trains_on_jax_without_tensorflow(which):
    """On Keras' JAX backend a step of `fit` works, and nothing brings TensorFlow in."""
    script = """
import json, sys
import numpy as np
import keras_ctxseg as ctx
images = np.random.default_rng(0).uniform(0, 255, (2, 33, 49, 3)).astype("float32")
labels = (images[..., 0] > 128).astype("int32")
for name in sys.argv[1:]:
    options = {"width": 0.35} if name.endswith("mobilenet_v2") else {}
    if name.startswith("spacemeshlab"):
        options["rates"] = (1, 2)
    model = ctx.models.build(name, 3, (33, 49, 3), filters=8, **options)
    model.compile(**ctx.training.default_compile(model, jit_compile=True))
    loss = model.fit(images, labels, batch_size=2, verbose=0).history["loss"][0]
    assert np.isfinite(loss), loss
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    result = subprocess.run(
        [sys.executable, "-c", script, *STEPPED_ON_JAX[which]],
        env={**os.environ, **model_checks.ON_JAX},
        capture_output=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr.decode()[-2000:]
    modules = json.loads(result.stdout.splitlines()[-1])
    assert "jax" in modules
    for name in ("tensorflow", "tensorflow_datasets", "official", "tf_keras"):
        assert name not in modules
