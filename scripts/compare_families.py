"""Trains recipes with several seeds and tells which of them beat the baseline.

    python scripts/compare_families.py            # every family on the embedded data set
    python scripts/compare_families.py --seeds 0 --recipes configs/a.yaml configs/b.yaml

Each run is a `ctxseg train` of its own under OUTPUT/seed<seed>/. A run that is complete is not run
again, one that was stopped goes on; so the command can be repeated until the table is whole. The
table lands in OUTPUT/table.md. Scores are those of the last epoch: the best of several validations
would favour whoever was validated on a lucky epoch.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from keras_ctxseg.training import load_config

RECIPES = Path(__file__).parents[1] / "configs" / "context_scenes"
FAMILIES = (
    "fcn_mobilenet_v2",
    "deeplabv3_mobilenet_v2",
    "deeplabv3plus_mobilenet_v2",
    "encnet_mobilenet_v2",
    "ksac_mobilenet_v2",
    "spacemeshlab_mobilenet_v2",
    "rsp_mobilenet_v2",
    "fcn_resnet18",
    "spinenet_seg_s49s",
)
# SpineNet is a backbone of its own: a ResNet-18 with the plain head stands in for its baseline.
BASELINES = {"spinenet_seg_s49s": "fcn_resnet18", "fcn_resnet18": "fcn_resnet18"}


@dataclass(frozen=True)
class Outcome:
    """One finished run: mIoU in 0...1, seconds of the whole process."""

    mean_iou: float
    parameters: int
    wall_seconds: float
    cpu_seconds: float


def run(recipe: Path, seed: int, output: Path, overrides: list[str]) -> Outcome:
    """Trains one recipe with one seed, unless that was done before."""
    config = load_config(recipe)
    folder = output / f"seed{seed}" / config.name
    record = folder / "outcome.json"
    if record.exists():
        return Outcome(**json.loads(record.read_text()))
    command = [sys.executable, "-m", "keras_ctxseg.cli", "train", str(recipe), *overrides]
    command += [f"training.seed={seed}", f"output_dir={folder.parent}"]
    if (folder / "checkpoints").is_dir():
        command.append("--resume")
    began, cpu_before = time.perf_counter(), os.times()
    subprocess.run(command, check=True)
    cpu = os.times()
    outcome = Outcome(
        mean_iou=_last_score(folder / "log.csv"),
        parameters=_parameters(folder / "checkpoints" / "last.keras"),
        wall_seconds=time.perf_counter() - began,
        cpu_seconds=cpu.children_user
        - cpu_before.children_user
        + cpu.children_system
        - cpu_before.children_system,
    )
    record.write_text(json.dumps(asdict(outcome)))
    return outcome


def table(outcomes: dict[str, list[Outcome]], baselines: dict[str, str], default: str) -> str:
    """A Markdown table: mean and standard deviation over seeds, gain over the baseline."""
    lines = [
        "| recipe | seeds | mIoU, mean | deviation | lowest | highest | over its baseline "
        "| parameters | CPU seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in outcomes.items():
        scores = [100 * outcome.mean_iou for outcome in runs]
        spread = f"{statistics.stdev(scores):.1f}" if len(scores) > 1 else "-"
        baseline = baselines.get(name, default)
        gain = "-"
        if baseline != name and baseline in outcomes:
            base = statistics.mean(100 * outcome.mean_iou for outcome in outcomes[baseline])
            gain = f"{statistics.mean(scores) - base:+.1f}"
        cpu = statistics.mean(outcome.cpu_seconds for outcome in runs)
        lines.append(
            f"| `{name}` | {len(runs)} | {statistics.mean(scores):.1f} | {spread} "
            f"| {min(scores):.1f} | {max(scores):.1f} | {gain} "
            f"| {runs[0].parameters:,} | {cpu:.0f} |"
        )
    return "\n".join(lines)


def _last_score(log: Path) -> float:
    with log.open(newline="") as file:
        scores = [row["val_mean_iou"] for row in csv.DictReader(file) if row["val_mean_iou"]]
    return float(scores[-1])


def _parameters(checkpoint: Path) -> int:
    from keras_ctxseg.training import load_checkpoint

    return load_checkpoint(checkpoint).count_params()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--recipes",
        nargs="+",
        type=Path,
        default=[RECIPES / f"{name}.yaml" for name in FAMILIES],
        help="the first is the baseline of all that name none",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/families"))
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", dest="overrides")
    arguments = parser.parse_args()
    outcomes: dict[str, list[Outcome]] = {}
    for seed in arguments.seeds:  # Seed by seed: a table of every recipe is there early.
        for recipe in arguments.recipes:
            print(f"== {recipe.stem}, seed {seed}", flush=True)
            outcome = run(recipe, seed, arguments.output, arguments.overrides)
            outcomes.setdefault(recipe.stem, []).append(outcome)
            text = table(outcomes, BASELINES, arguments.recipes[0].stem)
            (arguments.output / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
