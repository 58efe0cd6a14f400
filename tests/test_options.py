"""Options are read from keyword-only parameters; names and types are checked."""

import functools
import os
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import pytest

from keras_ctxseg._options import (
    MISMATCH,
    REQUIRED,
    DottedName,
    Option,
    checked_options,
    convert,
    describe,
    options_of,
)


def decoder(
    images,
    classes: int,
    *,
    path: str | os.PathLike,
    rates: tuple[int, ...] | None = None,
    dropout: float = 0.1,
    mode: Literal["sum", "mean"] = "sum",
    shared: bool = True,
    anything=None,
): ...


class Shaped:
    def __init__(self, depth, *, width: "float" = 1.0, unseen: "OnlyForTypeCheckers" = None): ...  # noqa: F821


def test_options_are_the_keyword_only_parameters():
    options = options_of(decoder, ("images", "classes"))
    assert list(options) == ["path", "rates", "dropout", "mode", "shared", "anything"]
    assert options["path"].default is REQUIRED
    assert [option.name for option in options.values() if option.is_path] == ["path"]
    assert list(map(str, options.values())) == [
        "path: a string or a path (required)",
        "rates: a list, each entry an integer or null (default null)",
        "dropout: a number (default 0.1)",
        "mode: one of 'sum', 'mean' (default 'sum')",
        "shared: true or false (default true)",
        "anything (default null)",
    ]


def test_options_of_a_class_and_of_a_partial():
    for options in (
        options_of(Shaped, ("depth",)),
        options_of(functools.partial(Shaped, 5)),
    ):
        assert options["width"] == Option("width", float, 1.0)
        assert str(options["unseen"]) == "unseen (default null)"
    assert options_of(functools.partial(Shaped, 5, width=2.0))["width"].default == 2.0


@pytest.mark.parametrize(
    "function",
    [
        lambda pictures: None,
        lambda images, rates=(1,): None,
        lambda images, *images_too: None,
        lambda images, *, dropout=0, **others: None,
    ],
)
def test_other_parameters_are_refused(function):
    with pytest.raises(ValueError, match=r"expected the parameters \(images, \*, option=default"):
        options_of(function, ("images",))


def test_checked_options_convert():
    options = options_of(decoder, ("images", "classes"))
    given = {"rates": [1, 2], "dropout": 0, "mode": "mean", "anything": [object]}
    assert checked_options("it", given, options) == {**given, "rates": (1, 2), "dropout": 0.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dropuot": 1}, "it has no option 'dropuot'; its options are ['anything', 'dropout', "),
        ({"dropuot": 1}, "Did you mean 'dropout'?"),
        ({"dropout": "much"}, "it, option `dropout`: expected a number. Received: 'much' (str)."),
        ({"dropout": True}, "expected a number. Received: True (bool)."),
        ({"rates": 6}, "expected a list, each entry an integer or null. Received: 6 (int)."),
        ({"rates": [1, 2.5]}, "Received: [1, 2.5] (list)."),
        ({"mode": "meen"}, "expected one of 'sum', 'mean'. Received: 'meen' (str). Did you mean"),
        ({"path": 3}, "expected a string or a path. Received: 3 (int)."),
    ],
)
def test_errors_say_what_was_expected(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        checked_options("it", given, options_of(decoder, ("images", "classes")))


def test_types_that_yaml_cannot_write_pass():
    for kind in (Sequence, object, type(decoder)):
        assert convert("anything", kind) == "anything"
    assert convert([1], str | Sequence) == [1]
    assert convert({"a": 1}, Mapping[str, int]) == {"a": 1}
    assert convert(1, Mapping[str, int]) is MISMATCH
    assert describe(str | Sequence) == "a string or a list"


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        ("a.B", DottedName, True),
        ("my_package>B", DottedName, True),
        *((name, DottedName, False) for name in ("", "B", "..", ".x", "a.", "a..b", "a.b c", ">")),
        (3, DottedName, False),
        (1e308, float, True),
        (10**400, float, False),
        (float("inf"), float, False),
        (float("nan"), float, False),
        ({"a": 1}, Mapping, True),
        ({1: 1}, Mapping, False),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_type_is_refused(value, kind, fits):
    assert (convert(value, kind) is not MISMATCH) == fits
