"""`ctxseg convert --from SOURCE FILE --model NAME`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="SOURCE",
        help="keras-applications, keras-hub, torchvision, timm, tf-models, deeplab-tf1, "
        "mmsegmentation or pytorch-encoding",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help=".pth, .safetensors, .keras, .h5, a TensorFlow checkpoint or a .tar.gz of one; or "
        "its URL with a checksum, https://...#sha256=...",
    )
    parser.add_argument(
        "--model", required=True, metavar="NAME", help="the model here, as `ctxseg list` names it"
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="options of that model, as in a recipe's model.options",
    )
    parser.add_argument(
        "--num-classes", type=int, help="default: the checkpoint's, where it has a classifier"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="default: the model's name and .weights.h5, here"
    )
    parser.add_argument(
        "--epsilon", type=float, help="of the checkpoint's batch normalisation, if not the usual"
    )
    parser.add_argument(
        "--backbone-only", action="store_true", help="leave a head that the checkpoint has"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="a summary instead of every weight that was mapped"
    )


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.convert.command import convert_file

    name, output, report = convert_file(
        arguments.source,
        arguments.file,
        arguments.model,
        _options(arguments.overrides),
        arguments.num_classes,
        arguments.output,
        arguments.epsilon,
        arguments.backbone_only,
    )
    print(report.summary() if arguments.quiet else report.text())
    print(f"{output}: weights of {name}")
    return 0


def _options(words: list[str]) -> dict:
    """Reads `key=value` words; values as YAML reads them, lists as tuples."""
    from keras_ctxseg._yaml import YamlError, parse

    options = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ValueError(f"expected key=value for an option of the model. Received: {word!r}")
        try:
            read, _ = parse(value, key)
        except YamlError as error:
            raise ValueError(f"{word!r}: {error}") from None
        options[key] = tuple(read) if isinstance(read, list) else read
    return options
