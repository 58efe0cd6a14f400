"""A functional Keras network as a flat list of calls, models inside models included."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_ctxseg._naming import nearest

# Names of layers begin with it, which is how learning-rate multipliers find a backbone.
PREFIX = "backbone_"


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of an operation.

    Attributes:
        operation: The layer, or the function of `keras.ops`.
        arguments: Positional and keyword arguments, with symbolic tensors in them.
        inputs: The symbolic tensors among the arguments.
        outputs: What it gives.
    """

    operation: keras.Operation
    arguments: tuple[tuple, dict]
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]

    def __str__(self) -> str:
        return f"layer {self.operation.name!r} ({type(self.operation).__name__})"


class KerasGraph:
    """Reads how the tensors of a functional model come from its one input.

    Args:
        model: A functional or sequential model of one input.

    Attributes:
        image: The input.
        calls: All calls, each after what it needs.
    """

    def __init__(self, model: keras.Model):
        inputs = getattr(model, "inputs", None)
        if not inputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise ValueError(
                "`model` must be a functional or sequential Keras model with one input, (batch, "
                f"height, width, channels). Received: {getattr(model, 'name', model)!r}"
            )
        self.name = model.name
        self.image: keras.KerasTensor = inputs[0]
        # The tensors at the border of an inner model, by id, to those that stand for them.
        self._same: dict[int, keras.KerasTensor] = {}
        self._inner: dict[str, keras.KerasTensor] = {}
        self._look_into_inner_models(model.outputs)
        self._outputs = list(model.outputs)
        self.calls = self.calls_for(self._outputs)

    def tensor(self, tap: "str | keras.Layer | keras.KerasTensor") -> keras.KerasTensor:
        """Finds the output of a layer, given by name, as the layer or as the tensor itself.

        Raises:
            ValueError: If the network has no such layer, or calls it more than once.
        """
        if isinstance(tap, keras.KerasTensor):
            return self.canonical(tap)
        name = tap if isinstance(tap, str) else tap.name
        if name in self._inner:
            return self.canonical(self._inner[name])
        found = [call for call in self.calls if call.operation.name == name]
        if len(found) != 1 or len(found[0].outputs) != 1:
            names = [call.operation.name for call in self.calls]
            reason = "calls it more than once" if found else "has no such layer"
            raise ValueError(
                f"`taps` must be layers of {self.name!r}, which {reason}: {name!r}."
                + ("" if found else nearest(name, names))
            )
        return found[0].outputs[0]

    def canonical(self, tensor: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the tensor that stands for `tensor` in `calls`."""
        while id(tensor) in self._same:
            tensor = self._same[id(tensor)]
        return tensor

    def calls_for(self, targets: Iterable[keras.KerasTensor]) -> list[Call]:
        """Returns the calls that some tensors depend on, each after what it needs."""
        calls: list[Call] = []
        done: set[tuple[int, int]] = set()
        stack = [(self.canonical(target), False) for target in list(targets)[::-1]]
        while stack:
            tensor, ready = stack.pop()
            operation, index, _ = tensor._keras_history
            if (id(operation), index) in done:
                continue
            node = operation._inbound_nodes[index]
            sources = [self.canonical(source) for source in node.input_tensors]
            if sources and not ready:
                stack.append((tensor, True))
                stack.extend((source, False) for source in sources[::-1])
                continue
            done.add((id(operation), index))
            if sources:
                calls.append(self._call(operation, node, sources))
            elif tensor is not self.image:
                raise ValueError(
                    f"`model` must depend on one input alone. {self.name!r} also depends on "
                    f"{operation.name!r}"
                )
        return calls

    def _call(self, operation, node, sources: Sequence[keras.KerasTensor]) -> Call:
        arguments = keras.tree.map_structure(
            lambda leaf: self.canonical(leaf) if isinstance(leaf, keras.KerasTensor) else leaf,
            (node.arguments.args, node.arguments.kwargs),
        )
        return Call(operation, arguments, tuple(sources), tuple(node.output_tensors))

    def _look_into_inner_models(self, outputs: Iterable[keras.KerasTensor]) -> None:
        waiting, seen = list(outputs), set()
        while waiting:
            tensor = waiting.pop()
            operation, index, _ = tensor._keras_history
            if (id(operation), index) in seen:
                continue
            seen.add((id(operation), index))
            node = operation._inbound_nodes[index]
            waiting.extend(node.input_tensors)
            if not (isinstance(operation, keras.Model) and getattr(operation, "inputs", None)):
                continue
            if operation.name in self._inner:
                raise ValueError(f"`model` must call {operation.name!r} once, not twice")
            self._inner[operation.name] = operation.outputs[0]
            for inner, outer in zip(operation.outputs, node.output_tensors, strict=True):
                self._same[id(outer)] = inner
            for inner, outer in zip(operation.inputs, node.input_tensors, strict=True):
                self._same[id(inner)] = outer
            waiting.extend(operation.outputs)


def backbone_names(calls: Iterable[Call]) -> dict[int, str]:
    """Names the operations of a backbone, by id: `backbone_` and the name that they have.

    Names that Keras numbers by itself, such as `conv2d_7`, depend on what else a process has
    built; they are numbered anew, in the order of the calls.
    """
    names: dict[int, str] = {}
    taken: set[str] = set()
    numbers: Counter[str] = Counter()
    for call in calls:
        operation = call.operation
        if id(operation) in names:
            continue
        name = re.sub(r"_\d+$", "", operation.name)
        automatic = name.replace("_", "").lower() == type(operation).__name__.lower()
        name = PREFIX + (name if automatic else operation.name)
        candidate = f"{name}_1" if automatic else name
        while candidate in taken:
            numbers[name] += 1
            candidate = f"{name}_{numbers[name] + 1}"
        taken.add(candidate)
        names[id(operation)] = candidate
    return names


def rebuilt(operation: keras.Operation, kind: Any, config: dict[str, Any]) -> keras.Operation:
    """Makes a new operation from a configuration, for one that a network has.

    Raises:
        ValueError: If the class does not accept it; with the layer's name.
    """
    try:
        return kind.from_config(config)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`model` has a layer that cannot be made anew, {operation.name!r} "
            f"({type(operation).__name__}): {error}"
        ) from error
