"""YAML text: plain values within limits, each error with its line and key."""

import re

import pytest

from keras_ctxseg._yaml import MAX_BYTES, YamlError, parse


def test_values_and_lines():
    text = "a: 1e-4\nb:\n  c: [1, {d: x}]\n  'on': 2020-13-45\n"
    values, lines = parse(text)
    assert values == {"a": 1e-4, "b": {"c": [1, {"d": "x"}], "on": "2020-13-45"}}
    assert {key: lines[key] for key in ("a", "b", "b.c", "b.c[1].d", "b.on")} == {
        "a": 1, "b": 2, "b.c": 3, "b.c[1].d": 3, "b.on": 4,
    }  # fmt: skip


def test_merged_keys_may_be_given_again():
    values, _ = parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}")
    assert values["b"] == {"x": 1, "y": 3}


def test_keys_begin_where_the_caller_says():
    with pytest.raises(YamlError, match=re.escape("`training.losses[1].weight`: expected")):
        parse("[x, {weight: !!int x}]", "training.losses")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\n[b, c]: 2", 2, "expected a word as a key. Received: a list"),
        ("a: {{b: 1}: 2}", 1, "`a`: expected a word as a key. Received: a mapping"),
        ("a: 1\nb: !!bool x", 2, "`b`: expected a value of the type !!bool. Received: 'x'"),
        ("a: !!python/object:os.system x", 1, "`a`: expected a plain value. Received: the tag"),
        ("a: !!timestamp 2020-01-01", 1, "`a`: expected a plain value. Received: the tag"),
        ("a: " + "9" * 5000, 1, "`a`: expected a number of at most 40 digits. Received: 5000"),
        ("a: 1\na: 2", 2, "`a`: key 'a' is given twice"),
        ('a: "\\0"', 1, r"`a`: expected text without control characters. Received: '\x00'"),
        ('"a\\e": 1', 1, "expected text without control characters"),
        ("a: [1", 1, "not valid YAML: "),
        ("[" * 5000, 1, "expected at most 32 levels of nesting"),
        ("a: &x [*x]", 1, "`a[0][0]"),
        ("x" * (MAX_BYTES + 1), None, "expected at most 256 KiB. Found: 262145 characters"),
        # A hundred million values, and as many keys, in a few lines.
        ("\n".join(["a: &0 [1, 1]"] + [f"a{i}: &{i} [{', '.join([f'*{i - 1}'] * 10)}]"
                                       for i in range(1, 9)]), None, "at most 20000"),
        ("\n".join(["a: &0 {b: 1}"] + [f"a{i}: &{i} {{<<: [*{i - 1}, *{i - 1}]}}"
                                       for i in range(1, 30)]), None, "at most 20000"),
    ],
)  # fmt: skip
def test_errors_name_line_and_key(text, line, message):
    with pytest.raises(YamlError, match=re.escape(message)) as error:
        parse(text)
    if line is not None:
        assert error.value.line == line
