"""Block tables as files, and when two are the same network."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from keras_ctxseg.backbones.block_tables import HAND_DILATED_BLOCKS, PARENT_BLOCKS, SEARCHED_BLOCKS
from keras_ctxseg.runs.config_file import load_config
from keras_ctxseg.search import (
    Topology,
    draw_topology,
    load_topology,
    save_topology,
    topology_from_options,
)


def test_a_table_survives_its_file(tmp_path):
    topology = Topology(HAND_DILATED_BLOCKS, 3, 5)
    path = tmp_path / "table.yaml"
    save_topology(topology, path, ["found somewhere: at night"])
    lines = path.read_text().splitlines()
    assert lines[0] == "# found somewhere: at night"
    assert lines[1:3] == ["output_stride: 8", "max_level: 5"]
    assert lines[5] == "- [4, residual, [0, 1], false, 2] # node 3"
    assert "# node 17, unused" in lines[-1]
    assert load_topology(path) == topology
    assert topology_from_options(topology.options) == topology


def test_unused_blocks_do_not_make_another_network():
    topology = Topology(PARENT_BLOCKS, 3, 3)

    def changed(node, **fields):
        blocks = list(PARENT_BLOCKS)
        blocks[node - 2] = replace(blocks[node - 2], **fields)
        return Topology(tuple(blocks), 3, 3).signature

    assert 16 not in topology.used_nodes and 13 in topology.used_nodes
    assert changed(16, dilation=4) == changed(16, type="residual") == topology.signature
    for fields in ({"dilation": 4}, {"type": "residual"}, {"parents": (3, 10)}):
        assert changed(13, **fields) != topology.signature
    assert Topology(PARENT_BLOCKS, 3, 4).signature != topology.signature


def test_errors_name_the_file_and_the_key(tmp_path):
    path = tmp_path / "table.yaml"
    for text, message in {
        "bloks: []": "table.yaml: unknown key `bloks`.*Did you mean 'blocks'",
        "blocks: 3": "table.yaml: `blocks`: expected a list of rows. Received: 3",
        "blocks: [[2, round, [0, 1]]]": "table.yaml: .*bad row for node 2.*`type`",
        "output_stride: 6\nblocks: [[2, residual, [0, 1]]]": "`output_stride`: expected 4, 8, 16",
        "blocks: [[2, residual, [0, 1], true]]": r"levels that `blocks` puts out \(2\)",
        "- 1": "expected a mapping with `blocks`",
        "a: [": "cannot read the block table .*table.yaml",
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_topology(path)
    with pytest.raises(ValueError, match="cannot read the block table .*absent.yaml"):
        load_topology(tmp_path / "absent.yaml")


def test_a_recipe_takes_the_rows(tmp_path):
    from keras_ctxseg.search.topology import block_lines

    topology = Topology(HAND_DILATED_BLOCKS, 3, 4)
    rows = "\n".join(f"    {line}" for line in block_lines(topology))
    (tmp_path / "recipe.yaml").write_text(
        "name: x\ndata: {name: context_scenes}\nmodel:\n  name: spinenet_seg_s49s\n  options:\n"
        f"    output_stride: 8\n    max_level: 4\n    blocks:\n{rows}\n"
    )
    assert load_config(tmp_path / "recipe.yaml").model.options == topology.options


@pytest.mark.parametrize(
    ("topology", "outputs", "dilated", "adopted"),
    [
        (Topology(PARENT_BLOCKS, 3, 3), 1, 0, 0),
        (Topology(HAND_DILATED_BLOCKS, 3, 7), 5, 6, 1),
        (Topology(SEARCHED_BLOCKS, 3, 5), 3, 3, 2),
    ],
)
def test_the_picture_shows_what_is_built(topology, outputs, dilated, adopted):
    drawing = ElementTree.fromstring(draw_topology(topology))
    kinds = [element.get("class", "").split() for element in drawing]
    nodes = topology.used_nodes
    written = [element.text for element in drawing if element.text]
    assert all(str(node) in written for node in nodes)
    legend = 4
    assert sum("block" in kind for kind in kinds) == len(nodes) + legend
    assert sum("output" in kind for kind in kinds) == outputs + 1
    assert sum("dilated" in kind for kind in kinds) == dilated + 1
    assert sum("adopted" in kind for kind in kinds) == adopted
    assert sum("edge" in kind for kind in kinds) == 1 + 2 * (len(nodes) - 2) + adopted
    assert sum("head" in kind for kind in kinds) == outputs + 1  # And the box.
