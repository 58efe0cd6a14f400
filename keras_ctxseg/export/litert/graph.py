"""A LiteRT file as Python objects: read, looked up, written again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"
OPERATION_NAMES = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if name[0] != "_"
}
# The kernel copies values from one scale to another without rescaling them.
MISSCALED = ("BROADCAST_TO",)
# Their steps cover magnitudes that 8 bits cannot: distances before a softmax, variances.
DELICATE = ("SOFTMAX", "RSQRT")
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


class LitertGraph:
    """The first subgraph of a LiteRT file.

    Attributes:
        model: the file's objects, to be changed in place.
        graph: its first subgraph.
        kinds: the name of each operation in the schema, in order.
    """

    def __init__(self, content: bytes):
        self.model: Any = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
        self.graph = self.model.subgraphs[0]
        codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in self.model.operatorCodes]
        self.kinds = [OPERATION_NAMES[codes[op.opcodeIndex]] for op in self.graph.operators]

    def packed(self) -> bytes:
        """The file's content."""
        builder = _AlignedBuilder(1 << 20)
        builder.Finish(self.model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def result_names(self, operations: Iterable[int]) -> list[str]:
        """The tensors that these operations, given by place, put out first."""
        return [
            self.graph.tensors[self.graph.operators[k].outputs[0]].name.decode() for k in operations
        ]

    @cached_property
    def _producer(self) -> dict[int, int]:
        return {t: k for k, op in enumerate(self.graph.operators) for t in op.outputs}

    @cached_property
    def _consumers(self) -> dict[int, list[int]]:
        consumers: dict[int, list[int]] = {}
        for k, operation in enumerate(self.graph.operators):
            for tensor in operation.inputs:
                consumers.setdefault(tensor, []).append(k)
        return consumers

    def scores(self) -> set[int]:
        """The operations from the last upsampling on: scores of all pixels, and their argmax."""
        last = {self._producer[t] for t in self.graph.outputs if t in self._producer}
        return self._walk(last, True, stop=_WEIGHTED, last=("RESIZE_BILINEAR",))

    def classifier(self) -> set[int]:
        """The operations from the last convolutions, those included, to `scores`."""
        scores = self.scores()
        read = [t for k in scores for t in self.graph.operators[k].inputs]
        above = {self._producer[t] for t in [*self.graph.outputs, *read] if t in self._producer}
        return self._walk(above - scores, True, last=_WEIGHTED)

    def around(self, kinds: Collection[str]) -> set[int]:
        """The operations of these kinds, and all between them and the convolutions around them."""
        seeds = {k for k, kind in enumerate(self.kinds) if kind in kinds}
        return self._walk(seeds, True, stop=_WEIGHTED) | self._walk(seeds, False, stop=_WEIGHTED)

    def _walk(
        self,
        start: Iterable[int],
        upwards: bool,
        stop: Collection[str] = (),
        last: Collection[str] = (),
    ) -> set[int]:
        """All that can be reached; not through kinds in `stop`, nor beyond those in `last`."""
        seen: set[int] = set()
        waiting = list(start)
        while waiting:
            k = waiting.pop()
            if k in seen or self.kinds[k] in stop:
                continue
            seen.add(k)
            if self.kinds[k] in last:
                continue
            operation = self.graph.operators[k]
            if upwards:
                waiting += [self._producer[t] for t in operation.inputs if t in self._producer]
            else:
                waiting += [c for t in operation.outputs for c in self._consumers.get(t, [])]
        return seen


class _AlignedBuilder(flatbuffers.Builder):
    """Places weights at multiples of 16 bytes, as the schema asks; the generated code does not."""

    def StartVector(self, elemSize, numElems, alignment):  # noqa: N802, N803
        return super().StartVector(elemSize, numElems, max(alignment, 16 if elemSize == 1 else 0))
