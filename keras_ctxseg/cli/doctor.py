"""`ctxseg doctor`: is this installation fit, and what to do where not."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--no-smoke", action="store_true", help="only look, train nothing")
    parser.add_argument("--litert", action="store_true", help="export a LiteRT file too")


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.doctor import as_json, as_table, examine, is_broken

    findings = examine(smoke=not arguments.no_smoke, litert=arguments.litert)
    print(as_json(findings) if arguments.json else as_table(findings))
    return 1 if is_broken(findings) else 0
