"""The training recipe in one file, on the public API: read it, copy it, change it.

    python scripts/train.py --data camvid --image-scale 0.5 --crop 180 240 --epochs 60

`--data` is a folder with train/ and val/ (images/ and labels/ in each) and classes.json; without it
the embedded data set is drawn. `ctxseg train` does the same from a YAML file and adds resuming,
TensorBoard and atomic checkpoints.
"""

import argparse

import keras

import keras_ctxseg as ctx


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FOLDER", help="default: the embedded context_scenes")
    parser.add_argument("--model", default="ksac_mobilenet_v2", help="see `ctxseg list models`")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps-per-epoch", type=int, help="default: one pass over the images")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--image-scale", type=float, default=1.0)
    parser.add_argument("--crop", type=int, nargs=2, default=(128, 128), metavar=("H", "W"))
    parser.add_argument("--output", default="model.keras")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    keras.utils.set_random_seed(0)

    # Data: an endless stream of augmented batches, and the validation images as they are.
    if options.data:
        dataset = ctx.data.load("folder", path=options.data)
    else:
        dataset = ctx.data.load("context_scenes")
    augmentation = ctx.data.AugmentationConfig(
        crop_size=tuple(options.crop), scale_range=(0.5, 2.0)
    )
    pipeline = ctx.data.TrainPipeline(
        dataset,
        "train",
        augmentation,
        batch_size=options.batch_size,
        seed=0,
        image_scale=options.image_scale,
    )
    examples = ctx.data.evaluation_examples(dataset, "val", options.image_scale)

    # Model: images in 0...255 to a dict of logits.
    model = ctx.models.build(options.model, num_classes=dataset.num_classes)

    # Recipe: SGD with momentum, polynomial decay after a warm-up, L2 on kernels only, averaged
    # weights; cross-entropy over the valid pixels.
    steps_per_epoch = options.steps_per_epoch or pipeline.steps_per_epoch
    total_steps = options.epochs * steps_per_epoch
    optimizer = ctx.training.SGD(
        ctx.training.PolyDecay(options.learning_rate, total_steps, warmup_steps=total_steps // 20),
        momentum=0.9,
        weight_decay=1e-4,
        global_clipnorm=5.0,
        use_ema=True,
        ema_momentum=0.99,
    )
    model.compile(**ctx.training.default_compile(model, dataset.ignore_label, optimizer=optimizer))

    # With `use_ema` Keras leaves the averaged weights in the model when `fit` ends.
    model.fit(
        pipeline.build(), steps_per_epoch=steps_per_epoch, epochs=options.epochs, shuffle=False
    )
    model.save(options.output)

    # Scores at the label maps' own size.
    evaluator = ctx.evaluation.Evaluator(
        model, dataset.num_classes, dataset.ignore_label, dataset.class_names, progress=True
    )
    print(evaluator(examples).table())
    print(f"Saved {options.output}")


if __name__ == "__main__":
    main()
