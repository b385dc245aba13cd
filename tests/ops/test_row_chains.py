"""Chains of row stripes: any chain of any network, streamed or not, gives the outputs of the operators one by one."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
from support.compiled import Unit, build_core, build_host, unit_of
from support.strategies import Network, seeded_network

from tinydeploy.compiler import Program
from tinydeploy.cores import CORES, Core
from tinydeploy.errors import UsageError
from tinydeploy.fusion import chain_candidates, streaming_chain
from tinydeploy.kernels import select
from tinydeploy.ops.reshape import Reshape
from tinydeploy.ops.row_chain import RowChain, join, replace_by_chain
from tinydeploy.plan import Step, plan_memory
from tinydeploy.reference import run_graph
from tinydeploy.stripes import line_rows, stripes
from tinydeploy.tflite import read_model

SEEDS = range(120)


def chained(network: Network, seed: int, core: Core | None) -> Program | None:
    """The network with chains at random, of one to three rows a stripe; None where it can have none."""
    choose = random.Random(seed)
    whole = graph = read_model(network.data, f"chained {seed}")
    candidates = list(chain_candidates(whole))
    choose.shuffle(candidates)
    streamed = choose.random() < 0.5
    if streamed:
        try:
            candidates.insert(0, streaming_chain(whole))
        except UsageError:
            streamed = False
    taken: list[tuple[int, int]] = []
    for first, last in candidates:
        if all(last < a or first > b for a, b in taken):
            taken.append((first, last))
            chain = join(whole, whole.ops[first : last + 1], choose.randint(1, 3), streamed=streamed and first == 0)
            graph = replace_by_chain(graph, chain)
    if not taken:
        return None
    steps = tuple(Step(op, select(op, graph, core)) for op in graph.ops if not isinstance(op, Reshape))
    return Program(graph, whole.macs, whole.macs, core, steps, plan_memory(graph, steps))


def chained_networks(core: Core | None) -> list[tuple[Unit, Network, Program]]:
    found = []
    for seed in SEEDS:
        network = seeded_network(seed)
        program = chained(network, seed, core)
        if program is not None:
            found.append((unit_of(program, f"chained {seed}"), network, program))
    return found


def assert_equal(units: list[tuple[Unit, Network, Program]], results: list[np.ndarray]) -> None:
    for (unit, network, _), got in zip(units, results, strict=True):
        graph = read_model(network.data, unit.id)
        for i, values in enumerate(network.inputs):
            want = run_graph(graph, values)[graph.output]
            assert got[i].tobytes() == want.tobytes(), f"{unit.id}, input {i}"


@pytest.mark.parametrize("core", [None, CORES["m4"]], ids=["portable", "dsp"])
def test_on_the_host_under_sanitizers(core: Core | None, tmp_path: Path) -> None:
    units = chained_networks(core)
    assert len(units) >= len(SEEDS) // 3
    assert sum(program.streamed for _, _, program in units) >= 10
    build = build_host([unit for unit, _, _ in units], tmp_path)
    assert_equal(units, build.run([network.inputs for _, network, _ in units]))


@pytest.mark.skipif(importlib.util.find_spec("unicorn") is None, reason="needs unicorn")
def test_on_a_virtual_core(tmp_path: Path) -> None:
    units = chained_networks(CORES["m4"])[::3]
    build = build_core([unit for unit, _, _ in units], CORES["m4"], tmp_path)
    assert_equal(units, build.run([network.inputs for _, network, _ in units]))


def test_no_row_is_computed_twice_and_none_is_read_before_it_is_there() -> None:
    chains = 0
    for seed in SEEDS:
        program = chained(seeded_network(seed), seed, None)
        for op in program.graph.ops if program else ():
            if not isinstance(op, RowChain):
                continue
            chains += 1
            inside = op.inside(program.graph)
            done = {t: 0 for inner in op.ops for t in (*inner.inputs, inner.output)}
            done |= {t: inside.tensors[t].shape[1] for t in op.inputs}
            cuts = stripes(op, program.graph)
            rows = line_rows(op, cuts)
            for stripe in cuts:
                for inner, part in zip(op.ops, stripe.parts, strict=True):
                    if part is None:
                        continue
                    assert part.first == done[inner.output]
                    assert all(part.input_last <= done[t] for t in inner.inputs)
                    done[inner.output] = part.last
                    for tensor in set(inner.inputs) & stripe.held.keys():
                        held = stripe.held[tensor]
                        assert held.first <= part.input_first <= part.input_last <= held.last
                        assert held.last - held.first <= rows[tensor]
            assert done[op.output] == program.graph.tensors[op.output].shape[1]
    assert chains > 40
