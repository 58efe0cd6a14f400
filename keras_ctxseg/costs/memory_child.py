"""The process in which `measure_peak_memory` measures; prints one line of JSON.

Arguments: a `.keras` file, height, width, number of passes.
"""

import contextlib
import json
import resource
import sys
from pathlib import Path


def main(path: str, height: str, width: str, passes: str) -> None:
    """Builds, notes the baseline, runs, prints."""
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_ctxseg._registration import register_classes
    from keras_ctxseg.costs.graph import traced

    register_classes()
    model = keras.models.load_model(path, compile=False)
    shape = (1, int(height), int(width), model.inputs[0].shape[-1])
    function = traced(model, shape)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, shape).astype("float32"))
    reset_peak()
    baseline = resident()
    for _ in range(int(passes)):
        function(images)
    print(json.dumps({"baseline": baseline, "peak": peak()}))


def reset_peak() -> None:
    """Forgets the highest use so far, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def resident() -> int:
    """Bytes resident now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    except OSError:  # no /proc: the peak so far, from above
        return peak()


def peak() -> int:
    """Highest number of resident bytes since `reset_peak`."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # Not the first choice: on Linux it starts with the peak of the process that forked this one.
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum if sys.platform == "darwin" else maximum * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
