"""Memory that TensorFlow's C++ loader holds for a SavedModel, and the time of a request.

    python scripts/served_memory.py saved_models/NAME/VERSION photo.jpg --requests 8

Loads the SavedModel as TensorFlow Serving does, in a process without Python's TensorFlow, and
sends the image to `serving_default`. Prints MiB (resident) after loading and after three requests,
and the processor time of the fastest of the others. TensorFlow's wheel must contain its C API.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
TESTS = Path(__file__).resolve().parent.parent / "tests" / "export"
# The names of the tensors are in a protobuf message, which this process must not load.
NAMES = """
import json, sys
from tensorflow.core.protobuf import saved_model_pb2
stored = saved_model_pb2.SavedModel()
stored.ParseFromString(open(sys.argv[1] + "/saved_model.pb", "rb").read())
signature = stored.meta_graphs[0].signature_def["serving_default"]
infos = {**signature.inputs, **signature.outputs}
print(json.dumps({name: info.name for name, info in infos.items()}))
"""


def main() -> None:
    """Loads, asks, and prints one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("saved_model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--requests", type=int, default=8)
    arguments = parser.parse_args()
    found = subprocess.run(
        [sys.executable, "-c", NAMES, arguments.saved_model], capture_output=True, check=True
    )
    names = json.loads(found.stdout.splitlines()[-1])
    sys.path.insert(0, str(TESTS))
    from c_api_child import Loader

    file = arguments.image.read_bytes()
    libraries = Path(str(find_spec("tensorflow").origin)).parent
    before = resident()
    loader = Loader(libraries, str(arguments.saved_model))
    loaded = resident()
    times = []
    for _ in range(3 + arguments.requests):
        start = time.process_time()
        labels, errors = loader.run(names["images"], [file], [names["labels"], names["errors"]])
        times.append(time.process_time() - start)
        loader.array(labels)
        (error,) = loader.texts(errors)
        if error:
            raise SystemExit(error)
        if len(times) == 3:
            asked = resident()
    fastest = f", {1000 * min(times[3:]):.0f} ms of processor time" if times[3:] else ""
    print(f"loaded {loaded - before:.0f} MiB, requests {asked - loaded:.0f} MiB more{fastest}")


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
