"""Which kernel runs an operator on a core: the first of its row that applies. A faster kernel is one line here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tinydeploy.cores import Core
from tinydeploy.errors import InternalError
from tinydeploy.graph import Graph
from tinydeploy.kernels import (
    depthwise,
    elementwise,
    matrix,
    movement,
    mve_depthwise,
    mve_elementwise,
    mve_matrix,
    mve_pooling,
    packed,
    planes,
    pooling,
    portable,
    striped,
    tabled,
)
from tinydeploy.kernels.base import Implementation
from tinydeploy.kernels.matrix_form import CHOICES
from tinydeploy.ops.base import Op
from tinydeploy.ops.row_chain import RowChain
from tinydeploy.optimize import Optimize

Selector = Callable[[Any, Graph], Implementation | None]


@functools.cache
def _dsp(optimize: Optimize) -> dict[str, tuple[Selector, ...]]:
    """Candidates that need the DSP extension, best first; each returns None where it does not apply."""
    choices = CHOICES[optimize]
    one_channel = functools.partial(planes.one_channel, choices=choices)
    return {
        "Add": (elementwise.add_linear, elementwise.add_dsp),
        "AveragePool2D": (pooling.pool,),
        "Conv2D": (functools.partial(matrix.conv, choices=choices),),
        "DepthwiseConv2D": (one_channel, depthwise.depthwise3x3, planes.planes, depthwise.depthwise),
        "FullyConnected": (functools.partial(matrix.fully_connected, choices=choices),),
        "MaxPool2D": (pooling.pool,),
        "Mul": (elementwise.mul_dsp,),
        "Subtract": (elementwise.add_linear, elementwise.add_dsp),
    }


# Candidates that need MVE, before those that need the DSP extension: a core with MVE has both.
MVE: dict[str, tuple[Selector, ...]] = {
    "Add": (mve_elementwise.add,),
    "AveragePool2D": (mve_pooling.pool,),
    "Conv2D": (mve_matrix.conv,),
    "DepthwiseConv2D": (mve_depthwise.depthwise,),
    "FullyConnected": (mve_matrix.fully_connected,),
    "MaxPool2D": (mve_pooling.pool,),
    "Subtract": (mve_elementwise.add,),
}

# Candidates for cores without either.
PACKED: dict[str, tuple[Selector, ...]] = {
    "Add": (tabled.add,),
    "Conv2D": (packed.conv,),
    "DepthwiseConv2D": (packed.depthwise,),
    "FullyConnected": (packed.fully_connected,),
    "Subtract": (tabled.add,),
}

PORTABLE: dict[str, Selector] = {
    "Add": portable.add,
    "AveragePool2D": portable.pool,
    "ChannelGather": movement.gather,
    "Concatenation": movement.concatenate,
    "Conv2D": portable.conv,
    "DepthwiseConv2D": portable.depthwise,
    "FullyConnected": portable.fully_connected,
    "Lookup": portable.lookup,
    "MaxPool2D": portable.pool,
    "Maximum": elementwise.extremum,
    "Mean": portable.mean,
    "Minimum": elementwise.extremum,
    "Move": movement.move,
    "Mul": elementwise.mul,
    "Pad": portable.pad,
    "QuantizeFloat": portable.quantize_float,
    "ResizeNearest": movement.resize_nearest,
    "Softmax": portable.softmax,
    "Subtract": elementwise.subtract,
}


def select(op: Op, graph: Graph, core: Core | None, optimize: Optimize = "balanced") -> Implementation:
    """The implementation of `op` on `core`; ``None`` stands for any machine, and gets the portable kernels."""
    if isinstance(op, RowChain):
        return striped.implement(op, graph, lambda part, alone: select(part, alone, core, optimize))
    kind = type(op).__name__
    for candidate in _candidates(kind, core, optimize):
        chosen = candidate(op, graph)
        if chosen is not None:
            return chosen
    fallback = PORTABLE[kind](op, graph)
    if fallback is None:
        raise InternalError(f"no kernel runs operator {op.index} ({op.kind}); please report this model.")
    return fallback


def _candidates(kind: str, core: Core | None, optimize: Optimize) -> tuple[Selector, ...]:
    """The kernels that `core` has for a kind of operator, best first, but for the portable one."""
    if core is None:
        return ()
    own = (_dsp(optimize) if core.dsp else PACKED).get(kind, ())
    return (*MVE.get(kind, ()), *own) if core.mve else own
