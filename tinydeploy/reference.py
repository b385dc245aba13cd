"""Run a graph with the numpy reference of every operator: slow, simple, and equal to TFLM bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.graph import NUMPY_DTYPES, Graph


def run_graph(graph: Graph, values: NDArray[Any]) -> dict[int, NDArray[Any]]:
    """Every activation by tensor index, for one input of the model's shape and type."""
    source = graph.tensors[graph.input]
    result: dict[int, NDArray[Any]] = {
        graph.input: np.asarray(values, dtype=NUMPY_DTYPES[source.dtype]).reshape(source.shape)
    }
    for op in graph.ops:
        result[op.output] = op.reference(graph, result)
    return result
