"""The bake-off: trains every recipe of a plan, keeps what was measured, and writes the page.

    python benchmarks/bakeoff.py --camvid data/camvid      # all runs; again, and it goes on
    python benchmarks/bakeoff.py --only camvid/ksac --seeds 0 1
    python benchmarks/bakeoff.py status                    # what is done, what is left
    python benchmarks/bakeoff.py speed                     # latencies; needs an idle machine
    python benchmarks/bakeoff.py pictures                  # where systems differ; needs the runs
    python benchmarks/bakeoff.py page                      # docs/bakeoff.md from what was kept
    python benchmarks/bakeoff.py adopt runs/families       # take over runs of the same recipes

Runs go one after another, in the plan's order of value (configs/bakeoff/plan.yaml), each in a
process of its own. A finished run is not run again; one that was stopped, by a signal or a kill,
goes on from its checkpoint. What is measured lands in docs/bakeoff/<data>/<recipe>/seed<seed>/.
"""

from __future__ import annotations

import argparse
import fnmatch
import subprocess
import sys
from pathlib import Path

from bakeoff_parts import runs
from bakeoff_parts.plan import Job, Plan, read_plan

from keras_ctxseg.runs.config import ConfigError

ROOT = Path(__file__).parents[1]
USER_ERROR = 2


def main(words: list[str] | None = None) -> int:
    """Returns 0, 2 where something cannot be used, 75 where a signal stopped a run."""
    options = _parser().parse_args(words)
    try:
        plan = read_plan(options.plan)
        return COMMANDS[options.command](plan, options)
    except (ValueError, OSError) as error:
        print(f"bakeoff: error: {error}", file=sys.stderr)
        return USER_ERROR


def _run(plan: Plan, options: argparse.Namespace) -> int:
    from bakeoff_parts.page import read

    read(plan, options.page)  # what cannot be filled is said before hours of training
    failed = False
    for number, job in enumerate(jobs := _chosen(plan, options), start=1):
        overrides = _places(plan, job, options)
        if overrides is None:
            print(f"-- {job}: no folder {options.camvid}; say where it is with --camvid")
            continue
        print(f"== {job} ({number} of {len(jobs)})", flush=True)
        try:
            runs.run(plan, job, options.runs, options.kept, overrides)
        except subprocess.CalledProcessError as error:
            if error.returncode in (runs.PREEMPTED, -15, -9, 130, 143):
                print("bakeoff: stopped; the same command goes on", file=sys.stderr)
                _page(plan, options)
                return runs.PREEMPTED
            print(f"bakeoff: {job} failed ({error.returncode}); going on", file=sys.stderr)
            failed = True
        except ConfigError as error:
            print(f"bakeoff: {job} is passed over: {error}", file=sys.stderr)
            failed = True
    _page(plan, options)
    return USER_ERROR if failed else 0


def _status(plan: Plan, options: argparse.Namespace) -> int:
    for job in _chosen(plan, options):
        kept = runs.Kept(options.kept, job)
        begun = (options.runs / job.data / job.recipe / f"seed{job.seed}").is_dir()
        state = "begun" if begun else "to do"
        if kept.is_whole():
            state = "done" if kept.fits(plan.config(job)) else "done by another recipe"
        print(f"{state:10} {job}")
    return 0


def _adopt(plan: Plan, options: argparse.Namespace) -> int:
    if options.source is None:
        raise ValueError("adopt: expected a folder with runs, as in `adopt runs/families`")
    for job in runs.adopt(plan, options.source, options.runs):
        print(f"taken over: {job}")
    return 0


def _page(plan: Plan, options: argparse.Namespace) -> int:
    from bakeoff_parts.page import rebuild

    rebuild(plan, options.kept, options.page)
    return 0


def _speed(plan: Plan, options: argparse.Namespace) -> int:
    from bakeoff_parts.speed import measure

    chosen = list(dict.fromkeys((job.data, job.recipe) for job in _chosen(plan, options)))
    measure(plan, chosen, options.kept, options.runs / "exports", options.at_once, options.repeats)
    return _page(plan, options)


def _pictures(plan: Plan, options: argparse.Namespace) -> int:
    from bakeoff_parts.pictures import draw

    for data in plan.data:
        if plan.data[data].pictured:
            draw(plan, data, options.kept, options.runs, options.kept / f"{data}.png")
    return _page(plan, options)


COMMANDS = {
    "run": _run,
    "status": _status,
    "adopt": _adopt,
    "page": _page,
    "speed": _speed,
    "pictures": _pictures,
}


def _chosen(plan: Plan, options: argparse.Namespace) -> list[Job]:
    chosen = [
        job
        for job in plan.jobs
        if (options.seeds is None or job.seed in options.seeds)
        and any(fnmatch.fnmatch(f"{job.data}/{job.recipe}", pattern) for pattern in options.only)
    ]
    if not chosen:
        raise ValueError(f"--only {' '.join(options.only)}: no run of the plan is meant by that")
    return chosen


def _places(plan: Plan, job: Job, options: argparse.Namespace) -> list[str] | None:
    """Overrides that say where data lie; None where they do not lie there."""
    if plan.config(job).data.name != "folder":
        return []
    if not options.camvid.is_dir():
        return None
    return [f"data.options.path={options.camvid.absolute()}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", nargs="?", choices=[*COMMANDS], default="run")
    parser.add_argument("source", nargs="?", type=Path, help="of `adopt`: a folder with runs")
    parser.add_argument(
        "--camvid", type=Path, default=Path("data/camvid"), help="default: data/camvid"
    )
    parser.add_argument("--plan", type=Path, default=ROOT / "configs" / "bakeoff" / "plan.yaml")
    parser.add_argument("--runs", type=Path, default=Path("runs/bakeoff"), help="training runs")
    parser.add_argument("--kept", type=Path, default=ROOT / "docs" / "bakeoff", help="what is kept")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "bakeoff.md")
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="DATA/RECIPE", help="with * for any"
    )
    parser.add_argument("--seeds", nargs="+", type=int, help="default: all of the plan")
    parser.add_argument("--repeats", type=int, default=60, help="of `speed`: timed calls")
    parser.add_argument(
        "--at-once", type=int, default=9, help="of `speed`: recipes that take turns (9: 8 GiB)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
