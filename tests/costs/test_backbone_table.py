"""The guide's table of backbones is what `ctxseg list backbones --table` prints."""

from pathlib import Path

import pytest

from keras_ctxseg import cli
from keras_ctxseg._options import REQUIRED
from keras_ctxseg.backbones import backbone_options, create, list_backbones
from keras_ctxseg.costs.backbone_table import backbone_table

PAGE = Path(__file__).parents[2] / "docs" / "backbones.md"
SMALLEST = "mobilenet_v3_small"
NAMES = [
    name
    for name in list_backbones()
    if all(option.default is not REQUIRED for option in backbone_options(name).values())
]


def rows():
    """The table's lines in the guide, by name."""
    table = PAGE.read_text().split("list backbones --table -->\n")[1].split("<!-- end -->")[0]
    head, rule, *lines = table.strip().splitlines()
    return {line.split("`")[1]: line for line in lines}, [head, rule]


def test_every_backbone_has_its_row():
    lines, head = rows()
    assert list(lines) == NAMES
    assert head == list(backbone_table([]))


@pytest.mark.parametrize(
    "name",
    [name if name == SMALLEST else pytest.param(name, marks=pytest.mark.whole) for name in NAMES],
)
def test_the_row_is_what_the_command_prints(capsys, name):
    if name.endswith("_vd"):
        pytest.importorskip("keras_hub")
    assert cli.main(["list", "backbones", name, "--table"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == rows()[0][name]
    assert not create(name).no_stages  # The page says that SpaM takes all of the table.


def test_the_names_are_listed(capsys):
    assert cli.main(["list", "backbones", "resnet1*"]) == 0
    expected = [
        "resnet101", "resnet101_v2", "resnet101_vd", "resnet152", "resnet152_v2", "resnet152_vd",
        "resnet18", "resnet18_vd",
    ]  # fmt: skip
    assert capsys.readouterr().out.split() == expected
    assert cli.main(["list", "backbones", "mobilenet_v2", "--options"]) == 0
    assert "width: a number (default 1.0)" in capsys.readouterr().out
    assert cli.main(["list", "models", "--table"]) == 2
    assert "`--table` goes with backbones only" in capsys.readouterr().err
