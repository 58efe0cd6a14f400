"""The SpineNet-Seg family through the shared checks, and what is its own."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.backbones import HAND_DILATED_BLOCKS, PARENT_BLOCKS, SEARCHED_BLOCKS
from keras_ctxseg.backbones.block_tables import required_nodes
from tests.layers.layer_checks import randomize
from tests.models import model_checks

# What differs most from the default head, which reads the finest output alone.
DECODER = {"max_level": 4, "merge": "concat", "decoder": True}


def _small(**options):
    return model_checks.build_small("spinenet_seg_s49s", **options)


def _preset(**options):
    return _small(**{"blocks": "searched", **options})


@pytest.mark.parametrize(
    ("make", "max_level"),
    [(_small, 4), pytest.param(_preset, 7, marks=pytest.mark.whole)],
    ids=["small", "preset"],
)
def test_any_size(rng, make, max_level):
    model_checks.check_any_size(make(max_level=max_level), rng)


def test_training_step(rng):
    model_checks.check_training_step(_small(**DECODER), rng)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(rng, policy):
    keras.config.set_dtype_policy(policy)
    model = _small()
    images, labels = model_checks.batch(rng)
    assert keras.backend.standardize_dtype(model(images)["logits"].dtype) == "float32"
    model.compile(**ctx.training.default_compile(model), run_eagerly=True)
    assert np.isfinite(model.fit(images, labels, batch_size=2, verbose=0).history["loss"][0])
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.whole
def test_learning(rng):
    model_checks.check_learning(_small(), rng)


@pytest.mark.whole
def test_it_trains_on_jax(rng, tmp_path):
    """From the weights that TensorFlow has, JAX takes the step that TensorFlow takes."""
    images, labels = model_checks.batch(rng, size=(33, 45))
    np.savez(tmp_path / "batch.npz", images=images, labels=labels)
    model = _small(dropout=0.0)
    model.save(tmp_path / "model.keras")
    script = """
import sys, pathlib, numpy as np
import keras_ctxseg as ctx, keras
folder = pathlib.Path(sys.argv[1])
batch = np.load(folder / "batch.npz")
model = keras.models.load_model(folder / "model.keras")
model.compile(**ctx.training.default_compile(model, jit_compile=True))
print(keras.backend.backend(), "tensorflow" in sys.modules)
print(model.fit(batch["images"], batch["labels"], batch_size=2, verbose=0).history["loss"][0])
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, **model_checks.ON_JAX},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    backend, loss = result.stdout.splitlines()[-2:]
    assert backend == "jax False"
    model.compile(**ctx.training.default_compile(model))
    expected = model.fit(images, labels, batch_size=2, verbose=0).history["loss"][0]
    # Batch statistics over maps of a few pixels, on another framework's kernels.
    assert float(loss) == pytest.approx(expected, rel=1e-3)


