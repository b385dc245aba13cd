"""Float against int8, layer by layer: how far quantization's noise lies below the signal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.graph import Graph
from tinydeploy.oracle import Oracle

# Of a signal that int8 gives exactly.
MOST_DB = 99.0


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """One layer. `sqnr_db` is 10 log10 of the float output's energy over that of its difference from int8's, noise of
    the layers before it included; None where the float output is all zeros."""

    name: str
    kind: str
    sqnr_db: float | None


def layer_noise(
    graph: Graph,
    tflite: bytes,
    inputs: NDArray[np.int8],
    floats: Callable[[NDArray[np.float32]], Mapping[str, NDArray[Any]]],
) -> tuple[LayerNoise, ...]:
    """Each named layer of `graph` over `inputs`, int8 (N, *input shape); `floats` gives float outputs by layer name for
    the real values of inputs. TFLite Micro computes the int8 side."""
    source = graph.tensors[graph.input].quantization
    kinds = {op.name: (op.kind, op.output) for op in graph.ops}  # of several operators of a layer the last
    signal, noise = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0.0)
    compared: set[str] = set()
    with Oracle() as oracle:
        for one in inputs:
            real = (one[np.newaxis].astype(np.float32) - source.zero_point) * np.float32(source.scale)
            wanted = floats(real)
            found = oracle.run_all_tensors(tflite, one)
            for name, (_, index) in kinds.items():
                if name not in wanted or index not in found:
                    continue
                quant = graph.tensors[index].quantization
                ours = (found[index].astype(np.float64).reshape(-1) - quant.zero_point) * quant.scale
                theirs = np.asarray(wanted[name], np.float64).reshape(-1)
                if ours.size == theirs.size:
                    compared.add(name)
                    signal[name] += float(np.sum(theirs**2))
                    noise[name] += float(np.sum((theirs - ours) ** 2))
    return tuple(LayerNoise(name, kinds[name][0], _db(signal[name], noise[name])) for name in kinds if name in compared)


def _db(signal: float, noise: float) -> float | None:
    if signal == 0:
        return None
    return MOST_DB if noise == 0 else min(MOST_DB, 10 * math.log10(signal / noise))
