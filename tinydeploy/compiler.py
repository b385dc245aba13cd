"""Graph to Program: every operator gets its kernel, every buffer its place."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.cores import Core
from tinydeploy.graph import Graph
from tinydeploy.kernels import select
from tinydeploy.ops.reshape import Reshape
from tinydeploy.passes.constant_channels import remove_constant_channels
from tinydeploy.plan import MemoryPlan, Step, plan_memory


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled model: what runs, in which order, where. `core` is None for any machine with a C compiler.

    `graph` is the model after the passes; `nominal_macs` counts the model's multiply-accumulates before them.
    """

    graph: Graph
    nominal_macs: int
    core: Core | None
    steps: tuple[Step, ...]
    plan: MemoryPlan

    @property
    def constants_bytes(self) -> int:
        """Bytes of packed weights, biases and tables in flash."""
        return sum(constant.size_bytes for step in self.steps for constant in step.implementation.constants)


def compile_graph(graph: Graph, core: Core | None, *, keep_constant_channels: bool = False) -> Program:
    """Simplify the graph, choose a kernel for each operator and plan the arena; RESHAPE becomes no step."""
    nominal_macs = graph.macs
    if not keep_constant_channels:
        graph = remove_constant_channels(graph)
    steps = tuple(Step(op, select(op, graph, core)) for op in graph.ops if not isinstance(op, Reshape))
    return Program(graph, nominal_macs, core, steps, plan_memory(graph, steps))
