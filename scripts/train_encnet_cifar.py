"""EncNet's CIFAR-10 classifier by the paper's recipe (arXiv 1803.08904, section 3.5), in one file.

    python scripts/train_encnet_cifar.py                               # 3.514 M parameters
    python scripts/train_encnet_cifar.py --widen 8 --num-codewords 32

SGD 0.1 with momentum 0.9, weight decay 1e-4, a cosine to 0 over 600 epochs, batch 128; images are
padded by 4, cropped to 32×32 and flipped. The paper states errors of 3.96 % for (4, 16) and 3.45 %
for (8, 32); this script's own have not been measured. 600 epochs want a GPU; on a CPU,
`--epochs 1 --train-split "train[:2%]"` shows that everything works. TensorFlow Datasets fetches
CIFAR-10 (about 160 MB) on first use.
"""

import argparse

import keras
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_ctxseg as ctx


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widen", type=int, default=4, help="widths are 16, 32, 64 times this")
    parser.add_argument("--num-codewords", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--precision", default="float32", help="or mixed_bfloat16, mixed_float16")
    parser.add_argument("--train-split", default="train", help='a part of it: "train[:10%%]"')
    parser.add_argument("--test-split", default="test")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps its files")
    parser.add_argument("--output", default="encnet_cifar.keras")
    return parser.parse_args()


def augment(image, label):
    """Pads by 4 on every side, crops to 32×32 and flips at random."""
    image = tf.pad(image, [[4, 4], [4, 4], [0, 0]])
    image = tf.image.random_crop(image, (32, 32, 3))
    return tf.image.random_flip_left_right(image), label


def main() -> None:
    options = parse_arguments()
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(options.precision)

    # Data: images uint8 in 0...255, one class id each.
    train, test = tfds.load(
        "cifar10",
        split=[options.train_split, options.test_split],
        as_supervised=True,
        data_dir=options.data_dir,
    )
    count = int(train.cardinality())
    train = train.cache().shuffle(count).map(augment, tf.data.AUTOTUNE)
    train = train.batch(options.batch_size, drop_remainder=count >= options.batch_size)
    test = test.batch(1000)

    # Model: images to a dict with one set of logits.
    model = ctx.models.build(
        "encnet_cifar",
        num_classes=10,
        widen=options.widen,
        num_codewords=options.num_codewords,
    )

    # Recipe. Weight decay spares biases and normalisation, as everywhere in this package.
    total_steps = options.epochs * int(train.cardinality())
    rate = keras.optimizers.schedules.CosineDecay(options.learning_rate, total_steps)
    model.compile(
        optimizer=ctx.training.SGD(rate, momentum=0.9, weight_decay=options.weight_decay),
        loss={"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
        metrics={"logits": ["accuracy"]},
        jit_compile=False,
    )
    model.fit(
        train.prefetch(tf.data.AUTOTUNE),
        epochs=options.epochs,
        validation_data=test,
        validation_freq=min(10, options.epochs),
        shuffle=False,  # The pipeline does.
    )
    model.save(options.output)
    accuracy = model.evaluate(test, return_dict=True, verbose=0)["accuracy"]
    print(f"Test error {100 * (1 - accuracy):.2f} %. Saved {options.output}")


if __name__ == "__main__":
    main()
