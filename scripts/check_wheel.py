"""Builds the wheel, installs it in an empty environment away from the checkout, and uses it.

    python scripts/check_wheel.py
    python scripts/check_wheel.py --python python3.13 --keep /tmp/wheel

Checks that the wheel holds every file of the package and nothing else, that each module imports
with the dependencies alone, and that the README's path works in an empty folder: list, build, save,
load, doctor, train, evaluate, compare, export, predict. Needs a package index, 4 GB of disk and
a few minutes; the exit code is 1 if a step fails.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "keras_ctxseg"

# Packages of the extras: the only ones that a module may miss.
OF_EXTRAS = ("av", "onnx", "onnxruntime", "optuna", "tensorflow_serving", "tf2onnx")

RECIPE = """
name: {name}
model:
  name: ksac_mobilenet_v2
  options: {{output_stride: 16, rates: {rates}, width: 0.35, filters: 16}}
data: {{name: context_scenes}}
augmentation: {{crop_size: [96, 128]}}
training: {{batch_size: 32, epochs: 1, learning_rate: 0.05, overlay_images: 1}}
export: {{litert: true, input_size: [96, 128]}}
"""

IMPORT_ALL = """
import importlib, os, pkgutil, sys
import keras_ctxseg
extras = set(sys.argv[1:])
failed = []
for module in pkgutil.walk_packages(keras_ctxseg.__path__, "keras_ctxseg."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] not in extras:
            failed.append(f"{module.name}: {error}")
    except Exception as error:
        failed.append(f"{module.name}: {type(error).__name__}: {error}")
sys.exit("\\n".join(failed) or 0)
"""

BUILD_SAVE_LOAD = """
import sys
from pathlib import Path

import keras
import numpy as np

import keras_ctxseg as ctx

assert Path(ctx.__file__).is_relative_to(sys.prefix), ctx.__file__
model = ctx.models.build("encnet_mobilenet_v2", num_classes=5, width=0.35, filters=16)
images = np.random.default_rng(0).uniform(0, 255, (2, 65, 97, 3)).astype("float32")
expected = model(images)
assert expected["logits"].shape == (2, 65, 97, 5), expected["logits"].shape
model.save("model.keras")
loaded = keras.models.load_model("model.keras")(images)
for name, value in expected.items():
    np.testing.assert_allclose(loaded[name], value, atol=1e-5, err_msg=name)
"""

DRAW_SCENES = """
from pathlib import Path

import numpy as np
from PIL import Image

import keras_ctxseg as ctx

Path("photos").mkdir()
examples = ctx.data.evaluation_examples(ctx.data.load("context_scenes"), "val")
for number, example in zip(range(3), examples):
    Image.fromarray(np.asarray(example["image"]).astype("uint8")).save(f"photos/{number}.png")
"""


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="interpreter to install for")
    parser.add_argument("--keep", type=Path, help="work in this new folder, and leave it there")
    arguments = parser.parse_args()
    if arguments.keep is None:
        with tempfile.TemporaryDirectory(prefix="ctxseg_wheel_") as folder:
            return check(Path(folder), arguments.python)
    arguments.keep.mkdir(parents=True)
    return check(arguments.keep.resolve(), arguments.python)


def check(folder: Path, python: str) -> int:
    """Builds, installs and uses the wheel below `folder`; returns the exit code."""
    try:
        use(install(build(folder, python), folder, python), folder)
    except (AssertionError, subprocess.CalledProcessError) as error:
        print(f"check_wheel: FAILED: {error}", file=sys.stderr)
        return 1
    print("check_wheel: passed")
    return 0


def build(folder: Path, python: str) -> Path:
    """Builds the wheel from a copy, so that an old `build/` cannot leak into it.

    Raises:
        AssertionError: the wheel lacks a file of the package, or holds another file.
    """
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    files = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    step("pip wheel", python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source)
    (wheel,) = folder.glob("*.whl")
    expected = {name for name in files if name.startswith(f"{PACKAGE}/")}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    missing, foreign = sorted(expected - found), sorted(found - expected)
    assert not missing, f"the wheel lacks {missing}"
    assert not foreign, f"the wheel holds files from outside the package: {foreign}"
    print(f"{wheel.name}: {len(found)} files, {wheel.stat().st_size / 2**20:.1f} MiB", flush=True)
    return wheel


def install(wheel: Path, folder: Path, python: str) -> Path:
    """Makes an environment with the wheel and its dependencies; returns its folder of programs."""
    step("venv", python, "-m", "venv", folder / "venv")
    programs = folder / "venv" / "bin"
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check")
    step("pip install", *pip, "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    step("pip check", *pip, "check")
    return programs


def use(programs: Path, folder: Path) -> None:
    """Works in an empty folder, with nothing of the checkout or the user's home."""
    work = folder / "work"
    home = folder / "home"
    work.mkdir()
    home.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "XDG_", "TFDS_", "CTXSEG_", "KERAS_", "VIRTUAL_ENV"))
    }
    environment |= {
        "HOME": str(home),
        "PATH": f"{programs}{os.pathsep}{environment['PATH']}",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }

    def run(name: str, *words) -> None:
        step(name, *words, cwd=work, env=environment)

    def script(name: str, code: str, *words) -> None:
        run(name, programs / "python", "-c", code, *words)

    ctxseg = programs / "ctxseg"
    run("ctxseg --help", ctxseg, "--help")
    run("ctxseg list models", ctxseg, "list", "models")
    run("ctxseg list data", ctxseg, "list", "data")
    script("import every module", IMPORT_ALL, *OF_EXTRAS)
    script("build, save, load", BUILD_SAVE_LOAD)
    run("ctxseg doctor", ctxseg, "doctor", "--litert")
    for name, rates in {"first": [1, 2], "second": [1, 2, 4]}.items():
        (work / f"{name}.yaml").write_text(RECIPE.format(name=name, rates=rates))
        run(f"ctxseg train {name}", ctxseg, "train", f"{name}.yaml")
        run(f"ctxseg evaluate {name}", ctxseg, "evaluate", f"runs/{name}")
    run("ctxseg compare", ctxseg, "compare", "runs/first", "runs/second", "--html", "compare.html")
    run("ctxseg export", ctxseg, "export", "runs/first")
    script("draw scenes", DRAW_SCENES)
    (litert,) = (work / "saved_models" / "first").rglob("*.tflite")
    models = {
        "run": ["runs/first"],
        "saved_model": ["--model", "saved_models/first"],
        "litert": ["--model", str(litert)],
    }
    for kind, words in models.items():
        run(f"ctxseg predict, {kind}", ctxseg, "predict", *words, "photos", "--output", kind)
        for result in ("labels", "overlays"):
            written = list((work / kind / result).iterdir())
            assert len(written) == 3, f"{kind}: expected 3 {result}, found {written}"


def step(name: str, *words, **options) -> None:
    """Runs a command and prints its time, and what it wrote if it fails.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [*map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout, flush=True)
        done.check_returncode()


if __name__ == "__main__":
    sys.exit(main())
