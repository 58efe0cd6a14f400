import keras
import pytest
from keras import layers

import keras_ctxseg as ctx
from keras_ctxseg.benchmark import count_multiply_adds


def network(*stack, channels=3):
    return keras.Sequential([keras.Input((None, None, channels)), *stack])


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ([layers.Conv2D(8, 3, padding="same")], 37 * 41 * 9 * 3 * 8),
        ([layers.Conv2D(8, 3, padding="valid")], 35 * 39 * 9 * 3 * 8),
        ([layers.Conv2D(8, 5, strides=2, padding="same")], 19 * 21 * 25 * 3 * 8),
        # No multiple of 37 or 41: SpaceToBatch pads to 40 x 48, which must not count.
        ([layers.Conv2D(8, 3, dilation_rate=6, padding="same")], 37 * 41 * 9 * 3 * 8),
        ([layers.Conv2D(8, (3, 1), dilation_rate=(4, 1), padding="valid")], 29 * 41 * 3 * 3 * 8),
        ([layers.DepthwiseConv2D(3, padding="same")], 37 * 41 * 9 * 3),
        (
            [layers.DepthwiseConv2D(3, dilation_rate=5, depth_multiplier=2, padding="same")],
            37 * 41 * 9 * 3 * 2,
        ),
        ([layers.SeparableConv2D(8, 3, strides=2, padding="same")], 19 * 21 * (9 * 3 + 3 * 8)),
        ([layers.Conv2D(9, 3, groups=3, padding="same")], 37 * 41 * 9 * 1 * 9),
        ([layers.Conv2DTranspose(8, 3, strides=2, padding="same")], 37 * 41 * 9 * 3 * 8),
        ([layers.Dense(7)], 37 * 41 * 3 * 7),
        ([layers.EinsumDense("bhwc,cdk->bhwdk", output_shape=(None, None, 4, 5))], 37 * 41 * 60),
        ([layers.GlobalAveragePooling2D(), layers.Dense(7)], 3 * 7),
        ([layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()], 0),
    ],
    ids=[
        *("same", "valid", "strided", "dilated", "rectangle", "depthwise", "depthwise_dilated"),
        *("separable", "grouped", "transposed", "dense", "einsum", "pooled", "free"),
    ],
)
def test_one_layer_by_hand(stack, expected):
    model = network(*stack)
    assert count_multiply_adds(model, (37, 41)).total == expected
    assert count_multiply_adds(model, (37, 41), batch_size=3).total == 3 * expected


def test_what_follows_a_grouped_convolution_counts_too():
    # Keras hands grouped convolutions to XLA as a call without known shapes.
    model = network(
        layers.Conv2D(8, 3, groups=2, padding="same"),
        layers.Conv2D(6, 3, dilation_rate=2, padding="same"),
        channels=4,
    )
    assert count_multiply_adds(model, (10, 12, 4)).total == 10 * 12 * 9 * (2 * 8 + 8 * 6)


def test_matrix_products_of_an_attention():
    queries = keras.Input((None, None, 6))
    flat = layers.Reshape((20, 6))(queries)
    mixed = layers.Dot(axes=1)([flat, flat])  # (6, 20) x (20, 6)
    model = keras.Model(queries, mixed)
    counted = count_multiply_adds(model, (4, 5, 6))
    assert counted.total == 6 * 6 * 20
    assert str(counted) == "0.00 GMAC"


def test_by_operation_largest_first():
    model = network(layers.SeparableConv2D(8, 3, padding="same"))
    counted = count_multiply_adds(model, (10, 10))
    assert list(counted.by_operation.items()) == [
        ("DepthwiseConv2dNative", 2700),
        ("Conv2D", 2400),
    ]


def test_what_runs_may_be_less_than_what_is_specified():
    coarse, fine, filters = 64, 3, 5
    layer = ctx.layers.ConvNormAct(filters, 3)
    pooled, images = layers.AveragePooling2D(4), keras.Input((None, None, 3))
    low = layers.Conv2D(coarse, 1)(pooled(images))
    model = keras.Model(images, layer(images, coarse=low))
    before = 6 * 8 * 3 * coarse
    specified = 24 * 32 * 9 * (coarse + fine) * filters
    assert count_multiply_adds(model, (24, 32)).total == before + specified
    # Nine products a coarse pixel; columns, three rows of taps at a time; rows; the fine map.
    rearranged = (
        6 * 8 * 9 * coarse * filters
        + 6 * 32 * (3 * 8) * 3 * filters
        + 24 * 32 * (3 * 6) * filters
        + 24 * 32 * 9 * fine * filters
    )
    assert count_multiply_adds(model, (24, 32), as_run=True).total == before + rearranged


def test_loops_are_refused():
    model = keras.Sequential([keras.Input((None, 4)), layers.LSTM(3)])
    # (height, width, channels) of a "map" of one row is a sequence to the reshaping in front.
    front = keras.Sequential([keras.Input((1, None, 4)), layers.Reshape((-1, 4)), model])
    with pytest.raises(ValueError, match="cannot count .*known only at run time"):
        count_multiply_adds(front, (1, 9, 4))


# Known figures of these networks, 21 classes at 512x512, in 10^9.
@pytest.mark.parametrize(
    ("name", "output_stride", "stem", "expected"),
    [
        ("deeplabv3_resnet50", 16, "deep", 54.9),
        ("deeplabv3plus_resnet50", 16, "deep", 76.3),
        ("deeplabv3_resnet50", 16, "7x7", 47.8),
        ("deeplabv3plus_resnet50", 16, "7x7", 69.2),
        ("deeplabv3_resnet50", 8, "7x7", 161.2),
    ],
)
def test_published_networks(name, output_stride, stem, expected):
    model = ctx.models.build(name, num_classes=21, output_stride=output_stride, stem=stem)
    assert count_multiply_adds(model, (512, 512)).total / 1e9 == pytest.approx(expected, rel=2e-3)
