"""torchvision's names of a ResNet, which PyTorch projects share."""

from keras_ctxseg.convert.tables import Row

BLOCKS = (
    Row(
        "backbone_stage{s}_block{b}_conv{n}",
        "layer{s-1}.{b-1}.conv{n}",
        "layer{s-1}.{b-1}.bn{n}",
    ),
    Row(
        "backbone_stage{s}_block{b}_shortcut",
        "layer{s-1}.{b-1}.downsample.0",
        "layer{s-1}.{b-1}.downsample.1",
    ),
)
STEM_7X7 = (Row("backbone_stem_conv1", "conv1", "bn1"),)
# Three 3×3 in a row, the last one's normalisation outside of it.
STEM_DEEP = (
    Row("backbone_stem_conv1", "conv1.0", "conv1.1"),
    Row("backbone_stem_conv2", "conv1.3", "conv1.4"),
    Row("backbone_stem_conv3", "conv1.6", "bn1"),
)
# OpenMMLab's: one sequence.
STEM_OPENMMLAB = (
    Row("backbone_stem_conv1", "stem.0", "stem.1"),
    Row("backbone_stem_conv2", "stem.3", "stem.4"),
    Row("backbone_stem_conv3", "stem.6", "stem.7"),
)
COUNTERS = (r"\.num_batches_tracked$", "counter of training steps")
IMAGENET_CLASSIFIER = (r"^fc\.", "classifier of ImageNet")
EPSILON = 1e-5
