"""No public class accepts an option that it ignores.

For every constructor option of every public layer, backbone, loss, metric, optimizer and schedule,
another value changes what the object computes, its weights or its structure, or is refused.
"""

import inspect
from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.training import optimizers
from keras_ctxseg.training.schedule import PolyDecay

REFUSED = object()
# Keras' own options of every layer and loss, which Keras' tests cover.
KERAS = {"self", "args", "kwargs", "name", "dtype"}


@dataclass
class Case:
    """A class, its arguments, another value for each option, and inputs.

    An option whose other value needs further arguments has a dict of all of them.
    """

    cls: type
    base: dict
    others: dict
    inputs: tuple = ((2, 6, 9, 4),)
    keras_options: dict = field(default_factory=dict)  # those of Keras' base class


def _layers():
    layers = ctx.layers
    conv = {"strides": 2, "dilation": 2, "padding": "same", "activation": None}
    conv |= {"momentum": 0.5, "epsilon": 0.1}
    pyramid = {"filters": 3, "rates": (1, 3), "image_pooling": False, "dropout": 0.5}
    pyramid["projection_size"] = 3
    plain = {"use_bias": True, "activation": "tanh", "kernel_regularizer": "l2"}
    refused = dict.fromkeys(("padding", "dilation_rate", "groups", "data_format"), REFUSED)
    depthwise_refused = {name: REFUSED for name in refused if name != "groups"}
    return [
        Case(
            layers.ConvNormAct,
            {"filters": 4, "kernel_size": 3},
            conv | {"filters": 5, "kernel_size": 1, "padding": {"padding": "same", "strides": 2}},
        ),
        Case(
            layers.DepthwiseConvNormAct,
            {},
            conv | {"kernel_size": 5, "padding": {"padding": "same", "strides": 2}},
        ),
        Case(
            layers.SeparableConvNormAct,
            {"filters": 4},
            {"filters": 5, "kernel_size": 5, "dilation": 2},
        ),
        Case(
            layers.CollapsedConv2D,
            {"filters": 4, "kernel_size": 3, "use_bias": False},
            {"filters": 5, "kernel_size": 1, "strides": 2},
            keras_options=plain | refused,
        ),
        Case(
            layers.CollapsedDepthwiseConv2D,
            {"kernel_size": 3, "use_bias": False},
            {"kernel_size": 1, "strides": 2},
            keras_options={"use_bias": True, "activation": "tanh", "depth_multiplier": 2}
            | depthwise_refused,
        ),
        Case(
            layers.AtrousConv2D,
            {"filters": 4, "kernel_size": 3, "padding": "same"},
            {"filters": 5, "kernel_size": 1, "strides": 2, "dilation_rate": 2},
        ),
        Case(
            layers.AtrousPooling2D,
            {"pool_size": (2, 2)},
            {
                "pool_size": (3, 3),
                "dilation": 2,
                "mode": "average",
                "padding": "valid",
                "extra_tap": "after",
            },
        ),
        Case(layers.LayerScale, {}, {"init_value": 0.5}),
        Case(
            layers.BatchNorm,
            {},
            {"momentum": 0.5, "epsilon": 0.1},
            keras_options={"axis": 1, "center": False, "scale": False, "beta_initializer": "ones"},
        ),
        Case(layers.ImagePooling, {"filters": 3}, {"filters": 4}),
        Case(layers.NormalizeImages, {}, {"mean": (1, 2, 3), "std": (1, 2, 3)}, ((1, 4, 4, 3),)),
        Case(layers.ResizeLike, {}, {}, ((1, 3, 4, 2), (1, 6, 5, 1))),
        Case(
            layers.ResizeNearest, {"reduction": 2}, {"reduction": 3}, ((1, 3, 4, 2), (1, 8, 9, 3))
        ),
        Case(layers.ASPP, {"filters": 4, "rates": (1, 2)}, pyramid | {"separable": True}),
        Case(
            layers.SharedKernelASPP,
            {"filters": 4, "rates": (1, 2), "form": "product"},
            pyramid | {"fusion": "sum_all", "form": "direct"},
            keras_options={"separable": REFUSED},
        ),
        Case(
            layers.SharedKernelConv,
            {"filters": 4, "rates": (1, 2), "form": "product"},
            {"filters": 5, "rates": (1, 3), "form": "direct"},
        ),
        Case(
            layers.AtrousConsensus,
            {"filters": 4, "rates": (1, 2), "form": "product"},
            {
                "filters": 8,
                "rates": (1, 3),
                "branch_filters": 2,
                "share_kernel": {"share_kernel": False, "form": "auto"},
                "consensus": "mean",
                "form": "direct",
            },
        ),
        Case(
            layers.AtrousConsensus,
            {"filters": 4, "rates": (1, 2), "share_kernel": False},
            {"form": REFUSED},
        ),
        Case(
            layers.Encoding,
            {"num_codewords": 3, "resample_scale": True, "seed": 1},
            {"num_codewords": 4, "resample_scale": {"resample_scale": False, "seed": None}}
            | {"seed": 2},
        ),
        Case(layers.Encoding, {"num_codewords": 3}, {"seed": REFUSED}),
        Case(
            layers.EncodedSemantics,
            {"num_codewords": 3},
            {"num_codewords": 4, "variant": "paper", "momentum": 0.5, "epsilon": 0.1},
        ),
        Case(
            layers.ContextEncoding,
            {"num_codewords": 3},
            {"num_codewords": 4, "variant": "paper", "momentum": 0.5, "epsilon": 0.1},
        ),
        Case(
            layers.SpaMBranch,
            {"channels": 4, "stride": 1},
            {"channels": 5, "stride": 2, "down": "average_pooling", "block": 2},
            ((1, 16, 16, 3), (1, 4, 4, 6)),
        ),
        Case(
            layers.SpaMExchange,
            {"channels": 4, "stride": 1, "reduction": 4},
            {
                "channels": REFUSED,  # These three are the maps' own.
                "stride": REFUSED,
                "reduction": REFUSED,
                "down": "average_pooling",
                "block": 2,
            },
            ((1, 16, 16, 4), (1, 4, 4, 6)),
        ),
        Case(
            layers.RelationalSemanticsExtractor,
            {"filters": 4, "window": 3, "heads": 2},
            {"filters": 8, "window": 5, "heads": 1, "scale": 3},
            ((1, 6, 8, 3), (1, 3, 4, 5)),
        ),
        Case(
            layers.RelationPropagator,
            {"filters": 4, "window": 3, "heads": 2},
            {"filters": 8, "window": 5, "heads": 1, "scale": 3, "normalize": False},
            ((1, 6, 8, 3), (1, 3, 4, 5)),
        ),
    ]