def test_output_stride_chooses_the_output_that_the_head_reads(rng, tmp_path):
    """Not dilation: resolution belongs to the topology, so each has weights of its own."""
    images, _ = model_checks.batch(rng, count=1)
    for output_stride, level in ((8, 3), (16, 4)):
        model = _small(output_stride=output_stride)
        assert model(images)["logits"].shape == (1, 65, 97, model_checks.NUM_CLASSES)
        features = keras.Model(model.input, model.get_layer(f"backbone_p{level}").output)(images)
        assert features.shape[1:3] == tuple(-(-length // output_stride) for length in (65, 97))
        rates = [branch.dilation[0] for branch in model.get_layer("aspp").atrous]
        assert rates == [rate * 16 // output_stride for rate in (6, 12, 18)]
    model.save_weights(tmp_path / "stride16.weights.h5")
    with pytest.raises(ValueError, match="stride16.weights.h5.*do not fit"):
        _small(output_stride=8, weights=tmp_path / "stride16.weights.h5")


def test_presets_are_the_searched_table_and_say_so(capsys):
    from keras_ctxseg.cli import main

    names = ctx.models.list_models("spinenet_seg_*")
    assert names == [f"spinenet_seg_{scale}" for scale in ("s143", "s190", "s49", "s49s", "s96")]
    _check_blocks(_preset(), SEARCHED_BLOCKS, (3, 4, 5))
    assert "this project's own search" in ctx.models.model_note(names[0])
    assert ctx.models.model_note("fcn_resnet18") == ""
    assert main(["list", "models", "spinenet_seg_s49"]) == 0
    assert "(a topology of this project's own search" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("parent", PARENT_BLOCKS),
        pytest.param("hand_dilated", HAND_DILATED_BLOCKS, marks=pytest.mark.whole),
    ],
)
def test_tables_by_name(name, table):
    _check_blocks(_preset(blocks=name), table, (3,))  # Other tables read the finest output alone.
    _check_blocks(_preset(blocks=name, max_level=7), table, (3, 4, 5, 6, 7))


def _check_blocks(model, table, levels):
    """That these blocks are built, with their rates, for an output at each of these levels."""
    convs = {"bottleneck": 2, "residual": 1}
    built = {layer.name for layer in model.layers if layer.name.startswith("backbone_")}
    used = required_nodes(table, levels)
    for node, block in enumerate(table, start=2):
        conv = f"backbone_node{node}_block1_conv{convs[block.type]}"
        assert (conv in built) == (node in used)
        if node in used:
            assert model.get_layer(conv).dilation == (block.dilation, block.dilation)
            assert all(
                f"backbone_node{node}_from{other}_reduce" in built for other in block.parents
            )
    assert [f"backbone_p{level}" in built for level in range(2, 8)] == [
        level in levels for level in range(2, 8)
    ]


def test_parameter_counts():
    """The parent's as counted from the table by hand; see docs/spinenet_seg.md."""
    for scale, expected in (("s49s", 6_233_062), ("s49", 13_998_675)):
        model = ctx.models.build(f"spinenet_seg_{scale}", 19, blocks="parent")
        assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == expected
    model = ctx.models.build("spinenet_seg_s49s", 19)
    cost = ctx.search.count_cost(ctx.search.Topology(SEARCHED_BLOCKS, 3, 5), "s49s", 19, (64, 64))
    assert model.count_params() == cost.parameters


@pytest.mark.parametrize(
    ("make", "max_level"),
    [(_small, 4), pytest.param(_preset, 5, marks=pytest.mark.whole)],
    ids=["small", "preset"],
)
def test_litert_export_agrees_and_is_builtin(rng, tmp_path, make, max_level):
    model = make(max_level=max_level)
    randomize(model, rng)
    # Refuses what is no builtin, and what disagrees with the model.
    result = ctx.export.export_litert(model, tmp_path / "model.tflite", (65, 97))
    assert result.parity.passed
    # Dilated convolutions stay one operation; sizes and indices are constants.
    found = set(ctx.export.litert_operations(result.path))
    assert not {"SPACE_TO_BATCH_ND", "SHAPE", "WHERE", "RANGE"} & found


@pytest.mark.whole
def test_saved_model_agrees(rng, tmp_path):
    model = _small(**DECODER)
    randomize(model, rng)
    names = [f"class{index}" for index in range(model_checks.NUM_CLASSES)]
    result = ctx.export.export_saved_model(model, tmp_path / "model", names)
    assert result.parity.passed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_stride": 12}, r"`output_stride` must be one of \(4, 8, 16, 32\) for SpineNet"),
        ({"merge": "mean"}, "`merge` must be 'sum' or 'concat'. Received: merge='mean'"),
        ({"blocks": "parnt"}, "`blocks` must be a table or one of.*Did you mean 'parent'?"),
        ({"max_level": 8}, "`min_level` to `max_level` must be levels.*max_level=8"),
        ({"block": ()}, "has no option 'block'.*Did you mean 'blocks'?"),
        ({"blocks": [[2, "residual", [0, 5]]]}, "`blocks` must give node 2 parents from 0 to 1"),
    ],
)
def test_errors_name_the_argument(options, message):
    with pytest.raises(ValueError, match=message):
        _preset(**options)


def test_unknown_names_list_the_scales():
    with pytest.raises(ValueError, match="'s49s'.*Did you mean 'spinenet_seg_s49s?'"):
        ctx.models.build("spinenet_seg_49", 3)
