"""A chain of operators that runs by stripes of rows, so that what lies between them never stands in full.

No .tflite holds one: the compiler joins operators where that saves memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from tinydeploy.graph import Tensor
from tinydeploy.ops.base import Op, Values

if TYPE_CHECKING:
    from tinydeploy.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class RowChain(Op):
    """Operators `ops` in execution order, each reading what one before it wrote or one of `inputs`.

    `between` are the tensors that only they see. A stripe ends with `rows` more rows of the output. Where `streamed`,
    the first input is the model's own and arrives row by row: it does not stand in full either.
    """

    kind: ClassVar[str] = "ROW_CHAIN"

    ops: tuple[Op, ...]
    between: Mapping[int, Tensor]
    rows: int
    streamed: bool = False

    def inside(self, graph: Graph) -> Graph:
        """`graph` as the chain's own operators see it."""
        return replace(graph, tensors={**graph.tensors, **self.between})

    def macs(self, graph: Graph) -> int:
        """The sum over the operators."""
        inside = self.inside(graph)
        return sum(op.macs(inside) for op in self.ops)

    @property
    def parameters(self) -> int:
        """The sum over the operators."""
        return sum(op.parameters for op in self.ops)

    @property
    def weights_bytes(self) -> int:
        """The sum over the operators."""
        return sum(op.weights_bytes for op in self.ops)

    def reference(self, graph: Graph, values: Values) -> NDArray[Any]:
        """One operator after the other."""
        inside, known = self.inside(graph), dict(values)
        for op in self.ops:
            known[op.output] = op.reference(inside, known)
        return known[self.output]


def join(graph: Graph, ops: tuple[Op, ...], rows: int, *, streamed: bool = False) -> RowChain:
    """The chain of `ops`, consecutive operators of `graph` of which the last writes what others read."""
    made = {op.output for op in ops}
    outside = dict.fromkeys(tensor for op in ops for tensor in op.inputs if tensor not in made)
    last = ops[-1]
    name = ops[0].name if len(ops) == 1 else f"{ops[0].name} .. {last.name}"
    between = {index: graph.tensors[index] for index in sorted(made - {last.output})}
    return RowChain(name, ops[0].index, tuple(outside), last.output, ops, between, rows, streamed)


def replace_by_chain(graph: Graph, chain: RowChain) -> Graph:
    """`graph` with `chain` in the place of its operators."""
    at = graph.ops.index(chain.ops[0])
    ops = (*graph.ops[:at], chain, *graph.ops[at + len(chain.ops) :])
    tensors = {index: tensor for index, tensor in graph.tensors.items() if index not in chain.between}
    return replace(graph, tensors=tensors, ops=ops)
