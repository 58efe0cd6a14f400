"""`ctxseg search CONFIG [key=value ...] [--report | --serve HOST:PORT]`."""

import argparse

SUMMARY = "search block tables for spinenet_seg, alone or with other machines"


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
        "--serve",
        metavar="HOST:PORT",
        help="offer the search's storage to other machines, which say storage=grpc://HOST:PORT; "
        "runs no trial itself",
    )


def run(arguments: argparse.Namespace) -> int:
    import importlib.util

    from keras_ctxseg.search.config_file import load_proxy, load_search_config
    from keras_ctxseg.training.config import ConfigError

    # Before TensorFlow loads: a misspelt key should not cost ten seconds.
    config = load_search_config(arguments.config, arguments.overrides)
    load_proxy(config)
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("the search needs Optuna: pip install 'keras_ctxseg[search]'")
    if arguments.serve:
        from keras_ctxseg.search.storage import serve

        serve(config.storage or str(config.directory / "journal.log"), arguments.serve)
        return 0
    from keras_ctxseg.search.run import load_result, run_search
    from keras_ctxseg.search.summary import write_summary

    if arguments.report:
        result = load_result(config)
    else:
        try:
            result = run_search(config)
        except KeyboardInterrupt:
            result = load_result(config)
            report = write_summary(config, result)
            print(f"\n{len(result.records)} of {result.wanted} trials are done. Report {report}")
            print("The same command goes on.")
            raise
    report = write_summary(config, result)
    front = result.front
    print(f"{len(result.records)} of {result.wanted} trials are done; {len(front)} on the front")
    print(f"Report     {report}")
    if front:
        recipe = result.directory / "best" / f"train_front_{len(front)}.yaml"
        print(f"Next: ctxseg train {recipe}")
    return 0
