"""The inputs that campaigns look for do what they are meant to: reach an accumulator's ends, and meet ties."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.extremes import Ends, Seen, directed_inputs, watch_rounding
from support.net import Net
from support.strategies import seeded_network
from support.tflite_schema import Padding
from support.tflite_writer import Model

from tinydeploy.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model

NETWORKS = 60


def reached(model: Model, inputs: list[NDArray[Any]]) -> tuple[int, int]:
    """The lowest and highest accumulator of a model of one operator."""
    seen: set[Seen] = set()
    lows, highs = [], []
    for values in inputs:
        ends: Ends = {}
        with watch_rounding(seen, ends):
            run_graph(read_model(model.to_bytes(), "reached"), values)
        lows.append(ends[0][0])
        highs.append(ends[0][1])
    return min(lows), max(highs)


@pytest.mark.parametrize("operator", ["fully_connected", "conv", "grouped", "depthwise"])
def test_a_pattern_drives_an_accumulator_to_its_end(operator: str) -> None:
    net = Net(9)
    numbers: dict[str, Any] = {"bias": "zero", "padding": Padding.VALID, "kernel": (3, 3)}
    if operator == "fully_connected":
        x = net.input((1, 36), zero_point=0)
        out, axis = net.fully_connected(x, 2, bias="zero"), 0
    elif operator == "depthwise":
        x = net.input((1, 3, 3, 2), zero_point=0)
        out, axis = net.depthwise(x, **numbers), 3
    else:
        x = net.input((1, 3, 3, 4), zero_point=0)
        out, axis = net.conv(x, 2, groups=2 if operator == "grouped" else 1, **numbers), 0
    net.model.outputs = [out]
    weights = net.model.tensors[net.model.ops[0].inputs[1]].data
    assert weights is not None
    of_channel = np.moveaxis(weights, axis, 0).reshape(2, -1).astype(int)
    highest = np.where(of_channel > 0, 127, -128) * of_channel
    lowest = np.where(of_channel > 0, -128, 127) * of_channel
    known = np.zeros((1, *net.shape(x)), np.int8)
    found = directed_inputs(net.model, known, 0, 8)
    assert reached(net.model, found) == (lowest.sum(axis=1).min(), highest.sum(axis=1).max())


def test_ties_are_told_apart() -> None:
    def ties(values: list[int], real: float) -> set[str]:
        seen: set[Seen] = set()
        factor = quantize_multiplier(real)
        with watch_rounding(seen, {}):
            multiply_by_quantized_multiplier(np.array(values), factor.mantissa, factor.shift)
        return {what for _, what in seen}

    assert ties([4, 8], 0.25) == {"tie within reach"}
    assert ties([1], 0.5) == {"tie of the first rounding"}
    assert ties([4], 0.125) == {"tie within reach", "tie above zero"}
    assert ties([-4], 0.125) == {"tie within reach", "tie below zero"}
    assert ties([4], 2.0**-13) == set()


def test_networks_meet_ties_of_both_signs() -> None:
    """In most roundings that end in a shift; one by nothing has no ties, and one by 20 bits meets them too rarely."""
    met: Counter[str] = Counter()
    for seed in range(NETWORKS):
        network = seeded_network(seed)
        graph = read_model(network.data, "ties")
        seen: set[Seen] = set()
        ends: Ends = {}
        for values in network.inputs:
            with watch_rounding(seen, ends):
                run_graph(graph, values)
        met["roundings"] += len(ends)
        met.update(what for _, what in seen)
    assert met["tie within reach"] > met["roundings"] / 2
    assert met["tie above zero"] > met["tie within reach"] / 2
    assert met["tie below zero"] > met["tie within reach"] / 2
    assert met["tie of the first rounding"] > met["roundings"] / 40
