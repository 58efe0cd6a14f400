"""`ctxseg search CONFIG [key=value ...] [--report | --confirm N | --serve HOST:PORT]`."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_ctxseg.search import Confirmation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, as in configs/search/")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="as in trials=50 or sampler.name=tpe"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--report", action="store_true", help="write the report of what there is, run no trial"
    )
    mode.add_argument(
        "--confirm",
        type=int,
        metavar="N",
        help="train the warm starts and the N best so far again, with other seeds: a search's best "
        "score is partly luck",
    )
    mode.add_argument(
        "--serve",
        metavar="HOST:PORT",
        help="offer the search's storage to other machines, which say storage=grpc://HOST:PORT; "
        "runs no trial itself",
    )
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[1, 2, 3],
        help="of --confirm, other than the recipe's own (default: 1 2 3)",
    )


def run(arguments: argparse.Namespace) -> int:
    import importlib.util

    from keras_ctxseg.runs.config import ConfigError
    from keras_ctxseg.search.config import load_proxy, load_search_config

    # Before TensorFlow loads: a misspelt key should not cost ten seconds.
    config = load_search_config(arguments.config, arguments.overrides)
    load_proxy(config)
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("the search needs Optuna: pip install 'keras_ctxseg[search]'")
    if arguments.serve:
        from keras_ctxseg.search.storage import serve

        serve(config.storage_location, arguments.serve)
        return 0
    from keras_ctxseg.search.confirmation import confirm
    from keras_ctxseg.search.run import load_result, run_search
    from keras_ctxseg.search.summary import write_summary

    try:
        if arguments.report:
            result = load_result(config)
        elif arguments.confirm is not None:
            result = confirm(config, arguments.confirm, arguments.seeds)
        else:
            result = run_search(config)
    except KeyboardInterrupt:
        result = load_result(config)
        report = write_summary(config, result)
        print(f"\n{len(result.records)} of {result.wanted} trials are done. Report {report}")
        print("The same command goes on.")
        raise
    report = write_summary(config, result)
    front, again = result.front, result.confirmations
    print(f"{len(result.records)} of {result.wanted} trials are done; {len(front)} on the front")
    for each in again:
        print(f"  trial {each.record.number:<4d} {_scores(each)}")
    print(f"Report     {report}")
    if front:
        name = "confirmed_1" if again else f"front_{len(front)}"
        print(f"Next: ctxseg train {result.directory / 'best' / f'train_{name}.yaml'}")
    return 0


def _scores(confirmation: "Confirmation") -> str:
    scores = "  ".join(f"{100 * score:.1f}" for score in confirmation.scores.values())
    origin = confirmation.record.origin
    return f"mean {100 * confirmation.mean:.1f} % of {scores}" + (f"  {origin}" if origin else "")