def _layer_and_call(case, arguments):
    """The layer with random weights, its initial weights, and a function of `training`."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    inputs = [tf.constant(rng.normal(size=shape), tf.float32) for shape in case.inputs]
    layer = case.cls(**arguments)
    if isinstance(layer, ctx.layers.SpaMBranch):  # what it exchanges is a layer of its own
        images, features = (keras.Input(shape[1:]) for shape in case.inputs)
        exchanged = layer.exchange(layer(images), features, reduction=4)
        layer, inputs = keras.Model([images, features], exchanged), [inputs]

    def call(training):
        options = {"training": training} if layer._call_has_training_arg else {}
        return layer(*inputs, **options)

    call(False)
    initial = _plain(layer.weights)
    for weight in layer.weights:
        if weight.dtype == "float32":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return layer, initial, call


def _layer_values(case, arguments):
    layer, initial, call = _layer_and_call(case, arguments)
    return initial, _plain([call(False), call(True), layer.losses, layer.weights])


def _layer_operations(case, arguments):
    _, _, call = _layer_and_call(case, arguments)
    graph = tf.function(call).get_concrete_function(False).graph
    return [operation.type for operation in graph.get_operations()]


def _plain(values):
    return [(str(value.dtype), np.array(value).tolist()) for value in tf.nest.flatten(values)]


@pytest.mark.parametrize("case", _layers(), ids=lambda case: case.cls.__name__)
def test_layers(case):
    _check(
        case,
        lambda arguments: _layer_values(case, arguments),
        # `form` says how: the values are the same.
        lambda arguments: _layer_operations(case, arguments),
    )


def test_every_public_layer_has_a_case():
    public = {getattr(ctx.layers, name) for name in ctx.layers.__all__}
    classes = {item for item in public if inspect.isclass(item)}
    assert classes == {case.cls for case in _layers()}


BACKBONES = [
    Case(
        ctx.backbones.ResNet,
        {"depth": 50},
        {
            "depth": 34,
            "output_stride": 16,
            "stem": "deep",
            "multi_grid": (1, 2, 4),
            "half_dilation": {"half_dilation": False, "output_stride": 16},
            "stride_in_1x1": True,
            "padding": "same",
            "normalization": "caffe",
            "activation": {"activation": "swish", "padding": "same"},
        },
    ),
    Case(
        ctx.backbones.MobileNetV2,
        {},
        {
            "output_stride": 16,
            "width": 0.5,
            "context_free_from": 3,
            "padding": "same",
            "normalization": "caffe",
        },
    ),
    Case(
        ctx.backbones.Xception65,
        {"middle_repeats": 1},
        {"output_stride": 16, "middle_repeats": 2, "normalization": "caffe"},
    ),
    Case(
        ctx.backbones.SpineNet,
        {"scale": "s49s"},
        {
            "scale": "s96",
            "min_level": 4,
            "max_level": 6,
            "blocks": "searched",
            "width": 0.5,
            "activation": "swish",
            "normalization": "caffe",
        },
    ),
]


@pytest.mark.parametrize("case", BACKBONES, ids=lambda case: case.cls.__name__)
def test_backbones(case, monkeypatch):
    """By the layers that they are made of; none is built."""
    made = []

    def record(layer, *inputs):
        shapes = [tf.nest.map_structure(lambda tensor: tensor.shape, each) for each in inputs]
        made.append((type(layer).__name__, layer.get_config(), shapes))
        return keras.KerasTensor(layer.compute_output_shape(*shapes))

    monkeypatch.setattr(keras.layers.Layer, "__call__", record)

    def outcome(arguments):
        made.clear()
        features = case.cls(**arguments)(keras.KerasTensor((1, 65, 97, 3)))
        return str(made), {level: x.shape for level, x in features.items()}

    _check(case, outcome)


def test_every_public_backbone_has_a_case():
    public = [getattr(ctx.backbones, name) for name in ctx.backbones.__all__]
    classes = {item for item in public if inspect.isclass(item)}
    concrete = {item for item in classes if issubclass(item, ctx.backbones.Backbone)}
    # Networks from elsewhere are made by Keras' calls: tests/backbones tests their options.
    elsewhere = {ctx.backbones.KerasBackbone, ctx.backbones.ApplicationBackbone}
    expected = {case.cls for case in BACKBONES} | elsewhere
    assert concrete - {ctx.backbones.Backbone} == expected


LABELS = np.array([[[0, 1, 2], [1, 0, 1], [0, 255, 1]]])
THINGS = LABELS + 1024 * np.array([[[1, 1, 2], [2, 2, 2], [3, 0, 0]]])
OTHERS = {"ignore_label": 1, "name": "another", "dtype": "float64"}
LOSSES = [
    (
        Case(
            ctx.losses.SegmentationCrossentropy,
            {},
            OTHERS | {"class_weights": [1, 2, 3], "label_smoothing": 0.1, "top_k_fraction": 0.5},
        ),
        LABELS,
        (1, 3, 3, 3),
    ),
    *(
        (Case(loss, {}, OTHERS | options), LABELS, (1, 3, 3, 3))
        for loss, options in (
            (ctx.losses.FocalLoss, {"gamma": 1.0}),
            (ctx.losses.TverskyLoss, {"alpha": 0.9, "beta": 0.2, "smooth": 1.0}),
            (ctx.losses.DiceLoss, {"smooth": 1.0}),
            (ctx.losses.JaccardLoss, {"smooth": 1.0}),
            (ctx.losses.LovaszSoftmaxLoss, {}),
            (ctx.losses.BoundaryLoss, {"width": 5, "tolerance": 1}),
        )
    ),
    (Case(ctx.losses.ClassPresenceLoss, {}, OTHERS), LABELS, (1, 3)),
    (Case(ctx.losses.CenterHeatmapLoss, {}, OTHERS | {"sigma": 1.0}), THINGS, (1, 3, 3, 1)),
    (Case(ctx.losses.CenterOffsetLoss, {}, OTHERS), THINGS, (1, 3, 3, 2)),
    (
        Case(
            ctx.losses.WeightedSum,
            {"losses": [ctx.losses.SegmentationCrossentropy()] * 2},
            {
                "losses": [ctx.losses.SegmentationCrossentropy(label_smoothing=0.5)] * 2,
                "weights": [1.0, 3.0],
                "name": "another",
            },
        ),
        LABELS,
        (1, 3, 3, 3),
    ),
]


@pytest.mark.parametrize(
    ("case", "labels", "shape"), LOSSES, ids=[case.cls.__name__ for case, *_ in LOSSES]
)
def test_losses(rng, case, labels, shape):
    outputs = rng.normal(size=shape).astype("float32")

    def outcome(arguments):
        loss = case.cls(**arguments)
        return loss.name, _plain(loss(labels, outputs))

    _check(case, outcome, covered={"self"})


METRICS = [
    Case(metric, {"num_classes": 3}, {"num_classes": 4, "ignore_label": 1} | names)
    for metric in (ctx.metrics.ConfusionMatrix, ctx.metrics.MeanIoU, ctx.metrics.PixelAccuracy)
    for names in ({"name": "another", "dtype": "int32"},)
]


@pytest.mark.parametrize("case", METRICS, ids=lambda case: case.cls.__name__)
def test_metrics(rng, case):
    predicted = rng.integers(0, 3, LABELS.shape)

    def outcome(arguments):
        metric = case.cls(**arguments)
        metric.update_state(LABELS, predicted)
        return metric.name, _plain([metric.result(), metric.variables])

    _check(case, outcome, covered={"self"})


def test_every_public_loss_and_metric_has_a_case():
    for package, base, cases in (
        (ctx.losses, keras.losses.Loss, [case for case, *_ in LOSSES]),
        (ctx.metrics, keras.metrics.Metric, METRICS),
    ):
        public = {getattr(package, name) for name in package.__all__}
        classes = {item for item in public if inspect.isclass(item) and issubclass(item, base)}
        assert classes == {case.cls for case in cases}


KERAS_OPTIMIZER = {
    "clipnorm": 0.1,
    "clipvalue": 0.1,
    "global_clipnorm": 0.1,
    "use_ema": True,
    "ema_momentum": {"ema_momentum": 0.5, "use_ema": True},
    "ema_overwrite_frequency": {"ema_overwrite_frequency": 2, "use_ema": True},
    "loss_scale_factor": 2.0,
    "gradient_accumulation_steps": 2,
}
OPTIMIZERS = [
    Case(
        optimizers.SGD,
        {"learning_rate": 0.1},
        {"learning_rate": 0.2, "momentum": 0.5, "weight_decay": 0.1, "lr_multipliers": {"": 2}}
        | {"name": "another"},
        keras_options=KERAS_OPTIMIZER | {"nesterov": True},
    ),
    Case(
        optimizers.AdamW,
        {"learning_rate": 0.1},
        {"learning_rate": 0.2, "weight_decay": 0.5, "lr_multipliers": {"": 2}, "name": "another"},
        keras_options=KERAS_OPTIMIZER
        | {"beta_1": 0.5, "beta_2": 0.5, "epsilon": 0.1}
        | {"amsgrad": True},
    ),
]


@pytest.mark.parametrize("case", OPTIMIZERS, ids=lambda case: case.cls.__name__)
def test_optimizers(case):
    def outcome(arguments):
        rng = np.random.default_rng(0)
        optimizer = case.cls(**arguments)
        variables = [
            keras.Variable(rng.normal(size=shape), dtype="float32") for shape in ((3, 2), (2,))
        ]
        for step in range(4):
            gradients = [tf.constant(rng.normal(size=v.shape), tf.float32) for v in variables]
            optimizer.apply([gradient * 2.0**-step for gradient in gradients], variables)
        scaled = optimizer.scale_loss(1.0)
        state = [*variables, *optimizer.variables]
        return optimizer.name, float(scaled), _plain(state)

    _check(case, outcome)


def test_schedule():
    case = Case(
        PolyDecay,
        {"learning_rate": 0.1, "total_steps": 10},
        {"learning_rate": 0.2, "total_steps": 20, "power": 0.5, "warmup_steps": 3}
        | {"end_learning_rate": 0.01, "name": "another"},
    )

    def outcome(arguments):
        schedule = case.cls(**arguments)
        return schedule.name, [float(schedule(step)) for step in range(12)]

    _check(case, outcome, covered={"self"})


def _check(case, outcome, structure=None, covered=KERAS):
    base = outcome(case.base)
    assert outcome(case.base) == base, "the outcome is not deterministic"
    for name, value in (case.others | case.keras_options).items():
        if value is REFUSED:
            value = {"padding": "same", "form": "direct"}.get(name, 2)
            with pytest.raises((ValueError, TypeError, tf.errors.InvalidArgumentError)):
                outcome(case.base | {name: value})
            continue
        arguments = value if isinstance(value, dict) and name in value else {name: value}
        # What the other value needs must not be what makes the difference.
        needed = case.base | {key: other for key, other in arguments.items() if key != name}
        changed = case.base | arguments
        same = outcome(changed) == (base if needed == case.base else outcome(needed))
        if same and structure is not None:
            same = structure(changed) == structure(needed)
        assert not same, f"{case.cls.__name__} ignores {name}"
    if case.others and all(value is REFUSED for value in case.others.values()):
        return  # What is refused beside this base; another case has the rest.
    missing = _parameters(case.cls) - set(case.others) - set(case.keras_options) - covered
    assert not missing, f"{case.cls.__name__}: no other value for {missing}"


def _parameters(cls):
    """The constructor's parameters, and those of the base classes that it hands `**kwargs` to."""
    found = set()
    for base in cls.__mro__:
        if base.__module__.startswith("keras_ctxseg") and "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters
            found |= set(parameters)
            if "kwargs" not in parameters:
                break
    return found
