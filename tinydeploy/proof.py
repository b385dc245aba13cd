"""The compiler's own understanding of a model against TFLite Micro: every tensor of one sample, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy import oracle
from tinydeploy.errors import ModelError
from tinydeploy.graph import NUMPY_DTYPES, Graph, Tensor
from tinydeploy.reference import run_graph


def random_inputs(source: Tensor, count: int) -> NDArray[Any]:
    """`count` inputs, each of the tensor's shape without its batch: the whole range of integers, floats of [-1, 1)."""
    dtype = np.dtype(NUMPY_DTYPES[source.dtype])
    shape = source.shape[1:] if source.shape[:1] == (1,) else source.shape
    generator = np.random.default_rng(0)
    if dtype.kind == "f":
        return generator.uniform(-1, 1, (count, *shape)).astype(dtype)
    limits = np.iinfo(str(dtype))
    return generator.integers(limits.min, limits.max + 1, (count, *shape), dtype)


def prove(data: bytes, graphs: Iterable[Graph], sample: NDArray[Any]) -> NDArray[Any]:
    """The output of the model `data` for one `sample`, which every operator's tensor of `graphs` agrees with.

    `graphs` are the model as it was read and what the passes made of it. Raises ModelError where one of them gives
    another value than TFLite Micro.
    """
    theirs = oracle.run_all_tensors(data, sample)
    for graph in graphs:
        ours = run_graph(graph, sample)
        for op in graph.ops:
            channels = graph.tensors[op.output].channels
            if op.output not in theirs:
                continue
            want = theirs[op.output] if channels is None else theirs[op.output][..., channels]
            if ours[op.output].tobytes() != np.ascontiguousarray(want).tobytes():
                raise ModelError(
                    f"{graph.name}: operator {op.index} ({op.kind}) gives other values than TFLite Micro; please "
                    "report this model"
                )
    return theirs[graph.output]
