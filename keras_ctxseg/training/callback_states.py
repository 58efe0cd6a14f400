"""What callbacks remember from epoch to epoch, kept in the run's checkpoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import keras

# What Keras' own callbacks count and compare; the rest of them is settings.
_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}


class CallbackStates:
    """Reads and restores the states of a run's callbacks.

    A callback has one if it has `get_state()`, which returns JSON values, and `set_state(state)`;
    so have Keras' `EarlyStopping` and `ReduceLROnPlateau`. Others begin afresh on resume.

    Args:
        callbacks: of the run, in order. A state belongs to the class and its place among callbacks
            of the same class.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback] = ()):
        self._by_name: dict[str, keras.callbacks.Callback] = {}
        for callback in callbacks:
            name = type(callback).__name__
            count = sum(known.partition("#")[0] == name for known in self._by_name)
            self._by_name[f"{name}#{count + 1}" if count else name] = callback

    def read(self) -> dict[str, Any]:
        """The states by name, of callbacks that have one.

        Raises:
            ValueError: a state that JSON cannot hold.
        """
        states = {}
        for name, callback in self._by_name.items():
            state = _state(callback)
            if state is None:
                continue
            try:
                states[name] = json.loads(json.dumps(state))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"the state of the callback {name} cannot be kept: expected JSON values from "
                    f"`get_state` ({error})"
                ) from None
        return states

    def restore(self, states: dict[str, Any]) -> None:
        """Gives each callback its state back; states of callbacks that are gone are passed over."""
        for name, callback in self._by_name.items():
            if name not in states:
                continue
            if hasattr(callback, "set_state"):
                callback.set_state(states[name])
            else:
                for attribute, value in states[name].items():
                    setattr(callback, attribute, value)


def _state(callback: keras.callbacks.Callback) -> Any:
    if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
        return callback.get_state()
    for kind, attributes in _ATTRIBUTES.items():
        if isinstance(callback, kind):
            return {name: _number(getattr(callback, name, None)) for name in attributes}
    return None


def _number(value: Any) -> Any:
    """A tensor or NumPy number as Python's."""
    return value if value is None or isinstance(value, int) else float(value)
