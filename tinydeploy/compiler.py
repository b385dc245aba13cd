"""Graph to Program: every operator gets its kernel, every buffer its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tinydeploy.cores import Core
from tinydeploy.fusion import fuse
from tinydeploy.graph import Graph
from tinydeploy.joined import Kernels, join_in_place, steps_of
from tinydeploy.kernels import select
from tinydeploy.kernels.base import Constant, Implementation
from tinydeploy.ops.base import Op
from tinydeploy.ops.reshape import Reshape
from tinydeploy.optimize import Optimize
from tinydeploy.passes.channel_moves import join_channel_moves
from tinydeploy.passes.channel_order import order_channels
from tinydeploy.passes.constant_channels import remove_constant_channels
from tinydeploy.passes.even_channels import make_channels_even
from tinydeploy.passes.unread import remove_unread
from tinydeploy.plan import MemoryPlan, Step, plan_memory, streamed_input


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled model: what runs, in which order, where. `core` is None for any machine with a C compiler.

    `graph` is the model after the passes; `nominal_macs` counts the model's multiply-accumulates before them,
    `needed_macs` those without channels that are constant or unread.
    """

    graph: Graph
    nominal_macs: int
    needed_macs: int
    core: Core | None
    steps: tuple[Step, ...]
    plan: MemoryPlan

    @property
    def constants_bytes(self) -> int:
        """Bytes of packed weights, biases and tables in flash."""
        return sum(constant.size_bytes for constant in distinct_constants(self.steps))

    @property
    def streamed(self) -> bool:
        """Whether the input arrives row by row and never stands in the arena in full."""
        return streamed_input(self.steps) is not None


def distinct_constants(steps: Iterable[Step]) -> list[Constant]:
    """What `steps` read, each array that several of them read once."""
    return list({(c.ctype, c.values.tobytes()): c for step in steps for c in step.implementation.constants}.values())


def compile_graph(
    graph: Graph,
    core: Core | None,
    *,
    keep_constant_channels: bool = False,
    optimize: Optimize = "balanced",
    stream_input: bool = False,
) -> Program:
    """Simplify the graph, choose a kernel for each operator and plan the arena; RESHAPE becomes no step, nor does a
    concatenation whose parts can be written where it has them.

    With `optimize` "ram", operators run as chains of row stripes where that makes the arena smaller, and where there is
    a choice, the smallest arena is taken. With `stream_input` the input arrives row by row; UsageError where the first
    operator cannot take it so.
    """
    nominal_macs = graph.macs
    graph = join_channel_moves(remove_unread(graph))
    if not keep_constant_channels:
        graph = remove_unread(remove_constant_channels(graph))
    graph = order_channels(graph)
    needed_macs = graph.macs
    even = make_channels_even(graph, dense=not core.mve) if core is not None and core.dsp else graph
    # A channel for a kernel's sake takes bytes, so for RAM both are planned.
    forms = (even, graph) if optimize == "ram" and even is not graph else (even,)
    planned = (_planned(form, core, optimize, stream_input) for form in forms)
    graph, steps, plan = min(planned, key=lambda one: one[2].arena_bytes)
    return Program(graph, nominal_macs, needed_macs, core, steps, plan)


def _planned(
    graph: Graph, core: Core | None, optimize: Optimize, stream_input: bool
) -> tuple[Graph, tuple[Step, ...], MemoryPlan]:
    """`graph` with chains and joined tensors as `optimize` asks for them, its steps and where their buffers lie."""
    kernels = _kernels(graph, core, optimize, {})
    if optimize == "ram" or stream_input:
        known = {graph.ops[at]: kernel for at, kernel in kernels.items()}
        graph = fuse(graph, kernels, stream_input=stream_input, shrink=optimize == "ram")
        kernels = _kernels(graph, core, optimize, known)
    graph, kernels = join_in_place(graph, kernels, optimize)
    steps = steps_of(graph, kernels)
    return graph, steps, plan_memory(graph, steps)


def _kernels(graph: Graph, core: Core | None, optimize: Optimize, known: Mapping[Op, Implementation]) -> Kernels:
    """By operator, the kernel that computes it; `known` are those that need no choice any more."""
    return {
        at: known.get(op) or select(op, graph, core, optimize)
        for at, op in enumerate(graph.ops)
        if not isinstance(op, Reshape)
    }
