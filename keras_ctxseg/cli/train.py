"""`ctxseg train CONFIG [key=value ...]`."""

import argparse

SUMMARY = "train the network that a configuration describes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a YAML recipe, as in configs/")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="as in training.learning_rate=0.05"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    mode.add_argument(
        "--overwrite", action="store_true", help="discard an earlier run in the directory"
    )


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.training.config_file import load_config
    from keras_ctxseg.training.run_directory import RunDirectory

    # Before TensorFlow loads: a misspelt key should not cost ten seconds.
    config = load_config(arguments.config, arguments.overrides)
    if not (arguments.resume or arguments.overwrite):
        RunDirectory(config.directory).refuse_if_used()

    from keras_ctxseg.training.run import train

    try:
        result = train(config, resume=arguments.resume, overwrite=arguments.overwrite)
    except KeyboardInterrupt:
        print(f"\nStopped. Finished epochs are in {config.directory}; go on with --resume.")
        raise
    best = "none" if result.best_mean_iou is None else f"{100 * result.best_mean_iou:.2f} %"
    print(f"Best validation mIoU {best} after {result.epochs} epochs ({result.seconds:.0f} s)")
    print(f"Next: ctxseg evaluate {result.directory}")
    return 0
