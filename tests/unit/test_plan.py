"""Memory plans: what is alive together never overlaps, whatever the graph; simple chains take no byte too many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.net import Net
from support.strategies import Network, networks, seeded_network

from tinydeploy.compiler import Program, compile_graph
from tinydeploy.cores import CORES, Core
from tinydeploy.errors import UsageError
from tinydeploy.kernels.base import ALIGNMENT, Overlap, aligned
from tinydeploy.ops.gather import ChannelGather
from tinydeploy.ops.reshape import Reshape
from tinydeploy.plan import Buffer, arrange
from tinydeploy.tflite import read_model

# What the reference models need with the DSP kernels; a plan that needs more has become worse.
ARENA_BYTES = {
    "ad01_int8": 1_920,
    "kws_ref_model": 9_488,
    "pretrainedResnet_quant": 34_208,
    "vww_96_int8": 36_928,
}
# Depthwise layers copy a channel at a time to a plane of bytes.
ARENA_BYTES_MVE = {**ARENA_BYTES, "vww_96_int8": 39_320}


def arena_of(placed: list[tuple[Buffer, int]]) -> int:
    return max((offset + buffer.size_bytes for buffer, offset in placed), default=0)


def floor_of(buffers: list[Buffer]) -> int:
    """What is alive at the worst step: no plan can take less."""
    steps = range(max((b.last for b in buffers), default=-1) + 1)
    return max((sum(b.size_bytes for b in buffers if b.first <= step <= b.last) for step in steps), default=0)


def assert_arranged(buffers: list[Buffer], placed: list[tuple[Buffer, int]]) -> None:
    assert sorted(b.name for b, _ in placed) == sorted(b.name for b in buffers)
    assert all(offset >= 0 and offset % ALIGNMENT == 0 for _, offset in placed)
    for step in range(max((b.last for b in buffers), default=-1) + 1):
        taken: dict[int, str] = {}
        for buffer, offset in placed:
            if buffer.first <= step <= buffer.last:
                for at in range(offset, offset + buffer.size_bytes):
                    assert at not in taken, f"byte {at} belongs to {taken[at]} and {buffer.name} at step {step}"
                    taken[at] = buffer.name


@st.composite
def buffers_of_graphs(draw: st.DrawFn) -> list[Buffer]:
    count = draw(st.integers(0, 14))
    sizes = st.one_of(st.integers(1, 64), st.sampled_from((1, 7, 8, 9, 16, 63, 64, 65)))
    found = []
    for number in range(count):
        first = draw(st.integers(0, 10))
        found.append(Buffer(f"b{number}", draw(sizes), first, first + draw(st.sampled_from((0, 1, 1, 2, 3, 9)))))
    return found


@settings(max_examples=300, deadline=None)
@given(buffers_of_graphs())
def test_live_buffers_never_overlap(buffers: list[Buffer]) -> None:
    placed = arrange(buffers)
    assert_arranged(buffers, placed)
    assert floor_of(buffers) <= arena_of(placed) <= sum(aligned(b.size_bytes) for b in buffers)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=20))
@example([1, 3, 1, 1, 3, 1])
def test_a_chain_takes_its_largest_pair_and_no_more(units: list[int]) -> None:
    """Each buffer is written in one step and read in the next: two are alive at a time."""
    buffers = [Buffer(f"b{at}", unit * ALIGNMENT, at, at + 1) for at, unit in enumerate(units)]
    assert arena_of(arrange(buffers)) == floor_of(buffers)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=2, max_size=20), st.integers(1, 100))
@example([3, 1, 1, 3], 1)
def test_a_chain_beside_a_long_residual(units: list[int], long: int) -> None:
    buffers = [Buffer(f"b{at}", unit * ALIGNMENT, at, at + 1) for at, unit in enumerate(units)]
    residual = Buffer("residual", long * ALIGNMENT, 0, len(units))
    assert arena_of(arrange([*buffers, residual])) == floor_of([*buffers, residual])


def test_the_order_of_equal_buffers_does_not_change_from_run_to_run() -> None:
    buffers = [Buffer(f"b{at}", 8 + 8 * (at * 7 % 5), at % 6, at % 6 + at % 3) for at in range(24)]
    assert arrange(buffers) == arrange(list(buffers))


def run_in_arena(program: Program) -> None:
    """Walk the steps over an arena of owners: what a step reads must still be what was written.

    A step's scratch is in use while it reads its inputs and writes its output, so it may lie on neither; the output may
    lie on an input only in place.
    """
    graph, plan = program.graph, program.plan
    owner = np.full(plan.arena_bytes, -1, np.int64)
    value = {tensor: tensor for tensor in graph.tensors}  # a RESHAPE's output is the value of its input
    for op in graph.ops:
        if isinstance(op, Reshape):
            value[op.output] = value[op.inputs[0]]
        if isinstance(op, ChannelGather) and op.placed and op.is_split:
            value[op.output] = value[op.inputs[0]]
        elif isinstance(op, ChannelGather) and op.placed:
            value |= dict.fromkeys(op.inputs, op.output)

    def place(tensor: int) -> NDArray[np.int64]:
        offset, size = plan.tensors[tensor], graph.tensors[tensor].size_bytes
        depth = graph.tensors[tensor].shape[-1] if tensor in plan.pitches else size
        pixels = plan.pitches.get(tensor, 0) * np.arange(size // depth)
        found = (offset + pixels[:, None] + np.arange(depth)).reshape(-1)
        assert tensor in plan.pitches or offset % ALIGNMENT == 0
        assert offset >= 0
        assert found[-1] < plan.arena_bytes
        return found

    owner[place(graph.input)] = value[graph.input]
    for number, step in enumerate(program.steps):
        scratch = step.implementation.scratch_bytes
        if scratch:
            offset = plan.scratch[number]
            assert offset % ALIGNMENT == 0
            assert offset + scratch <= plan.arena_bytes
            owner[offset : offset + scratch] = -2 - number
        for tensor in step.op.inputs:
            assert (owner[place(tensor)] == value[tensor]).all(), f"{step.op.name} reads what was overwritten"
        out = place(step.op.output)
        for tensor in step.op.inputs:
            source = place(tensor)
            if np.intersect1d(out, source).size:
                rule = step.implementation.overlap
                permitted = rule is not None and rule.permits(int(source[0]), int(out[0]))
                assert step.implementation.in_place or permitted, f"{step.op.name} writes over its input"
                assert permitted or np.array_equal(out, source)
        owner[out] = value[step.op.output]
        if scratch:
            assert (owner[offset : offset + scratch] == -2 - number).all(), f"{step.op.name} writes over its scratch"
    assert (owner[place(graph.output)] == value[graph.output]).all()


@settings(max_examples=100, deadline=None)
@given(networks(), st.sampled_from([None, CORES["m4"], CORES["m0plus"]]))
def test_random_networks_find_their_tensors_intact(network: Network, core: Core | None) -> None:
    run_in_arena(compile_graph(read_model(network.data, "random"), core))


@pytest.mark.parametrize("seed", range(60))
def test_seeded_networks_find_their_tensors_intact(seed: int) -> None:
    graph = read_model(seeded_network(seed).data, f"seed {seed}")
    for core in (None, CORES["m7"]):
        run_in_arena(compile_graph(graph, core))


@pytest.mark.parametrize("core", [None, *CORES.values()], ids=lambda core: core.name if core else "any")
def test_the_reference_models(core: Core | None, shared_models: list[Path]) -> None:
    for path in shared_models:
        program = compile_graph(read_model(path.read_bytes(), path.stem), core)
        run_in_arena(program)
        buffers = [buffer for buffer, _ in program.plan.buffers]
        # Less where an output may lie over its dying input.
        assert program.plan.arena_bytes <= aligned(floor_of(buffers)), f"{path.stem}: larger than what is alive at once"
        if core is not None and core.dsp:
            assert program.plan.arena_bytes <= (ARENA_BYTES_MVE if core.mve else ARENA_BYTES)[path.stem]


def test_an_element_wise_sum_takes_its_dying_inputs_place() -> None:
    net = Net(1)
    x = net.input((1, 8, 8, 4))
    a = net.conv(x, 4)
    b = net.conv(a, 4)
    c = net.add(a, b)
    program = compile_graph(read_model(net.done(net.conv(c, 4)), "sum"), None)
    at = program.plan.tensors
    assert at[c] in (at[a], at[b])
    assert at[a] != at[b]
    run_in_arena(program)


def test_a_sum_does_not_overwrite_what_is_read_later() -> None:
    net = Net(1)
    x = net.input((1, 8, 8, 4))
    a = net.conv(x, 4)
    b = net.conv(a, 4)
    c = net.add(a, b)
    d = net.add(net.add(c, b), a)
    program = compile_graph(read_model(net.done(d), "sums"), None)
    assert program.plan.tensors[c] not in (program.plan.tensors[a], program.plan.tensors[b])
    run_in_arena(program)


def test_a_reshape_moves_nothing() -> None:
    net = Net(1)
    x = net.input((1, 4, 4, 2))
    flat = net.reshape(x, (1, 32))
    program = compile_graph(read_model(net.done(net.fully_connected(flat, 3)), "flat"), None)
    assert program.plan.tensors[flat] == program.plan.tensors[x]
    assert len(program.steps) == 1
    run_in_arena(program)


def test_plans_are_the_same_in_every_process() -> None:
    """Python's hashes differ from run to run; a plan that followed them would change the firmware's bytes."""

    script = (
        "import json, sys; sys.path.insert(0, 'tests')\n"
        "from support.strategies import seeded_network\n"
        "from tinydeploy.compiler import compile_graph\n"
        "from tinydeploy.tflite import read_model\n"
        "plans = [compile_graph(read_model(seeded_network(s).data, 'x'), None).plan for s in range(5)]\n"
        "print(json.dumps([[p.arena_bytes, sorted(p.tensors.items()), sorted(p.scratch.items())] for p in plans]))\n"
    )
    results = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", script],
                env={**os.environ, "PYTHONHASHSEED": seed},
                cwd=Path(__file__).parents[2],
                capture_output=True,
                check=True,
            ).stdout
        )
        for seed in ("1", "2")
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("gap_bytes", [-20, 0, 12])
def test_an_output_lies_over_its_dying_input_as_far_as_the_kernel_permits(gap_bytes: int, descending: bool) -> None:
    source, output = Buffer("in", 100, 0, 1), Buffer("out", 300, 1, 2)
    rule = Overlap(gap_bytes, descending, multiple=4)
    placed = dict(arrange([source, output], {(output, source): rule}))
    assert rule.permits(placed[source], placed[output])
    assert max(at + buffer.size_bytes for buffer, at in placed.items()) <= 320


# What --optimize ram makes of the reference models, and with the input streamed.
ROW_CHAINS_BYTES = {
    "vww_96_int8": (28_000, 17_700),
    "pretrainedResnet_quant": (20_800, 20_800),
    "kws_ref_model": (9_500, 9_500),
}


def test_row_chains_shrink_the_reference_models(shared_models: list[Path]) -> None:
    for path in shared_models:
        if path.stem not in ROW_CHAINS_BYTES:
            continue
        graph = read_model(path.read_bytes(), path.stem)
        arenas = tuple(
            compile_graph(graph, CORES["m4"], optimize="ram", stream_input=streamed).plan.arena_bytes
            for streamed in (False, True)
        )
        most = ROW_CHAINS_BYTES[path.stem]
        assert all(a <= m for a, m in zip(arenas, most, strict=True)), f"{path.stem}: {arenas} B instead of {most}"


@pytest.mark.parametrize("seed", range(30))
def test_row_chains_of_seeded_networks_find_their_tensors_intact(seed: int) -> None:
    graph = read_model(seeded_network(seed).data, f"seed {seed}")
    plain = compile_graph(graph, CORES["m4"])
    shrunk = compile_graph(graph, CORES["m4"], optimize="ram")
    run_in_arena(shrunk)
    assert shrunk.plan.arena_bytes <= plain.plan.arena_bytes


def test_an_input_that_cannot_come_row_by_row_is_refused() -> None:
    net = Net(1)
    graph = read_model(net.done(net.fully_connected(net.input((1, 12)), 3)), "flat")
    with pytest.raises(UsageError, match="cannot take it row by row"):
        compile_graph(graph, None, stream_input=True)
