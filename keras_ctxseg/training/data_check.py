"""A look at a user's own files before the first step."""

from __future__ import annotations

import json
from collections.abc import Callable

from keras_ctxseg._options import checked_options
from keras_ctxseg.data.registry import dataset_options
from keras_ctxseg.data_tools.checks.run import check
from keras_ctxseg.runs.config import ConfigError, RunConfig

SAMPLED_PAIRS = 32  # of each split; about a second


def check_data(config: RunConfig, say: Callable[[str], None] = print) -> None:
    """Runs `ctx.data_tools.check` on a folder data set, as `data.check` says.

    Warnings are told; errors end the run before it begins.

    Args:
        config: the run. Other data sets than `folder` are not a user's files and pass.
        say: takes the table of what was found.

    Raises:
        ConfigError: the data have errors; the table was told.
    """
    if config.data.name != "folder" or config.data.check in (False, "off"):
        return
    options = checked_options("Data set 'folder'", config.data.options, dataset_options("folder"))
    if "path" not in options:
        return  # `load` has the better words for that
    full = config.data.check == "full"
    report = check(**options, sample=None if full else SAMPLED_PAIRS)
    opened = sum(facts.checked for facts in report.splits.values())
    pairs = sum(facts.pairs for facts in report.splits.values())
    command = f"ctxseg check-data {report.root}"
    if report.mask_format != "ids":
        command += f" --mask-format {report.mask_format}"
    if options.get("classes"):
        command += f" --classes {options['classes']}"
    command += "".join(
        f" --{name.replace('_', '-')} {json.dumps(options[name]).replace(' ', '')}"
        for name in ("exif", "bands", "range", "max_pixels")
        if options.get(name) is not None
    ).replace('"', "")
    if report.findings:
        say(report.findings_table(shown=3))
    if report.errors:
        raise ConfigError(
            f"{report.root}: {len(report.errors)} errors in the data, listed above; "
            f"`{command} --html data.html` shows them (data.check=off skips this check)"
        )
    found = f"{len(report.warnings)} warnings" if report.warnings else "nothing to mend"
    more = "" if opened == pairs else f"; all of them: {command}"
    say(f"Checked    {opened} of {pairs} pairs, {found}{more}")
