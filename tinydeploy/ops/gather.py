"""Channels taken from one or more tensors, pixel by pixel: concatenations, splits and channel shuffles.

No .tflite holds one: the passes join those operators into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.fixedpoint import IntArray
from tinydeploy.ops.base import Op, Values

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True)
class Run:
    """`count` neighbouring channels of input number `source`, from `first` on."""

    source: int
    first: int
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class ChannelGather(Op):
    """`taken` has a row per output channel: the number of the input, and the channel there. Pixels stay in place.

    Where `placed`, the inputs are written as parts of the output, or of a split, the output is read as a part of its
    input, and nothing is left to do.
    """

    taken: IntArray
    kind: str
    placed: bool = False

    @property
    def runs(self) -> tuple[Run, ...]:
        """The channels in order, neighbours together."""
        found: list[Run] = []
        for source, channel in self.taken.tolist():
            last = found[-1] if found else None
            if last is not None and last.source == source and last.first + last.count == channel:
                found[-1] = Run(source, last.first, last.count + 1)
            else:
                found.append(Run(source, channel, 1))
        return tuple(found)

    @property
    def is_split(self) -> bool:
        """Whether the output is some neighbouring channels of one input."""
        return len(self.runs) == 1

    def is_concatenation(self, graph: Graph) -> bool:
        """Whether the output is its inputs side by side, each whole and once."""
        whole = tuple(Run(at, 0, graph.tensors[tensor].shape[-1]) for at, tensor in enumerate(self.inputs))
        return self.runs == whole

    def is_view(self, graph: Graph) -> bool:
        """Whether the output is its one input, channel for channel."""
        return self.runs == (Run(0, 0, graph.tensors[self.inputs[0]].shape[-1]),)

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """Take the columns."""
        columns = [values[t].reshape(-1, values[t].shape[-1]) for t in self.inputs]
        taken = [columns[source][:, channel] for source, channel in self.taken.tolist()]
        return np.stack(taken, axis=1).reshape(graph.tensors[self.output].shape)
