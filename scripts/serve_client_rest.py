"""Asks TensorFlow Serving over REST for the labels of images, and draws them.

    python scripts/serve_client_rest.py http://localhost:8501 NAME photo.jpg other.png --output out

Needs the Python standard library, NumPy and Pillow only.
"""

import argparse
import base64
import io
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

TRIES = 4


def main() -> int:
    """Writes `<image>_labels.png` and `<image>_overlay.png`; 1 where an image was refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server", help="such as http://localhost:8501")
    parser.add_argument("model")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("."))
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds a try")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    files = [path.read_bytes() for path in arguments.images]
    answers = ask(f"{arguments.server}/v1/models/{arguments.model}:predict", files,
                  arguments.timeout)  # fmt: skip
    refused = 0
    for path, file, answer in zip(arguments.images, files, answers, strict=True):
        if answer["errors"]:
            print(f"{path}: {answer['errors']}", file=sys.stderr)
            refused += 1
            continue
        height, width = answer["sizes"]
        labels = np.array(answer["labels"], np.uint8)[:height, :width]
        draw(file, labels, arguments.output / path.stem)
        names = [answer["class_names"][label] for label in np.unique(labels)]
        print(f"{path}: {height}x{width}, {', '.join(names)}")
    return int(refused > 0)


def ask(url: str, files: list[bytes], timeout: float) -> list[dict]:
    """One answer an image; a server that is busy or starting is asked again, later each time."""
    body = json.dumps(
        {
            "signature_name": "serving_default",
            "instances": [
                {"images": {"b64": base64.b64encode(file).decode("ascii")}} for file in files
            ],
        }
    ).encode()
    for attempt in range(TRIES):
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return json.load(response)["predictions"]
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503) or attempt == TRIES - 1:
                sys.exit(f"{url}: {error.code} {error.read().decode(errors='replace')[:300]}")
        except (urllib.error.URLError, TimeoutError) as error:
            if attempt == TRIES - 1:
                sys.exit(f"{url}: {error}")
        time.sleep(2.0**attempt)
    raise AssertionError("unreachable")


def draw(file: bytes, labels: np.ndarray, stem: Path) -> None:
    """The labels as a grey PNG, and the image under the classes' colours."""
    Image.fromarray(labels).save(f"{stem}_labels.png")
    colors = np.random.default_rng(1).integers(40, 256, (256, 3), dtype=np.uint8)
    photo = Image.open(io.BytesIO(file)).convert("RGB")
    Image.blend(photo, Image.fromarray(colors[labels]), 0.5).save(f"{stem}_overlay.png")


if __name__ == "__main__":
    sys.exit(main())
