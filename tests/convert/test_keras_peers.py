"""keras.applications' and KerasHub's own networks, saved, converted and compared."""

import keras
import numpy as np
import pytest

from keras_ctxseg import backbones, convert
from tests.convert.agreement import SIZES, check_agreement, images_of


def randomize(model, rng):
    """Random weights, biases and statistics that keep activations of order one."""
    for weight in model.weights:
        shape = weight.shape
        if "kernel" in weight.name:
            taps = shape[:2] if "depthwise" in weight.path else shape[:-1]
            weight.assign(rng.standard_normal(shape) / np.sqrt(np.prod(taps)))
        elif weight.name == "gamma":
            weight.assign(rng.uniform(0.8, 1.4, shape))
        elif weight.name == "moving_variance":
            weight.assign(rng.uniform(0.5, 1.5, shape))
        else:
            weight.assign(rng.uniform(-0.3, 0.3, shape))


def test_keras_applications_resnet50_from_every_kind_of_file(rng, tmp_path):
    peer = keras.applications.ResNet50(weights=None, include_top=False)
    randomize(peer, rng)
    peer.save(tmp_path / "resnet50.h5")
    peer.save(tmp_path / "resnet50.keras")
    peer.save_weights(tmp_path / "resnet50.weights.h5")
    arrays = [convert.read_checkpoint(file) for file in sorted(tmp_path.iterdir())]
    for other in arrays[1:]:
        assert {name for name in other if other[name].size} == {
            name for name in arrays[0] if arrays[0][name].size
        }
        for name, array in arrays[0].items():
            np.testing.assert_array_equal(other.get(name, array), array)
    options = {"stride_in_1x1": True, "normalization": "caffe"}
    model = backbones.create("resnet50", **options).as_model()
    report = convert.convert(model, tmp_path / "resnet50.h5", "keras-applications")
    assert len(report.mapped) == len(model.weights) and not report.left and not report.notes
    for size in SIZES:
        images = images_of(rng, size)
        expected = peer(keras.applications.resnet.preprocess_input(images.copy()))
        check_agreement(model(images)["level5"], expected)


def test_keras_applications_mobilenet_v2(rng, tmp_path):
    path = tmp_path / "mobilenet.weights.h5"
    for size in SIZES:
        # Its padding is fixed when it is built, by the parity of the images' size.
        peer = keras.applications.MobileNetV2(
            (*size, 3), alpha=0.5, include_top=False, weights=None
        )
        randomize(peer, rng)
        peer.save_weights(path)
        images = images_of(rng, size)
        last = keras.Model(peer.input, peer.get_layer("block_16_project_BN").output)
        expected = last(keras.applications.mobilenet_v2.preprocess_input(images.copy()))
        for padding in ("same", "symmetric"):
            model = backbones.create("mobilenet_v2", width=0.5, padding=padding).as_model()
            report = convert.convert(model, path, "keras-applications")
            assert len(report.mapped) == len(model.weights) and not report.left
            assert ("padding='same'" in str(report.notes)) == (padding == "symmetric")
            found = np.asarray(model(images)["level5"])
            if padding == "same" or size == SIZES[0]:
                check_agreement(found, expected)
            else:
                assert np.abs(found - expected).max() > 1e-3


def _keras_hub_resnet(stem, blocks, vd=False):
    """KerasHub's ResNet by its published names, where the package is not installed."""
    layers = keras.layers
    x = inputs = keras.Input((None, None, 3))

    def conv_norm(x, filters, size, strides, conv, norm):
        if strides > 1 and size > 1:
            x = layers.ZeroPadding2D((size - 1) // 2)(x)
        padding = "valid" if strides > 1 else "same"
        options = {"use_bias": False, "padding": padding, "name": conv}
        x = layers.Conv2D(filters, size, strides=strides, **options)(x)
        return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=norm)(x)

    for index, filters in enumerate(stem, start=1):
        size = 7 if len(stem) == 1 else 3
        strides = 2 if index == 1 else 1
        x = conv_norm(x, filters, size, strides, f"conv{index}_conv", f"conv{index}_bn")
        x = layers.ReLU()(x)
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stack, count in enumerate(blocks):
        filters = 64 * 2**stack
        for block in range(count):
            name, strides = f"stack{stack}_block{block}", 2 if stack and not block else 1
            y = x
            sizes = ((filters, 1), (filters, 3), (4 * filters, 1))
            for number, (out, size) in enumerate(sizes, start=1):
                step = strides if number == 2 else 1
                y = conv_norm(y, out, size, step, f"{name}_{number}_conv", f"{name}_{number}_bn")
                y = layers.ReLU()(y) if number < 3 else y
            if block == 0:
                if vd and strides > 1:
                    x, strides = layers.AveragePooling2D(2, 2, padding="same")(x), 1
                x = conv_norm(x, 4 * filters, 1, strides, f"{name}_0_conv", f"{name}_0_bn")
            x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, x)


def test_keras_hub_by_its_definition(rng, tmp_path):
    peer = _keras_hub_resnet((32, 32, 64), (3, 4, 6, 3))
    _check_keras_hub(rng, tmp_path, peer, "resnet50", {"stem": "v1c"})


def test_keras_hub_itself(rng, tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    peer = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
    )
    _check_keras_hub(rng, tmp_path, peer, "resnet18", {})


def _check_keras_hub(rng, tmp_path, peer, name, options):
    randomize(peer, rng)
    peer.save_weights(tmp_path / "hub.weights.h5")
    model = backbones.create(name, **options).as_model()
    report = convert.convert(model, tmp_path / "hub.weights.h5", "keras-hub")
    assert len(report.mapped) == len(model.weights) and not report.left
    backbone = backbones.create(name)
    for size in SIZES:
        images = images_of(rng, size)
        normalized = (images - np.array(backbone.mean)) / np.array(backbone.std)
        expected = peer(normalized.astype("float32"))
        check_agreement(model(images)["level5"], expected)


def test_a_resnet_vd_of_the_same_shapes_is_refused(tmp_path):
    peer = _keras_hub_resnet((32, 32, 64), (1, 1, 1, 1), vd=True)
    peer.save_weights(tmp_path / "vd.weights.h5")
    model = backbones.create("resnet18", stem="v1c").as_model()
    with pytest.raises(convert.ConversionError, match="ResNet-vd.*its features not"):
        convert.convert(model, tmp_path / "vd.weights.h5", "keras-hub")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet50", {}, "normalization='caffe'"),
        ("resnet50", {"normalization": "caffe"}, "stride_in_1x1=True"),
        ("mobilenet_v2", {}, "another architecture than.*nothing for 51 layers"),
        ("xception65", {"middle_repeats": 1}, "no network for.*xception65.*it has resnet"),
    ],
)
def test_a_model_built_otherwise_is_refused(name, options, message):
    """Where no shape tells, what the model was built with does."""
    model = backbones.create(name, **options).as_model()
    arrays = {"conv1_conv/kernel": np.zeros((7, 7, 3, 64))}
    source = convert.SOURCES["keras-applications"]
    with pytest.raises(convert.ConversionError, match=message):
        convert.map_weights(model, arrays, source)
