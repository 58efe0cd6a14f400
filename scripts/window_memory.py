"""How much memory a large image takes in windows, beyond the network itself.

    python scripts/window_memory.py --size 4096x8192 --window 512x512 --stride 341

Prints the process's peak after one batch of windows, which is what the network needs, and after the
whole image. All logits of that image at once would be classes * height * width * 4 bytes.
"""

import argparse
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import keras_ctxseg as ctx


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="ksac_mobilenet_v2")
    parser.add_argument("--width", type=float, default=0.35, help="of MobileNetV2")
    parser.add_argument("--classes", type=int, default=19)
    parser.add_argument("--size", default="4096x8192", help="HEIGHTxWIDTH")
    parser.add_argument("--window", default="512x512", help="HEIGHTxWIDTH")
    parser.add_argument("--stride", type=int, default=341)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--scales", default="1", help="with commas between")
    parser.add_argument("--flip", action="store_true")
    return parser.parse_args()


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    options = parse_arguments()
    size, window = (tuple(map(int, text.split("x"))) for text in (options.size, options.window))
    model = ctx.models.build(options.model, num_classes=options.classes, width=options.width)
    predictor = ctx.evaluation.Predictor(
        model,
        scales=tuple(map(float, options.scales.split(","))),
        flip=options.flip,
        window=window,
        stride=(options.stride, options.stride),
        batch_size=options.batch,
    )
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (size[0] // 64, size[1] // 64, 3), dtype=np.uint8)

    predictor.scores(np.zeros((options.batch, *window, 3), np.float32))
    own = peak_mib()
    print(f"network, one batch of {options.batch} windows   {own:8.0f} MiB")
    image = coarse.repeat(64, 0).repeat(64, 1)
    began = time.perf_counter()
    labels = predictor.label(image)
    seconds = time.perf_counter() - began
    assert labels.shape == size
    peak = peak_mib()
    print(f"{options.size} image in windows        {peak:8.0f} MiB, {seconds:.0f} s")
    print(f"beyond the network                  {peak - own:8.0f} MiB")
    logits = options.classes * size[0] * size[1] / 2**18
    print(f"all logits at once would take       {logits:8.0f} MiB")


if __name__ == "__main__":
    main()
