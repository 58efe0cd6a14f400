"""Class files of any content."""

import json
import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from keras_ctxseg._text import is_clean
from keras_ctxseg.data.class_file import ClassTable, read_class_file
from keras_ctxseg.data.images import FileError
from tests.fuzz.oracle import damaged, damages, json_values, result_or_error

CONTENT = {
    "classes": ["sky", "building", "road"],
    "void": [11, 12],
    "label_map": {"7": 2, "8": "road", "0": "void"},
    "palette": [[128, 128, 128], [128, 0, 0], [128, 64, 128]],
    "void_colors": [[0, 0, 0]],
    "things": ["road"],
}
KEYS = st.sampled_from([*CONTENT, "ignore_label", "Classes", ""])
VALUES = json_values | st.sampled_from([
    [], ["a", "a"], ["a\x1b[2J"], ["\ud800"], [""], {"9" * 5000: 0}, {"-1": 0}, {"７": 0}, -1,
    ["road", "road"], [["road"]], [[256, 0, 0]], [[True, 0, 0]], list(map(str, range(300))),
])  # fmt: skip


def check(content: bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "classes.json"
        path.write_bytes(content)
        table = result_or_error(read_class_file, path, FileError)
    if table is not None:
        assert isinstance(table, ClassTable)
        count = len(table.class_names)
        assert all(name and is_clean(name) for name in table.class_names)
        assert table.palette.shape == (count, 3)
        assert set(table.class_ids.tolist()) <= {*range(count), 255, -1}
        assert set(table.thing_classes) <= {*range(count)}


@given(st.dictionaries(KEYS, VALUES, max_size=4))
@example({"classes": ["a\x1b[2J"]})
@example({"label_map": {"9" * 5000: 0}})
def test_any_values(changes):
    check(json.dumps({**CONTENT, **changes}).encode())


@given(damages)
def test_any_damage(changes):
    check(damaged(json.dumps(CONTENT, indent=1).encode(), changes))


@given(st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"classes": ["a"], "classes": ["b"]}')
def test_any_file(content):
    check(content)
