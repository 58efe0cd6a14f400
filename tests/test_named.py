"""Classes and functions are found by dotted and by registered name, called and checked."""

import re

import keras
import pytest

from keras_ctxseg._named import Named, find, make


@keras.saving.register_keras_serializable("tests_named")
class Scaled(keras.losses.Loss):
    def __init__(self, factor=1.0, ignore_label=None):
        super().__init__()
        self.factor, self.ignore_label = factor, ignore_label


def test_dotted_and_registered_names_are_found():
    assert find("keras.losses.Dice", "key") is keras.losses.Dice
    assert find(f"{__name__}.Scaled", "key") is Scaled
    assert find("tests_named>Scaled", "key") is Scaled


def test_offered_arguments_go_to_parameters_of_their_name():
    offered = {"ignore_label": 7, "num_classes": 3, "factor": 2.0}
    loss = make(Named(f"{__name__}.Scaled", {"factor": 5.0}), "key", keras.losses.Loss, offered)
    assert (loss.factor, loss.ignore_label) == (5.0, 7)
    assert make(Named(f"{__name__}.Scaled"), "key", keras.losses.Loss).ignore_label is None


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("no_such_package.Loss", {}, "`key`: there is no module 'no_such_package'. Received: 'no"),
        ("keras.no_such.Loss", {}, "`key`: there is no module 'keras.no_such'."),
        ("keras.losses.Dyce", {}, "`key`: keras.losses has no 'Dyce'. Did you mean 'Dice'?"),
        ("tests_named>Scald", {}, "`key`: nothing is registered with Keras as 'tests_named>Scald'"),
        ("keras.losses.Dice", {"faktor": 1}, "`key`: keras.losses.Dice: "),
        ("keras.metrics.Mean", {}, "`key`: expected keras.metrics.Mean to make a Keras Loss. Rece"),
        ("keras.version", {}, "to make a Keras Loss. Received: '3."),
        ("keras.__version__", {}, "`key`: expected a class or function. Received: keras.__version"),
    ],
)
def test_errors_name_the_key(name, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(Named(name, arguments), "key", keras.losses.Loss)
