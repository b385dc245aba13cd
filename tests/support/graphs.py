"""Two graphs of one model: every value that both hold is the same."""

from __future__ import annotations

import numpy as np

from tinydeploy.graph import Graph
from tinydeploy.reference import run_graph


def assert_same(before: Graph, after: Graph) -> None:
    """For a few inputs, by the numpy reference; `after` may hold tensors' channels in another order or number."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        one = rng.integers(-128, 128, before.tensors[before.input].shape).astype(np.int8)
        want, got = run_graph(before, one), run_graph(after, one)
        for tensor, values in got.items():
            channels = after.tensors[tensor].channels
            np.testing.assert_array_equal(values, want[tensor] if channels is None else want[tensor][..., channels])
