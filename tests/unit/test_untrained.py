"""Graphs of networks that are not trained: what the compiler and the reference make of them."""

from __future__ import annotations

import numpy as np
import pytest

from tinydeploy import zoo
from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES
from tinydeploy.lint import lint
from tinydeploy.reference import run_graph
from tinydeploy.untrained import untrained_graph
from tinydeploy.zoo import ModelSpec


@pytest.mark.parametrize("arch", sorted(zoo.architectures()))
def test_every_architecture_becomes_a_sound_graph_that_compiles(arch: str) -> None:
    spec = ModelSpec(arch, 0.1, 20, 3, 5)
    layers = zoo.describe(spec)
    graph = untrained_graph(layers, spec.name)
    assert graph.macs == zoo.footprint(layers).macs
    assert sum(op.weights_bytes for op in graph.ops) == zoo.footprint(layers).weights_bytes
    assert not lint(graph)
    assert graph.tensors[graph.output].shape == (1, *layers[-1].output_shape)
    as_is = compile_graph(graph, CORES["m0plus"], keep_constant_channels=True)
    assert as_is.graph.macs == graph.macs
    even = compile_graph(graph, CORES["m4"], keep_constant_channels=True)  # no odd number of channels for its kernels
    assert even.graph.macs >= graph.macs
    assert min(as_is.plan.arena_bytes, even.plan.arena_bytes) > 0


def test_the_signal_reaches_the_end() -> None:
    graph = untrained_graph(zoo.describe(ModelSpec("mobilenet_v1", 0.25, 32, 3, 10)), "mobilenet")
    rng = np.random.default_rng(0)
    scores = [
        run_graph(graph, rng.integers(-128, 128, (1, 32, 32, 3), np.int8))[graph.output].tobytes() for _ in range(3)
    ]
    assert len(set(scores)) == 3


def test_the_same_description_and_seed_give_the_same_graph() -> None:
    layers = zoo.describe(ModelSpec("shufflenet_v2", 0.1, 20, 3, 5))
    programs = [compile_graph(untrained_graph(layers, "net", seed), CORES["m4"]) for seed in (1, 1, 2)]
    constants = [
        [constant.values.tobytes() for step in program.steps for constant in step.implementation.constants]
        for program in programs
    ]
    assert constants[0] == constants[1] != constants[2]
    assert len({program.plan.arena_bytes for program in programs}) == 1
